"""NAME.geo.json beside a model: where it lies on Earth, for formats that have no place to say so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import BadInput, FileRejected
from geolab.splats.frame import Frame

SUFFIX = ".geo.json"
TYPE = "geolab:splats"
VERSION = 1
_LARGEST = 64 << 20  # bytes; the cameras of 20,000 photos take 15 MB


@dataclass(frozen=True)
class Told:
    """What a sidecar, or the like of it in a file, says: the frame (None: not on Earth) and free facts."""

    frame: Frame | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def path_of(model: Path) -> Path:
    """Where the sidecar of a model lies: model.ply.geo.json for model.ply."""
    return model.with_name(model.name + SUFFIX)


def as_json(told: Told, **facts: Any) -> dict[str, Any]:
    """type, version, facts, frame and meta."""
    frame = None if told.frame is None else told.frame.as_json()
    return {"type": TYPE, "version": VERSION, **facts, "frame": frame, "meta": told.meta}


def from_json(value: Any, href: str) -> Told:
    """What `as_json` told. Raises FileRejected."""
    if not isinstance(value, dict) or value.get("type") != TYPE:
        raise FileRejected(href, f"not a georeference of a model: its type is not '{TYPE}'")
    if value.get("version") != VERSION:
        raise FileRejected(
            href, f"version {str(value.get('version'))[:20]} of {TYPE}; this geolab knows version {VERSION}"
        )
    frame, meta = value.get("frame"), value.get("meta") or {}
    if not isinstance(meta, dict) or not (frame is None or isinstance(frame, dict)):
        raise FileRejected(href, "frame and meta must be JSON objects")
    try:
        return Told(None if frame is None else Frame.from_json(frame), meta)
    except BadInput as error:
        raise FileRejected(href, str(error)) from error


def text(told: Told, **facts: Any) -> bytes:
    """The file's content. Raises BadInput if meta is no JSON."""
    try:
        made = json.dumps(as_json(told, **facts), indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput("meta", found=str(error), expected="values that JSON can hold") from error
    return (made + "\n").encode()


def write(model: Path, told: Told, *, digest: str) -> None:
    """Write the sidecar of a model with this SHA-256; with nothing to tell, remove what lies there."""
    target = path_of(model)
    if told.frame is None and not told.meta:
        target.unlink(missing_ok=True)
        return
    store.write_bytes(target, text(told, file=model.name, sha256=digest))


def parse(data: bytes, href: str, *, digest: str) -> Told:
    """What the bytes of a sidecar tell of the model with this SHA-256. Raises FileRejected."""
    if len(data) > _LARGEST:
        raise FileRejected(href, f"{len(data)} bytes; a georeference is small")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileRejected(href, f"not JSON: {error}") from error
    told = from_json(value, href)
    if value.get("sha256") != digest:
        raise FileRejected(
            href,
            "belongs to another file than the model beside it (SHA-256 differs); "
            "write the model again with geolab, or delete this file and lose the place",
        )
    return told
