"""One window of the world on one date as rasters: the surface's height and what is on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from geolab.town import looks, paint
from geolab.town.model import MARGIN_M, Floats, World
from geolab.town.terrain import height_at

PEAK_CELLS = 8  # paint.sunlit and raycast leap this far


@dataclass(frozen=True)
class Things:
    """A world on one date as the kernels read it.

    table: [row, column], see looks; row 0 is plain grass. Rows trees[0]:trees[1] are trees, later ones
    bodies. polygons: vertices [V, 2], where each begins, and the row of each.
    """

    table: Floats
    trees: tuple[int, int]
    xy: Floats
    starts: NDArray[np.int64]
    numbers: NDArray[np.int32]


@dataclass(frozen=True)
class Scene:
    """height: float32 [y, x] metres; rows: int32 [y, x] into things.table; north up, cells of step_m."""

    things: Things
    left: float
    top: float
    step_m: float
    height: NDArray[np.float32]
    rows: NDArray[np.int32]


def things(world: World, date: int, *, cars: bool = True) -> Things:
    """The table of everything that stands on a date: 0 before, 1 after."""
    areas = [a for a in world.areas if a.present[date]]
    xy = np.concatenate([a.polygon for a in areas])
    starts = np.r_[0, np.cumsum([len(a.polygon) for a in areas])].astype(np.int64)
    grounds = [looks.ground(looks.GRASS, colour=np.ones(4)), *(a.rows[date] for a in areas)]
    roofs = [looks.roof(b, p, date) for b in world.buildings for p in b.parts if p.present[date]]
    trees = _trees(world, date)
    parts = [np.array(grounds), trees, np.array(roofs).reshape(-1, looks.COLUMNS), _hedges(world, date)]
    if cars:
        parts.append(_cars(world, date))
    return Things(
        table=np.ascontiguousarray(np.concatenate(parts)),
        trees=(len(grounds), len(grounds) + len(trees)),
        xy=np.ascontiguousarray(xy),
        starts=starts,
        numbers=np.arange(1, len(areas) + 1, dtype=np.int32),
    )


def _trees(world: World, date: int) -> Floats:
    standing = world.trees[world.trees[:, 6 + date] > 0]
    table = np.zeros((len(standing), looks.COLUMNS))
    table[:, looks.KIND] = looks.TREE
    table[:, [looks.X, looks.Y, looks.A, looks.EAVE, looks.EXTRA, looks.PHASE]] = standing[:, :6]
    table[:, looks.BASE] = height_at(world.terrain, standing[:, 0], standing[:, 1])
    return table


def _hedges(world: World, date: int) -> Floats:
    hedges = world.hedges[world.hedges[:, 5 + date] > 0]
    table = np.zeros((len(hedges), looks.COLUMNS))
    table[:, looks.KIND] = looks.HEDGE
    table[:, [looks.X, looks.Y]] = hedges[:, :2]
    table[:, looks.COS], table[:, looks.SIN] = np.cos(hedges[:, 2]), np.sin(hedges[:, 2])
    table[:, looks.A], table[:, looks.B] = hedges[:, 3] / 2, 0.5
    table[:, looks.BASE] = height_at(world.terrain, hedges[:, 0], hedges[:, 1])
    table[:, looks.EAVE], table[:, looks.SHAPE] = hedges[:, 4], looks.SHAPES["flat"]
    table[:, looks.EXTRA], table[:, looks.PHASE] = 1, hedges[:, 0] % 100
    return table


def _cars(world: World, date: int) -> Floats:
    cars = world.cars[date]
    table = np.zeros((len(cars), looks.COLUMNS))
    table[:, looks.KIND] = looks.CAR
    table[:, [looks.X, looks.Y]] = cars[:, :2]
    table[:, looks.COS], table[:, looks.SIN] = np.cos(cars[:, 2]), np.sin(cars[:, 2])
    table[:, looks.A], table[:, looks.B] = cars[:, 3] / 2, 0.92
    table[:, looks.BASE] = height_at(world.terrain, cars[:, 0], cars[:, 1])
    table[:, looks.EAVE], table[:, looks.SHAPE] = 1.45, looks.SHAPES["flat"]
    paint_rgb = looks.CARS[cars[:, 4].astype(int)]
    table[:, looks.RED : looks.BLUE + 1], table[:, looks.NIR] = paint_rgb, paint_rgb.mean(axis=1) + 0.05
    return table


def draw(
    world: World,
    items: Things,
    *,
    left: float,
    top: float,
    step_m: float,
    shape: tuple[int, int],
    trees: bool = True,
) -> Scene:
    """The window whose upper left corner is (left, top), on cells of `step_m`."""
    height = np.empty(shape, np.float32)
    rows = np.zeros(shape, np.int32)
    paint.ground(height, world.terrain, MARGIN_M, world.terrain_step_m, left, top, step_m)
    paint.polygons(rows, items.xy, items.starts, items.numbers, left, top, step_m)
    paint.bodies(height, rows, items.table, items.trees[1], left, top, step_m)
    if trees:
        paint.crowns(height, rows, items.table, *items.trees, left, top, step_m)
    return Scene(items, left, top, step_m, height, rows)


def peaks(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest surface in each block of 8 x 8 cells and its 8 neighbours."""
    n = PEAK_CELLS
    rows, columns = -(-height.shape[0] // n), -(-height.shape[1] // n)
    padded = np.full((rows * n, columns * n), -np.inf, np.float32)
    padded[: height.shape[0], : height.shape[1]] = height
    highest = padded.reshape(rows, n, columns, n).max(axis=(1, 3))
    return np.asarray(maximum_filter(highest, size=3, mode="nearest"), np.float32)


def to_sun(azimuth_deg: float, elevation_deg: float) -> Floats:
    """The unit vector toward the sun: east, north, up."""
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
    )


def sunlit(scene: Scene, sun: Floats) -> NDArray[np.float32]:
    """1 where the sun reaches the surface, 0 in cast shadow: [y, x]."""
    rows, columns = scene.height.shape
    x = (scene.left + (np.arange(columns) + 0.5) * scene.step_m)[None].repeat(rows, axis=0)
    y = (scene.top - (np.arange(rows) + 0.5) * scene.step_m)[:, None].repeat(columns, axis=1)
    lit = paint.sunlit(
        x.ravel(), y.ravel(), scene.height.ravel(), scene.height, peaks(scene.height),
        scene.left, scene.top, scene.step_m, sun,
    )  # fmt: skip
    return lit.reshape(scene.height.shape)
