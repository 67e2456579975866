"""What a landscape is made of: things, blocks of land, and outlines that are painted in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from rasterio.features import rasterize

from geolab.town.model import Floats
from geolab.town.satellite import spectra

SUB_M = 2.5  # side of a place of the mosaic that is painted: a quarter of a pixel
Shapes = list[tuple[Floats, int]]  # outlines [N, 2], and what each is


@dataclass
class Things:
    """A table that grows: what each thing is, its tint, and for fields what grows there every year."""

    kinds: list[int] = field(default_factory=list)
    tints: list[Floats] = field(default_factory=list)

    def add(self, kind: str, tint: Floats) -> int:
        self.kinds.append(spectra.KINDS.index(kind))
        self.tints.append(tint)
        return len(self.kinds) - 1


@dataclass(frozen=True)
class Block:
    """Land between streets: its outline [N, 2] in the local frame, and what it is used for."""

    outline: Floats
    use: str
    thing: int


@dataclass
class Land:
    """Everything that stands before anything changes.

    shapes: (outline, thing) in the order of painting. woods hide tracks. above: water and roads hide all;
    water: the outlines of the former. Nothing changes on water and roads.
    """

    rng: np.random.Generator
    bounds: tuple[float, float, float, float]
    things: Things
    blocks: list[Block]
    shapes: Shapes = field(default_factory=list)
    woods: Shapes = field(default_factory=list)
    above: Shapes = field(default_factory=list)
    water: list[Floats] = field(default_factory=list)

    @property
    def transform(self) -> Affine:
        return Affine(SUB_M, 0, self.bounds[0], 0, -SUB_M, self.bounds[3])

    @property
    def shape(self) -> tuple[int, int]:
        west, south, east, north = self.bounds
        return int(np.ceil((north - south) / SUB_M)), int(np.ceil((east - west) / SUB_M))


def tint(rng: np.random.Generator, spread: float = 0.1) -> Floats:
    """A little brighter or darker, a little greener or redder [band]."""
    return rng.uniform(1 - spread, 1 + spread) * rng.uniform(1 - spread / 3, 1 + spread / 3, 5)


def paint(target: np.ndarray, transform: Affine, shapes: Shapes) -> None:
    """Paint outlines [N, 2] with their numbers on a mosaic; later ones hide earlier ones."""
    if shapes:
        rings = [({"type": "Polygon", "coordinates": [[*map(tuple, o), tuple(o[0])]]}, n) for o, n in shapes]
        rasterize(rings, out=target, transform=transform)
