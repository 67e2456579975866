"""A season of scenes over a cell becomes a composite: the same from run to run, in strips, at the edges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from geolab import ingest, raster, store
from geolab.errors import BadInput, FileRejected, NoScene
from geolab.ingest import acquire, composite
from geolab.raster import cells

from .stacserver import Api, serve

CELL = cells.make("c1", 32632, left=690_000, top=5_320_000, width=48, height=32, gsd_m=10)
GRANULE = GeoBox((64, 96), from_origin(689_800, 5_320_160, 10, 10), "EPSG:32632")
ROWS, COLUMNS = slice(16, 48), slice(20, 68)
BANDS = ("red", "nir")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path / "api") as running:
        yield running


def scene(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {band: rng.integers(1000, 6000, (64, 96), dtype=np.uint16) for band in BANDS}
    return made | {"scl": rng.choice([3, 4, 5, 9], (32, 48), p=[0.02, 0.5, 0.45, 0.03]).astype(np.uint8)}


def season(api: Api, count: int = 6) -> list[dict[str, np.ndarray]]:
    """Scenes of as many days, every third scene of two granules that show the same."""
    made = [scene(seed) for seed in range(count)]
    for number, pixels in enumerate(made):
        api.add(f"s{number}", f"2021-07-{number + 1:02d}T10:00:00Z", pixels, GRANULE)
        if number % 3 == 0:
            api.add(f"t{number}", f"2021-07-{number + 1:02d}T10:00:20Z", pixels, GRANULE)
    return made


def run(api: Api, out: Path, **other: Any) -> acquire.Acquired:
    facts = {"year": 2021, "bands": BANDS, "min_looks": 2, "cell": CELL} | other
    *_, last = acquire.steps(acquire.Request(api=api.url, **facts), out)
    assert last.done == last.total
    assert last.acquired is not None
    return last.acquired


def expected(made: list[dict[str, np.ndarray]], **other: Any) -> composite.Composite:
    """The composite of the same arrays in memory."""
    classes = np.stack([np.repeat(np.repeat(m["scl"], 2, 0), 2, 1) for m in made])
    clear = composite.clear(classes, buffer_px=other.get("buffer_px", 0))[:, ROWS, COLUMNS]
    stored = np.stack([np.stack([m[b] for b in BANDS]) for m in made])[:, :, ROWS, COLUMNS]
    scaled = stored.astype(np.float32) * np.float32(0.0001) + np.float32(-0.1)
    return composite.compose(scaled, clear, min_looks=2)


def test_the_composite_lies_on_the_cell_and_counts_its_looks(api: Api, tmp_path: Path):
    twin = expected(season(api))
    made = run(api, tmp_path / "out")
    raster.same_grid(CELL.info, str(made.composite))
    with rasterio.open(made.composite) as found, rasterio.open(made.looks) as looks:
        assert np.array_equal(found.read(), twin.pixels, equal_nan=True)
        assert np.array_equal(looks.read(1), twin.looks)
        assert found.descriptions == BANDS
        assert found.dtypes == ("float32", "float32")
        assert np.isnan(found.nodata)
        assert found.tags()["GEOLAB_SCENES"] == "s0 t0 s1 s2 s3 t3 s4 s5"
        assert found.tags()["START_DATETIME"] == "2021-07-01T10:00:00Z"
    assert raster.is_cog(str(made.composite))
    assert made.clear_share == (twin.looks >= 2).mean()
    assert made.mean_looks == pytest.approx(twin.looks.mean())
    assert len(made.scenes) == 8


def test_strips_give_the_same_bytes_as_the_whole(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    season(api)
    whole = run(api, tmp_path / "whole", buffer_px=3)
    monkeypatch.setattr(acquire, "STACK_BYTES", 5 * 8 * 48 * 9)
    strips = run(api, tmp_path / "strips", buffer_px=3)
    again = run(api, tmp_path / "again", buffer_px=3)
    for name in ("composite", "looks"):
        with rasterio.open(getattr(whole, name)) as one, rasterio.open(getattr(strips, name)) as two:
            assert np.array_equal(one.read(), two.read(), equal_nan=True)
        assert store.sha256(getattr(strips, name)) == store.sha256(getattr(again, name))


def test_clouds_beyond_the_edge_of_the_cell_are_kept_away_from_too(api: Api, tmp_path: Path):
    made = season(api)
    twin = expected(made, buffer_px=4)
    found = run(api, tmp_path / "out", buffer_px=4, min_looks=1)
    with rasterio.open(found.looks) as looks:
        assert np.array_equal(looks.read(1), twin.looks)


def test_a_cell_that_was_never_seen_leaves_no_file(api: Api, tmp_path: Path):
    made = scene(1)
    made["scl"][:] = 9
    api.add("s", "2021-07-01T10:00:00Z", made, GRANULE)
    with pytest.raises(BadInput, match="cell c1 in 2021: found no pixel seen clear on 2 days in 1 scenes"):
        run(api, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_scene_that_can_not_be_read_fails_the_cell(api: Api, tmp_path: Path):
    season(api)
    path = api.folder / "s2-red.tif"
    path.write_bytes(path.read_bytes()[:-2500])
    with pytest.raises(FileRejected, match=r"s2-red\.tif"):
        run(api, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_year_without_scenes_is_said_for_its_cell(api: Api, tmp_path: Path):
    with pytest.raises(NoScene, match=r"no scene under 60 % cloud in 1999 for c1"):
        run(api, tmp_path / "out", year=1999)


def test_granules_of_the_cells_own_zone_come_first(api: Api, tmp_path: Path):
    from geolab.ingest import stac

    made = season(api, 1)
    other = api.add("a0", "2021-07-01T09:59:00Z", made[0], GRANULE)
    other["properties"]["proj:code"] = "EPSG:32633"
    for item in api.items[:-1]:
        item["properties"]["proj:epsg"] = 32632
    found = stac.search(api.url, "sentinel-2-l2a", CELL.bbox_lonlat, date(2021, 6, 1), date(2021, 8, 31), 60)
    assert [item.id for item in stac.own_first(found, 32632)] == ["s0", "t0", "a0"]


def test_a_composite_is_an_item_with_the_time_of_its_scenes(api: Api, tmp_path: Path):
    season(api)
    made = run(api, tmp_path / "out")
    item = ingest.product_item(
        str(made.composite), item_id="x", collection="results", title="t", properties={},
        datetime="2030-01-01T00:00:00Z",
    )  # fmt: skip
    assert item["properties"]["start_datetime"] == "2021-07-01T10:00:00Z"
    assert item["properties"]["end_datetime"] == "2021-07-06T10:00:00Z"


@pytest.mark.parametrize(
    ("season_", "year", "days"),
    [
        ("06-01/08-31", 2021, (date(2021, 6, 1), date(2021, 8, 31))),
        ("12-01/02-28", 2021, (date(2020, 12, 1), date(2021, 2, 28))),
        ("07-15/07-15", 2020, (date(2020, 7, 15), date(2020, 7, 15))),
    ],
)
def test_a_season_is_its_days(season_: str, year: int, days: tuple[date, date]):
    assert acquire.Request(cell=CELL, api="http://x", year=year, season=season_).days == days


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"season": "6-1/8-31"}, "MM-DD/MM-DD"),
        ({"season": "02-29/03-31"}, "MM-DD/MM-DD"),
        ({"source": "ftp"}, "stac, openeo"),
        ({"bands": ()}, "different bands"),
        ({"bands": ("red", "red")}, "different bands"),
        ({"max_cloud": 101.0}, "0 to 100"),
        ({"min_looks": 0}, "1 or more"),
        ({"clear": (4, 12)}, "class 12"),
        ({"buffer_px": -1}, "0 to 100 pixels"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_asked(given: dict, words: str):
    with pytest.raises(BadInput, match=words):
        acquire.Request(**({"cell": CELL, "api": "http://x", "year": 2021} | given))
