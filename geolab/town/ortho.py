"""Orthophotos and the truth of a world, tile by tile, so that memory does not grow with the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from geolab.town import light, looks, scene, sensor
from geolab.town.model import Conditions, World

SAMPLES = 2  # per pixel and axis
TILE_PX = 512
HALO_M = 34.0  # the longest shadow that is seen across a tile's edge


def tiles(shape: tuple[int, int], size: int = TILE_PX) -> Iterator[tuple[int, int, int, int]]:
    """(row, column, rows, columns) of the tiles of an image."""
    for r in range(0, shape[0], size):
        for c in range(0, shape[1], size):
            yield r, c, min(size, shape[0] - r), min(size, shape[1] - c)


def open_sky(height: NDArray[np.float32], step_m: float) -> NDArray[np.float32]:
    """About how much of the sky each cell sees, 0.35..1: less beside what is higher."""
    low = height.min()
    near = uniform_filter(height - low, round(5.0 / step_m) | 1, mode="nearest")
    wide = uniform_filter(height - low, round(14.0 / step_m) | 1, mode="nearest")
    above = np.maximum(near - (height - low), 0) * 0.13 + np.maximum(wide - (height - low), 0) * 0.07
    return np.clip(1 - above, 0.35, 1).astype(np.float32)


def radiance(drawn: scene.Scene, conditions: Conditions) -> NDArray[np.float32]:
    """The light [y, x, band] that every cell of a scene sends straight up, linear."""
    sun = scene.to_sun(conditions.sun_azimuth_deg, conditions.sun_elevation_deg)
    rows, columns = drawn.height.shape
    x = np.tile(drawn.left + (np.arange(columns) + 0.5) * drawn.step_m, rows)
    y = np.repeat(drawn.top - (np.arange(rows) + 0.5) * drawn.step_m, columns)
    out = np.empty((rows * columns, 4), np.float32)
    light.shade(
        x, y, drawn.height.ravel(), drawn.rows.ravel(), np.zeros(rows * columns, np.uint8),
        scene.sunlit(drawn, sun).ravel(), open_sky(drawn.height, drawn.step_m).ravel(),
        drawn.things.table, sun, conditions.season, out,
    )  # fmt: skip
    return out.reshape(rows, columns, 4)


def render(
    world: World, date: int, shape: tuple[int, int], *, gsd_m: float, conditions: Conditions | None = None
) -> NDArray[np.uint8]:
    """The orthophoto [band, y, x] uint8 of a world on a date (0 before, 1 after).

    shape: rows and columns; row 0 is the northern edge. conditions: the date's own if None.
    """
    seen = conditions or world.conditions[date]
    items = scene.things(world, date)
    image = np.empty((4, *shape), np.uint8)
    step = gsd_m / SAMPLES
    east, north = seen.shift_px
    halo = int(np.ceil(HALO_M / gsd_m)) + int(max(abs(east), abs(north)) + seen.warp_px)
    offset = (
        (halo - east) * SAMPLES,
        (halo + north) * SAMPLES,
    )  # content moves east, so samples from the west

    def one(tile: tuple[int, int, int, int]) -> None:
        r, c, rows, columns = tile
        drawn = scene.draw(
            world, items, left=(c - halo) * gsd_m, top=world.height_m - (r - halo) * gsd_m, step_m=step,
            shape=((rows + 2 * halo) * SAMPLES, (columns + 2 * halo) * SAMPLES),
        )  # fmt: skip
        image[:, r : r + rows, c : c + columns] = sensor.expose(
            radiance(drawn, seen), seen, scale=SAMPLES, offset=offset, at=(r, c), shape=(rows, columns),
            seed=world.seed * 2 + date,
        )  # fmt: skip

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(one, tiles(shape)))
    return image


def truth(
    world: World, date: int, shape: tuple[int, int], *, gsd_m: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The surface's height (buildings and trees, no cars) and where a building stands, at pixel centres."""
    items = scene.things(world, date, cars=False)
    window = {"left": 0.0, "top": world.height_m, "step_m": gsd_m, "shape": shape}
    bare = scene.draw(world, items, **window, trees=False)
    built = items.table[:, looks.KIND][bare.rows] == looks.ROOF
    return scene.draw(world, items, **window).height, built


def ground(world: World, shape: tuple[int, int], *, gsd_m: float) -> NDArray[np.float32]:
    """The bare ground's height at pixel centres."""
    height = np.empty(shape, np.float32)
    scene.paint.ground(
        height, world.terrain, scene.MARGIN_M, world.terrain_step_m, 0.0, world.height_m, gsd_m
    )
    return height
