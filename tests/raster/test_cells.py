"""Grids of cells: from a file as it is, over any area, across a zone's edge."""

from __future__ import annotations

import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import Point, Polygon, box, mapping

from geolab import raster
from geolab.cli import main
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.raster import cells, utm

BAVARIA = (11.90, 48.05, 12.10, 48.12)  # across the edge of zones 32 and 33


def ground(cell: cells.Cell) -> Polygon:
    """The cell in longitude and latitude, its edges followed by short pieces."""
    to_lonlat = Transformer.from_crs(cell.epsg, 4326, always_xy=True)
    fine = shapely.segmentize(box(*cell.bounds), 50)
    return shapely.transform(fine, lambda xy: np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1])))


# ---------------------------------------------------------------- zones


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (11.99, 48, 32632), (12.0, 48, 32633), (-180, 0, 32601), (180, 10, 32660), (-70.6, -33.4, 32719),
        (5, 60, 32632), (2.9, 60, 32631), (5, 65, 32631), (10, 78, 32633), (8.9, 78, 32631),
        (41, 83.9, 32637), (0, 84, 32631),
    ],
)  # fmt: skip
def test_a_place_has_the_zone_of_the_utm_grid(lon: float, lat: float, epsg: int):
    assert utm.epsg_of(lon, lat) == epsg


def test_zones_cover_the_earth_once_and_agree_with_their_places():
    found = dict(utm.parts(box(-180, -80, 180, 84)))
    assert sum(part.area for part in found.values()) == pytest.approx(360 * 164)
    rng = np.random.default_rng(1)
    for lon, lat in zip(rng.uniform(-180, 180, 300), rng.uniform(-79.9, 83.9, 300), strict=True):
        assert found[utm.epsg_of(lon, lat)].contains(Point(lon, lat))


def test_poles_are_refused_in_words():
    with pytest.raises(BadInput, match="UTM is defined"):
        utm.epsg_of(0, 85)


# ---------------------------------------------------------------- over an area


def test_cells_begin_at_multiples_of_their_side_and_have_whole_pixels():
    for cell in cells.over(BAVARIA, side_m=2560, gsd_m=10):
        assert [edge % 2560 for edge in cell.bounds] == [0, 0, 0, 0]
        assert cell.geobox.shape == (256, 256)
        assert cell.geobox.transform.a == 10
        assert cell.geobox.crs.to_epsg() == cell.epsg
        assert cell.id == f"{utm.name(cell.epsg)}-{cell.bounds[0]:.0f}-{cell.bounds[1]:.0f}"


def test_the_same_area_gives_the_same_cells_and_a_part_gives_a_part():
    whole = cells.over(BAVARIA)
    assert [c.id for c in cells.over(BAVARIA)] == [c.id for c in whole]
    part = cells.over((11.95, 48.06, 12.03, 48.10))
    assert {c.id for c in part} < {c.id for c in whole}


@settings(max_examples=25, deadline=None)
@given(
    lon=st.floats(-179, 178),
    lat=st.floats(-79, 82),
    width=st.floats(0.002, 0.4),
    height=st.floats(0.002, 0.2),
)
def test_cells_cover_the_area_without_a_hole_even_across_zones(
    lon: float, lat: float, width: float, height: float
):
    area = box(lon, lat, lon + width, lat + height)
    found = cells.over(area.bounds, side_m=5120)
    covered = shapely.union_all([ground(cell) for cell in found])
    assert area.difference(covered).area < 1e-6 * area.area
    assert all(ground(cell).intersects(area) for cell in found)
    assert len({cell.id for cell in found}) == len(found)


def test_cells_of_one_zone_do_not_overlap():
    found = [c for c in cells.over(BAVARIA) if c.epsg == 32632]
    boxes = [box(*c.bounds) for c in found]
    assert shapely.union_all(boxes).area == len(boxes) * 2560**2


def test_the_edge_of_a_zone_gives_cells_of_both_and_each_holds_a_place_of_its_zone():
    found = cells.over(BAVARIA)
    assert {c.epsg for c in found} == {32632, 32633}
    for cell in found:
        west, _, east, _ = cell.bbox_lonlat
        assert west < 12 if cell.epsg == 32632 else east > 12


def test_a_drawn_polygon_gives_only_the_cells_it_touches(tmp_path: Path):
    triangle = Polygon([(11.3, 48.0), (11.5, 48.0), (11.3, 48.15)])
    drawn = {"type": "Feature", "properties": {"style": {}}, "geometry": mapping(triangle)}
    found = cells.over(drawn)
    assert len(found) < 0.75 * len(cells.over(triangle.bounds))
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    assert [c.id for c in cells.over(path)] == [c.id for c in found]
    assert [c.id for c in cells.over(json.dumps(drawn))] == [c.id for c in found]
    gpd.GeoDataFrame(geometry=[triangle], crs=4326).to_crs(3035).to_file(tmp_path / "area.gpkg")
    assert [c.id for c in cells.over(tmp_path / "area.gpkg")] == [c.id for c in found]


def test_a_box_across_the_antimeridian_is_two():
    found = cells.over((179.9, -17.1, -179.9, -17.0))
    assert {c.epsg for c in found} == {32760, 32701}
    west, _, east, _ = next(c for c in found if c.epsg == 32760 and c.bbox_lonlat[2] < 0).bbox_lonlat
    assert 179.9 < west < 180
    assert -180 < east < -179.9


@pytest.mark.parametrize(
    ("area", "words"),
    [
        ((0, 84.5, 1, 85), "UTM ends there"),
        ((179, 0, 181, 1), "antimeridian"),
        ((1, 2, 1, 3), "degrees"),
        ((1, 3, 2, 2), "south < north"),
        ((1, 2, 3), "west, south, east, north"),
        ((0, 0, math.nan, 1), "degrees"),
        ({"type": "Point", "coordinates": [1, 2]}, "a polygon or a box"),
        ({"type": "Polygon"}, "no GeoJSON"),
        ({"hello": 1}, "no GeoJSON"),
        ("{nonsense", "neither GeoJSON"),
        ((0, 40, 30, 60), "a larger side_m"),
    ],
)
def test_an_area_that_can_not_be_cut_is_refused_in_words(area: object, words: str):
    with pytest.raises((BadInput, FileRejected), match=words):
        cells.over(area, side_m=640)  # pyright: ignore[reportArgumentType]


def test_sizes_are_checked():
    with pytest.raises(BadInput, match="multiple of gsd_m"):
        cells.over(BAVARIA, side_m=2565, gsd_m=10)
    with pytest.raises(BadInput, match=r"0\.1 to 1000"):
        cells.over(BAVARIA, gsd_m=0)


# ---------------------------------------------------------------- files


def test_what_is_written_is_read_exactly(tmp_path: Path):
    made = cells.over(BAVARIA, side_m=1280, gsd_m=20)
    cells.write(tmp_path / "grid.gpkg", made)
    found = cells.read(tmp_path / "grid.gpkg")
    assert [(c.id, c.epsg, c.geobox.shape, c.geobox.transform) for c in found] == [
        (c.id, c.epsg, c.geobox.shape, c.geobox.transform) for c in made
    ]
    assert cells.ids(tmp_path / "grid.gpkg") == [c.id for c in made]
    assert cells.one(tmp_path / "grid.gpkg", made[7].id) == found[7]


def grid_file(path: Path, crs: int | None, shapes: list[Polygon], **columns: list) -> Path:
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path, driver="GPKG", layer="my cells")
    return path


def test_ids_of_a_file_are_taken_as_they_are(tmp_path: Path):
    shapes = [box(500_000 + 300 * i, 5_300_000, 500_300 + 300 * i, 5_300_200) for i in range(3)]
    path = grid_file(
        tmp_path / "a.gpkg", 32632, shapes, cell_id=["Fluß 1", "b/2", "07"], name=["x", "y", "z"]
    )
    assert cells.ids(path) == ["Fluß 1", "b/2", "07"]
    numbers = grid_file(tmp_path / "b.gpkg", 32632, shapes, ID=[11, 5, 7])
    assert [c.id for c in cells.read(numbers)] == ["11", "5", "7"]
    plain = grid_file(tmp_path / "c.gpkg", 32632, shapes)
    assert cells.ids(plain) == ["1", "2", "3"]


def test_a_layer_in_a_utm_zone_says_the_grid(tmp_path: Path):
    shape = box(790_000, 5_300_000, 790_300, 5_300_200)  # its centre lies in zone 33
    (cell,) = cells.read(grid_file(tmp_path / "a.gpkg", 32632, [shape], id=["a"]))
    assert (cell.epsg, cell.bounds, cell.geobox.shape) == (32632, shape.bounds, (20, 30))


def test_a_cell_in_another_crs_lies_in_the_zone_of_its_centre_on_whole_pixels(tmp_path: Path):
    shape = box(4_321_003, 2_890_007, 4_322_003, 2_890_507)
    path = grid_file(tmp_path / "a.gpkg", 3035, [shape], id=["a"])
    (cell,) = cells.read(path, gsd_m=20)
    assert cell.epsg == 32632
    assert [edge % 20 for edge in cell.bounds] == [0, 0, 0, 0]
    lonlat = Transformer.from_crs(3035, 4326, always_xy=True)
    outline = shapely.segmentize(shape, 10)
    there = shapely.transform(outline, lambda xy: np.column_stack(lonlat.transform(xy[:, 0], xy[:, 1])))
    assert ground(cell).buffer(1e-7).contains(there)


def test_a_large_cell_in_degrees_covers_its_bent_edges(tmp_path: Path):
    shape = box(9, 60, 10, 60.5)
    (cell,) = cells.read(grid_file(tmp_path / "a.gpkg", 4326, [shape], id=["a"]))
    assert ground(cell).buffer(1e-6).contains(shapely.segmentize(shape, 0.01))


@pytest.mark.parametrize(
    ("columns", "crs", "words"),
    [
        ({"id": ["a", "a"]}, 32632, "two cells have the id 'a'"),
        ({"id": ["a", ""]}, 32632, "empty, too long or not printable"),
        ({"id": ["a", "b\n"]}, 32632, "empty, too long or not printable"),
        ({"id": ["a", "b"], "epsg": [32632, 4326]}, 32632, "cell b: EPSG:4326 is not in metres"),
        ({"id": ["a", "b"], "epsg": [32632, 99]}, 32632, "cell b: 99 is no EPSG code"),
        ({"id": ["a", "b"], "gsd_m": [10.0, -1.0]}, 32632, "cell b: gsd_m is -1"),
    ],
)
def test_a_grid_that_can_not_be_used_is_refused_by_its_cell(
    tmp_path: Path, columns: dict, crs: int, words: str
):
    shapes = [box(500_000 + 300 * i, 5_300_000, 500_300 + 300 * i, 5_300_200) for i in range(2)]
    with pytest.raises(FileRejected, match=words):
        cells.read(grid_file(tmp_path / "a.gpkg", crs, shapes, **columns))


def test_files_that_are_no_grid_are_refused_in_words(tmp_path: Path):
    with pytest.raises(NotFound, match="geolab grid AREA"):
        cells.ids(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("hello")
    with pytest.raises(FileRejected, match="not a GeoPackage"):
        cells.ids(tmp_path / "text.gpkg")
    (tmp_path / "cut.gpkg").write_bytes(b"SQLite format 3\0" + b"x" * 500)
    with pytest.raises(FileRejected, match="not a GeoPackage that can be read"):
        cells.ids(tmp_path / "cut.gpkg")
    grid_file(tmp_path / "points.gpkg", 4326, [Point(1, 2)], id=["a"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(FileRejected, match="cell a has no polygon"):
        cells.read(tmp_path / "points.gpkg")
    frame = gpd.GeoDataFrame({"id": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=4326)
    for layer in ("one", "two"):
        frame.to_file(tmp_path / "two.gpkg", driver="GPKG", layer=layer)
    with pytest.raises(FileRejected, match=r"2 layers \(one, two\)"):
        cells.read(tmp_path / "two.gpkg")


def test_an_unknown_cell_names_those_there_are(tmp_path: Path):
    cells.write(tmp_path / "grid.gpkg", cells.over(BAVARIA)[:2])
    with pytest.raises(NotFound, match="no cell '32N-0-0'"):
        cells.one(tmp_path / "grid.gpkg", "32N-0-0")


def test_a_raster_can_be_written_on_a_cell(tmp_path: Path):
    cell = cells.over((9.0, 48.0, 9.01, 48.01), side_m=640)[0]
    with raster.write_cog(tmp_path / "a.tif", like=cell.info, count=1, dtype="uint8") as writer:
        writer.write(np.ones((64, 64), np.uint8), next(raster.iter_windows(cell.info)))
    raster.same_grid(cell.info, str(tmp_path / "a.tif"))


def test_the_command_makes_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "grid.gpkg"
    assert main(["grid", "11.95,48.05,12.02,48.08", "--out", str(out), "--side", "1280", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["cells"] == cells.ids(out)
    assert said["epsg"] == [32632, 32633]
    assert main(["grid", "1,2,3", "--out", str(out)]) == 2
