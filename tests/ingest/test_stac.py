"""Scenes of a real STAC API on loopback: found, read onto one grid, and every failure in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from geolab.errors import BadInput, FileRejected, NoScene, NotFound
from geolab.ingest import stac
from geolab.raster import cells

from .stacserver import Api, serve

CELL = cells.make("c1", 32632, left=690_000, top=5_320_000, width=48, height=32, gsd_m=10)
GRANULE = GeoBox((64, 96), from_origin(689_800, 5_320_160, 10, 10), "EPSG:32632")
JUNE, AUGUST = date(2021, 6, 1), date(2021, 8, 31)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path / "api") as running:
        yield running


def pixels(seed: int, shape: tuple[int, int] = (64, 96)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {band: rng.integers(1000, 6000, shape, dtype=np.uint16) for band in ("red", "nir")}
    return made | {"scl": rng.choice([3, 4, 5, 9], (shape[0] // 2, shape[1] // 2)).astype(np.uint8)}


def search(api: Api, max_cloud: float = 60, **other: Any) -> list:
    asked = {"collection": "sentinel-2-l2a", "bbox": CELL.bbox_lonlat, "start": JUNE, "end": AUGUST} | other
    return stac.search(api.url, max_cloud=max_cloud, cell="c1", **asked)


# ---------------------------------------------------------------- search


def test_scenes_are_found_over_pages_by_place_season_and_cloud(api: Api):
    for number, (when, cloud) in enumerate(
        [("2021-08-31T23:59:59Z", 10), ("2021-06-01T00:00:00Z", 59), ("2021-07-01T10:20:00Z", 60),
         ("2021-07-05T10:20:00Z", 0), ("2021-09-01T00:00:00Z", 0), ("2021-07-09T10:20:00Z", 5)]
    ):  # fmt: skip
        api.add(f"s{number}", when, {"red": np.ones((64, 96), np.uint16)}, GRANULE, cloud=cloud)
    far = GeoBox((64, 96), from_origin(600_000, 5_320_160, 10, 10), "EPSG:32632")
    api.add("far", "2021-07-01T10:20:00Z", {"red": np.ones((64, 96), np.uint16)}, far)
    assert [item.id for item in search(api)] == ["s1", "s3", "s5", "s0"]
    assert api.log.count("/search") > 1
    assert [item.id for item in search(api, max_cloud=0)] == ["s3"]


def test_no_scene_is_said_with_what_to_do(api: Api):
    with pytest.raises(NoScene, match=r"no scene under 30 % cloud in 2021 for c1\. Widen the season or skip"):
        search(api, max_cloud=30)
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.ones((64, 96), np.uint16)}, GRANULE, cloud=80)
    with pytest.raises(NoScene, match=r"for c1 \(1 with more\)\. Raise max_cloud or skip the year\."):
        search(api, max_cloud=30)


def test_an_unknown_collection_is_named_with_those_there_are(api: Api):
    with pytest.raises(NotFound, match="no collection 'sentinel-2-l1c'; did you mean 'sentinel-2-l2a'"):
        search(api, collection="sentinel-2-l1c")


def test_a_server_that_is_busy_for_a_while_is_asked_again(api: Api):
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.ones((64, 96), np.uint16)}, GRANULE)
    api.faults = {"/": [503], "/search": [429, 502]}
    assert [item.id for item in search(api)] == ["s"]
    assert api.log.count("/search") == 3


def test_a_server_that_stays_busy_is_given_up_in_one_line(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stac, "RETRIES", 2)
    api.faults = {"/search": [503] * 20}
    with pytest.raises(
        FileRejected, match=r"the STAC API answered 503; check the address, or try again later"
    ):
        search(api)
    assert api.log.count("/search") == 3


def test_a_server_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stac, "RETRIES", 1)
    with pytest.raises(
        FileRejected, match=r"http://127\.0\.0\.1:9/: the STAC API can't be reached"
    ) as raised:
        stac.search("http://127.0.0.1:9/", "x", CELL.bbox_lonlat, JUNE, AUGUST, 60)
    assert "\n" not in str(raised.value)


def test_what_is_no_stac_api_is_said(api: Api):
    with pytest.raises(FileRejected, match="the STAC API answered 404; check the address"):
        stac.search(f"{api.url}/nothing", "x", CELL.bbox_lonlat, JUNE, AUGUST, 60)
    api.conforms = []
    with pytest.raises(FileRejected, match="not a STAC API that can be searched"):
        search(api)
    for address in ("file:///etc/passwd", "/etc/passwd", "ftp://host/"):
        with pytest.raises(BadInput, match="http:// or https://"):
            stac.search(address, "x", CELL.bbox_lonlat, JUNE, AUGUST, 60)


def test_a_server_can_not_make_us_read_files(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secret = tmp_path / "secret.json"
    secret.write_text('{"type": "FeatureCollection", "features": [], "links": []}')
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.ones((64, 96), np.uint16)}, GRANULE)
    plain = Api.search

    def hostile(self: Api, asked: dict) -> dict:
        return plain(self, asked) | {"links": [{"rel": "next", "href": str(secret)}]}

    monkeypatch.setattr(Api, "search", hostile)
    with pytest.raises(FileRejected, match="not on the web"):
        search(api)


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    class Endless(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * 65536)
            except OSError:
                pass

    monkeypatch.setattr(stac, "MOST_ANSWER_BYTES", 1_000_000)
    server = HTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(FileRejected, match="larger than 1 MB"):
            stac.search(f"http://127.0.0.1:{server.server_port}", "x", CELL.bbox_lonlat, JUNE, AUGUST, 60)
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    import socket

    monkeypatch.setattr(stac, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(stac, "RETRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(FileRejected, match="can't be reached"):
            stac.search(
                f"http://127.0.0.1:{silent.getsockname()[1]}", "x", CELL.bbox_lonlat, JUNE, AUGUST, 60
            )
    assert time.monotonic() - began < 10


# ---------------------------------------------------------------- pixels


def test_a_scene_on_the_same_pixels_is_read_as_it_is_scaled(api: Api):
    made = pixels(1)
    made["red"][20:24, 30:34] = 0  # nodata
    api.add("s", "2021-07-01T10:00:00Z", made, GRANULE)
    found = stac.load(search(api), CELL.geobox, ["red", "nir"])
    assert found.sizes == {"time": 1, "y": 32, "x": 48}
    rows, columns = slice(16, 48), slice(20, 68)
    for band in ("red", "nir"):
        stored = made[band][rows, columns]
        expected = stored.astype(np.float32) * np.float32(0.0001) + np.float32(-0.1)
        expected[stored == 0] = np.nan
        assert np.array_equal(found[band].values[0], expected, equal_nan=True)
    assert np.isnan(found["red"].values).sum() == 16


def test_classes_of_larger_pixels_are_taken_as_they_are(api: Api):
    made = pixels(2)
    api.add("s", "2021-07-01T10:00:00Z", made, GRANULE)
    found = stac.load_classes(search(api), CELL.geobox)["scl"].values[0]
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.repeat(np.repeat(made["scl"], 2, 0), 2, 1)[16:48, 20:68])


def test_a_scene_of_the_neighbouring_zone_is_warped_onto_the_cell(api: Api):
    x, y = Transformer.from_crs(32632, 32633, always_xy=True).transform(CELL.bounds[0], CELL.bounds[3])
    corner = (x // 10 * 10 - 803, y // 10 * 10 + 807)  # its pixels are no one else's
    other = GeoBox((200, 240), from_origin(*corner, 10, 10), "EPSG:32633")
    rows, columns = np.mgrid[:200, :240]
    smooth = (2000 + 8 * columns + 5 * rows).astype(np.uint16)
    api.add("s", "2021-07-01T10:00:00Z", {"red": smooth}, other)
    found = stac.load(search(api), CELL.geobox, ["red"])["red"].values[0]
    expected = np.full((32, 48), np.nan, np.float32)
    reproject(
        smooth.astype(np.float32), expected, src_nodata=0,
        src_transform=other.transform, src_crs="EPSG:32633",
        dst_transform=CELL.geobox.transform, dst_crs="EPSG:32632", dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )  # fmt: skip
    assert np.isfinite(expected).mean() > 0.9
    assert np.allclose(found, expected * np.float32(0.0001) - np.float32(0.1), atol=2e-5, equal_nan=True)


def test_where_a_scene_does_not_reach_there_is_nothing(api: Api):
    part = GeoBox((64, 40), GRANULE.transform, "EPSG:32632")
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.full((64, 40), 2000, np.uint16)}, part)
    found = stac.load(search(api), CELL.geobox, ["red"])["red"].values[0]
    assert np.isfinite(found).sum(axis=1).tolist() == [20] * 32


@pytest.mark.parametrize(
    ("said", "scale", "offset"),
    [({"scale": 0.0002, "offset": 0.05, "nodata": 0}, 0.0002, 0.05), ({"scale": 0.5}, 0.5, 0), (None, 1, 0)],
)
def test_scale_and_offset_are_those_of_the_scene(api: Api, said: dict | None, scale: float, offset: float):
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.full((64, 96), 300, np.uint16)}, GRANULE, raster=said)
    found = stac.load(search(api), CELL.geobox, ["red"])["red"].values
    assert found == pytest.approx(300 * scale + offset)


def test_a_missing_band_is_said_with_those_there_are(api: Api):
    api.add("s", "2021-07-01T10:00:00Z", {"red": np.ones((64, 96), np.uint16)}, GRANULE)
    with pytest.raises(BadInput, match="'green', which scene s lacks, expected red"):
        stac.load(search(api), CELL.geobox, ["green"])


# ---------------------------------------------------------------- damaged and hostile assets


def test_a_truncated_file_is_named_in_one_line(api: Api):
    api.add("good", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    api.add("bad", "2021-07-02T10:00:00Z", pixels(2), GRANULE)
    path = api.folder / "bad-nir.tif"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(
        FileRejected, match=r"/files/bad-nir\.tif: its pixels can't be read \(scene bad\)"
    ) as raised:
        stac.load(search(api), CELL.geobox, ["red", "nir"])
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_image_or_away_is_named(api: Api):
    api.add("s", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    (api.folder / "s-red.tif").write_bytes(b"<html>sorry</html>")
    with pytest.raises(FileRejected, match=r"s-red\.tif: it is a web page"):
        stac.load(search(api), CELL.geobox, ["red"])
    (api.folder / "s-nir.tif").unlink()
    with pytest.raises(FileRejected, match=r"s-nir\.tif: the server of scene s does not give it"):
        stac.load(search(api), CELL.geobox, ["nir"])


def test_a_busy_file_server_is_asked_again(api: Api):
    api.add("s", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    items = search(api)
    api.faults = {"/files/s-red.tif": [503, 503]}
    assert np.isfinite(stac.load(items, CELL.geobox, ["red"])["red"].values).all()


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "zip+http://host/a.zip!b.tif",
        "/vsicurl/http://h/a.tif",
        "ftp://h/a",
    ],
)
def test_only_the_web_and_buckets_are_read(api: Api, href: str):
    item = api.add("s", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    item["assets"]["red"]["href"] = href
    with pytest.raises(FileRejected, match="only http, https, s3"):
        stac.load(search(api), CELL.geobox, ["red"])


def test_a_vrt_that_names_a_local_file_is_not_opened(api: Api, tmp_path: Path):
    item = api.add("s", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    from rasterio.shutil import copy

    copy(str(api.folder / "s-nir.tif"), str(api.folder / "s-red.vrt"), driver="VRT")
    item["assets"]["red"]["href"] = f"{api.url}/files/s-red.vrt"
    with rasterio.open(api.folder / "s-red.vrt") as vrt:  # it works as a file: the test means something
        assert vrt.count == 1
    with pytest.raises(FileRejected, match=r"s-red\.vrt: it is a VRT"):
        stac.load(search(api), CELL.geobox, ["red"])


def test_a_file_of_one_giant_block_is_refused_before_it_is_read(api: Api):
    item = api.add("s", "2021-07-01T10:00:00Z", pixels(1), GRANULE)
    path = api.folder / "bomb.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=24_000, height=24_000, count=1, dtype="uint8", tiled=True,
        blockxsize=24_000, blockysize=24_000, compress="deflate", sparse_ok=True,
        crs="EPSG:32632", transform=GRANULE.transform,
    ):  # fmt: skip
        pass
    item["assets"]["red"]["href"] = f"{api.url}/files/bomb.tif"
    with pytest.raises(FileRejected, match=r"bomb\.tif: blocks of 24000 x 24000 px"):
        stac.load(search(api), CELL.geobox, ["red"])


def test_larger_pixels_that_the_cell_divides_are_repeated_not_mixed(api: Api):
    coarse = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48) + 1000
    api.add("s", "2021-07-01T10:00:00Z", {"swir16": coarse}, GRANULE)
    found = stac.load(search(api), CELL.geobox, ["swir16"])["swir16"].values[0]
    stored = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[16:48, 20:68]
    assert np.array_equal(found, stored.astype(np.float32) * np.float32(0.0001) + np.float32(-0.1))
    shifted = cells.make("c2", 32632, left=690_005, top=5_320_000, width=48, height=32, gsd_m=10)
    mixed = stac.load(search(api), shifted.geobox, ["swir16"])["swir16"].values[0]
    assert len(np.unique(mixed)) > 2 * len(np.unique(found))
