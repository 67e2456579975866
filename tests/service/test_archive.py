"""The archive's STAC API, asked by real clients: pystac-client, odc-stac, rasterio, bare sockets."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyogrio
import pystac_client
import pytest
import rasterio

from geolab.errors import BadInput
from geolab.service import archive

COLLECTION = "sentinel-2-l2a"


@pytest.fixture(scope="module")
def server(archives, tiny_archive: Path) -> Iterator[Any]:
    with archives.served(tiny_archive) as running:
        yield running


@pytest.fixture(scope="module")
def documents(tiny_archive: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(tiny_archive.glob(f"{COLLECTION}/*/*/*.json"))]


def get(server: Any, path: str, **options: Any) -> httpx.Response:
    return httpx.get(server.url + path, timeout=30, trust_env=False, **options)


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [feature["id"] for feature in response.json()["features"]]


# ---------------------------------------------------------------- search


def test_pystac_client_finds_by_place_time_and_cloud(server: Any, tiny_archive: Path, documents: list[dict]):
    client = pystac_client.Client.open(server.url)
    assert [c.id for c in client.get_collections()] == [COLLECTION]
    cell = pyogrio.read_dataframe(tiny_archive / "grid.gpkg").iloc[0]
    found = client.search(
        collections=[COLLECTION],
        intersects=cell.geometry.__geo_interface__,
        datetime="2021-06-01/2021-08-31",
        query={"eo:cloud_cover": {"lt": 50}},
        sortby=[{"field": "properties.datetime", "direction": "asc"}],
        limit=2,
    )
    items = list(found.items())
    expected = [
        d["id"]
        for d in documents
        if "2021-06" <= d["properties"]["datetime"][:7] <= "2021-08"
        and d["properties"]["eo:cloud_cover"] < 50
        and cell.geometry.intersects(shape_of(d))
    ]
    assert expected
    assert sorted(item.id for item in items) == sorted(expected)
    assert [i.datetime for i in items] == sorted(i.datetime for i in items if i.datetime)
    assert found.matched() == len(expected)


def shape_of(document: dict) -> Any:
    import shapely

    return shapely.geometry.shape(document["geometry"])


def test_pystac_client_reads_what_the_files_say(server: Any, documents: list[dict]):
    client = pystac_client.Client.open(server.url)
    given = documents[5]
    item = client.get_collection(COLLECTION).get_item(given["id"])
    assert item is not None
    assert item.properties == given["properties"]
    for name, asset in given["assets"].items():
        read = item.assets[name].to_dict()
        assert read.pop("href") == f"{server.url}/assets/{COLLECTION}/{given['id']}/{name}.tif"
        assert read == {key: value for key, value in asset.items() if key != "href"}


def test_get_and_post_answer_the_same(server: Any, documents: list[dict]):
    box, two = documents[0]["bbox"], [documents[3]["id"], documents[1]["id"]]
    newest = [{"field": "properties.datetime", "direction": "desc"}]
    as_json = {"filter-lang": "cql2-json"}
    cql = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 40]}
    asked = [
        ({"collections": [COLLECTION], "bbox": box},
         {"collections": COLLECTION, "bbox": ",".join(map(str, box))}),
        ({"ids": two}, {"ids": ",".join(two)}),
        ({"datetime": "2022-01-01/.."}, {"datetime": "2022-01-01/.."}),
        ({"intersects": documents[0]["geometry"]}, {"intersects": json.dumps(documents[0]["geometry"])}),
        ({"query": {"eo:cloud_cover": {"gte": 10, "lt": 60}}},
         {"query": json.dumps({"eo:cloud_cover": {"gte": 10, "lt": 60}})}),
        ({"filter": cql}, {"filter": "eo:cloud_cover < 40"}),
        ({"filter": cql, **as_json}, {"filter": json.dumps(cql), **as_json}),
        ({"filter": cql, "query": {"platform": {"eq": "sentinel-2a"}}},
         {"filter": "eo:cloud_cover < 40 AND platform = 'sentinel-2a'"}),
        ({"sortby": newest}, {"sortby": "-properties.datetime"}),
    ]  # fmt: skip
    for body, parameters in asked:
        posted = httpx.post(f"{server.url}/search", json=body, timeout=30, trust_env=False)
        assert ids(posted) == ids(get(server, "/search", params=parameters)), body
        assert 0 < len(ids(posted)) <= len(documents)


@pytest.mark.parametrize(
    "query, keep",
    [
        ({"platform": {"neq": "sentinel-2a"}}, lambda p: p["platform"] != "sentinel-2a"),
        ({"mgrs:grid_square": {"in": ["QU", "UP"]}}, lambda p: p["mgrs:grid_square"] in ("QU", "UP")),
        ({"grid:code": {"startsWith": "MGRS-33"}}, lambda p: p["grid:code"].startswith("MGRS-33")),
        ({"grid:code": {"endsWith": "UQV"}}, lambda p: p["grid:code"].endswith("UQV")),
        ({"s2:product_uri": {"contains": "_N0301_"}}, lambda p: "_N0301_" in p["s2:product_uri"]),
        ({"s2:product_uri": {"contains": "N%"}}, lambda p: False),
    ],
)
def test_operators_of_query(server: Any, documents: list[dict], query: dict, keep: Any):
    found = ids(httpx.post(f"{server.url}/search", json={"query": query, "limit": 500}, trust_env=False))
    assert sorted(found) == sorted(d["id"] for d in documents if keep(d["properties"]))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_hold_every_item_once(server: Any, documents: list[dict], method: str):
    client = pystac_client.Client.open(server.url)
    pages = list(client.search(collections=[COLLECTION], limit=7, method=method).pages())
    assert [len(page.items) for page in pages[:-1]] == [7] * (len(pages) - 1)
    found = [item.id for page in pages for item in page.items]
    assert sorted(found) == sorted(d["id"] for d in documents)


def test_items_of_a_collection_come_in_pages_too(server: Any, documents: list[dict]):
    path, found = f"/collections/{COLLECTION}/items?limit=20", []
    while path:
        page = get(server, path)
        found += ids(page)
        assert page.headers["content-type"] == "application/geo+json"
        follow = [link["href"] for link in page.json()["links"] if link["rel"] == "next"]
        path = follow[0].removeprefix(server.url) if follow else ""
    assert sorted(found) == sorted(d["id"] for d in documents)


def test_the_landing_page_leads_everywhere(server: Any):
    landing = get(server, "/").json()
    assert "https://api.stacspec.org/v1.0.0/item-search" in landing["conformsTo"]
    for link in landing["links"]:
        assert link["href"].startswith(server.url)
        assert httpx.get(link["href"], trust_env=False).status_code == 200
    assert get(server, "/conformance").json()["conformsTo"] == landing["conformsTo"]
    served = {route.partition("{")[0].rstrip("/") or "/" for route in get(server, "/api").json()["paths"]}
    assert all(get(server, path).status_code in (200, 404) for path in served)
    collection = get(server, f"/collections/{COLLECTION}").json()
    assert get(server, "/collections").json()["collections"] == [collection]
    assert all(httpx.get(link["href"], trust_env=False).status_code == 200 for link in collection["links"])


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "a,b,c,d"}, "bbox"),
        ({"datetime": "yesterday"}, "datetime"),
        ({"intersects": "{"}, "intersects"),
        ({"intersects": '{"type": "Cube"}'}, "intersects"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"query": '{"eo:cloud_cover": {"near": 3}}'}, "query"),
        ({"query": "[]", "limit": "x"}, "limit"),
        ({"query": '["a"]'}, "query"),
        ({"filter": "eo:cloud_cover <"}, "filter"),
        ({"token": "abc"}, "token"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(server: Any, parameters: dict, words: str):
    response = get(server, "/search", params=parameters)
    assert response.status_code == 400
    assert words in response.json()["description"]
    assert "\n" not in response.json()["description"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000, b"{}" + b" " * 1_000_001])
def test_a_body_that_is_no_search_is_refused(server: Any, body: bytes):
    response = httpx.post(f"{server.url}/search", content=body, trust_env=False, timeout=30)
    assert response.status_code == 400
    assert response.json()["description"]


@pytest.mark.parametrize(
    "path",
    ["/collections/none", f"/collections/{COLLECTION}/items/none", "/collections/none/items", "/nothing",
     f"/assets/{COLLECTION}/none/red.tif"],
)  # fmt: skip
def test_what_is_not_there_is_404(server: Any, path: str):
    assert get(server, path).status_code == 404


def test_a_very_large_limit_is_cut(server: Any, documents: list[dict]):
    assert len(ids(get(server, "/search?limit=999999"))) == len(documents)


# ---------------------------------------------------------------- pixels


def test_odc_stac_reads_a_cell_by_range_requests(server: Any, tiny_archive: Path):
    import odc.stac
    from affine import Affine
    from odc.geo.geobox import GeoBox

    cell = pyogrio.read_dataframe(tiny_archive / "grid.gpkg").iloc[0]
    place = Affine(10, 0, cell.xmin, 0, -10, cell.ymax)
    box = GeoBox((cell.height, cell.width), place, f"EPSG:{cell.epsg}")
    client = pystac_client.Client.open(server.url)
    search = client.search(
        intersects=cell.geometry.__geo_interface__,
        datetime="2022-06-01/2022-08-31",
        query={"proj:code": {"eq": f"EPSG:{cell.epsg}"}},
    )
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # odc-geo 0.5.3 on shapely 2.2
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # and on affine 3.1
        cube = odc.stac.load(search.items(), bands=["red", "swir16", "scl"], geobox=box, groupby="solar_day")
    clear = np.isin(cube.scl.values, [4, 5, 6, 7, 11])
    with rasterio.open(tiny_archive / f"truth/{cell.id}-2022-looks.tif") as dataset:
        looks = dataset.read(1)
    assert np.array_equal(clear.sum(axis=0), looks)
    with rasterio.open(tiny_archive / f"truth/{cell.id}-2022.tif") as dataset:
        composite = dataset.read()
    often = looks >= 3
    for band, number in (("red", 2), ("swir16", 4)):
        values = np.where(clear, cube[band].values * 1e-4 - 0.1, np.nan)[:, often]
        assert np.abs(np.nanmedian(values, axis=0) - composite[number][often]).max() < 0.012


def test_gdal_reads_windows_as_from_the_file(server: Any, tiny_archive: Path, documents: list[dict]):
    given = documents[2]
    name = f"{COLLECTION}/{given['properties']['datetime'][:4]}/{given['id']}/nir.tif"
    window = ((10, 31), (5, 22))
    with rasterio.open(tiny_archive / name) as local, rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        url = f"{server.url}/assets/{COLLECTION}/{given['id']}/nir.tif"
        with rasterio.open(url) as remote:
            assert remote.profile == local.profile
            assert np.array_equal(remote.read(1, window=window), local.read(1, window=window))


@pytest.fixture(scope="module")
def asset(server: Any, tiny_archive: Path, documents: list[dict]) -> tuple[str, bytes]:
    """An address, and the bytes that lie there."""
    given = documents[0]
    path = tiny_archive / COLLECTION / given["properties"]["datetime"][:4] / given["id"] / "red.tif"
    return f"/assets/{COLLECTION}/{given['id']}/red.tif", path.read_bytes()


def test_ranges_are_answered_exactly(server: Any, asset: tuple[str, bytes]):
    path, data = asset
    size = len(data)
    whole = get(server, path)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "image/tiff"
    for asked, first, last in [
        ("bytes=0-99", 0, 99), ("bytes=100-", 100, size - 1), ("bytes=-7", size - 7, size - 1),
        (f"bytes={size - 1}-{size + 500}", size - 1, size - 1), ("bytes=5-5", 5, 5),
    ]:  # fmt: skip
        part = get(server, path, headers={"Range": asked})
        assert part.status_code == 206
        assert part.content == data[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    several = get(server, path, headers={"Range": "bytes=0-3,10-13"})
    assert several.status_code == 206
    assert data[:4] in several.content
    assert data[10:14] in several.content


def test_a_range_beyond_the_end_is_416(server: Any, asset: tuple[str, bytes]):
    path, data = asset
    response = get(server, path, headers={"Range": f"bytes={len(data)}-"})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(data)}"


def test_if_range_gives_the_part_only_of_the_same_file(server: Any, asset: tuple[str, bytes]):
    path, data = asset
    tag = get(server, path).headers["etag"]
    same = get(server, path, headers={"Range": "bytes=0-9", "If-Range": tag})
    other = get(server, path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (same.status_code, same.content) == (206, data[:10])
    assert (other.status_code, other.content) == (200, data)


def test_head_tells_the_size_without_the_bytes(server: Any, asset: tuple[str, bytes]):
    path, data = asset
    response = httpx.head(server.url + path, trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-length"] == str(len(data))
    assert response.content == b""


def test_many_readers_at_once_get_what_they_asked_for(server: Any, asset: tuple[str, bytes]):
    path, data = asset
    wrong: list[int] = []

    def read(first: int) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            for start in range(first, len(data) - 50, 977):
                part = client.get(server.url + path, headers={"Range": f"bytes={start}-{start + 49}"})
                if part.content != data[start : start + 50]:
                    wrong.append(start)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---------------------------------------------------------------- hostile requests


def raw(server: Any, target: str, *, host: str = "") -> tuple[int, bytes]:
    """The status and answer to a request that no client library tidies up."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        name = host or f"127.0.0.1:{port}"
        wire.sendall(f"GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b""
        while part := wire.recv(65536):
            answer += part
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    "target",
    [
        "/assets/{c}/{i}/../../../../../../etc/passwd",
        "/assets/{c}/{i}/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/{c}/{i}/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/{c}/{i}/%2fetc%2fpasswd",
        "/assets//etc/passwd",
        "/assets/{c}/../../grid.gpkg",
        "/assets/{c}/{i}/{i}.json",
        "/assets/{c}/{i}/red.tif%00.json",
        "/assets/{c}/{i}/red.tif/",
        "/assets/{c}/{i}/RED.TIF",
        "/assets/{c}/{i}/.%2fred.tif",
        "/assets/{c}/{i}/%5c..%5cgrid.gpkg",
        "/assets/{c}%2f..%2f{c}/{i}/red.tif",
        "/{c}/2021/{i}/red.tif",
        "/grid.gpkg",
        "/README.txt",
        "/truth/changes.geojson",
        "//etc/passwd",
        "http://example.org/etc/passwd",
        "/collections/{c}/items/..%2f..%2fcatalog.json",
    ],
)
def test_nothing_but_assets_can_be_read(server: Any, documents: list[dict], target: str):
    status, answer = raw(server, target.format(c=COLLECTION, i=documents[0]["id"]))
    assert status in (400, 404, 307, 405), answer[:200]
    assert b"root:" not in answer
    assert b"II*\0" not in answer
    assert b"SQLite" not in answer


def test_other_names_of_this_machine_are_refused(server: Any):
    assert raw(server, "/", host="evil.example.org")[0] == 400


def test_only_loopback_is_served(server: Any):
    listening = psutil.Process(server.process.pid).net_connections(kind="inet")
    assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(server: Any, documents: list[dict], verb: str):
    path = f"/collections/{COLLECTION}/items/{documents[0]['id']}"
    assert httpx.request(verb, server.url + path, trust_env=False).status_code == 405


def test_links_out_of_the_archive_are_not_followed(archives, tiny_archive: Path, tmp_path: Path):
    folder = tmp_path / "archive"
    shutil.copytree(tiny_archive, folder)
    (tmp_path / "secret.tif").write_bytes(b"secret")
    assets = sorted(folder.glob(f"{COLLECTION}/*/*/red.tif"))
    with archives.served(folder) as server:
        assets[0].unlink()
        assets[0].symlink_to(tmp_path / "secret.tif")  # after the start
        assets[1].unlink()
        for path in assets[:2]:
            assert get(server, f"/assets/{COLLECTION}/{path.parent.name}/red.tif").status_code == 404
        kept = get(server, f"/assets/{COLLECTION}/{assets[2].parent.name}/red.tif")
        assert kept.content == assets[2].read_bytes()


@pytest.mark.parametrize(
    "href", ["../../../../secret.tif", "/etc/passwd", "file:///etc/passwd", "sub/../../../../../s"]
)
def test_an_archive_whose_documents_lead_out_of_it_is_refused(tiny_archive: Path, tmp_path: Path, href: str):
    folder = tmp_path / "archive"
    shutil.copytree(tiny_archive, folder)
    path = next(folder.glob(f"{COLLECTION}/*/*/*.json"))
    document = json.loads(path.read_text())
    document["assets"]["red"]["href"] = href
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"^archive: found the reference .* expected files in "):
        archive.serve(folder, ready=print)


# ---------------------------------------------------------------- the process


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "geolab", "town", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_although_a_client_holds_on(tiny_archive: Path, number: signal.Signals):
    with start(str(tiny_archive), "--serve") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(trust_env=False) as client:
            assert client.get(url).status_code == 200  # and keeps its connection open
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)  # 0.3 s on an idle machine
    assert (process.returncode, errors) == (0, "")


def test_a_download_under_way_does_not_hold_the_command_up(tiny_archive: Path):
    with start(str(tiny_archive), "--serve", "--json") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as wire:
            wire.sendall(
                b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
            )  # and waits
            time.sleep(0.3)
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_one_line(server: Any, tiny_archive: Path):
    port = server.url.rpartition(":")[2]
    with start(str(tiny_archive), "--serve", "--port", port) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert (
        errors == f"error: port: found {port} (Address already in use), expected a free port; 0 takes one\n"
    )


def test_a_folder_that_is_no_archive_is_one_line(tmp_path: Path):
    with pytest.raises(BadInput, match=r"make one: geolab town DIR --satellite$"):
        archive.serve(tmp_path, ready=print)
    (tmp_path / "catalog.json").write_text("[")
    with pytest.raises(BadInput, match="expected STAC as JSON"):
        archive.serve(tmp_path, ready=print)


# ---------------------------------------------------------------- faults that tests ask for


def test_faults_fail_so_often_and_then_no_more(archive_server: Any, documents: list[dict]):
    path = f"/assets/{COLLECTION}/{documents[0]['id']}/red.tif"
    other = f"/assets/{COLLECTION}/{documents[0]['id']}/nir.tif"
    archive_server.fail("/assets/*/red.tif", times=2)
    assert [get(archive_server, p).status_code for p in (path, other, path, path)] == [503, 200, 503, 200]
    archive_server.fail("/search", status=500)
    assert [get(archive_server, "/search").status_code for _ in range(3)] == [500] * 3
    archive_server.mend()
    assert get(archive_server, "/search").status_code == 200
