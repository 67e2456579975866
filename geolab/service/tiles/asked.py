"""What may be asked of a tile, and in which words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from geolab import display
from geolab.errors import BadInput, one_line
from geolab.service.tiles import expression
from geolab.service.tiles.colors import RAMPS

TILE_PX = 256
DEEPEST_ZOOM = 24  # 1 cm pixels
FORMATS = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
OF_CLASSES = ("change", "uncertain")
COLORMAPS = (*OF_CLASSES, *RAMPS, "hillshade")
PARAMETERS = ("bidx", "rescale", "colormap", "expression", "threshold")
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)
_SHARE = re.compile(r"(0(\.\d{1,9})?|1(\.0{1,9})?|\.\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Tile:
    """One tile as asked for. bands: numbers from 1, empty for the usual ones; limits: (low, high) each."""

    z: int
    x: int
    y: int
    format: str = "png"
    bands: tuple[int, ...] = ()
    limits: display.Limits = ()
    colormap: str = ""
    expression: tuple[expression.Node, ...] = ()
    threshold: float | None = None  # of a probability, 0..1

    @property
    def content_type(self) -> str:
        return FORMATS[self.format]


def parse(z: str, x: str, y: str, format: str, query: Mapping[str, Sequence[str]]) -> Tile:
    """The tile that a request's path and query name. Raises BadInput for anything else."""
    unknown = sorted(set(query) - set(PARAMETERS))
    if unknown:
        raise BadInput("tile query", found=one_line(unknown[0], 40), expected=f"only {', '.join(PARAMETERS)}")
    if format not in FORMATS:
        raise BadInput("tile format", found=format[:10], expected=" | ".join(FORMATS))
    zoom = _whole(z, "z", DEEPEST_ZOOM)
    side = 2**zoom - 1
    tile = Tile(zoom, _whole(x, "x", side), _whole(y, "y", side), format)
    return _drawn(tile, query)


def _drawn(tile: Tile, query: Mapping[str, Sequence[str]]) -> Tile:
    bands = tuple(_whole(text, "bidx", 65535, least=1) for text in query.get("bidx", ()))
    limits = tuple(_limits(text) for text in query.get("rescale", ()))
    colormap, formula, share = (_one(query, name) for name in ("colormap", "expression", "threshold"))
    if len(bands) not in (0, 1, 3):
        raise BadInput("bidx", found=f"{len(bands)} bands", expected="1 or 3")
    if len(limits) not in (0, 1, 3):
        raise BadInput("rescale", found=f"{len(limits)} ranges", expected="1, or 3 for three bands")
    if colormap is not None and colormap not in COLORMAPS:
        raise BadInput("colormap", found=one_line(colormap, 40), expected=" | ".join(COLORMAPS))
    trees = () if formula is None else expression.parse(formula)
    threshold = None if share is None else _share(share)
    found = replace(
        tile, bands=bands, limits=limits, colormap=colormap or "", expression=trees, threshold=threshold
    )
    _check_together(found)
    return found


def _check_together(tile: Tile) -> None:
    """Raise BadInput for parameters that contradict each other."""
    if tile.colormap and max(len(tile.bands), len(tile.expression)) > 1:
        raise BadInput("colormap", found="three bands", expected="one")
    if tile.expression and tile.bands:
        raise BadInput("bidx", found="an expression too", expected="one or the other")
    if tile.expression and tile.colormap in (*OF_CLASSES, "hillshade"):
        raise BadInput("colormap", found=tile.colormap, expected=f"with an expression: {' | '.join(RAMPS)}")
    if tile.threshold is not None:
        if tile.expression or tile.limits or len(tile.bands) > 1:
            raise BadInput("threshold", found="other parameters", expected="none but one bidx and colormap")
        if tile.colormap not in ("", *OF_CLASSES):
            raise BadInput("colormap", found=tile.colormap, expected="with a threshold: change | uncertain")
    elif tile.colormap == "uncertain":
        raise BadInput("colormap", found="uncertain", expected="a threshold with it")


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = query.get(name, ())
    if len(values) > 1:
        raise BadInput(name, found=f"{len(values)} values", expected="one")
    return values[0] if values else None


def _whole(text: str, name: str, most: int, *, least: int = 0) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        found = one_line(text, 20) or "nothing"
        raise BadInput(name, found=found, expected=f"a whole number from {least} to {most}")
    return int(text)


def _share(text: str) -> float:
    if not _SHARE.fullmatch(text):
        raise BadInput("threshold", found=one_line(text, 20) or "nothing", expected="a number from 0 to 1")
    return float(text)


def _limits(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) == 2 and all(_NUMBER.fullmatch(p) for p in parts) and float(parts[0]) < float(parts[1]):
        return float(parts[0]), float(parts[1])
    raise BadInput("rescale", found=one_line(text, 40), expected="low,high with low < high")
