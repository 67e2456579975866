"""Volumes of cones and boxes that are known exactly, on grids that are turned and not square."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio import Affine
from rasterio.crs import CRS

from geolab.errors import BadInput, FileRejected, GridMismatch, NotFound
from geolab.splats.frame import Frame
from geolab.splats.grid import project
from geolab.splats.volume import volume

FRAME = Frame(12.34, 48.2)
MIDDLE = project(FRAME.lonlat([[0.0, 0, 0]]), CRS.from_string(FRAME.crs))[0]
RADIUS_M, HIGH_M = 9.0, 6.0
CONE_M3 = math.pi * RADIUS_M**2 * HIGH_M / 3
GRIDS = {
    "north-up": Affine.scale(0.25, -0.25),
    "turned": Affine.rotation(27) @ Affine.scale(0.25, -0.25),
    "not square": Affine.scale(0.5, -0.2),
    "turned and not square": Affine.rotation(-64) @ Affine.scale(0.3, -0.21),
}


def write(
    path: Path, surface: object, grid: Affine, *, sigma: float | None = None, hole: bool = False
) -> Path:
    """A DSM of 40 m around the middle: surface(x, y) of metres east and north of it."""
    width, height = (round(44 / math.hypot(*step)) for step in ((grid.a, grid.d), (grid.b, grid.e)))
    transform = Affine.translation(*MIDDLE) @ grid @ Affine.translation(-width / 2, -height / 2)
    rows, columns = np.mgrid[:height, :width] + 0.5
    x = transform.a * columns + transform.b * rows + transform.c - MIDDLE[0]
    y = transform.d * columns + transform.e * rows + transform.f - MIDDLE[1]
    bands = [surface(x, y).astype(np.float32)]  # type: ignore[operator]
    if hole:
        bands[0][(x > -3) & (x < 0) & (y > 0) & (y < 3)] = np.nan
    if sigma is not None:
        bands.append(np.full_like(bands[0], sigma))
    profile = {"driver": "GTiff", "width": width, "height": height, "count": len(bands), "dtype": "float32"}
    with rasterio.open(path, "w", crs=FRAME.crs, transform=transform, nodata=np.nan, **profile) as target:
        target.write(np.stack(bands))
        target.descriptions = ("height", "sigma")[: len(bands)]
    return path


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 512.0 + 0.11 * x - 0.07 * y


def cone(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(0, HIGH_M * (1 - np.hypot(x - 1, y + 2) / RADIUS_M))


def heap(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return slope(x, y) + cone(x, y)


def around(radius: float = 11.0, x: float = 1.0, y: float = -2.0) -> shapely.Geometry:
    return shapely.Point(MIDDLE[0] + x, MIDDLE[1] + y).buffer(radius)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_cone_on_a_slope_has_the_volume_of_a_cone(grid: Affine, tmp_path: Path) -> None:
    found = volume(write(tmp_path / "dsm.tif", heap, grid), around())
    assert abs(found.cut_m3 / CONE_M3 - 1) < 0.003
    assert found.fill_m3 < 1e-3 * CONE_M3
    assert abs(found.area_m2 / (math.pi * 11**2) - 1) < 0.003
    assert abs(found.base_m - slope(np.array(1.0), np.array(-2.0))) < 0.01
    assert found.known == 1
    assert found.rim_rmse_m is not None
    assert found.rim_rmse_m < 1e-3


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_pit_is_fill_and_a_box_is_exact(grid: Affine, tmp_path: Path) -> None:
    pit = volume(write(tmp_path / "pit.tif", lambda x, y: slope(x, y) - cone(x, y), grid), around())
    assert abs(pit.fill_m3 / CONE_M3 - 1) < 0.003
    assert abs(pit.net_m3 + pit.fill_m3) < 1e-3 * CONE_M3
    box = shapely.box(MIDDLE[0] - 6.13, MIDDLE[1] - 3.3, MIDDLE[0] + 4.02, MIDDLE[1] + 5.41)
    flat = volume(write(tmp_path / "flat.tif", lambda x, y: 0 * x + 103.5, grid), box, base=101.0)
    assert abs(flat.cut_m3 / (2.5 * 10.15 * 8.71) - 1) < 0.004
    assert flat.base_m == pytest.approx(101.0)
    assert flat.rim_rmse_m is None


def test_the_lowest_height_is_the_base_where_asked_for(tmp_path: Path) -> None:
    dsm = write(tmp_path / "dsm.tif", lambda x, y: 100 + cone(x, y), GRIDS["turned"])
    found = volume(dsm, around(5.0), base="lowest")
    lowest = 100 + HIGH_M * (1 - 5 / RADIUS_M)
    assert abs(found.base_m - lowest) < 0.15
    frustum = math.pi * 25 * (100 + HIGH_M - lowest) / 3
    assert abs(found.cut_m3 - frustum) < 25 * math.pi * 0.15


def test_another_surface_can_be_the_base(tmp_path: Path) -> None:
    grid = GRIDS["turned and not square"]
    before = write(tmp_path / "before.tif", slope, grid, sigma=0.03)
    after = write(tmp_path / "after.tif", heap, grid, sigma=0.04)
    found = volume(after, around(), base=before)
    assert abs(found.cut_m3 / CONE_M3 - 1) < 0.003
    single = volume(after, around(), base=510.0)
    assert found.sigma_m3 is not None
    assert single.sigma_m3 is not None
    assert abs(found.sigma_m3 / single.sigma_m3 - 0.05 / 0.04) < 0.01
    with pytest.raises(GridMismatch):
        volume(after, around(), base=write(tmp_path / "other.tif", slope, GRIDS["turned"]))


def test_things_on_the_rim_do_not_tilt_the_base(tmp_path: Path) -> None:
    def with_wall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return heap(x, y) + np.where((x > 10) & (np.abs(y) < 2.5), 4.0, 0.0)

    clean = volume(write(tmp_path / "clean.tif", heap, GRIDS["turned"]), around())
    found = volume(write(tmp_path / "wall.tif", with_wall, GRIDS["turned"]), around())
    assert abs(found.base_m - clean.base_m) < 0.02


def test_sigma_is_what_repeated_measurements_scatter_by(tmp_path: Path) -> None:
    """Errors of a pixel alone (correlation_px=1): against a hundred noisy surfaces."""
    rng = np.random.default_rng(5)
    found = []
    for k in range(60):
        dsm = write(
            tmp_path / f"{k}.tif",
            lambda x, y: heap(x, y) + rng.normal(0, 0.2, x.shape),
            GRIDS["turned"],
            sigma=0.2,
        )
        found.append(volume(dsm, around(10.0), correlation_px=1))
    told = np.mean([v.sigma_m3 for v in found])
    assert 0.7 < np.std([v.net_m3 for v in found]) / told < 1.4
    wide = volume(tmp_path / "0.tif", around(10.0), correlation_px=9)
    assert wide.sigma_m3 > 2.5 * told


def test_without_any_error_told_there_is_no_sigma(tmp_path: Path) -> None:
    found = volume(write(tmp_path / "dsm.tif", heap, GRIDS["north-up"]), around(), base=500.0)
    assert found.sigma_m3 is None
    assert found.as_json()["net_m3"] == found.net_m3


def test_geojson_in_longitude_and_latitude_says_where(tmp_path: Path) -> None:
    dsm = write(tmp_path / "dsm.tif", heap, GRIDS["turned"])
    turn = np.linspace(0, 2 * np.pi, 90)
    ring = np.stack([1 + 11 * np.cos(turn), -2 + 11 * np.sin(turn), 0 * turn], axis=1)
    geometry = {"type": "Polygon", "coordinates": [FRAME.lonlat(ring)[:, :2].tolist()]}
    told = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": geometry}]}
    assert abs(volume(dsm, told).cut_m3 / CONE_M3 - 1) < 0.01  # true north is not the grid's
    assert volume(dsm, geometry).cut_m3 == volume(dsm, told).cut_m3


def test_gaps_are_left_out_and_said(tmp_path: Path) -> None:
    found = volume(write(tmp_path / "dsm.tif", heap, GRIDS["turned"], hole=True), around())
    assert abs(found.area_m2 - (math.pi * 11**2 - 9)) < 1.2
    assert abs(found.known - (1 - 9 / (math.pi * 11**2))) < 0.002


def test_memory_and_result_do_not_depend_on_the_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsm = write(tmp_path / "dsm.tif", heap, GRIDS["turned and not square"], sigma=0.1)
    whole = volume(dsm, around())
    monkeypatch.setattr("geolab.splats.volume.STRIP_PX", 7)
    strips = volume(dsm, around())
    for name, number in whole.as_json().items():
        assert strips.as_json()[name] == pytest.approx(number, rel=1e-9), name


@pytest.mark.parametrize(
    ("polygon", "base", "message"),
    [
        (around(11, x=300), "plane", "100 % of it outside dsm.tif"),
        (around(11, x=18), "plane", "expected a polygon inside the DSM"),
        (around(1.2, x=-1.5, y=1.5), 3.0, "found heights on 0 % of it"),
        (shapely.LineString([(0, 0), (1, 1)]), "plane", "LineString without an area"),
        ({"type": "Polygon", "coordinates": [[[600, 0], [1, 1], [1, 0], [600, 0]]]}, 1.0, "degrees"),
        ({"type": "FeatureCollection", "features": []}, 1.0, "without features"),
        (around(), math.nan, "base: found nan, expected a height in metres"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_in_one_line(
    polygon: object, base: object, message: str, tmp_path: Path
) -> None:
    dsm = write(tmp_path / "dsm.tif", heap, GRIDS["turned"], hole=True)
    with pytest.raises(BadInput, match=message) as caught:
        volume(dsm, polygon, base=base)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_base_that_is_no_file_and_a_raster_without_crs_are_refused(tmp_path: Path) -> None:
    dsm = write(tmp_path / "dsm.tif", heap, GRIDS["turned"])
    with pytest.raises(NotFound):
        volume(dsm, around(), base="flat")
    (tmp_path / "no.tif").write_text("no")
    with pytest.raises(FileRejected):
        volume(tmp_path / "no.tif", around())
    with rasterio.open(dsm, "r+") as dataset:
        dataset.crs = CRS.from_epsg(4326)
    with pytest.raises(BadInput, match="expected a projected CRS"):
        volume(dsm, around())
