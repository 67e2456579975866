"""Downloads and share links of files in a bucket, on a real S3 server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import geolab_serving as serving
import httpx
import pytest
import s3fs

from geolab import catalog, settings, share, store
from geolab.catalog import items

WHOLE = bytes(range(256)) * 40_000  # 10 MB: more than two blocks


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("s3")
    (folder / "bucket").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("rclone"), "serve", "s3", "--auth-key", "key,secret"]
    command += ["--addr", f"127.0.0.1:{port}", "--config", os.devnull, folder]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            s3fs.S3FileSystem.clear_instance_cache()  # other tests have a server elsewhere
            yield "s3://bucket"
        finally:
            process.kill()
            process.wait()
            s3fs.S3FileSystem.clear_instance_cache()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


@pytest.fixture(scope="module")
def workspace(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    found = settings.load(tmp_path_factory.mktemp("workspace"), environ={})
    store.write_bytes(f"{bucket}/ab/data.tif", WHOLE)
    listed = [
        items.item(
            name, collection="town", geometry=None, datetime="2024-08-15T10:00:00Z",
            properties={"title": "Far away"}, assets={"data": {"href": f"{bucket}/ab/{name}.tif"}},
        )
        for name in ("data", "gone")
    ]  # fmt: skip
    catalog.open_catalog(found).put(listed)
    return found


@pytest.fixture(scope="module")
def server(
    workspace: settings.Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[serving.Server]:
    with serving.serve(workspace.home, tmp_path_factory.mktemp("server"), base_url="/user/ann/") as running:
        yield running


def test_a_file_in_a_bucket_comes_whole_and_by_ranges(server):
    answer = server.get("geolab/assets/town/data/data")
    assert answer.status_code == 200
    assert answer.content == WHOLE
    assert 'filename="Far away.tif"' in answer.headers["content-disposition"]
    part = server.get("geolab/assets/town/data/data", headers={"Range": "bytes=5000000-5000099,-3"})
    assert part.status_code == 206
    assert WHOLE[5_000_000:5_000_100] in part.content
    tag = answer.headers["etag"]
    assert server.get("geolab/assets/town/data/data", headers={"If-None-Match": tag}).status_code == 304
    assert server.get("geolab/assets/town/data/data", headers={"Range": "bytes=10240000-"}).status_code == 416


def test_what_is_not_in_the_bucket_is_not_found(server):
    answer = server.get("geolab/assets/town/gone/data")
    assert answer.status_code == 404
    assert "gone.tif" in answer.json()["message"]


def test_a_share_link_leads_into_the_bucket_for_a_short_time(server, workspace):
    token = share.token(workspace, "asset", ("town", "data", "data"), timedelta(days=7))
    answer = server.get(f"geolab/shared/{token}", token=False)
    assert answer.status_code == 302
    signed = answer.headers["location"]
    assert signed.startswith(os.environ["AWS_ENDPOINT_URL"])
    assert httpx.get(signed, trust_env=False).content == WHOLE
    assert "X-Amz-Expires=900" in signed
    assert (
        httpx.get(signed.replace("X-Amz-Expires=900", "X-Amz-Expires=901"), trust_env=False).status_code
        == 403
    )


def test_a_store_that_is_away_is_said_in_a_line(server, workspace, bucket):
    catalog.open_catalog(workspace).put(
        [items.item("away", collection="town", geometry=None, datetime="2024-08-15T10:00:00Z", properties={},
                    assets={"data": {"href": "s3://nobody-has-this-bucket/x.tif"}})]
    )  # fmt: skip
    answer = server.get("geolab/assets/town/away/data")
    assert answer.status_code in (404, 422)
    assert "\n" not in answer.json()["message"]
    assert "Traceback" not in server.log.read_text()
