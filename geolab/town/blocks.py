"""What fills a block: homes, flats, halls, a park, a field or a wood."""

from __future__ import annotations

import numpy as np

from geolab.town import gardens, looks, lots
from geolab.town.draft import Draft, bent
from geolab.town.model import Area, Floats
from geolab.town.streets import PAVEMENT_M, ROAD_HALF_WIDTHS_M, Block, area

FRONTAGE_M = {"house": (14.0, 18.0), "flats": (27.0, 37.0), "hall": (36.0, 56.0), "barn": (60.0, 140.0)}
EDGE_M = (*(a + b for a, b in zip(ROAD_HALF_WIDTHS_M, PAVEMENT_M, strict=True)), 2.2)


def fill(draft: Draft, block: Block) -> None:
    """Choose a use by how built-up the place is, and lay it out."""
    density, draw = draft.density(block.centre), draft.rng.random()
    if abs(area(block.polygon)) < 900:
        _green(draft, block, 0.004)
    elif density <= 0:
        _country(draft, block, draw)
    elif draw < 0.035:
        _park(draft, block)
    elif density < 0.5 and draw < 0.2:
        _built(draft, block, "hall", lots.FATES)
    elif density < 0.5 and draw < 0.29:
        _built(draft, block, "house", (0.03, 0.95, 0.0, 0.02), before="field")
    elif density > 0.55 and draw < 0.6:
        _built(draft, block, "flats", lots.FATES)
    else:
        _built(draft, block, "house", lots.FATES)


def _tint(rng: np.random.Generator) -> Floats:
    return np.array(
        [rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.1)]
    )


def _green(draft: Draft, block: Block, rate: float) -> None:
    polygon = bent(draft, block.polygon)
    draft.patch(
        draft.blocks, polygon, kind=looks.LAWN, colour=_tint(draft.rng), phase=draft.rng.uniform(0, 99)
    )
    draft.rate.fill(polygon, rate)


def _field(draft: Draft, block: Block, present: tuple[bool, bool] = (True, True)) -> None:
    edges = np.roll(block.polygon, -1, axis=0) - block.polygon
    longest = edges[np.argmax((edges**2).sum(axis=1))]
    angle = draft.bend.turn(block.centre, float(np.arctan2(longest[1], longest[0])))
    crops = (
        [looks.MEADOW] * 2 if draft.rng.random() < 0.4 else draft.rng.integers(len(looks.CROPS[0]), size=2)
    )
    x, y = block.centre
    rows = [looks.crop(draft.rng, int(crops[date]), date, x, y, angle) for date in range(2)]
    draft.blocks.append(Area(bent(draft, block.polygon), looks.FIELD, (rows[0], rows[1]), present))


def _country(draft: Draft, block: Block, draw: float) -> None:
    if draw < 0.14:
        _green(draft, block, 0.05)
    elif draw < 0.24:
        _green(draft, block, 0.006)
    else:
        _field(draft, block)
        if draw < 0.45:
            _along(draft, block, int(draft.rng.integers(len(block.ranks))), "barn", (0.45, 0.3, 0.15, 0.1))


def _park(draft: Draft, block: Block) -> None:
    _green(draft, block, 0.012)
    centre = draft.bend(block.centre[None])[0]
    if abs(area(block.polygon)) > 9000:
        angle = draft.rng.uniform(0, np.pi)
        c, s = np.cos(angle), np.sin(angle)
        corners = (
            np.array([[-34, -22], [34, -22], [34, 22], [-34, 22]]) @ np.array([[c, s], [-s, c]]) + centre
        )
        draft.patch(draft.patches, corners, kind=looks.PITCH, x=centre[0], y=centre[1], angle=angle,
                    half_length=34, half_width=22)  # fmt: skip
        t, w = np.meshgrid(np.linspace(-35, 35, 100), np.linspace(-23, 23, 70))
        draft.occupancy.mark(
            centre[0] + t.ravel() * c - w.ravel() * s, centre[1] + t.ravel() * s + w.ravel() * c, 4
        )


def _built(draft: Draft, block: Block, use: str, fates: tuple[float, ...], before: str = "lawn") -> None:
    if before == "field":
        _field(draft, block)
        after = bent(draft, block.polygon)
        draft.patch(draft.blocks, after, (False, True), kind=looks.LAWN, colour=_tint(draft.rng))
    else:
        _green(draft, block, 0.0)
    for i in range(len(block.ranks)):
        _along(draft, block, i, use, fates)
    draft.rate.fill(bent(draft, block.polygon), {"house": 0.013, "flats": 0.009}.get(use, 0.004))


def _along(draft: Draft, block: Block, edge: int, use: str, fates: tuple[float, ...]) -> None:
    """Lots along one edge of a block, each as wide as it comes."""
    rng = draft.rng
    a, b = block.polygon[edge], block.polygon[(edge + 1) % len(block.polygon)]
    length = float(np.hypot(*(b - a)))
    kerb = EDGE_M[block.ranks[edge]]
    if length < 24:
        return
    along = (b - a) / length
    inward = np.array([-along[1], along[0]]) * np.sign(area(block.polygon))
    at = kerb + rng.uniform(2, 9)
    while at < length - kerb - 8:
        front = rng.uniform(*FRONTAGE_M[use])
        if rng.random() < 0.96:
            gardens.settle(draft, gardens.Front(a, along, inward, at, front, kerb), use, fates)
        at += front
