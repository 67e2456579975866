"""The satellite archive against slow twins: composites, looks, changes, the zone edge, documents."""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyogrio
import pystac
import pytest
import rasterio
import shapely
from pyproj import Transformer

from geolab import raster
from geolab.catalog import items, validation
from geolab.errors import BadInput
from geolab.raster import cells as grids
from geolab.town import satellite
from geolab.town.satellite import Errors, area, ground, scene, sky, truth

BANDS = ("blue", "green", "red", "nir", "swir16")
CLEAR = (4, 5, 6, 7, 11)
NOISE = 0.002
YEARS = "expected 1 to 20 years in a row, 2016 to 2099"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cells of 0.64 km over three years."""
    folder = tmp_path_factory.mktemp("world")
    satellite.write(folder, seed=3, years=range(2021, 2024), cells=4, cell_px=64)
    return folder


def cells(folder: Path) -> list[dict]:
    table = pyogrio.read_dataframe(folder / "grid.gpkg")
    return table.to_dict("records")


def documents(folder: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(folder.glob("sentinel-2-l2a/*/*/*.json"))]


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


# ---------------------------------------------------------------- the truth


def looks_at(folder: Path, cell: dict, year: int) -> list[np.ndarray]:
    """Every day's reflectance over a cell [band, y, x], NaN where not clear: pixel by pixel from the files.

    Granules of a day are laid over each other by the coordinates in their headers alone.
    """
    size = int(cell["width"])
    days: dict[str, np.ndarray] = defaultdict(lambda: np.full((5, size, size), np.nan))
    for document in documents(folder):
        when, code = document["properties"]["datetime"], document["properties"]["proj:code"]
        if not f"{year}-06-01" <= when[:10] <= f"{year}-08-31" or code != f"EPSG:{cell['epsg']}":
            continue
        place = folder / "sentinel-2-l2a" / when[:4] / document["id"]
        scl = onto(place / "scl.tif", cell)
        for n, band in enumerate(BANDS):
            facts = document["assets"][band]["raster:bands"][0]
            stored = onto(place / f"{band}.tif", cell)
            value = stored * facts["scale"] + facts["offset"]
            days[when[:10]][n] = np.where(np.isin(scl, CLEAR), value, days[when[:10]][n])
    return list(days.values())


def onto(path: Path, cell: dict) -> np.ndarray:
    """The value at the middle of each pixel of a cell, 0 outside; by asking where each middle lies."""
    size, step = int(cell["width"]), cell["gsd_m"]
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == cell["epsg"]
        pixels, back = dataset.read(1), ~dataset.transform
    found = np.zeros((size, size))
    for row in range(size):
        y = cell["ymax"] - (row + 0.5) * step
        for column in range(size):
            x = cell["xmin"] + (column + 0.5) * step
            c, r = int(np.floor(back.a * x + back.c)), int(np.floor(back.e * y + back.f))
            if 0 <= r < pixels.shape[0] and 0 <= c < pixels.shape[1]:
                found[row, column] = pixels[r, c]
    return found


@pytest.mark.parametrize("number, year", [(0, 2021), (1, 2022), (3, 2023)])
@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_the_median_of_clear_looks_is_the_truth_but_for_noise(world: Path, number: int, year: int):
    cell = cells(world)[number]
    days = np.stack(looks_at(world, cell, year))
    seen = np.isfinite(days[:, 0]).sum(axis=0)
    assert np.array_equal(seen, read(world / f"truth/{cell['id']}-{year}-looks.tif")[0])

    error = np.nanmedian(days, axis=0) - read(world / f"truth/{cell['id']}-{year}.tif")
    often = error[:, seen >= 3]
    assert often.shape[1] > 0.3 * seen.size
    assert np.abs(often).max() < 6 * NOISE
    assert 0.3 * NOISE < often.std() < 0.8 * NOISE
    assert np.abs(often.mean(axis=1)).max() < 2e-4


def test_without_noise_every_clear_look_is_the_truth(tmp_path: Path):
    satellite.write(tmp_path, seed=5, years=range(2021, 2023), cells=2, cell_px=32, errors=Errors(noise=0))
    for cell in cells(tmp_path):
        for year in (2021, 2022):
            composite = read(tmp_path / f"truth/{cell['id']}-{year}.tif")
            for look in looks_at(tmp_path, cell, year):
                clear = np.isfinite(look)
                assert np.abs(look - composite)[clear].max(initial=0) <= 0.000051  # rounded to 0.0001


def test_most_pixels_are_seen_clear_three_times_and_some_are_not(world: Path):
    looks = np.concatenate([read(path).ravel() for path in world.glob("truth/*-looks.tif")])
    assert 0.6 < (looks >= 3).mean() < 1
    assert looks.max() <= 6


def test_seen_through_errors_of_classes_the_truth_stays_the_same(tmp_path: Path):
    same = {"seed": 1, "years": range(2021, 2022), "cells": 2, "cell_px": 32}
    satellite.write(tmp_path / "exact", **same)
    satellite.write(tmp_path / "wrong", **same, errors=Errors(scl=0.5))
    satellite.write(tmp_path / "moved", **same, errors=Errors(shift_px=0.3))
    for path in (tmp_path / "exact" / "truth").glob("*-2021.tif"):
        for other in ("wrong", "moved"):
            assert np.array_equal(read(path), read(tmp_path / other / "truth" / path.name))
    assert differing(tmp_path / "exact", tmp_path / "wrong", "scl.tif") > 0
    assert differing(tmp_path / "exact", tmp_path / "wrong", "red.tif") == 0
    assert differing(tmp_path / "exact", tmp_path / "moved", "red.tif") > 0


def differing(one: Path, other: Path, name: str) -> int:
    paths = sorted(one.glob(f"sentinel-2-l2a/*/*/{name}"))
    assert paths
    return sum(not np.array_equal(read(p), read(other / p.relative_to(one))) for p in paths)


# ---------------------------------------------------------------- change


def sites(folder: Path, epsg: int) -> list[tuple[dict, shapely.Polygon]]:
    """What changes, in the metres of a zone."""
    move = Transformer.from_crs(4326, epsg, always_xy=True)
    found = json.loads((folder / "truth/changes.geojson").read_text())["features"]
    shapes = [shapely.geometry.shape(f["geometry"]) for f in found]
    moved = [shapely.transform(shape, move.transform, interleaved=False) for shape in shapes]
    return [(f["properties"], shape) for f, shape in zip(found, moved, strict=True)]


def pixels_of(cell: dict) -> np.ndarray:
    """The square of each pixel of a cell [y, x]."""
    size, step = int(cell["width"]), cell["gsd_m"]
    x = cell["xmin"] + np.arange(size) * step
    y = cell["ymax"] - np.arange(1, size + 1) * step
    x, y = np.meshgrid(x, y)
    return shapely.box(x, y, x + step, y + step)


def test_pixels_within_an_outline_change_and_those_without_do_not(world: Path):
    inner = 0
    for cell in cells(world):
        squares = pixels_of(cell)
        for year in (2022, 2023):
            mask = read(world / f"truth/{cell['id']}-{year - 1}-{year}-change.tif")[0]
            here = [shape for facts, shape in sites(world, cell["epsg"]) if facts["to"] == year]
            ground_m2 = shapely.union_all(here)
            share = shapely.area(shapely.intersection(squares, ground_m2)) / 100
            assert set(np.unique(mask)) <= {0, 1}
            assert not mask[share < 0.3].any()
            inner += int((share > 0.7).sum())
            assert mask[share > 0.7].all()
    assert inner > 100


def test_changes_are_large_enough_to_be_seen_and_lie_on_both_sides_of_the_edge(world: Path):
    found = json.loads((world / "truth/changes.geojson").read_text())["features"]
    for feature in found:
        assert 20 <= feature["properties"]["area_m2"] / 100 <= 200
        assert feature["properties"]["to"] == feature["properties"]["from"] + 1
    assert {f["properties"]["cell"][:3] for f in found} == {"32N", "33N"}
    assert {f["properties"]["to"] for f in found} == {2022, 2023}


def test_what_changes_looks_different_and_woods_roads_and_homes_do_not(world: Path):
    changed, same = [], []
    for cell in cells(world):
        one, two = (read(world / f"truth/{cell['id']}-{year}.tif") for year in (2021, 2022))
        mask = read(world / f"truth/{cell['id']}-2021-2022-change.tif")[0].astype(bool)
        difference = np.abs(two - one).max(axis=0)
        changed.append(difference[mask])
        same.append(difference[~mask])
    changed, same = np.concatenate(changed), np.concatenate(same)
    assert np.median(changed) > 0.05
    assert (changed > 0.02).mean() > 0.85
    assert np.median(same) == 0  # only fields whose crop is another one differ
    assert (same > 0.02).mean() < 0.35


def test_the_mask_is_half_of_the_places_of_each_pixel(world: Path):
    whole = area.lay_out(4, 64)
    made = ground.make_ground(3, whole, range(2021, 2024))
    cell = whole.cells[0]
    mosaic = made.changed(2022)
    west, _, _, north = made.land.bounds
    expected = np.zeros(cell.window.shape, np.uint8)
    for row in range(cell.window.height):
        for column in range(cell.window.width):
            at = (np.arange(4) + 0.5) / 4
            east = cell.window.west + 10 * (column + at)[None, :].repeat(4, axis=0)
            up = cell.window.north - 10 * (row + at)[:, None].repeat(4, axis=1)
            x, y = area.to_local(cell.window.epsg, np.stack([east.ravel(), up.ravel()], axis=1)).T
            values = mosaic[((north - y) / 2.5).astype(int), ((x - west) / 2.5).astype(int)]
            expected[row, column] = values.mean() >= 0.5
    found = truth.changed(made, cell.window, 2022)
    assert found.any()
    assert np.array_equal(found, expected)


# ---------------------------------------------------------------- the zone edge


def test_half_of_the_cells_lie_on_either_side_of_the_edge_each_on_its_own_grid(world: Path):
    table = cells(world)
    assert [cell["epsg"] for cell in table] == [32632, 32632, 32633, 32633]
    for cell in table:
        west, _, east, _ = cell["geometry"].bounds
        assert (west + east) / 2 < 12 if cell["epsg"] == 32632 else (west + east) / 2 > 12
        assert cell["xmax"] - cell["xmin"] == cell["width"] * cell["gsd_m"]
        assert cell["xmin"] % 640 == cell["ymin"] % 640 == 0
        change = raster.read_info(str(world / f"truth/{cell['id']}-2021-2022-change.tif"))
        assert change.shape == (cell["height"], cell["width"])
        assert (change.transform.c, change.transform.f) == (cell["xmin"], cell["ymax"])
        assert change.crs.to_epsg() == cell["epsg"]


def test_the_grid_is_read_as_it_is_laid_out(world: Path):
    laid = area.lay_out(4, 64).cells
    read_back = grids.read(world / "grid.gpkg")
    assert [(c.id, c.epsg, c.bounds, c.geobox.shape) for c in read_back] == [
        (c.id, c.window.epsg, c.window.bounds, c.window.shape) for c in laid
    ]


def test_both_zones_show_the_same_ground_and_the_same_clouds():
    whole = area.lay_out(4, 64)
    land = ground.make_ground(0, whole, range(2021, 2022))
    seen = {}
    for day in (sky.days(0, range(2021, 2022))[n] for n in (3, 6)):
        for epsg, window in whole.zones.items():
            view = ground.look(land, land.mosaic(2021), window, 2021)
            seen[epsg] = scene.overpass(0, day, view, whole, Errors())
        one, two = seen[32632], seen[32633]
        rows, columns = np.mgrid[0 : one.window.height, 0 : one.window.width]
        x, y = one.window.transform @ (columns.ravel() + 0.5, rows.ravel() + 0.5)
        x, y = Transformer.from_crs(32632, 32633, always_xy=True).transform(x, y)
        c, r = (np.floor(v).astype(int) for v in ~two.window.transform @ (x, y))
        both = (c >= 0) & (c < two.window.width) & (r >= 0) & (r < two.window.height)
        assert both.sum() > 1000
        for band in range(4):
            a = one.reflectance[band].ravel()[both]
            b = two.reflectance[band][r[both], c[both]]
            assert np.corrcoef(a, b)[0, 1] > 0.85
            assert abs(a.mean() - b.mean()) < 0.002


def test_granules_cover_every_cell_together_and_some_only_in_part(world: Path):
    tiles = {d["id"].split("_")[1]: d for d in documents(world)}
    assert sorted(tiles) == ["32UQU", "32UQV", "33UUP", "33UUQ"]
    in_part = 0
    for cell in cells(world):
        own = [d for d in tiles.values() if d["properties"]["proj:code"] == f"EPSG:{cell['epsg']}"]
        boxes = [box_of(d) for d in own]
        square = shapely.box(cell["xmin"], cell["ymin"], cell["xmax"], cell["ymax"])
        assert shapely.union_all(boxes).contains(square)
        in_part += any(0 < box.intersection(square).area < square.area for box in boxes)
    assert in_part > 0


def box_of(document: dict) -> shapely.Polygon:
    asset = document["assets"]["red"]
    (height, width), (step, _, west, _, _, north) = asset["proj:shape"], asset["proj:transform"][:6]
    return shapely.box(west, north - height * step, west + width * step, north)


# ---------------------------------------------------------------- documents and files


def test_every_document_is_valid_stac(world: Path):
    for document in documents(world):
        items.validate(document)
    validator = validation.offline_validator()
    for name in ("catalog.json", "sentinel-2-l2a/collection.json"):
        pystac.validation.validate_dict(json.loads((world / name).read_text()), validator=validator)


def test_pystac_walks_the_folder_as_a_catalogue(world: Path):
    catalog = pystac.Catalog.from_file(str(world / "catalog.json"))
    found = list(catalog.get_items(recursive=True))
    assert len(found) == len(documents(world))
    assert all(Path(asset.get_absolute_href()).is_file() for asset in found[0].assets.values())


def test_assets_are_cogs_as_their_items_say(world: Path):
    for document in documents(world)[::9]:
        folder = world / "sentinel-2-l2a" / document["properties"]["datetime"][:4] / document["id"]
        for name, asset in document["assets"].items():
            path, facts = folder / asset["href"], asset["raster:bands"][0]
            assert raster.is_cog(str(path))
            with rasterio.open(path) as dataset:
                assert [dataset.height, dataset.width] == asset["proj:shape"]
                assert list(dataset.transform)[:6] == asset["proj:transform"]
                assert f"EPSG:{dataset.crs.to_epsg()}" == document["properties"]["proj:code"]
                assert (dataset.dtypes[0], dataset.nodata) == (facts["data_type"], facts["nodata"])
            assert path.stat().st_size == asset["file:size"]
            assert asset["gsd"] == (20 if name in ("swir16", "scl") else 10)


def test_the_offset_changes_with_the_processing_baseline(world: Path):
    offsets = defaultdict(set)
    for document in documents(world):
        offset = document["assets"]["red"]["raster:bands"][0]["offset"]
        offsets[document["properties"]["datetime"][:4]].add(
            (offset, document["properties"]["s2:processing_baseline"])
        )
    assert offsets == {"2021": {(0.0, "03.01")}, "2022": {(-0.1, "04.00")}, "2023": {(-0.1, "04.00")}}


def test_cloud_cover_is_the_share_of_cloud_classes(world: Path):
    seen = []
    for document in documents(world):
        folder = world / "sentinel-2-l2a" / document["properties"]["datetime"][:4] / document["id"]
        scl = read(folder / "scl.tif")
        cover = 100 * np.isin(scl, (8, 9, 10)).sum() / (scl > 0).sum()
        assert document["properties"]["eo:cloud_cover"] == pytest.approx(cover, abs=1e-5)
        seen.append(cover)
    assert min(seen) < 1
    assert max(seen) > 60


def test_some_strips_end_within_the_area_and_outlines_say_so(world: Path):
    parts = [d for d in documents(world) if d["properties"]["s2:nodata_pixel_percentage"] > 0]
    assert parts
    for document in parts:
        covered = 1 - document["properties"]["s2:nodata_pixel_percentage"] / 100
        move = Transformer.from_crs(4326, document["properties"]["proj:code"], always_xy=True)
        ring = np.array(document["geometry"]["coordinates"][0])
        outline = shapely.Polygon(np.stack(move.transform(*ring.T), axis=1))
        assert outline.exterior.is_ccw
        assert outline.area / box_of(document).area == pytest.approx(covered, abs=0.03)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world(tmp_path: Path):
    for name, options in {"one": {}, "two": {"workers": 1}, "other": {"seed": 8}}.items():
        given = {"seed": 7, "years": range(2021, 2023), "cells": 2, "cell_px": 32, **options}
        satellite.write(tmp_path / name, **given)
        time.sleep(0.02)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "two") for p in (tmp_path / "two").rglob("*") if p.is_file()
    )
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    first = next(f for f in files if f.name.endswith("-2021.tif"))
    assert (tmp_path / "one" / first).read_bytes() != (tmp_path / "other" / first).read_bytes()


def files_of(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_making_says_how_far_it_is_and_ends_with_the_archive(tmp_path: Path):
    steps = list(satellite.making(tmp_path, years=range(2021, 2023), cells=1, cell_px=32))
    assert [step.done for step in steps] == [*range(1, 23), 22]
    assert {step.total for step in steps} == {22}
    assert [step.archive is None for step in steps] == [True] * 22 + [False]


def test_an_archive_is_replaced_whole_and_what_is_not_its_own_stays(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    options = {"cells": 2, "cell_px": 32}
    before = satellite.write(tmp_path, years=range(2021, 2023), **options)
    making = satellite.making(tmp_path, years=range(2022, 2023), seed=2, **options)
    next(making)
    assert not (tmp_path / "catalog.json").exists()  # half an archive is none
    *_, last = making
    assert last.archive.grid == before.grid
    assert {d["properties"]["datetime"][:4] for d in documents(tmp_path)} == {"2022"}
    assert not list(tmp_path.glob("truth/*2021*"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folders_of_others_are_not_removed(tmp_path: Path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "mine.tif").write_text("mine")
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "id": "another"}')
    satellite.write(tmp_path, years=range(2021, 2022), cells=1, cell_px=32)
    assert (tmp_path / "truth" / "mine.tif").read_text() == "mine"


def test_writing_again_replaces_what_is_there(tmp_path: Path, tiny_archive: Path, archives):
    shutil.copytree(tiny_archive, tmp_path / "again")
    archives.make(tmp_path / "again")
    for path in (p for p in tiny_archive.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tiny_archive)).read_bytes()


@pytest.mark.parametrize("cells_wanted, west", [(1, 1), (2, 1), (5, 3), (12, 6), (31, 16)])
def test_any_number_of_cells_can_be_laid_out(cells_wanted: int, west: int):
    laid = area.lay_out(cells_wanted, 128)
    assert len({cell.id for cell in laid.cells}) == cells_wanted
    assert sum(cell.window.epsg == 32632 for cell in laid.cells) == west
    for cell in laid.cells:
        rows, columns = laid.zones[cell.window.epsg].slices(cell.window)
        height, width = laid.zones[cell.window.epsg].shape
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width


@pytest.mark.parametrize(
    "options, message",
    [
        ({"years": range(2024, 2021)}, f"years: found 2024 to 2020, {YEARS}"),
        ({"years": range(1999, 2001)}, f"years: found 1999 to 2000, {YEARS}"),
        ({"cells": 0}, "cells: found 0, expected a whole number, 1 to 400"),
        ({"cell_px": 33}, "cell_px: found 33, expected an even number, 32 to 512"),
        ({"seed": -1}, "seed: found -1, expected a whole number of at least 0"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_is_refused(tmp_path: Path, options: dict, message: str):
    with pytest.raises(BadInput) as caught:
        satellite.write(tmp_path, **options)
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


def test_things_differ_between_years_only_where_the_truth_says_so():
    whole = area.lay_out(4, 64)
    made = ground.make_ground(11, whole, range(2021, 2024))
    for year in (2022, 2023):
        differs = made.mosaic(year) != made.mosaic(year - 1)
        mask = made.changed(year).astype(bool)
        assert mask.any()
        assert np.array_equal(differs, mask)
