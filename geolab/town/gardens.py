"""One lot: its building, and what lies around it: lawn, drive, hedges, car park."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geolab.town import looks, lots
from geolab.town.draft import Draft
from geolab.town.model import Floats

SETBACK_M = {"house": (3.5, 6.5), "flats": (4.0, 7.0), "hall": (11.0, 18.0), "barn": (9.0, 22.0)}
HALF_DEPTH_M = {"house": 5.5, "flats": 6.5, "hall": 13.0, "barn": 7.0}
STALL_M = (2.6, 5.0, 16.0)  # width, depth, and from one double row to the next; light._ground draws the same


@dataclass(frozen=True)
class Front:
    """A lot's place in the layout: along the street from `at` over `width`, behind the kerb."""

    corner: Floats
    along: Floats
    inward: Floats
    at: float
    width: float
    kerb: float

    def points(self, draft: Draft, *places: tuple[float, float]) -> Floats:
        """World points [N, 2] of places (along the street from the lot's side, away from the kerb)."""
        return draft.bend(np.stack([
            self.corner + self.along * (self.at + s) + self.inward * (self.kerb + d) for s, d in places
        ]))  # fmt: skip

    def quad(self, draft: Draft, s0: float, s1: float, d0: float, d1: float) -> Floats:
        return self.points(draft, (s0, d0), (s1, d0), (s1, d1), (s0, d1))


def settle(draft: Draft, front: Front, use: str, fates: tuple[float, ...]) -> None:
    """Put a building and its surroundings on a lot, if it fits."""
    rng = draft.rng
    setback = rng.uniform(*SETBACK_M[use])
    depth = setback + HALF_DEPTH_M[use]
    x, y = front.points(draft, (front.width / 2, depth))[0]
    middle = front.corner + front.along * (front.at + front.width / 2)
    angle = draft.bend.turn(middle, float(np.arctan2(front.along[1], front.along[0])))
    lot = lots.Lot(float(x), float(y), angle, front.width, use)
    tries = (lots.build(rng, lot, draft.occupancy, draft.terrain, fates) for _ in range(4))
    building = next((b for b in tries if b), None)
    if building is None:
        return
    draft.buildings.append(building)
    present = building.parts[0].present
    if use == "house":
        _garden(draft, front, depth, present)
    elif use == "flats":
        _car_park(
            draft,
            front,
            (1.0, front.width - 1, 2 * depth - setback + 2.2, 2 * depth - setback + 12.4),
            present,
        )
    elif use == "hall":
        apron = front.quad(draft, 0.0, front.width, -0.5, 2 * depth)
        tint = rng.uniform(0.8, 1.5)
        draft.patch(draft.patches, apron, present, kind=looks.PAVED, phase=rng.uniform(0, 3), extra=tint)
        if setback > 12:
            _car_park(draft, front, (3.0, front.width - 3, 0.8, setback - 1.0), present)


def _garden(draft: Draft, front: Front, depth: float, present: tuple[bool, bool]) -> None:
    rng, width = draft.rng, front.width
    back = 2 * depth + rng.uniform(5, 11)
    colour = rng.uniform(0.8, 1.15) * rng.uniform([0.9, 0.95, 0.9, 0.95], [1.25, 1.08, 1.12, 1.05])
    draft.patch(draft.patches, front.quad(draft, 0, width, 0, back), present, kind=looks.LAWN, colour=colour)
    s = rng.uniform(0.5, 1.3) if rng.random() < 0.5 else width - rng.uniform(4.0, 4.8)
    drive = front.quad(draft, s, s + rng.uniform(2.8, 3.5), -0.5, depth + 2)
    draft.patch(draft.paths, drive, present, kind=looks.PAVED, phase=rng.uniform(0, 3))
    off_street = draft.bend.turn(front.corner, float(np.arctan2(front.inward[1], front.inward[0])))
    draft.spot(drive.mean(axis=0), off_street, 0.35, present)
    terrace = front.quad(
        draft, width / 2 - 3, width / 2 + rng.uniform(0, 3), depth + 3, depth + rng.uniform(7, 9)
    )
    draft.patch(draft.patches, terrace, present, kind=looks.PAVED, phase=rng.uniform(0, 3))
    if rng.random() < 0.14:
        p = rng.uniform(2, width - 8)
        pool = front.quad(draft, p, p + rng.uniform(5, 7), back - 6, back - rng.uniform(2, 3))
        draft.patch(draft.patches, pool, present, kind=looks.POOL)
    elif rng.random() < 0.4:
        p = rng.uniform(1, width - 7)
        beds = front.quad(draft, p, p + rng.uniform(3, 6), back - 5, back - 1)
        draft.patch(draft.patches, beds, present, kind=looks.SOIL)
    for places in (((0.3, 1.0), (0.3, back)), ((width - 0.3, back - 0.3), (0.3, back - 0.3))):
        if rng.random() < 0.55:
            _hedge(draft, front.points(draft, *places), present)


def _hedge(draft: Draft, ends: Floats, present: tuple[bool, bool]) -> None:
    a, b = ends
    x, y = (a + b) / 2
    angle, length = float(np.arctan2(b[1] - a[1], b[0] - a[0])), float(np.hypot(*(b - a)))
    if draft.occupancy.at(*lots.samples(np.array([x, y]), angle, length, 0.6)).any():
        return
    draft.hedges.append(
        (float(x), float(y), angle, length, draft.rng.uniform(1.2, 2.2), *map(float, present))
    )


def _car_park(
    draft: Draft, front: Front, box: tuple[float, float, float, float], present: tuple[bool, bool]
) -> None:
    """Double rows of stalls in a box of the lot (along, along, away, away), some with cars."""
    s0, s1, d0, d1 = box
    quad = front.quad(draft, s0, s1, d0, d1)
    middle = quad.mean(axis=0)
    origin, ahead, aside = quad[0], quad[1] - quad[0], quad[3] - quad[0]
    width, depth = float(np.hypot(*ahead)), float(np.hypot(*aside))
    ahead, aside = ahead / width, aside / depth
    angle = float(np.arctan2(ahead[1], ahead[0]))
    flip = 1.0 if ahead[0] * aside[1] - ahead[1] * aside[0] > 0 else -1.0
    cells = lots.samples(middle, angle, width, depth)
    if (draft.occupancy.at(*cells) > 0).any():  # it would lie on a street, the river or a house
        return
    draft.patch(
        draft.patches, quad, present, kind=looks.PARKING, x=origin[0], y=origin[1], angle=angle, extra=flip
    )
    draft.occupancy.mark(*cells, value=1)
    for k in range(int(width / STALL_M[0])):
        for row in range(int(depth / STALL_M[1])):
            away = (row // 2) * STALL_M[2] + (row % 2 + 0.5) * STALL_M[1]
            if away + 2.4 < depth:
                spot = origin + ahead * (k + 0.5) * STALL_M[0] + aside * away
                draft.spot(spot, angle + np.pi / 2, 0.5, present)
