"""Uploads over HTTP, below a hub's path: by friends, by many at once, and by others."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import geolab_serving as serving
import httpx
import numpy as np
import psutil
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from geolab import settings
from geolab.ingest import uploads
from geolab.ingest.sources import plan

CAP_MB = 3


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    home = tmp_path_factory.mktemp("workspace")
    (home / "geolab.toml").write_text(f"largest_upload_mb = {CAP_MB}\n")
    half = home / "uploads" / ".part-dead"
    half.mkdir(parents=True)
    (half / ".raw").write_bytes(b"half")
    return settings.load(home, environ={})


@pytest.fixture(scope="module")
def server(
    workspace: settings.Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[serving.Server]:
    with serving.serve(workspace.home, tmp_path_factory.mktemp("server"), base_url="/user/ann/") as running:
        yield running


@pytest.fixture(scope="module")
def scene() -> bytes:
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=700, height=900, count=2, dtype="uint16", crs="EPSG:32632",
            transform=from_origin(500000, 5300000, 2, 3),
        ) as dataset:  # fmt: skip
            dataset.write(np.random.default_rng(3).integers(0, 9000, (2, 900, 700), "uint16"))
        return bytes(memory.getbuffer())


def send(
    server: serving.Server, query: str, data: object, *, method: str = "POST", **headers: str
) -> httpx.Response:
    return httpx.request(
        method, f"{server.url}geolab/upload{query}", content=data, timeout=60, trust_env=False,  # type: ignore[arg-type]
        headers={"Authorization": f"token {server.token}"} | headers,
    )  # fmt: skip


def line(answer: httpx.Response) -> str:
    message = json.loads(answer.content)["message"]
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def left(workspace: settings.Settings) -> set[str]:
    return {p.name for p in uploads.root(workspace).iterdir()}


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.02)


def test_what_a_killed_server_left_is_gone_when_the_next_starts(server, workspace):
    assert ".part-dead" not in left(workspace)


def test_a_file_arrives_byte_for_byte_by_post_and_by_put(server, workspace, scene):
    for method, query in (("POST", "?name=Nord%202024.tif"), ("PUT", "/Nord%202024.tif")):
        answer = send(server, query, scene, method=method)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert told["name"] == "Nord 2024.tif"
        assert (told["size"], told["sha256"]) == (len(scene), hashlib.sha256(scene).hexdigest())
        assert uploads.path(workspace, told["id"]).read_bytes() == scene


def test_a_body_of_unknown_length_arrives_too(server, workspace, scene):
    pieces = (scene[i : i + 70_000] for i in range(0, len(scene), 70_000))
    told = send(server, "?name=a.tif", pieces).json()
    assert uploads.path(workspace, told["id"]).read_bytes() == scene


def test_many_at_once_are_kept_apart(server, workspace, scene):
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda i: send(server, f"?name={i}.tif", scene).json(), range(16)))
    assert len({one["id"] for one in told}) == 16
    assert [one["name"] for one in told] == [f"{i}.tif" for i in range(16)]
    assert all(uploads.path(workspace, one["id"]).stat().st_size == len(scene) for one in told)


def test_a_login_and_the_cookie_of_the_page_are_needed(server, workspace, scene):
    before = left(workspace)
    url = f"{server.url}geolab/upload?name=a.tif"
    assert httpx.post(url, content=scene, trust_env=False).status_code == 403
    with httpx.Client(trust_env=False) as browser:
        browser.get(f"{server.url}login?token={server.token}")
        browser.get(f"{server.url}tree", params={"token": server.token})
        assert browser.get(f"{server.url}api/status").status_code == 200, "the session is logged in"
        answer = browser.post(url, content=scene)
        assert answer.status_code == 403
        assert "XSRF" in line(answer) or "_xsrf" in line(answer)
        assert left(workspace) == before
        token = next(c.value for c in browser.cookies.jar if c.name == "_xsrf")
        answer = browser.post(url, content=scene, headers={"X-XSRFToken": str(token)})
        assert answer.status_code == 201, answer.text
        other = {"X-XSRFToken": str(token), "Origin": "https://elsewhere.test"}
        assert browser.post(url, content=scene, headers=other).status_code in (403, 404)


@pytest.mark.parametrize(
    "query, status, words",
    [
        ("", 400, "no name"),
        ("?name=", 400, "no name"),
        ("?name=a.tif&name=b.tif", 400, "2 values"),
        ("?name=a.tif&path=/etc", 400, "path"),
        ("?file=a.tif", 400, "file"),
    ],
)
def test_an_upload_has_one_name(server, workspace, scene, query, status, words):
    before = left(workspace)
    answer = send(server, query, scene)
    assert answer.status_code == status
    assert words in line(answer)
    assert left(workspace) == before


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fcron.tif", "%2e%2e%5cx.tif", "/abs/x.tif", ".x.tif", "a%00b.tif"]
)
def test_a_name_leads_nowhere(server, workspace, scene, name):
    answer = send(server, f"?name={name}", scene)
    assert answer.status_code in (201, 400)
    if answer.status_code == 201:
        path = uploads.path(workspace, answer.json()["id"])
        assert path.parent.parent == uploads.root(workspace)
        assert not path.name.startswith(".")
    found = [p for p in workspace.home.rglob("*.tif") if uploads.root(workspace) not in p.parents]
    assert found == []


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("page.tif", b"<!doctype html><script>alert(1)</script>", "web page"),
        ("x.tif", b"", "empty"),
        ("x.exe", b"MZ" + bytes(500), "raster format"),
        ("x.zip", zipped({"a.tif": bytes(4_000_000)}), "unpacks to more than 3 MB"),
        ("x.zip", zipped({"../../a.tif": b"II*\0"}), "leads out"),
        ("x.zip", zipped({"a/b/c.tif": b"II*\0"}), "folders in folders"),
        ("plan.vrt", b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", "VRT"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line_and_removed(server, workspace, name, data, words):
    before = left(workspace)
    answer = send(server, f"?name={name}", data)
    assert answer.status_code == 422
    assert words in line(answer)
    assert left(workspace) == before


def test_a_zip_of_scenes_becomes_what_ingest_takes(server, workspace):
    small = []
    for value in (1, 2):
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff", width=9, height=7, count=1, dtype="uint8", crs="EPSG:32632",
                transform=from_origin(500000, 5300000, 2, 3),
            ) as dataset:  # fmt: skip
                dataset.write(np.full((1, 7, 9), value, "uint8"))
            small.append(bytes(memory.getbuffer()))
    told = send(server, "?name=two.zip", zipped({"w/1.tif": small[0], "w/2.tif": small[1]})).json()
    assert [c.name for c in plan(uploads.path(workspace, told["id"]))] == ["1.tif", "2.tif"]


def test_a_form_is_not_taken_for_a_file(server):
    answer = send(server, "?name=a.tif", b"--x\r\n", **{"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400
    assert "the file itself" in line(answer)


# ---------------------------------------------------------------- too much


def memory_of(server: serving.Server) -> int:
    port = int(server.origin.rsplit(":", 1)[1])
    (found,) = [c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port]
    return psutil.Process(found.pid).memory_info().rss


def test_a_stream_of_3_gb_is_stopped_at_the_limit(server, workspace):
    before, memory, sent = left(workspace), memory_of(server), 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(3000):
            sent += 1_000_000
            yield bytes(1_000_000)

    try:
        answer = send(server, "?name=a.tif", endless())
    except httpx.TransportError:
        pass  # the connection was closed before all was sent
    else:
        assert answer.status_code == 413
        assert f"at most {CAP_MB} MB" in line(answer)
    wait(lambda: left(workspace) == before)
    assert memory_of(server) - memory < 60_000_000


@pytest.mark.parametrize(
    "length, status", [("3000000000", 413), ("3000001", 413), ("9" * 25, 413), ("9" * 6000, 413)]
)
def test_an_announced_size_is_refused_before_the_first_byte(server, workspace, length, status):
    before = left(workspace)
    head, message = begin(server, f"Content-Length: {length}")
    assert f" {status} " in head
    assert f"at most {CAP_MB} MB" in message
    assert left(workspace) == before


def test_the_usual_limit_is_2_gb(tmp_path):
    assert uploads.largest_bytes(settings.load(tmp_path, environ={})) == 2_000_000_000


def begin(server: serving.Server, *headers: str) -> tuple[str, str]:
    """The answer to the head of a request whose body never comes."""
    host, port = server.origin.removeprefix("http://").split(":")
    lines = [f"POST {server.base_url}geolab/upload?name=a.tif HTTP/1.1", f"Host: {host}:{port}",
             f"Authorization: token {server.token}", *headers, "", ""]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        data = b""
        while b"}" not in data:
            piece = connection.recv(4096)
            assert piece, data
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    told, _ = json.JSONDecoder().raw_decode(body.decode())
    return head.decode(), told["message"]


def test_curl_asks_first_and_is_told(server):
    head, message = begin(server, "Content-Length: 3000000000", "Expect: 100-continue")
    assert head.startswith("HTTP/1.1 413")
    assert "at most" in message


def test_half_an_upload_goes_with_its_sender(server, workspace):
    before = left(workspace)
    host, port = server.origin.removeprefix("http://").split(":")
    lines = [f"POST {server.base_url}geolab/upload?name=a.tif HTTP/1.1", f"Host: {host}:{port}",
             f"Authorization: token {server.token}", "Content-Length: 2900000", "", ""]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + bytes(1_500_000))
        wait(lambda: any((uploads.root(workspace) / n / ".raw").exists() for n in left(workspace) - before))
    wait(lambda: left(workspace) == before)


def test_a_page_can_still_upload_after_all_that(server, scene):
    assert send(server, "?name=a.tif", scene).status_code == 201
    assert "Traceback" not in server.log.read_text()
