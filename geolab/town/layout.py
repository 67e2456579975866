"""The whole town from a seed: land use, ground, buildings, trees and cars at two dates."""

from __future__ import annotations

import numpy as np

from geolab.town import blocks, looks, lots, plants, streets, terrain
from geolab.town.conditions import usual
from geolab.town.draft import STEP_M, Draft, strip
from geolab.town.model import MARGIN_M, Area, Conditions, Floats, World


def world(
    seed: int,
    width_m: float,
    height_m: float,
    conditions: tuple[Conditions, Conditions] | None = None,
) -> World:
    """The town of a seed on `width_m` x `height_m` metres; the same seed and size give the same town."""
    rng = np.random.default_rng([seed, round(width_m * 8), round(height_m * 8)])
    draft = _draft(rng, width_m, height_m)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    turn = rng.uniform(0, np.pi / 2)
    c, s = np.cos(turn), np.sin(turn)
    half = max(width_m, height_m) / 2 + MARGIN_M + 60
    outline = corners * half * 1.42 @ np.array([[c, s], [-s, c]]) + np.array([width_m / 2, height_m / 2])
    land, cuts = streets.plan(rng, outline, lambda p: _block_m2(draft.density(p)))
    for cut in cuts:
        if draft.reaches(np.array([cut.start, cut.end])):
            _street(draft, cut)
    for block in land:
        if draft.reaches(block.polygon):
            blocks.fill(draft, block)
    trees = plants.trees(draft.rng, draft.rate, draft.occupancy, np.array(draft.street_trees).reshape(-1, 2))
    water = Area(
        draft.river.polygon(1.5 * half),
        looks.WATER,
        (looks.ground(looks.WATER), looks.ground(looks.WATER)),
    )
    cars = tuple(_cars(np.random.default_rng([seed, 77, date]), draft.spots, date) for date in range(2))
    return World(
        seed=seed,
        width_m=width_m,
        height_m=height_m,
        terrain=draft.terrain,
        terrain_step_m=terrain.STEP_M,
        areas=(*draft.blocks, *draft.patches, water, *draft.paths),
        buildings=tuple(draft.buildings),
        trees=trees,
        hedges=np.array(draft.hedges).reshape(-1, 7),
        cars=(cars[0], cars[1]),
        conditions=conditions or usual(seed),
    )


def _draft(rng: np.random.Generator, width_m: float, height_m: float) -> Draft:
    river = terrain.make_river(rng, width_m, height_m)
    ground = terrain.make_terrain(rng, width_m, height_m, river)
    columns, rows = max(1, round(width_m / 500)), max(1, round(height_m / 500))
    reach = max(width_m / columns, height_m / rows, 620.0)
    centres = np.array([
        (
            (i + 0.5 + rng.uniform(-0.22, 0.22)) * width_m / columns,
            (j + 0.5 + rng.uniform(-0.22, 0.22)) * height_m / rows,
            rng.uniform(0.44, 0.6) * reach,
        )
        for i in range(columns)
        for j in range(rows)
    ])  # fmt: skip
    draft = Draft(
        rng, width_m, height_m, ground, river, streets.make_bend(rng), centres,
        lots.Occupancy(width_m, height_m), plants.Rate(width_m, height_m),
    )  # fmt: skip
    _water(draft)
    return draft


def _water(draft: Draft) -> None:
    """Take the river's cells, and line its banks with trees."""
    rows, columns = draft.occupancy.taken.shape
    x, y = np.meshgrid(np.arange(columns) - MARGIN_M + 0.5, np.arange(rows) - MARGIN_M + 0.5)
    distance = draft.river.distance(x, y) - draft.river.half_width_m * 1.3
    draft.occupancy.taken[distance < 3] = 2
    draft.rate.add((distance > 3) & (distance < 14), 0.022)


def _block_m2(density: float) -> float:
    return 6_000.0 if density > 0.6 else 5_600.0 if density > 0 else 26_000.0


def _street(draft: Draft, cut: streets.Street) -> None:
    start, end = np.array(cut.start), np.array(cut.end)
    total = float(np.hypot(*(end - start)))
    n = int(total / STEP_M) + 1
    points = draft.bend(start + (end - start) * np.linspace(0, 1, n + 1)[:, None])
    track = cut.rank == 3
    half = 1.9 if track else streets.ROAD_HALF_WIDTHS_M[cut.rank]
    pavement = 0.0 if track else streets.PAVEMENT_M[cut.rank]
    kind = looks.TRACK if track else looks.ROAD
    edges, lanes = [], []
    for i in range(n):
        a, b = points[i], points[i + 1]
        mid, step = (a + b) / 2, b - a
        length, angle = float(np.hypot(*step)), float(np.arctan2(step[1], step[0]))
        if pavement:
            row = looks.ground(looks.PAVED, mid[0], mid[1], angle, phase=1.0)
            edges.append(Area(strip(a, b, half + pavement, 0.8), looks.PAVED, (row, row)))
        row = looks.ground(kind, mid[0], mid[1], angle, half_length=length / 2, half_width=half,
                           shape=cut.rank, phase=total * (i + 0.5) / n, extra=total)  # fmt: skip
        lanes.append(Area(strip(a, b, half, 0.8), kind, (row, row)))
        _roadside(draft, a, step, half, pavement, cut.rank)
    draft.paths[:0] = edges  # pavements lie under every lane
    draft.paths += lanes


def _roadside(draft: Draft, a: Floats, step: Floats, half: float, pavement: float, rank: int) -> None:
    """Take a street's cells; put parked cars and trees along it."""
    rng, length = draft.rng, float(np.hypot(*step))
    across = np.array([-step[1], step[0]]) / length
    angle = float(np.arctan2(step[1], step[0]))
    rim = half + pavement
    t, w = np.meshgrid(np.linspace(0, 1, int(1.5 * length) + 2), np.linspace(-rim, rim, int(3 * rim) + 2))
    p = a + t.ravel()[:, None] * step + w.ravel()[:, None] * across
    draft.occupancy.mark(p[:, 0], p[:, 1], 1)
    if rank == 3:
        return
    for side in (-1, 1):
        offset = half - 1.15 if rng.random() < 0.8 else half * 0.45
        spot = a + step * 0.5 + across * side * offset
        draft.spot(spot, angle, (0.10, 0.14, 0.16)[rank])
        if rank < 2 and rng.random() < 0.4:
            tree = a + step * 0.5 + across * side * (rim + 1.0)
            draft.street_trees.append((float(tree[0]), float(tree[1])))


def _cars(rng: np.random.Generator, spots: list[tuple[float, ...]], date: int) -> Floats:
    """Cars [N, 5] on a random share of the places where one can stand."""
    places = np.array(spots, float).reshape(-1, 5)
    draw = rng.random(len(places))
    shift = rng.uniform(-0.9, 0.9, (len(places), 2)) * 0.4
    look = np.stack(
        [rng.uniform(4.0, 4.9, len(places)), rng.integers(0, len(looks.CARS), len(places)).astype(float)],
        axis=1,
    )
    taken = draw < places[:, 3 + date]
    return np.concatenate([places[:, :2] + shift, places[:, 2:3], look], axis=1)[taken]
