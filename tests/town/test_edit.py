"""Edited worlds: the truth must follow the edit exactly, and nothing else may move."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely import Polygon, contains_xy, union_all

from geolab import town
from geolab.errors import BadInput, NotFound
from geolab.town import drone, edit, ortho

SEED, SHAPE = 3, (180, 270)
GSD_M = 1.0  # coarse images, quickly made
BEFORE, AFTER = 0, 1


@pytest.fixture(scope="module")
def world() -> town.World:
    return town.world(SEED, SHAPE)


@pytest.fixture(scope="module")
def bare(world: town.World) -> town.World:
    """The town without trees, which would hide roofs in the heights."""
    return dataclasses.replace(world, trees=world.trees[:0], hedges=world.hedges[:0])


@pytest.fixture(scope="module")
def pair(bare: town.World) -> town.Pair:
    return town.render(bare, gsd_m=GSD_M)


@pytest.fixture(scope="module")
def house(bare: town.World) -> edit.Standing:
    """A building that stands at both dates and has another outline after."""
    return next(b for b in edit.buildings(bare) if 0 < len(b.outlines[BEFORE]) < len(b.outlines[AFTER]))


def render(world: town.World) -> town.Pair:
    return town.render(world, gsd_m=GSD_M)


def covered(pair: town.Pair, *outlines: np.ndarray) -> np.ndarray:
    """Pixel centres inside outlines, the slow way."""
    rows, columns = pair.change.shape
    x, y = np.meshgrid((np.arange(columns) + 0.5) * GSD_M, (rows - np.arange(rows) - 0.5) * GSD_M)
    return np.any([contains_xy(Polygon(o), x, y) for o in outlines], axis=0)


# ---------------------------------------------------------------- buildings


def test_buildings_are_listed_nearest_first_with_their_heights(bare: town.World) -> None:
    found = edit.buildings(bare, near=(10.0, 70.0))
    away = [math.hypot(b.x - 10, b.y - 70) for b in found]
    assert away == sorted(away)
    assert [b.number for b in edit.buildings(bare)] == sorted(b.number for b in found)
    assert len({tuple(map(bool, b.height_m)) for b in found}) == 3  # before only, after only, at both dates
    for b in found:
        for date in (BEFORE, AFTER):
            parts = [p for p in bare.buildings[b.number].parts if p.present[date]]
            assert b.height_m[date] == max((p.eave_m + p.rise_m for p in parts), default=0)
            areas = [Polygon(o).area for o in b.outlines[date]]
            assert areas == pytest.approx([p.length_m * p.width_m for p in parts])


def test_a_removed_building_is_change_exactly_where_it_stood(
    bare: town.World, pair: town.Pair, house: edit.Standing
) -> None:
    gone = render(edit.remove(bare, house.number))
    where = covered(pair, *house.outlines[AFTER])
    assert where.sum() > 50
    assert np.array_equal(gone.change != pair.change, where)
    assert gone.dsm_before.tobytes() == pair.dsm_before.tobytes()
    fallen = pair.dsm_after - gone.dsm_after
    assert (fallen[where] > 2).all()
    assert np.abs(fallen[~where]).max() == 0
    assert np.array_equal(gone.dsm_after[where], gone.dtm[where])


def test_a_building_removed_at_both_dates_is_no_change_and_the_others_keep_their_numbers(
    bare: town.World, pair: town.Pair, house: edit.Standing
) -> None:
    gone = edit.remove(bare, house.number, date="both")
    assert not render(gone).change[covered(pair, *house.outlines[AFTER])].any()
    left = [b.number for b in edit.buildings(bare) if b.number != house.number]
    assert [b.number for b in edit.buildings(gone)] == left


@pytest.mark.parametrize(("date", "index"), [("before", BEFORE), ("after", AFTER)])
def test_a_raised_building_is_higher_at_that_date_only(
    bare: town.World, pair: town.Pair, house: edit.Standing, date: str, index: int
) -> None:
    raised = render(edit.raise_by(bare, house.number, 4.5, date=date))
    higher = raised.dsm_before - pair.dsm_before, raised.dsm_after - pair.dsm_after
    where = covered(pair, *house.outlines[index])
    assert np.allclose(higher[index][where], 4.5, atol=1e-3)
    assert np.abs(higher[index][~where]).max() == 0
    assert np.abs(higher[1 - index]).max() == 0
    assert np.array_equal(raised.change, pair.change)


def test_raised_and_lowered_again_is_the_same_building(bare: town.World, house: edit.Standing) -> None:
    there = edit.raise_by(bare, house.number, 2.0, date="both")
    back = edit.raise_by(there, house.number, -2.0, date="both")
    assert len(back.buildings[house.number].parts) == len(bare.buildings[house.number].parts)
    was, now = (next(b for b in edit.buildings(w) if b.number == house.number) for w in (bare, back))
    assert now.height_m == pytest.approx(was.height_m)
    assert bare.buildings[house.number].parts != there.buildings[house.number].parts


def free_place(world: town.World) -> tuple[float, float]:
    """Where nothing stands for the whole of a building."""
    taken = union_all([Polygon(edit.outline(p)) for b in world.buildings for p in b.parts])
    places = [(x, y) for x in np.arange(20.0, world.width_m - 20, 5) for y in np.arange(20.0, 70.0, 5)]
    spots = [Polygon(np.add([x, y], [(-12, -12), (12, -12), (12, 12), (-12, 12)])) for x, y in places]
    return next(p for p, spot in zip(places, spots, strict=True) if not spot.intersects(taken))


@pytest.mark.parametrize("roof", ["flat", "gable", "hip"])
def test_an_added_building_has_the_outline_and_height_it_was_given(
    bare: town.World, pair: town.Pair, roof: str
) -> None:
    x, y = free_place(bare)
    rise, cover = (0.0, "gravel") if roof == "flat" else (3.0, "tiles")
    more = edit.add(
        bare, x, y, length_m=16, width_m=9, eave_m=7, rise_m=rise, roof=roof, angle_deg=30, cover=cover
    )
    new = render(more)
    u, v = np.array([8, 8, -8, -8]), np.array([-4.5, 4.5, 4.5, -4.5])
    turned = np.stack([u * math.sqrt(0.75) - v * 0.5, u * 0.5 + v * math.sqrt(0.75)], axis=1)
    where = covered(pair, np.add(turned, (x, y)))
    assert where.sum() == pytest.approx(16 * 9, abs=8)
    assert np.array_equal(new.change != pair.change, where)
    grown = new.dsm_after - more.buildings[-1].base_m
    assert grown[where].max() == pytest.approx(7 + rise, abs=0.5)
    assert grown[where].min() == pytest.approx(7, abs=0.5)
    assert new.dsm_after[~where].tobytes() == pair.dsm_after[~where].tobytes()
    assert (new.dsm_after - pair.dtm)[where].min() > 6  # no corner is buried


def test_an_added_building_stands_alone_on_its_ground(world: town.World) -> None:
    x, y = free_place(world)
    parked = np.array([[x, y + 7, 0.0, 4.4, 1.0], [x, y + 12, 0.0, 4.4, 1.0]])
    tree = np.array([[x + 2, y, 2.0, 6.0, 1.0, 0.5, 1.0, 1.0]])
    full = dataclasses.replace(world, trees=np.r_[world.trees, tree], cars=(parked, parked))
    more = edit.add(full, x, y, length_m=9, width_m=16, eave_m=7)
    shape = Polygon(edit.outline(more.buildings[-1].parts[0]))
    assert shape.bounds == pytest.approx((x - 4.5, y - 8, x + 4.5, y + 8))
    assert more.trees[-1, 6:].tolist() == [1, 0]
    for table, first in ((more.trees, 6), (more.hedges, 5)):
        assert not table[contains_xy(shape, table[:, 0], table[:, 1]), first + 1].any()
    assert [c.tolist() for c in more.cars] == [parked.tolist(), parked[1:].tolist()]
    assert full.trees[-1, 7] == 1


def test_felled_trees_are_no_change_of_buildings(world: town.World) -> None:
    near = world.trees[(world.trees[:, 7] > 0) & (world.trees[:, 0] > 30) & (world.trees[:, 1] > 30)][0]
    less = edit.fell(world, near[0], near[1], 10)
    gone = (world.trees[:, 7] > 0) & (less.trees[:, 7] == 0)
    away = np.hypot(*(world.trees[:, :2] - near[:2]).T)
    assert np.array_equal(gone, (world.trees[:, 7] > 0) & (away <= 10))
    assert np.array_equal(less.trees[:, 6], world.trees[:, 6])
    full, felled = render(world), render(less)
    assert np.array_equal(felled.change, full.change)
    assert (full.dsm_after - felled.dsm_after).max() > 2
    assert felled.dsm_before.tobytes() == full.dsm_before.tobytes()


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    "changes", [{"season": 0.95}, {"haze": 0.6}, {"noise": 9.0}, {"shift_px": (2.0, -1.0)}, {"gain": 0.7}]
)
def test_conditions_change_one_image_and_never_the_truth(
    bare: town.World, pair: town.Pair, changes: dict
) -> None:
    other = render(edit.under(bare, "after", **changes))
    for name in ("before", "change", "dsm_before", "dsm_after", "dtm"):
        assert getattr(other, name).tobytes() == getattr(pair, name).tobytes(), name
    assert (other.after != pair.after).mean() > 0.3


@pytest.fixture(scope="module")
def calm(bare: town.World) -> town.World:
    """Without noise and misregistration."""
    return edit.under(bare, "both", noise=0.0, warp_px=0.0, shift_px=(0.0, 0.0))


@pytest.fixture(scope="module")
def still(calm: town.World) -> np.ndarray:
    return ortho.render(calm, AFTER, (90, 135), gsd_m=GSD_M).astype(float)


@pytest.mark.parametrize(("east", "north"), [(3, 2), (-41, 7)])  # 41 pixels are more than a tile's halo
def test_misregistration_is_what_was_asked_for(
    calm: town.World, still: np.ndarray, east: int, north: int
) -> None:
    shifted = edit.under(calm, "after", shift_px=(float(east), float(north)))
    moved = ortho.render(shifted, AFTER, (90, 135), gsd_m=GSD_M)
    rows, columns = slice(10, 80), slice(50, 85)
    there = still[:, 10 + north : 80 + north, 50 - east : 85 - east]
    assert np.abs(moved[:, rows, columns] - there).mean() < 0.3
    assert moved.min() > 0  # nothing is read from outside of what was drawn


def test_noise_and_haze_have_their_strength(calm: town.World, still: np.ndarray) -> None:
    def seen(**changes: float) -> np.ndarray:
        return ortho.render(edit.under(calm, "after", **changes), AFTER, (90, 135), gsd_m=GSD_M).astype(float)

    middling = (still > 40) & (still < 215)
    assert (seen(noise=6.0) - still)[middling].std() == pytest.approx(6.0, rel=0.1)
    assert seen(haze=0.8).std() < 0.8 * still.std()


# ---------------------------------------------------------------- photos


@pytest.fixture(scope="module")
def flight(bare: town.World, house: edit.Standing) -> drone.Flight:
    """One photo of the house, from the south-east, on the second date."""
    frame = drone.plan(bare, 1).frame
    place = frame.enu(np.array([[house.x + 12, house.y - 34, frame.world[2] + 48]]))[0]
    yaw, pitch = math.degrees(math.atan2(-12, 34)), -math.degrees(math.atan2(44, 36))
    east, north, up = place.tolist()
    taken = bare.conditions[AFTER].date
    return drone.Flight(frame, (drone.Camera("a.jpg", (east, north, up), yaw, pitch, taken),))


@pytest.fixture(scope="module")
def clear(bare: town.World, flight: drone.Flight) -> drone.Photo:
    return next(drone.photograph(bare, flight, date=BEFORE))


@pytest.fixture(scope="module")
def spoiled(bare: town.World, flight: drone.Flight, house: edit.Standing) -> drone.Photo:
    """The same photo, but the house is 5 m higher, the air hazy and the sensor noisy."""
    higher = edit.raise_by(bare, house.number, 5.0, date="before")
    return next(drone.photograph(higher, flight, date=BEFORE, haze=0.7, noise=5.0))


def met(photo: drone.Photo, flight: drone.Flight) -> np.ndarray:
    """Where the rays of a photo end: [y, x, 3] in the world."""
    return drone.points(photo) @ flight.frame.to_world.T + flight.frame.world


def test_photos_of_an_edited_world_have_its_exact_depth(
    clear: drone.Photo, spoiled: drone.Photo, flight: drone.Flight, house: edit.Standing
) -> None:
    nearer = spoiled.depth < clear.depth
    assert np.array_equal(spoiled.depth[~nearer], clear.depth[~nearer])
    assert 2000 < nearer.sum() < 0.4 * nearer.size
    shape = union_all([Polygon(o) for o in house.outlines[BEFORE]])
    old, new = met(clear, flight), met(spoiled, flight)[nearer]
    assert contains_xy(shape.buffer(0.15), new[:, 0], new[:, 1]).all()  # cells are squares of 0.1 m
    assert nearer[contains_xy(shape.buffer(-0.15), old[..., 0], old[..., 1])].all()
    assert new[:, 2].max() - old[nearer, 2].max() == pytest.approx(5.0, abs=0.1)


def test_points_of_a_photo_lie_on_its_rays(clear: drone.Photo, flight: drone.Flight) -> None:
    origin, ways = drone.rays(clear.camera, flight.frame)
    slow = origin + clear.depth.reshape(-1, 1)[::997] * ways[::997]
    assert np.allclose(met(clear, flight).reshape(-1, 3)[::997], slow, atol=1e-4)


def test_haze_and_noise_of_a_photo_have_their_strength(clear: drone.Photo, spoiled: drone.Photo) -> None:
    same = clear.depth == spoiled.depth  # not the house
    before, after = clear.rgb[same][:, 0], spoiled.rgb[same][:, 0].astype(float)
    greys = np.arange(60, 200)
    seen = [after[before == grey] for grey in greys]
    usual = np.array([np.median(s) for s in seen])
    off = np.concatenate([s - u for s, u in zip(seen, usual, strict=True)])
    usual_off = off[np.abs(off) < 15]  # more is a shadow that moved
    assert usual_off.size > 0.97 * off.size
    assert usual_off.std() == pytest.approx(5.0, rel=0.06)
    assert 0.2 < np.polyfit(greys, usual, 1)[0] < 0.9
    assert (np.diff(usual) >= -3).all()


def test_an_edited_world_is_saved_seen_from_the_same_places_at_its_own_date(
    bare: town.World, house: edit.Standing, flight: drone.Flight, clear: drone.Photo, tmp_path: Path
) -> None:
    edited = edit.remove(bare, house.number)
    saved = town.save(tmp_path, edited, flight=flight, date="before")
    assert saved.cameras is not None
    (record,) = json.loads(saved.cameras.read_text())["photos"]
    assert record["world_to_camera"] == flight.cameras[0].world_to_camera.tolist()
    with Image.open(saved.photos[0]) as picture:
        assert np.abs(np.asarray(picture, float) - clear.rgb).mean() < 2
    day = bare.conditions[BEFORE].date
    assert f"1 drone photos on {day:%Y-%m-%d}, with GPS" in saved.readme.read_text()
    assert f"{day:%Y:%m:%d %H:%M:%S}".encode() in saved.photos[0].read_bytes()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("do", "error", "message"),
    [
        (lambda w: edit.remove(w, 99999), NotFound, "no building '99999'; there are"),
        (lambda w: edit.remove(w, 0, date="now"), BadInput, "date: found 'now', expected before or after or"),
        (lambda w: edit.raise_by(w, 0, -400, date="both"), BadInput, "expected 0.5 m or more left"),
        (lambda w: edit.raise_by(w, 0, math.nan), BadInput, "metres: found nan"),
        (
            lambda w: edit.add(w, 9e3, 0, length_m=9, width_m=9, eave_m=3),
            BadInput,
            "a place inside the world",
        ),
        (lambda w: edit.add(w, 9, 9, length_m=0, width_m=9, eave_m=3), BadInput, "length_m: found 0"),
        (
            lambda w: edit.add(w, 9, 9, length_m=9, width_m=9, eave_m=3, roof="gable"),
            BadInput,
            "roof: found 'gable'",
        ),
        (lambda w: edit.under(w, "after", season=2), BadInput, "season: found 2, expected 0 to 1"),
        (lambda w: edit.under(w, "after", snow=1), BadInput, "conditions: found snow, expected some of date"),
        (lambda w: edit.under(w, "after", shift_px=(99, 0)), BadInput, "shift_px: found"),
        (lambda w: town.save("x", w, photos=1, date="both"), BadInput, "date: found 'both', expected before"),
        (lambda w: town.save("x", w, photos=1, haze=1.5), BadInput, "haze: found 1.5, expected 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    bare: town.World, do: Callable[[town.World], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        do(bare)
    assert "\n" not in str(caught.value)


def test_a_building_that_does_not_stand_then_cannot_be_edited(bare: town.World) -> None:
    new = next(b for b in edit.buildings(bare) if not b.height_m[BEFORE])
    for do in (edit.remove, lambda w, n, date: edit.raise_by(w, n, 1.0, date=date)):
        with pytest.raises(BadInput, match=f"date: found building {new.number} absent, expected a date at"):
            do(bare, new.number, date="before")


def test_a_building_on_another_is_refused_until_that_is_gone(bare: town.World, house: edit.Standing) -> None:
    with pytest.raises(BadInput, match=f"place: found building {house.number} at .* remove it first"):
        edit.add(bare, house.x, house.y, length_m=2, width_m=2, eave_m=3)
    gone = edit.remove(bare, house.number)
    assert len(edit.add(gone, house.x, house.y, length_m=2, width_m=2, eave_m=3).buildings) > len(
        bare.buildings
    )
