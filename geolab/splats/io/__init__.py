"""Files of splats: read and write PLY, SPZ, GLB and 3D Tiles, with their place on Earth.

Reading back what was written changes nothing beyond the format's precision:

| file | position | rotation | scale | opacity | colour | place on Earth |
| --- | --- | --- | --- | --- | --- | --- |
| .ply | exact | exact | exact | exact | exact | NAME.ply.geo.json |
| .spz | 0.12 mm up to 2 km | 0.2 degrees | 3 % | 0.002 | 0.013; rest 0.004 | NAME.spz.geo.json |
| .glb | exact | 1e-7, unit length | 1e-6 | 1e-7 | exact | asset.extras |
| tileset.json | as .glb | as .glb | as .glb | as .glb | as .glb | the root's transform |
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
from geolab.splats.io import glb, ply, sidecar, spz, tiles3d
from geolab.splats.transform import transform as rotate

__all__ = ["FORMATS", "Splats", "convert", "info", "read", "rotate", "sidecar_path", "summary", "write"]

FORMATS = (".ply", ".spz", ".glb", ".json")

sidecar_path = sidecar.path_of


@dataclass(frozen=True)
class Splats:
    """What a file holds.

    frame: None if it does not say where on Earth it lies. meta: free facts that were written with it.
    format: ply, spz, glb or 3dtiles. warnings: one line each, on what was ignored. files: the model's, by
    path or URI: the one that was named, then its content (3D Tiles) or sidecar.
    """

    gaussians: Gaussians
    frame: Frame | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    format: str = ""
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def read(uri: str | Path) -> Splats:
    """The model in a file, recognised by its content, with z up, float32 on the CPU.

    Raises NotFound; FileRejected if it is no model, damaged, or its sidecar is that of another file.
    """
    href = str(uri)
    with _local(uri) as path:
        with path.open("rb") as stream:
            start = stream.read(16)
        if start.startswith(ply.MAGIC):
            return _beside("ply", *ply.read(path, href), href, path)
        if start.startswith(spz.MAGICS):
            return _beside("spz", *spz.read(path, href), href, path)
        if start.startswith(glb.MAGIC):
            gaussians, told, notes = glb.read(path, href)
            return Splats(gaussians, told.frame, told.meta, "glb", tuple(notes), (href,))
        if start.lstrip().startswith(b"{"):
            return _read_tileset(uri, path)
    raise FileRejected(href, "not a model of splats; expected PLY, SPZ, GLB or a tileset.json")


def write(
    path: str | Path,
    gaussians: Gaussians,
    frame: Frame | None = None,
    *,
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """The path of the model, written whole or not at all in the format of its suffix, one of FORMATS.

    frame, meta: in a sidecar beside .ply and .spz, inside the others. Raises BadInput.
    """
    target, told = store.local_path(path), sidecar.Told(frame, dict(meta or {}))
    if target is None:
        raise BadInput("file name", found=str(path), expected="a local path", remedy="copy it there later")
    suffix = target.suffix.lower()
    if suffix not in FORMATS or target.name.endswith(sidecar.SUFFIX):
        raise BadInput("file name", found=target.name, expected=f"one that ends in {', '.join(FORMATS)}")
    sidecar.text(told)  # refuses what JSON can't hold before anything is written
    if suffix == tiles3d.SUFFIX:
        tiles3d.write(target, gaussians, told)
        return target
    with store.atomic_path(target) as temporary:
        if suffix == ".glb":
            glb.write(temporary, gaussians, told)
        else:
            (ply if suffix == ".ply" else spz).write(temporary, gaussians)
            sidecar.write(target, told, digest=store.sha256(temporary))
    return target


def info(path: str | Path) -> dict[str, Any]:
    """What a file holds, in numbers: see `geolab.splats.io.facts.describe`. Raises as `read` does."""
    from geolab.splats.io import facts

    return facts.describe(path, read(path))


def summary(found: Mapping[str, Any]) -> dict[str, str]:
    """What `info` found, in a few lines for people."""
    from geolab.splats.io import facts

    return facts.summary(found)


def convert(source: str | Path, out: str | Path, *, replace: bool = False) -> dict[str, Any]:
    """file, gaussians, bytes, changed, warnings of a model that was written in another format.

    changed: what the format cost, measured by reading it back: see `geolab.splats.io.facts.difference`.
    Raises BadInput if `out` is there and not to be replaced; as `read` and `write` do.
    """
    from geolab.splats.io import facts

    if store.exists(out) and not replace:
        raise BadInput(
            "output", found=f"{out}, which is there", expected="a new name",
            remedy="replace it with --force (replace=True)",
        )  # fmt: skip
    splats = read(source)
    target = write(out, splats.gaussians, splats.frame, meta=splats.meta)
    made = read(target)
    datum = "" if splats.frame is None else splats.frame.vertical_datum
    notes = [*splats.warnings]
    if made.format == "3dtiles" and datum != "ellipsoid":
        notes.append(f"heights above {datum} were taken as ellipsoidal; a globe shows them off by the geoid")
    if made.format == "glb" and splats.frame is not None:
        notes.append("only geolab reads the place on Earth that a GLB keeps; write a tileset.json for globes")
    return {
        "file": str(target),
        "format": made.format,
        "gaussians": len(made.gaussians),
        "bytes": facts.size_bytes(made),
        "changed": facts.difference(splats.gaussians, made.gaussians),
        "warnings": notes,
    }


def _beside(name: str, gaussians: Gaussians, notes: list[str], href: str, path: Path) -> Splats:
    """The model with what its sidecar tells; path: its local copy."""
    place = href + sidecar.SUFFIX
    if not store.exists(place):
        return Splats(gaussians, None, {}, name, tuple(notes), (href,))
    told = sidecar.parse(store.read_bytes(place), place, digest=store.sha256(path))
    return Splats(gaussians, told.frame, told.meta, name, tuple(notes), (href, place))


def _read_tileset(uri: str | Path, path: Path) -> Splats:
    href = str(uri)
    root, name = tiles3d.content_of(path.read_bytes(), href)
    content = href.rsplit("/", 1)[0] + "/" + name if "/" in href else name
    try:
        with _local(content) as beside:
            with beside.open("rb") as stream:
                if not stream.read(4).startswith(glb.MAGIC):
                    raise FileRejected(href, f"its content {name} is not a GLB")
            gaussians, _, notes = glb.read(beside, content)
    except NotFound as error:
        raise FileRejected(href, f"its content {name} is not there") from error
    gaussians, told, more = tiles3d.place(root, gaussians, href)
    return Splats(gaussians, told.frame, told.meta, "3dtiles", (*notes, *more), (href, content))


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
