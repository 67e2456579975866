"""Uploads beneath any server: what is kept, what is refused, what is left when a process dies."""

from __future__ import annotations

import hashlib
import io
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import from_origin

from geolab import settings as settings_module
from geolab.errors import FileRejected, NotFound, StorageError, TooLarge
from geolab.ingest import unzip, uploads
from geolab.ingest.sources import plan
from geolab.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load(tmp_path / "workspace", environ={"GEOLAB_LARGEST_UPLOAD_MB": "5"})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=14, height=9, count=1, dtype="uint8", crs="EPSG:32632",
        transform=from_origin(500000, 5300000, 2, 3),
    ) as dataset:  # fmt: skip
        dataset.write(np.arange(126, dtype="uint8").reshape(1, 9, 14))
    return path.read_bytes()


@pytest.fixture(scope="module")
def photo() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 12, 3), 90, "uint8")).save(buffer, "JPEG")
    return buffer.getvalue()


def send(settings: Settings, name: str, data: bytes) -> uploads.Upload:
    arriving = uploads.create(settings, name, size=len(data))
    for start in range(0, len(data), 1000):
        arriving.write(data[start : start + 1000])
    return arriving.commit()


def pack(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def left(settings: Settings) -> list[str]:
    folder = uploads.root(settings)
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_an_upload_is_kept_byte_for_byte_under_its_id(settings: Settings, scene: bytes):
    done = send(settings, "2024-08-15 Nord.tif", scene)
    path = uploads.path(settings, done.id)
    assert path.read_bytes() == scene
    assert (path.name, done.name) == ("2024-08-15 Nord.tif", "2024-08-15 Nord.tif")
    assert (done.size, done.sha256) == (len(scene), hashlib.sha256(scene).hexdigest())
    assert uploads.describe(settings, done.id) == done
    assert [candidate.path for candidate in plan(path)] == [path]
    uploads.remove(settings, done.id)
    assert left(settings) == []
    with pytest.raises(NotFound, match="upload the file again"):
        uploads.path(settings, done.id)


@pytest.mark.parametrize(
    "upload_id", ["", "..", "../catalog.db", "a" * 31, "A" * 32, "0" * 32, "0" * 32 + "\n"]
)
def test_only_ids_name_uploads(settings: Settings, scene: bytes, upload_id: str):
    send(settings, "a.tif", scene)
    with pytest.raises(NotFound):
        uploads.path(settings, upload_id)


@pytest.mark.parametrize(
    "name, kept",
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/abs/a.tif", "a.tif"),
        (".hidden.tif", "hidden.tif"),
        ("...", "unnamed"),
        ("a\0b\n.tif", "a_b_.tif"),
        ('<img src=x onerror="alert(1)">.tif', "_img src_x onerror__alert_1___.tif"),
        ("Straße 3.tif", "Straße 3.tif"),
        ("x" * 5000 + ".tif", "x" * 116 + ".tif"),
    ],
)
def test_a_name_becomes_a_plain_label(name: str, kept: str):
    assert unzip.label(name) == kept


@given(st.text(max_size=300))
def test_no_label_leads_anywhere(name: str):
    label = unzip.label(name)
    assert Path("/a", label).parent == Path("/a")
    assert label not in ("", ".", "..")
    assert not label.startswith(".")
    assert len(label.encode()) <= unzip.LONGEST_NAME
    assert label.isprintable()
    assert unzip.label(label) == label


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("page.tif", b"<html><script>alert(1)</script></html>", "web page"),
        ("empty.tif", b"", "."),
        ("noise.tif", bytes(range(256)) * 20, "."),
        ("cut.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 50, "damaged"),
    ],
)
def test_what_no_ingest_takes_is_refused_and_gone(settings: Settings, name: str, data: bytes, words: str):
    with pytest.raises(FileRejected, match=words) as refused:
        send(settings, name, data)
    assert str(refused.value).startswith(name)
    assert "geolab-check" not in str(refused.value)
    assert left(settings) == []


def test_more_than_the_limit_is_refused_before_and_while_it_comes(settings: Settings):
    with pytest.raises(TooLarge, match=r"6000 MB.*at most 5 MB.*GEOLAB_LARGEST_UPLOAD_MB"):
        uploads.create(settings, "a.tif", size=6_000_000_000)
    arriving = uploads.create(settings, "a.tif")
    arriving.write(bytes(5_000_000))
    with pytest.raises(TooLarge, match="at most 5 MB"):
        arriving.write(b"x")
    arriving.abort()
    arriving.abort()
    assert left(settings) == []


def test_a_disk_without_room_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "KEEP_FREE_BYTES", 1 << 60)
    with pytest.raises(StorageError, match="no room"):
        uploads.create(settings, "a.tif", size=1000)
    assert left(settings) == []


def test_what_a_killed_process_left_is_cleared_and_what_arrives_is_not(settings: Settings, scene: bytes):
    program = f"""
        import sys, time
        from geolab import settings
        from geolab.ingest import uploads
        arriving = uploads.create(settings.load({str(settings.home)!r}), "a.tif")
        arriving.write(b"half")
        print("ready", flush=True)
        time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        (half,) = left(settings)
        assert uploads.clear(settings) == []
        assert left(settings) == [half]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    done = send(settings, "b.tif", scene)
    assert uploads.clear(settings) == [half]
    assert left(settings) == [done.id]
    assert uploads.clear(settings, unused=timedelta(0)) == [done.id]
    assert left(settings) == []


# ---------------------------------------------------------------- zips


def test_a_zip_becomes_a_folder_of_its_images(settings: Settings, scene: bytes, photo: bytes):
    world = b"2\n0\n0\n-3\n500001\n5299998.5\n"
    held = {"f/1.jpg": photo, "f/2.tif": scene, "f/2.tfw": world}
    others = {"f/.DS_Store": b"x", "__MACOSX/1.jpg": b"x", "f/notes.html": b"<script>"}
    done = send(settings, "flight.zip", pack(held | others))
    folder = uploads.path(settings, done.id)
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) == [
        "1.jpg",
        "2.tfw",
        "2.tif",
    ]
    assert not (folder / ".zip").exists()
    assert (folder / "2.tif").read_bytes() == scene
    assert sorted(c.name for c in plan(folder)) == ["1.jpg", "2.tif"]


def linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        entry = zipfile.ZipInfo("a.tif")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def with_password(scene: bytes) -> bytes:
    data = bytearray(pack({"a.tif": scene}))
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def many_files() -> bytes:
    return pack({f"{i}.jpg": b"" for i in range(unzip.MOST_FILES + 1)}, zipfile.ZIP_STORED)


def lying_count() -> bytes:
    """A table of contents of 4 GB, says the end."""
    data = bytearray(pack({"a.jpg": b""}))
    struct.pack_into("<I", data, data.rindex(b"PK\5\6") + 12, 0xFFFFFFFE)
    return bytes(data)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda scene: pack({"../a.tif": scene}), "leads out of it"),
        (lambda scene: pack({"/etc/a.tif": scene}), "leads out of it"),
        (lambda scene: pack({"..\\a.tif": scene}), "leads out of it"),
        (lambda scene: pack({"C:a.tif": scene}), "leads out of it"),
        (lambda scene: pack({"a/b/c.tif": scene}), "folders in folders"),
        (lambda scene: pack({"a/1.tif": scene, "b/1.tif": scene}), "two files .* '1.tif'"),
        (lambda scene: linked(), "holds a link"),
        (with_password, "password"),
        (lambda scene: pack({"a.tif": scene}, zipfile.ZIP_BZIP2), "rare method"),
        (lambda scene: pack({"a.zip": pack({"a.tif": scene})}), "none of the 1 files"),
        (lambda scene: pack({"a.tif": scene})[:-30], "cut off"),
        (lambda scene: pack({"a.tif": bytes(6_000_000)}), "unpacks to more than 5 MB"),
        (lambda scene: pack({"a.tif": b"<html>", "b.tif": scene}), "a.tif"),
        (lambda scene: many_files(), "more than 5000 files"),
        (lambda scene: lying_count(), "more than 5000 files"),
        (lambda scene: pack({}), "none of the 0 files"),
    ],
)
def test_a_hostile_zip_ends_in_one_line_and_leaves_nothing(
    settings: Settings, scene: bytes, make, words: str
):
    with pytest.raises(FileRejected, match=words) as refused:
        send(settings, "photos.zip", make(scene))
    assert "\n" not in str(refused.value)
    assert left(settings) == []
    assert not list(settings.home.rglob("*.tif"))


def test_a_bomb_is_known_by_its_ratio(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unzip, "BOMB_BYTES", 1_000_000)
    with pytest.raises(FileRejected, match="more than 200 times its size"):
        send(settings, "photos.zip", pack({"a.tif": bytes(3_000_000)}))
    assert left(settings) == []


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_damage_to_a_zip_is_a_refusal_or_nothing(tmp_path_factory, noise: bytes, at: int):
    data = bytearray(pack({"a.tif": b"II*\0" * 20, "b.jpg": b"\xff\xd8\xff"}))
    at = min(at, len(data))
    data[at : at + len(noise)] = noise
    folder = tmp_path_factory.mktemp("zip")
    (folder / "z").write_bytes(bytes(data))
    (folder / "out").mkdir()
    try:
        found = unzip.unpack(folder / "z", folder / "out", most_bytes=10_000, room=lambda more: None)
    except FileRejected:
        return
    assert all(path.parent == folder / "out" for path in found)
