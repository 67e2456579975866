"""The server extension, asked over HTTP as a browser asks it."""

from __future__ import annotations

import http.client
import io
import json

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from geolab import catalog

EDGE_M = 20037508.342789244


@pytest.fixture(scope="session")
def place(world) -> str:
    """The tile 17/x/y in the middle of the scenes."""
    west, south, east, north = catalog.open_catalog(world).get("up", "town")["bbox"]
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform((west + east) / 2, (south + north) / 2)
    side = 2 * EDGE_M / 2**17
    return f"17/{int((x + EDGE_M) / side)}/{int((EDGE_M - y) / side)}"


def message(response) -> str:
    return json.loads(response.content)["message"]


@pytest.mark.parametrize("form, kind", [("png", "image/png"), ("webp", "image/webp"), ("jpg", "image/jpeg")])
def test_a_tile_of_a_catalogued_item_is_a_picture(server, place, form, kind):
    answer = server.get(f"geolab/tiles/town/up/data/{place}.{form}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert picture.shape == (256, 256, 3)
    assert picture.std() > 10


def test_only_this_origin_and_this_user_may_keep_a_tile(server, place):
    headers = server.get(
        f"geolab/tiles/town/up/data/{place}.png", headers={"Origin": "https://elsewhere.test"}
    ).headers
    assert "access-control-allow-origin" not in headers
    headers = server.get(f"geolab/tiles/town/up/data/{place}.png").headers
    assert headers["cache-control"] == "private, max-age=600"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_tile_that_the_browser_has_is_not_sent_again(server, place):
    path = f"geolab/tiles/town/up/data/{place}.png"
    tag = server.get(path).headers["etag"]
    again = server.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = server.get(path + "?rescale=0,1", headers={"If-None-Match": tag})
    assert other.status_code == 200


def test_without_the_token_nothing_is_shown(server, place):
    for path in (f"tiles/town/up/data/{place}.png", "preview/town/up", "original/town/up"):
        answer = server.get(f"geolab/{path}", token=False)
        assert answer.status_code == 403
        assert b"PNG" not in answer.content[:16]


def test_outside_the_raster_there_is_no_content(server):
    answer = server.get("geolab/tiles/town/up/data/17/5/5.png")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "path, words",
    [
        ("tiles/town/nothing/data/3/1/1.png", "nothing"),
        ("tiles/nowhere/up/data/3/1/1.png", "up"),
        ("tiles/town/up/thumbnail/3/1/1.png", "thumbnail"),
        ("tiles/town/lost/data/3/1/1.png", "gone.tif"),
        ("tiles/town/relative/data/3/1/1.png", "relative"),
        ("preview/town/nothing", "nothing"),
    ],
)
def test_what_is_not_there_is_not_found(server, path, words):
    answer = server.get(f"geolab/{path}")
    assert answer.status_code == 404
    assert words in message(answer)
    assert "\n" not in message(answer)


@pytest.mark.parametrize(
    "query",
    ["bidx=9", "bidx=x", "rescale=2,1", "rescale=0,1&rescale=0,1&rescale=0,1&bidx=1", "colormap=jet",
     "url=file:///etc/passwd", "expression=b9", "expression=eval(b1)", "expression=b1&expression=b2",
     "threshold=0.5", "threshold=2", "colormap=gray&colormap=gray", "bidx=1&bidx=1&bidx=1&colormap=cividis"],
)  # fmt: skip
def test_parameters_out_of_bounds_are_refused_in_a_line(server, place, query):
    answer = server.get(f"geolab/tiles/town/up/data/{place}.png?{query}")
    assert answer.status_code == 400
    assert "expected" in message(answer)
    assert "\n" not in message(answer)


@pytest.mark.parametrize("end", ["25/0/0.png", "3/8/0.png", "3/0/8.png", "1/0/0.gif"])
def test_tiles_that_do_not_exist_in_the_world_are_refused(server, end):
    assert server.get(f"geolab/tiles/town/up/data/{end}").status_code == 400


def test_a_picture_without_a_place_on_earth_is_refused_with_the_reason(server, place):
    answer = server.get(f"geolab/tiles/town/nowhere/data/{place}.png")
    assert answer.status_code == 400
    assert "coordinate system" in message(answer)


def test_a_catalogued_file_that_is_no_raster_is_refused_without_its_content(server, place):
    answer = server.get(f"geolab/tiles/town/text/data/{place}.png")
    assert answer.status_code == 422
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "geolab/tiles/town/../../secret.tif/data/1/0/0.png",
        "geolab/tiles/town/..%2f..%2fsecret.tif/data/1/0/0.png",
        "geolab/tiles/%2e%2e/%2e%2e/secret.tif/1/0/0.png",
        "geolab/tiles/town/%2fetc%2fpasswd/data/1/0/0.png",
        "geolab/tiles/town/file:%2f%2f%2fetc%2fpasswd/data/1/0/0.png",
        "geolab/preview/town/..%2f..%2fsecret.tif",
        "geolab/preview/..%2f../secret.tif",
        "geolab/original/town/%2fetc%2fpasswd",
        "geolab/original/town/up%00.tif",
    ],
)
def test_a_name_in_the_address_is_never_a_path(server, path):
    # http.client sends the path as it is; httpx would tidy the dots away first
    host = server.origin.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", server.base_url + path, headers={"Authorization": f"token {server.token}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert b"root:" not in body
    assert body[:4] not in (b"II*\0", b"\x89PNG")


def test_a_preview_is_a_small_picture(server):
    answer = server.get("geolab/preview/town/up")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 512


def test_only_pictures_are_sent_as_originals(server):
    assert server.get("geolab/original/town/up").status_code == 400
    assert server.get("geolab/original/town/text").status_code == 400
    assert server.get("geolab/original/town/nowhere").headers["content-type"] == "image/png"


def test_two_dates_in_one_rescale_look_alike_where_they_are_alike(server, place):
    query = "?rescale=0,5000"
    up, turned = (server.get(f"geolab/tiles/town/{n}/data/{place}.png{query}") for n in ("up", "turned"))
    assert up.status_code == turned.status_code == 200
    assert up.content != turned.content


def test_many_requests_at_once_are_all_answered(server, place):
    from concurrent.futures import ThreadPoolExecutor

    z, x, y = (int(v) for v in place.split("/"))
    paths = [
        f"geolab/tiles/town/{name}/data/{z}/{x + i}/{y + j}.webp"
        for name in ("up", "turned") for i in (-1, 0, 1) for j in (-1, 0, 1)
    ]  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        first = [r.content for r in pool.map(server.get, paths)]
        second = [r.content for r in pool.map(server.get, paths)]
    assert first == second
    assert sum(bool(c) for c in first) >= 2


def test_more_than_2_gb_is_refused_before_it_is_sent(server):
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"token {server.token}", "Content-Length": "3000000000"}
    connection.putrequest("POST", f"{server.base_url}geolab/upload?name=a.tif")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "3000 MB, expected at most 2000 MB" in json.loads(answer.read())["message"]
    connection.close()


def test_band_math_and_colour_maps_are_drawn(server, place):
    plain = server.get(f"geolab/tiles/town/up/data/{place}.png").content
    query = "expression=(b1-b2)%2F(b1%2Bb2)&colormap=balance&rescale=-1,1"
    answer = server.get(f"geolab/tiles/town/up/data/{place}.png?{query}")
    assert answer.status_code == 200
    assert answer.content != plain
    mask = server.get(f"geolab/tiles/town/mask/data/{place}.webp?threshold=0.5&colormap=uncertain")
    assert mask.status_code == 200
    assert server.get(f"geolab/tiles/town/up/data/{place}.jpg?bidx=3&colormap=cividis").status_code == 200
