"""Downloads and share links below a hub's path, asked as browsers, GDAL and strangers ask."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import geolab_serving as serving
import httpx
import numpy as np
import psutil
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from geolab import catalog, settings, share
from geolab.catalog import items
from geolab.jobs import ids
from geolab.jobs.ledger import open_ledger
from geolab.jobs.record import Record
from geolab.service.jupyter import files, ranges

RUN, RUNNING = ids.new(), ids.new()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
HTML = b"<html><script>alert(document.cookie)</script></html>"
LARGE_BYTES = 300_000_000


def item(name: str, href: str, *, title: str = "") -> dict:
    return items.item(
        name, collection="town", geometry=None, datetime="2024-08-15T10:00:00Z",
        properties={"title": title or name}, assets={"data": {"href": href, "roles": ["data"]}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    home = tmp_path_factory.mktemp("workspace")
    found = settings.load(home, environ={})
    objects = home / "data" / "ab" / "digest"
    objects.mkdir(parents=True)
    with rasterio.open(
        objects / "data.tif", "w", driver="GTiff", width=700, height=500, count=1, dtype="uint16",
        crs="EPSG:32632", transform=from_origin(500000, 5300000, 2, 3), tiled=True, blockxsize=128,
        blockysize=128,
    ) as dataset:  # fmt: skip
        dataset.write(np.random.default_rng(1).integers(0, 60000, (1, 500, 700), "uint16"))
    (objects / "digits.bin").write_bytes(bytes(range(100)))
    with (objects / "large.bin").open("wb") as stream:
        stream.truncate(LARGE_BYTES)
    (objects / "page.html").write_bytes(HTML)
    (objects / "picture.svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
    (objects / "link.tif").symlink_to("/etc/passwd")
    (home / "data" / "away").symlink_to("/etc")
    os.mkfifo(objects / "pipe.tif")
    share.token(found, "run", (RUN, "log.txt"), timedelta(hours=1))  # so that there is a key
    catalog.open_catalog(found).put([
        item("scene", (objects / "data.tif").as_uri(), title='Nord "Süd"/\r\n2024.tif'),
        item("digits", str(objects / "digits.bin")), item("large", str(objects / "large.bin")),
        item("page", str(objects / "page.html")), item("svg", str(objects / "picture.svg")),
        item("link", str(objects / "link.tif")), item("away", str(home / "data/away/passwd")),
        item("pipe", str(objects / "pipe.tif")), item("folder", str(objects)),
        item("outside", "/etc/passwd"), item("key", str(home / "share.key")),
        item("ledger", str(home / "ledger.db")), item("private", str(home / "runs/.private/x/log.txt")),
        item("dots", f"{home}/data/../share.key"), item("elsewhere", "https://example.test/a.tif"),
        item("gone", str(objects / "gone.tif")),
    ])  # fmt: skip
    folder = home / "runs" / "04_detect" / "0123456789abcdef"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "a b ü.png").write_bytes(PNG)
    (folder / "fake.png").write_bytes(HTML)
    (folder / "page.html").write_bytes(HTML)
    (folder / "log.txt").write_text("done\n")
    (folder / ".hidden").write_text("no")
    (folder / "link.txt").symlink_to("/etc/passwd")
    (folder / "out").symlink_to("/etc")
    private = home / "runs" / ".private" / RUNNING
    private.mkdir(parents=True)
    (private / "log.txt").write_text("at work\n")
    (private / "source.ipynb").write_text("{}")
    (private / "half.tif").write_bytes(b"II*\0")
    (private / "before.png").write_bytes(PNG)
    ledger = open_ledger(found)
    ledger.put(Record(RUN, "04_detect", "0" * 64, state="succeeded", folder=str(folder)))
    ledger.put(Record(RUNNING, "04_detect", "1" * 64))
    return found


@pytest.fixture(scope="module")
def server(
    workspace: settings.Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[serving.Server]:
    with serving.serve(workspace.home, tmp_path_factory.mktemp("server"), base_url="/user/ann/") as running:
        yield running


def raw(server: serving.Server, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """The path exactly as it is given: httpx would tidy dots away."""
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=30)
    connection.request(
        "GET", server.base_url + path, headers={"Authorization": f"token {server.token}"} | headers
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def line(answer: httpx.Response) -> str:
    message = json.loads(answer.content)["message"]
    assert "\n" not in message
    return message


# ---------------------------------------------------------------- whole files


def test_an_asset_comes_whole_under_its_title_and_is_never_run(server, workspace):
    answer = server.get("geolab/assets/town/scene/data")
    assert answer.status_code == 200
    assert answer.content == (workspace.home / "data/ab/digest/data.tif").read_bytes()
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Nord _S_d____2024.tif\"; filename*=UTF-8''Nord%20_S%C3%BCd____2024.tif"
    )
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "image/tiff"
    for name in ("page", "svg"):
        headers = server.get(f"geolab/assets/town/{name}/data").headers
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]


def test_head_says_what_get_would_send(server):
    url, headers = server.url + "geolab/assets/town/digits/data", {"Authorization": f"token {server.token}"}
    said = httpx.head(url, headers=headers | {"Range": "bytes=0-3"}, trust_env=False)
    sent = httpx.get(url, headers=headers, trust_env=False)
    assert (said.status_code, said.content, len(sent.content)) == (200, b"", 100)
    for name in ("content-length", "etag", "last-modified", "content-type", "content-disposition"):
        assert said.headers[name] == sent.headers[name]


def test_a_large_file_passes_in_pieces(server):
    (process,) = [
        c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port(server)
    ]
    memory = psutil.Process(process.pid).memory_info
    before, most, got = memory().rss, 0, 0
    headers = {"Authorization": f"token {server.token}"}
    url = server.url + "geolab/assets/town/large/data"
    with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=60) as answer:
        for piece in answer.iter_bytes(1 << 20):
            got += len(piece)
            most = max(most, memory().rss) if got % (16 << 20) < (1 << 20) else most
    assert got == LARGE_BYTES
    assert most - before < 60_000_000


def port(server: serving.Server) -> int:
    return int(server.origin.rsplit(":", 1)[1])


@pytest.mark.parametrize(
    "name",
    ["link", "away", "pipe", "folder", "outside", "key", "ledger", "private", "dots", "gone", "nothing"],
)
def test_what_is_no_plain_file_of_the_workspace_is_not_found(server, name):
    answer = server.get(f"geolab/assets/town/{name}/data")
    assert answer.status_code == 404
    assert line(answer)
    assert b"root:" not in answer.content


def test_a_file_of_another_server_is_named_and_not_fetched(server):
    answer = server.get("geolab/assets/town/elsewhere/data")
    assert answer.status_code == 400
    assert "https://example.test/a.tif" in line(answer)


@pytest.mark.parametrize("query", ["?x=1", "?path=/etc/passwd", "?bbox=1&bbox=2"])
def test_unknown_parameters_are_refused(server, query):
    answer = server.get(f"geolab/assets/town/digits/data{query}")
    assert answer.status_code == 400
    assert "expected" in line(answer)


# ---------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    "asked, start, stop",
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("90-", 90, 100),
        ("-7", 93, 100),
        ("95-2000", 95, 100),
        ("-500", 0, 100),
    ],
)
def test_one_range_is_sent_as_such(server, asked, start, stop):
    answer = server.get("geolab/assets/town/digits/data", headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == bytes(range(100))[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/100"


def test_several_ranges_come_in_parts(server):
    answer = server.get("geolab/assets/town/digits/data", headers={"Range": "bytes=0-3, 50-51,-2"})
    assert answer.status_code == 206
    assert int(answer.headers["content-length"]) == len(answer.content)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parsed = BytesParser().parsebytes(head + answer.content)
    parts = parsed.get_payload()
    assert isinstance(parts, list)
    found = {}
    for part in parts:
        assert isinstance(part, Message)
        found[part["Content-Range"]] = part.get_payload(decode=True)
    whole = bytes(range(100))
    assert found == {
        "bytes 0-3/100": whole[:4], "bytes 50-51/100": whole[50:52], "bytes 98-99/100": whole[98:]
    }  # fmt: skip


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=-0", "bytes=200-300,400-"])
def test_a_range_behind_the_end_is_unsatisfiable(server, asked):
    answer = server.get("geolab/assets/town/digits/data", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-2", "bytes=a-b", "bytes", "lines=0-3", "bytes=-", "bytes=0-5,3-8", "bytes=" + "1-1," * 9999,
     "bytes=" + "0-0,2-2,4-4,6-6," * 5, "bytes=" + "9" * 40 + "-"],
)  # fmt: skip
def test_a_range_that_makes_no_sense_gets_the_whole_file(server, asked):
    answer = server.get("geolab/assets/town/digits/data", headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, 100)


def test_a_rest_is_only_sent_of_the_same_file(server):
    path = "geolab/assets/town/digits/data"
    headers = server.get(path).headers
    for same in (headers["etag"], headers["last-modified"]):
        assert server.get(path, headers={"Range": "bytes=5-", "If-Range": same}).status_code == 206
    for other in ('"else"', "W/" + headers["etag"], "Thu, 01 Jan 2004 00:00:00 GMT", "soon"):
        answer = server.get(path, headers={"Range": "bytes=5-", "If-Range": other})
        assert (answer.status_code, len(answer.content)) == (200, 100)


def test_conditions_are_kept(server):
    path = "geolab/assets/town/digits/data"
    headers = server.get(path).headers
    tag, date = headers["etag"], headers["last-modified"]
    old = "Thu, 01 Jan 2004 00:00:00 GMT"
    expected = [
        ({"If-None-Match": tag}, 304), ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": "*"}, 304), ({"If-Modified-Since": date}, 304), ({"If-Modified-Since": old}, 200),
        ({"If-Modified-Since": "never"}, 200), ({"If-None-Match": '"x"', "If-Modified-Since": date}, 200),
        ({"If-Match": tag}, 200), ({"If-Match": '"x"'}, 412), ({"If-Match": "*"}, 200),
        ({"If-Unmodified-Since": old}, 412), ({"If-Unmodified-Since": date}, 200),
    ]  # fmt: skip
    for asked, status in expected:
        assert server.get(path, headers=asked).status_code == status, asked


@given(st.text(alphabet="0123456789-, b=ytes", max_size=40), st.integers(0, 200))
def test_ranges_lie_in_the_file_and_never_overlap(header: str, total: int):
    try:
        found = ranges.spans(header, total)
    except ranges.Unsatisfiable:
        return
    assert all(0 <= span.start < span.stop <= total for span in found)
    covered = [byte for span in found for byte in range(span.start, span.stop)]
    assert len(covered) == len(set(covered))


def test_rasterio_opens_a_download_by_its_address(server, workspace):
    options = {
        "GDAL_HTTP_HEADERS": f"Authorization: token {server.token}",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "CPL_VSIL_CURL_USE_HEAD": "YES", "GDAL_HTTP_MAX_RETRY": "0",
    }  # fmt: skip
    with rasterio.Env(**options), rasterio.open(f"{server.url}geolab/assets/town/scene/data") as dataset:
        window = dataset.read(1, window=((400, 480), (600, 690)))
    with rasterio.open(workspace.home / "data/ab/digest/data.tif") as dataset:
        assert np.array_equal(window, dataset.read(1)[400:480, 600:690])


# ---------------------------------------------------------------- runs


def test_a_figure_of_a_run_may_be_shown_and_a_page_named_so_may_not(server):
    answer = server.get(f"geolab/runs/{RUN}/figures/a%20b%20%C3%BC.png")
    assert (answer.status_code, answer.content) == (200, PNG)
    assert answer.headers["content-disposition"] == (
        "inline; filename=\"a b _.png\"; filename*=UTF-8''a%20b%20%C3%BC.png"
    )
    for name in ("fake.png", "page.html", "log.txt"):
        headers = server.get(f"geolab/runs/{RUN}/{name}").headers
        assert headers["content-disposition"].startswith("attachment")
        assert "sandbox" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    ["../0123456789abcdef/log.txt", "..%2f..%2f..%2fshare.key", "%2e%2e/%2e%2e/%2e%2e/share.key",
     "figures/../log.txt", "figures%2f..%2flog.txt", "./log.txt", "%2e/log.txt", "log.txt/", "/log.txt",
     "%2fetc%2fpasswd", ".hidden", "link.txt", "out/passwd", "figures", "log.txt%00.png", "log.txt%0a",
     "..%5c..%5cshare.key", "%c0%ae%c0%ae/log.txt", "%252e%252e/log.txt", "x" * 4000, "a/" * 1500 + "b"],
)  # fmt: skip
def test_a_name_finds_only_what_the_folder_lists(server, name):
    answer, body = raw(server, f"geolab/runs/{RUN}/{name}")
    assert answer.status in (400, 404)
    assert b"root:" not in body
    assert b"done" not in body


@pytest.mark.parametrize("run", ["..", "%2e%2e", RUN[:8], RUN + "0", "x" * 1000, RUN.upper(), "*", "%00"])
def test_a_run_is_known_by_its_whole_id_only(server, run):
    answer, body = raw(server, f"geolab/runs/{run}/log.txt")
    assert answer.status in (400, 404)
    assert b"done" not in body


def test_of_a_run_at_work_only_log_and_pictures_are_sent(server):
    assert server.get(f"geolab/runs/{RUNNING}/log.txt").text == "at work\n"
    assert server.get(f"geolab/runs/{RUNNING}/before.png").content == PNG
    for name in ("half.tif", "source.ipynb"):
        answer = server.get(f"geolab/runs/{RUNNING}/{name}")
        assert answer.status_code == 404
        assert "not done yet" in line(answer)


def test_without_login_nothing_is_sent(server):
    for path in (
        "assets/town/digits/data",
        f"runs/{RUN}/log.txt",
        "upload",
        "clip/town/scene/data.tif?bbox=0,0,1,1",
    ):
        assert server.get(f"geolab/{path}", token=False).status_code == 403


@given(st.text(max_size=60))
def test_a_name_for_saving_can_hold_anything(name: str):
    header = files.disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


# ---------------------------------------------------------------- clips


def test_a_clip_has_the_pixels_and_the_place_of_the_raster(server, workspace):
    with rasterio.open(workspace.home / "data/ab/digest/data.tif") as whole:
        pixels, transform = whole.read(1), whole.transform
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    west, north = to_degrees.transform(500000 + 2 * 100.5, 5300000 - 3 * 50.5)
    east, south = to_degrees.transform(500000 + 2 * 220.5, 5300000 - 3 * 130.5)
    answer = server.get(f"geolab/clip/town/scene/data.tif?bbox={west},{south},{east},{north}")
    assert answer.status_code == 200
    assert 'filename="Nord _S_d____2024 clip.tif"' in answer.headers["content-disposition"]
    with MemoryFile(answer.content) as memory, memory.open() as part:
        column, row = (round(v) for v in (~transform) @ (part.transform.c, part.transform.f))
        assert np.array_equal(part.read(1), pixels[row : row + part.height, column : column + part.width])
        assert part.crs == "EPSG:32632"
        assert 120 <= part.width <= 124
        assert 80 <= part.height <= 84
    assert not list(Path(tempfile.gettempdir()).glob("geolab-clip-*/clip.tif"))


@pytest.mark.parametrize(
    "query, status, words",
    [
        ("bbox=1,2,3", 400, "west,south,east,north"),
        ("bbox=9,47,8,48", 400, "west < east"),
        ("bbox=nan,0,1,1", 400, "west,south,east,north"),
        ("bbox=-181,0,1,1", 400, "west,south,east,north"),
        ("bbox=0,0,1,1", 400, "beside the raster"),
        ("bbox=8,47,9,48&bbox=8,47,9,48", 400, "2 values"),
        ("bbox=8,47,9,48&path=/etc", 400, "path"),
        ("bbox=" + "1" * 5000, 400, "west,south,east,north"),
    ],
)
def test_a_box_that_is_none_is_refused(server, query, status, words):
    answer = server.get(f"geolab/clip/town/scene/data.tif?{query}")
    assert answer.status_code == status
    assert words in line(answer)


def test_only_rasters_are_clipped(server):
    assert server.get("geolab/clip/town/digits/data.tif?bbox=8,47,9,48").status_code == 422
    assert server.get("geolab/clip/town/nothing/data.tif?bbox=8,47,9,48").status_code == 404


# ---------------------------------------------------------------- share links


def test_a_share_link_gives_one_file_without_login(server, workspace):
    asset = share.token(workspace, "asset", ("town", "digits", "data"), timedelta(hours=1))
    figure = share.token(workspace, "run", (RUN, "figures/a b ü.png"), timedelta(days=7))
    answer = server.get(f"geolab/shared/{asset}", token=False, headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (206, b"\1\2")
    answer = server.get(f"geolab/shared/{figure}", token=False)
    assert (answer.status_code, answer.content) == (200, PNG)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "set-cookie" not in answer.headers


def test_a_link_that_is_over_or_forged_gives_one_line(server, workspace, monkeypatch):
    with monkeypatch.context() as past:
        now = share.time.time()
        past.setattr(share.time, "time", lambda: now - 7200)
        old = share.token(workspace, "asset", ("town", "digits", "data"), timedelta(hours=1))
    answer = server.get(f"geolab/shared/{old}", token=False)
    assert answer.status_code == 403
    assert "over" in line(answer)
    good = share.token(workspace, "asset", ("town", "digits", "data"), timedelta(hours=1))
    text, _, signature = good.partition(".")
    other = old.partition(".")[0]
    for forged in (f"{text}.{signature[:-1]}", f"{text[:-2]}AA.{signature}", text, f"{other}.{signature}",
                   f"{text}.", f".{signature}"):  # fmt: skip
        answer = server.get(f"geolab/shared/{forged}", token=False)
        assert answer.status_code == 404
        assert line(answer)


def test_a_link_to_what_is_not_sent_anyway_gives_nothing(server, workspace):
    for names in (("town", "outside", "data"), ("town", "key", "data"), ("town", "link", "data")):
        token = share.token(workspace, "asset", names, timedelta(hours=1))
        assert server.get(f"geolab/shared/{token}", token=False).status_code == 404
    token = share.token(workspace, "run", (RUN, "../../../share.key"), timedelta(hours=1))
    assert server.get(f"geolab/shared/{token}", token=False).status_code == 404


def test_many_downloads_at_once_are_all_whole(server):
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(server.get("geolab/assets/town/scene/data").content))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert len(set(found)) == 1


def test_the_server_log_holds_no_traceback(server):
    assert "Traceback" not in server.log.read_text()
