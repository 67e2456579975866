"""Files of splats: read and write PLY, SPZ, GLB and 3D Tiles, with their place on Earth.

The parameters come back as they were written, within the format's precision:

| format | means | rotation | scale | opacity | colour | place |
| --- | --- | --- | --- | --- | --- | --- |
| .ply | float32 | as it is | float32 | float32 | float32 | NAME.ply.geo.json |
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import ply, sidecar

__all__ = ["Splats", "read", "sidecar_path", "write"]

sidecar_path = sidecar.path_of


@dataclass(frozen=True)
class Splats:
    """What a file holds.

    frame: None if it does not say where on Earth it lies. meta: free facts that were written with it.
    format: ply, ... ; warnings: one line each, on what was ignored.
    """

    gaussians: Gaussians
    frame: Frame | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    format: str = ""
    warnings: tuple[str, ...] = ()


def read(uri: str | Path) -> Splats:
    """The model in a file, recognised by its content, float32 on the CPU.

    Raises NotFound; FileRejected if it is no model, damaged, or its sidecar is that of another file.
    """
    href = str(uri)
    with _local(uri) as path, path.open("rb") as stream:
        start = stream.read(16)
        if start.startswith(ply.MAGIC):
            gaussians, warnings = ply.read(path, href)
            told = _beside(uri, path)
            return Splats(gaussians, told.frame, told.meta, "ply", tuple(warnings))
    raise FileRejected(href, "not a model of splats; expected a .ply")


def write(
    path: str | Path,
    gaussians: Gaussians,
    frame: Frame | None = None,
    *,
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """The path of the model, written whole or not at all in the format of its suffix, .ply.

    frame, meta: kept in a sidecar. Raises BadInput.
    """
    target, told = Path(path).absolute(), sidecar.Told(frame, dict(meta or {}))
    if target.suffix.lower() != ".ply":
        raise BadInput("file name", found=target.name, expected="one that ends in .ply")
    sidecar.text(told)
    with store.atomic_path(target) as temporary:
        ply.write(temporary, gaussians)
        sidecar.write(target, told, digest=store.sha256(temporary))
    return target


@contextmanager
def _local(uri: str | Path) -> Iterator[Path]:
    """A local file of the same content."""
    path = store.local_path(uri)
    if path is not None:
        if not path.is_file():
            raise NotFound("file", str(uri))
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="geolab-") as folder, store.open_read(uri) as stream:
        copy = Path(folder, "model")
        with copy.open("wb") as target:
            while chunk := stream.read(store.CHUNK_BYTES):
                target.write(chunk)
        yield copy


def _beside(uri: str | Path, path: Path) -> sidecar.Told:
    """What the sidecar of a model tells; path: its local copy."""
    place = str(uri) + sidecar.SUFFIX
    if not store.exists(place):
        return sidecar.Told()
    return sidecar.parse(store.read_bytes(place), place, digest=store.sha256(path))
