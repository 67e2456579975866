"""The two orthophotos and their truth."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from shapely import STRtree, points
from shapely.affinity import rotate, translate
from shapely.geometry import Point, box

from geolab import town
from geolab.errors import BadInput
from geolab.town import layout, scene, terrain
from geolab.town.model import Building, Part

SHAPE = (150, 230)
SEED = 5


@pytest.fixture(scope="module")
def world() -> town.World:
    return town.world(SEED, SHAPE)


@pytest.fixture(scope="module")
def pair(world: town.World) -> town.Pair:
    return town.render(world)


def pixel_centres(shape: tuple[int, int], gsd_m: float, height_m: float) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(shape[1]) + 0.5) * gsd_m
    y = height_m - (np.arange(shape[0]) + 0.5) * gsd_m
    return np.meshgrid(x, y)


def outline(part: Part):
    half = box(-part.length_m / 2, -part.width_m / 2, part.length_m / 2, part.width_m / 2)
    return translate(rotate(half, math.degrees(part.angle), origin=(0, 0)), part.x, part.y)


def built(world: town.World, date: int) -> np.ndarray:
    """Where buildings stand, the slow way: every pixel centre against every outline."""
    tree = STRtree([outline(p) for b in world.buildings for p in b.parts if p.present[date]])
    x, y = pixel_centres(SHAPE, 0.5, world.height_m)
    found = np.zeros(x.size, bool)
    found[tree.query(points(x.ravel(), y.ravel()), predicate="intersects")[0]] = True
    return found.reshape(SHAPE)


def test_same_seed_and_size_give_the_same_bits(pair: town.Pair) -> None:
    again = town.pair(SEED, SHAPE)
    for field in ("before", "after", "change", "dsm_before", "dsm_after", "dtm"):
        assert getattr(again, field).tobytes() == getattr(pair, field).tobytes(), field
    assert again.dates == pair.dates


def test_another_seed_gives_another_town(pair: town.Pair) -> None:
    other = town.pair(SEED + 1, SHAPE)
    assert (other.before != pair.before).mean() > 0.5
    assert other.transform.f - pair.transform.f == 5000  # on a map they don't overlap


def test_arrays_have_the_agreed_shapes_and_types(pair: town.Pair) -> None:
    assert pair.before.shape == pair.after.shape == (4, *SHAPE)
    assert pair.before.dtype == pair.after.dtype == pair.change.dtype == np.uint8
    assert pair.dsm_before.shape == pair.dsm_after.shape == pair.dtm.shape == pair.change.shape == SHAPE
    assert pair.dsm_before.dtype == pair.dsm_after.dtype == np.float32
    assert set(np.unique(pair.change)) == {0, 1}
    assert pair.crs.to_epsg() == 32632
    assert (pair.transform.a, pair.transform.e) == (0.5, -0.5)
    assert pair.dates[0] < pair.dates[1]


def test_change_mask_equals_outlines_that_stand_at_one_date_only(world: town.World, pair: town.Pair) -> None:
    slow = built(world, 0) != built(world, 1)
    assert slow.sum() > 200
    np.testing.assert_array_equal(pair.change.astype(bool), slow)


def test_change_shows_in_the_heights_and_nowhere_else_but_in_trees(
    world: town.World, pair: town.Pair
) -> None:
    treeless = town.render(dataclasses.replace(world, trees=world.trees[:0], hedges=world.hedges[:0]))
    difference = np.abs(treeless.dsm_after - treeless.dsm_before)
    np.testing.assert_array_equal(difference > 1.0, pair.change.astype(bool))


def roof_height(part: Part, dx: float, dy: float) -> float:
    """Above the base, at an offset from the middle: planes that fall from the ridge to the eaves."""
    if part.roof == "flat":
        return part.eave_m
    along = dx * math.cos(part.angle) + dy * math.sin(part.angle)
    across = -dx * math.sin(part.angle) + dy * math.cos(part.angle)
    slope = part.rise_m / (part.width_m / 2)
    from_eaves = part.width_m / 2 - abs(across)
    if part.roof == "hip":
        from_eaves = min(from_eaves, part.length_m / 2 - abs(along))
    return part.eave_m + slope * from_eaves


def test_roofs_stand_on_their_base_and_ground_is_the_terrain(world: town.World, pair: town.Pair) -> None:
    seen = 0
    for building in world.buildings:
        bodies = [p for p in building.parts if p.present[1]]
        for part in bodies:
            row, column = int((world.height_m - part.y) / 0.5), int(part.x / 0.5)
            if 0 <= row < SHAPE[0] and 0 <= column < SHAPE[1]:
                x, y = (column + 0.5) * 0.5, world.height_m - (row + 0.5) * 0.5
                highest = max(
                    roof_height(p, x - p.x, y - p.y) for p in bodies if outline(p).covers(Point(x, y))
                )
                assert pair.dsm_after[row, column] == pytest.approx(building.base_m + highest, abs=1e-3)
                seen += 1
    assert seen > 3
    x, y = pixel_centres(SHAPE, 0.5, world.height_m)
    np.testing.assert_allclose(pair.dtm, terrain.height_at(world.terrain, x, y), atol=1e-3)
    assert (pair.dsm_after >= pair.dtm).all()
    assert (pair.dsm_after == pair.dtm).mean() > 0.4


def lone_house(world: town.World) -> town.World:
    """A world of level ground with nothing on it but one block in the middle."""
    part = Part(world.width_m / 2, world.height_m / 2, 0.3, 12, 8, 10.0, 0.0, "flat", (True, True))
    grey = (0.3, 0.3, 0.3, 0.3)
    house = Building("house", 560.0, (part,), (grey, grey), (0.5, 0.5, 0.5), (2, 2), (False, False))
    return dataclasses.replace(
        world,
        terrain=np.full_like(world.terrain, 560.0),
        buildings=(house,),
        trees=world.trees[:0],
        hedges=world.hedges[:0],
        cars=(world.cars[0][:0], world.cars[1][:0]),
        areas=world.areas[:1],
    )


@pytest.mark.parametrize("azimuth", [30.0, 120.0, 215.0, 300.0])
def test_shadows_fall_away_from_the_sun_and_are_as_long_as_they_must(
    world: town.World, azimuth: float
) -> None:
    alone = lone_house(world)
    elevation = 40.0
    drawn = scene.draw(
        alone, scene.things(alone, 0), left=0, top=alone.height_m, step_m=0.25, shape=(300, 460)
    )
    dark = scene.sunlit(drawn, scene.to_sun(azimuth, elevation)) == 0
    rows, columns = np.nonzero(dark)
    east = (columns + 0.5) * 0.25 - alone.buildings[0].parts[0].x
    north = alone.height_m - (rows + 0.5) * 0.25 - alone.buildings[0].parts[0].y
    away = -east * math.sin(math.radians(azimuth)) - north * math.cos(math.radians(azimuth))
    assert np.average(away) > 4
    length = 10.0 / math.tan(math.radians(elevation))
    assert dark.sum() * 0.0625 == pytest.approx(length * silhouette(0.3, azimuth), rel=0.04)


def silhouette(angle: float, azimuth: float) -> float:
    """How wide a 12 x 8 block looks from the sun."""
    heading = math.pi / 2 - math.radians(azimuth)
    return 12 * abs(math.sin(heading - angle)) + 8 * abs(math.cos(heading - angle))


def test_marching_over_peaks_equals_marching_cell_by_cell(world: town.World) -> None:
    drawn = scene.draw(world, scene.things(world, 1), left=5, top=70, step_m=0.5, shape=(90, 130))
    sun = scene.to_sun(200.0, 35.0)
    flat = math.hypot(sun[0], sun[1])
    fast = scene.sunlit(drawn, sun)
    slow = np.ones_like(fast)
    for r in range(90):
        for c in range(130):
            y, x, z = float(r) + 0.5, float(c) + 0.5, float(drawn.height[r, c]) + 0.02
            while 0 <= int(y) < 90 and 0 <= int(x) < 130 and x >= 0 and y >= 0 and z < drawn.height.max():
                x, y, z = x + sun[0] / flat, y - sun[1] / flat, z + sun[2] / flat * 0.5
                if 0 <= x < 130 and 0 <= y < 90 and drawn.height[int(y), int(x)] > z:
                    slow[r, c] = 0
                    break
    assert (slow == 0).mean() > 0.05
    assert (fast == slow).mean() > 0.999


def test_tiles_do_not_show(world: town.World, pair: town.Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolab.town.ortho.TILE_PX", 96)
    small = town.ortho.render(world, 0, SHAPE, gsd_m=0.5)
    assert (np.abs(small.astype(int) - pair.before) > 1).mean() < 0.002


def test_misregistration_moves_the_image_by_what_the_conditions_say(world: town.World) -> None:
    after = world.conditions[1]
    quiet = dataclasses.replace(after, noise=0, warp_px=0, shift_px=(0.0, 0.0))
    moved = dataclasses.replace(quiet, shift_px=(3.0, -2.0))  # east and south
    a, b = (town.ortho.render(world, 1, SHAPE, gsd_m=0.5, conditions=c) for c in (quiet, moved))
    np.testing.assert_allclose(b[:, 4:, 5:].astype(int), a[:, 2:-2, 2:-3].astype(int), atol=2)


def test_plain_differencing_does_not_solve_it() -> None:
    ious = []
    for seed in (0, 1):
        pair = town.pair(seed, (448, 512))
        length = np.sqrt(((pair.after.astype(float) - pair.before) ** 2).sum(axis=0))
        truth = pair.change.astype(bool)
        masks = [length >= t for t in np.percentile(length, np.arange(50, 99.5, 1))]
        ious.append(max((m & truth).sum() / (m | truth).sum() for m in masks))
        print(f"seed {seed}: {truth.mean():.1%} changed, best IoU of plain differencing {ious[-1]:.2f}")
        assert 0.015 < truth.mean() < 0.15
    assert max(ious) < 0.45


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size_px": 63}, "64 to 8192 pixels"),
        ({"size_px": 9000}, "64 to 8192 pixels"),
        ({"size_px": 100.5}, "a whole number"),
        ({"size_px": (100, 200, 300)}, "(height, width)"),
        ({"seed": -1}, "at least 0"),
        ({"seed": 1.5}, "at least 0"),
        ({"gsd_m": 0.0}, "0.05 to 10 metres"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        town.pair(**arguments)
    assert words in str(caught.value)


def test_every_tree_stands_clear_of_buildings_streets_and_water(world: town.World) -> None:
    outlines = STRtree([outline(p) for b in world.buildings for p in b.parts])
    near = outlines.query(points(world.trees[:, 0], world.trees[:, 1]), predicate="intersects")
    assert near.shape[1] == 0


def test_layout_of_a_long_narrow_world_fills_it() -> None:
    long = layout.world(3, 400.0, 60.0)
    x = np.array([p.x for b in long.buildings for p in b.parts])
    assert (x < 130).any()
    assert (x > 270).any()
