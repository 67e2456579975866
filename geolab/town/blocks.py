"""What fills a block: homes, flats, halls, a park, a field or a wood."""

from __future__ import annotations

import numpy as np

from geolab.town import looks, lots
from geolab.town.layout import Draft, bent
from geolab.town.model import Area, Floats
from geolab.town.streets import PAVEMENT_M, ROAD_HALF_WIDTHS_M, Block, area

FRONTAGE_M = {"house": (14.0, 19.0), "flats": (30.0, 40.0), "hall": (42.0, 60.0), "barn": (60.0, 140.0)}
SETBACK_M = {"house": (3.5, 6.5), "flats": (4.0, 7.0), "hall": (9.0, 16.0), "barn": (9.0, 22.0)}
HALF_DEPTH_M = {"house": 5.5, "flats": 6.5, "hall": 13.0, "barn": 7.0}
EDGE_M = tuple(a + b for a, b in zip(ROAD_HALF_WIDTHS_M, PAVEMENT_M, strict=True)) + (2.2,)


def fill(draft: Draft, block: Block) -> None:
    """Choose a use by how built-up the place is, and lay it out."""
    density, draw = draft.density(block.centre), draft.rng.random()
    if abs(area(block.polygon)) < 900:
        _green(draft, block, 0.004)
    elif density <= 0:
        _country(draft, block, draw)
    elif draw < 0.05:
        _park(draft, block)
    elif density < 0.4 and draw < 0.24:
        _built(draft, block, "hall", lots.FATES)
    elif density < 0.45 and draw < 0.36:
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
    rows = tuple(looks.crop(draft.rng, date, *block.centre, angle) for date in range(2))
    draft.blocks.append(Area(bent(draft, block.polygon), looks.FIELD, (rows[0], rows[1]), present))


def _country(draft: Draft, block: Block, draw: float) -> None:
    if draw < 0.14:
        _green(draft, block, 0.05)
    elif draw < 0.24:
        _green(draft, block, 0.006)
    else:
        _field(draft, block)
        if draw < 0.45:
            _rows(draft, block, "barn", (0.45, 0.3, 0.15, 0.1))


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
    elif use == "hall":
        polygon = bent(draft, block.polygon)
        draft.patch(draft.blocks, polygon, kind=looks.PARKING, colour=_tint(draft.rng), shape=1.0)
    else:
        _green(draft, block, 0.0)
    _rows(draft, block, use, fates)
    draft.rate.fill(bent(draft, block.polygon), {"house": 0.008, "flats": 0.006}.get(use, 0.002))


def _rows(draft: Draft, block: Block, use: str, fates: tuple[float, ...]) -> None:
    """Buildings along every edge of a block."""
    rng, turn = draft.rng, np.sign(area(block.polygon))
    for i, rank in enumerate(block.ranks):
        a, b = block.polygon[i], block.polygon[(i + 1) % len(block.polygon)]
        length = float(np.hypot(*(b - a)))
        if length < 24:
            continue
        along = (b - a) / length
        inward = np.array([-along[1], along[0]]) * turn
        at = EDGE_M[rank] + rng.uniform(2, 9)
        while at < length - EDGE_M[rank] - 8:
            front = rng.uniform(*FRONTAGE_M[use])
            if rng.random() < 0.93:
                _lot(draft, a, along, inward, at, front, EDGE_M[rank], use, fates)
            at += front


def _lot(
    draft: Draft, a: Floats, along: Floats, inward: Floats, at: float, front: float, edge: float, use: str,
    fates: tuple[float, ...],
) -> None:  # fmt: skip
    rng = draft.rng
    depth = rng.uniform(*SETBACK_M[use]) + HALF_DEPTH_M[use]
    middle = a + along * (at + front / 2)
    x, y = draft.bend((middle + inward * (edge + depth))[None])[0]
    angle = draft.bend.turn(middle, float(np.arctan2(along[1], along[0])))
    lot = lots.Lot(float(x), float(y), angle, depth, use)
    building = lots.build(rng, lot, draft.occupancy, draft.terrain, fates)
    if building is None:
        return
    draft.buildings.append(building)
    present = (any(p.present[0] for p in building.parts), any(p.present[1] for p in building.parts))
    deep = edge + 2 * depth + 8

    def quad(s0: float, s1: float, d0: float, d1: float) -> Floats:
        return draft.bend(
            np.stack([a + along * s + inward * d for s, d in ((s0, d0), (s1, d0), (s1, d1), (s0, d1))])
        )

    if use == "house":
        draft.patch(draft.patches, quad(at, at + front, edge, deep), present, kind=looks.LAWN, colour=_tint(rng),
                    phase=rng.uniform(0, 99))  # fmt: skip
        s = at + rng.uniform(0.4, 1.2)
        drive = quad(s, s + rng.uniform(2.8, 3.6), edge - 0.5, edge + depth)
        draft.patch(draft.paths, drive, present, kind=looks.PAVED, phase=rng.uniform(0, 3))
        if rng.random() < 0.5:
            spot = drive.mean(axis=0)
            draft.spots.append((float(spot[0]), float(spot[1]), angle + np.pi / 2, 0.35))
    elif use == "flats":
        yard = quad(at + 1, at + front - 1, edge + 2 * depth - 2, edge + 2 * depth + 12)
        draft.patch(draft.patches, yard, present, kind=looks.PARKING, x=float(x), y=float(y), angle=angle,
                    colour=np.ones(4))  # fmt: skip
