import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from geolab import store
from geolab.errors import BadInput, NotFound


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a bucket on a real S3 server on loopback."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "bucket").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("rclone"), "serve", "s3", "--auth-key", "key,secret"]
    command += ["--addr", f"127.0.0.1:{port}", "--config", os.devnull, folder]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    _wait_for(port)
    yield "s3://bucket"
    server.kill()
    server.wait()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return (tmp_path / "with space # and %41").as_uri()
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def test_what_was_written_is_read_back(root: str):
    store.write_bytes(f"{root}/a.bin", b"pixels")
    assert store.exists(f"{root}/a.bin")
    assert store.read_bytes(f"{root}/a.bin") == b"pixels"
    assert store.sha256(f"{root}/a.bin") == hashlib.sha256(b"pixels").hexdigest()


def test_listing_is_in_name_order_without_hidden_files(root: str):
    for name in ["b.tif", "a.tif", "deep/c.tif", ".tmp-1", "deep/.d.tif"]:
        store.write_bytes(f"{root}/{name}", name.encode())
    entries = list(store.iter_files(root))
    assert [store.read_bytes(e.uri) for e in entries] == [b"a.tif", b"b.tif", b"deep/c.tif"]
    assert [e.size_bytes for e in entries] == [5, 5, 10]


def test_a_glob_lists_what_matches(root: str):
    for name in ["a.tif", "b.jpg"]:
        store.write_bytes(f"{root}/{name}", b"x")
    assert [e.uri for e in store.iter_files(f"{root}/*.tif")] == [f"{root}/a.tif"]


def test_what_is_not_there_is_not_found(root: str):
    assert not store.exists(f"{root}/none")
    with pytest.raises(NotFound):
        store.read_bytes(f"{root}/none")
    with pytest.raises(NotFound):
        list(store.iter_files(f"{root}/none"))


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_a_bucket_that_refuses_is_told_in_a_line(bucket: str, secret: str):
    program = (
        "from geolab import store, errors\n"
        f"for call in (store.read_bytes, lambda u: list(store.iter_files(u))):\n"
        f"    try: call('{bucket}/folder/a.txt')\n"
        "    except errors.FileRejected as error: print(error)\n"
    )
    environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true"}
    if not secret:
        del environment["AWS_SECRET_ACCESS_KEY"], environment["AWS_ACCESS_KEY_ID"]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    told = done.stdout.splitlines()
    assert len(told) == 2, done.stderr
    for line in told:
        assert line.startswith(f"{bucket}/folder/a.txt: can't be reached: ")
        assert line.endswith("check its address and your credentials")


def test_an_object_lies_under_its_hash_and_is_stored_once(root: str, tmp_path: Path):
    source = tmp_path / "source.tif"
    source.write_bytes(b"pixels")
    digest = store.sha256(source)
    first = store.put_object(source, data=root, digest=digest, name="data.tif")
    source.write_bytes(b"other")
    assert store.put_object(source, data=root, digest=digest, name="data.tif") == first
    assert first == f"{root}/{digest[:2]}/{digest}/data.tif"
    assert store.read_bytes(first) == b"pixels"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), store.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    code = "import sys, time; from pathlib import Path; from geolab import store\n"
    code += "with store.atomic_path(Path(sys.argv[1])) as t:\n"
    code += "    t.write_bytes(b'half'); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert target.read_bytes() == b"old"
    assert [e.uri for e in store.iter_files(tmp_path)] == [target.as_uri()]


def test_a_share_link_works_without_login_and_only_with_its_signature(bucket: str):
    store.write_bytes(f"{bucket}/shared.txt", b"hello")
    link = store.share_link(f"{bucket}/shared.txt", expires=timedelta(minutes=5))
    with urlopen(link) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(OSError, match="403"):
        urlopen(link[:-4] + "0000")


@pytest.mark.parametrize("expires", [timedelta(days=7, seconds=1), timedelta(0)])
def test_a_share_link_of_more_than_seven_days_is_refused(expires: timedelta):
    with pytest.raises(BadInput, match="at most 7 days"):
        store.share_link("s3://bucket/a", expires=expires)


def test_gdal_names_of_uris():
    assert store.vsi_path("file:///data/a%20b.tif") == "/data/a b.tif"
    assert store.vsi_path("s3://bucket/a.tif") == "/vsis3/bucket/a.tif"
    assert store.vsi_path("https://example.org/a.tif") == "/vsicurl/https://example.org/a.tif"
    with pytest.raises(BadInput, match="gopher"):
        store.vsi_path("gopher://a")


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_folder_is_listed_name_by_name_and_in_pages(tmp_path: Path, kind: str) -> None:
    root = str(tmp_path / "listed") if kind == "file" else f"memory://{tmp_path.name}/listed"
    for name in ("b.tif", "a/x.tif", "c/d/y.tif", ".hidden", "z ü.txt"):
        store.write_bytes(f"{root}/{name}", b"12345")
    found = store.list_folder(root)
    assert [(one.name, one.size_bytes) for one in found] == [
        ("a/", 0),
        ("b.tif", 5),
        ("c/", 0),
        ("z ü.txt", 5),
    ]
    assert [one.is_folder for one in found] == [True, False, True, False]
    assert store.list_folder(f"{root}/", limit=2) == found[:2]
    assert store.list_folder(root, after="b.tif") == found[2:]
    with pytest.raises(NotFound):
        store.list_folder(f"{root}/nowhere")
