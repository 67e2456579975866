"""The process over its socket: pictures and windows as they are made here, and how it lives and ends."""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
from PIL import Image

from geolab import modelserver
from geolab.change import preview
from geolab.errors import BadInput, NotFound, Superseded, Unreachable
from geolab.modelserver import process, wire
from geolab.splats import io as files
from geolab.splats import rasterize, still


def _terrain():
    spec = importlib.util.spec_from_file_location(
        "hills", Path(__file__).parents[1] / "viewer" / "terrain.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hills = _terrain()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def stay(tmp_path_factory):
    with process.stay(tmp_path_factory.mktemp("s"), grace_s=0.5) as kept:
        yield kept


@pytest.fixture(scope="module")
def at(stay):
    return stay.address


@pytest.fixture(scope="module")
def splats(tmp_path_factory):
    path = tmp_path_factory.mktemp("splats") / "hills.ply"
    files.write(path, hills.terrain(4000, sh_degree=1))
    return str(path)


def test_a_picture_is_what_is_drawn_here(at, splats):
    camera = hills.camera((35, -50, 45), (5, 3, 0), width=200, height=150)
    picture = modelserver.render(splats, camera, background=(0.2, 0.4, 0.6), quality=80, at=at)
    seen = rasterize.render(files.read(splats).gaussians, camera, background=(0.2, 0.4, 0.6), mode="RGB")
    assert picture == still.jpeg(seen.rgb, quality=80)
    assert Image.open(io.BytesIO(picture)).size == (200, 150)


def test_many_at_once_get_the_pictures_of_each_alone(at, splats):
    eyes = [(35 + i, -50 + 3 * i, 45) for i in range(12)]
    cameras = [hills.camera(eye, (5, 3, 0), width=120, height=90) for eye in eyes]
    alone = [modelserver.render(splats, camera, at=at) for camera in cameras]
    before, found = modelserver.status(at), {}

    def ask(index):
        found[index] = modelserver.render(splats, cameras[index], client=f"page {index}", at=at)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(12)] == alone
    after = modelserver.status(at)
    assert after["done"] - before["done"] == 12
    assert after["batches"] - before["batches"] <= 12
    assert after["models"] == 1


def test_a_model_that_was_written_again_is_read_again(at, tmp_path):
    path, camera = tmp_path / "model.ply", hills.camera((35, -50, 45), (5, 3, 0), width=80, height=60)
    files.write(path, hills.terrain(500, sh_degree=0))
    first = modelserver.render(str(path), camera, at=at)
    path.unlink()
    files.write(path, hills.terrain(3000, sh_degree=0, seed=1))
    assert modelserver.render(str(path), camera, at=at) != first


def test_a_window_comes_with_the_levels_and_the_threshold(at, tmp_path):
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{name}.tif") for name in ("before", "after")]
    for path in paths:
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 90, "width": 130}
        with rasterio.open(
            path, "w", crs="EPSG:32633", transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6), **profile
        ) as out:
            out.write(rng.integers(1, 255, (3, 90, 130), np.uint8))
    levels, threshold = modelserver.predict(*paths, rows=(10, 60), cols=(20, 500), at=at)
    expected = preview.open_pair(*paths)
    np.testing.assert_array_equal(levels, expected.levels((10, 60), (20, 500)))
    assert levels.shape == (50, 110)
    assert threshold == expected.threshold


CAMERA = {"width": 10**6, "height": 2}
PAIR = {"do": "predict", "before": "a", "after": "b", "method": "cva", "rows": [0, 1], "cols": [0, 1]}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"do": "render"}, "expected a picture or a window"),
        ({"do": "eval", "code": "1"}, "expected a picture or a window"),
        ({"do": "render", "uri": "x", "camera": CAMERA, "background": [0, 0, 0]}, "at most 4096 a side"),
        (PAIR | {"method": "cva; rm"}, "method: found cva; rm"),
        (PAIR | {"rows": [0, 10**9]}, "1 to 1024 pixels"),
        (PAIR | {"method": "model", "model": "buildings@latest"}, "expected the folder of a model"),
        ([], "expected one line of JSON"),
    ],
)
def test_an_impossible_request_gets_one_line(at, told, words):
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as stream:
        connection.connect(str(at))
        connection.sendall(wire.frame(told) if isinstance(told, dict) else b"[1]\n")
        said, _ = wire.take(stream)
    assert said["error"] == "BadInput"
    assert words in said["message"]


def test_noise_on_the_socket_harms_nobody(at, splats):
    for noise in (b"", b"\0\xff\n", b"x" * 200_000, b"[" * 60_000 + b"\n", b'{"do": "render"'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(at))
            connection.sendall(noise)
    assert modelserver.render(splats, hills.camera((35, -50, 45), (5, 3, 0), width=40, height=30), at=at)


def test_errors_keep_their_class_and_words(at):
    camera = hills.camera((35, -50, 45), (5, 3, 0), width=40, height=30)
    with pytest.raises(NotFound, match=r"nowhere\.ply"):
        modelserver.render("/nowhere.ply", camera, at=at)
    with pytest.raises(BadInput, match="background"):
        modelserver.render("/nowhere.ply", camera, background=(0, 1), at=at)


def test_a_view_that_turns_gets_its_newest_picture(at, splats):
    large = hills.camera((35, -50, 45), (5, 3, 0), width=4000, height=4000)
    first = threading.Thread(target=modelserver.render, args=(splats, large), kwargs={"at": at})
    sizes = {}

    def turn(number, places):
        camera = hills.camera((35, -50 + number, 45), (5, 3, 0), width=64 + number, height=48)
        try:
            told = modelserver.render(splats, camera, client="page", places=places.append, at=at)
            sizes[number] = Image.open(io.BytesIO(told)).size
        except Superseded:
            sizes[number] = None

    done = modelserver.status(at)["done"]
    first.start()
    until(lambda: modelserver.status(at)["waiting"] == 0)
    turns = []
    for number in range(3):
        places = []
        turns.append(threading.Thread(target=turn, args=(number, places)))
        turns[-1].start()
        until(lambda told=places, number=number: told or number in sizes)
    for thread in (first, *turns):
        thread.join()
    assert sizes[2] == (66, 48)
    if modelserver.status(at)["done"] == done + 2:  # all three came while the large one was drawn
        assert sizes == {0: None, 1: None, 2: (66, 48)}


# ---------------------------------------------------------------- its life


def test_two_that_stay_share_one_process_and_it_ends_after_the_last(tmp_path):
    one = process.stay(tmp_path / "f", grace_s=0.3)
    two = process.stay(tmp_path / "f", grace_s=0.3)
    told = modelserver.status(one.address)
    assert told["staying"] == 2
    assert two.address == one.address
    one.close()
    until(lambda: modelserver.status(two.address)["staying"] == 1)
    two.close()
    until(lambda: not psutil.pid_exists(told["pid"]))
    assert not two.address.exists()
    with pytest.raises(Unreachable, match="the model server does not answer"):
        modelserver.status(two.address)


def test_it_ends_with_a_process_that_is_killed_and_a_new_one_takes_its_place(tmp_path):
    words = "from geolab.modelserver import process; import sys, time; from pathlib import Path\n"
    words += "kept = process.stay(Path(sys.argv[1]), grace_s=0.3); print('here', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", words, str(tmp_path)], stdout=subprocess.PIPE) as user:
        assert user.stdout.readline() == b"here\n"
        pid = modelserver.status(tmp_path / process.socket_name())["pid"]
        user.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid))
    with process.stay(tmp_path, grace_s=0.3) as kept:
        again = modelserver.status(kept.address)["pid"]
        os.kill(again, signal.SIGKILL)  # the next one finds its socket, and nobody behind it
        until(lambda: not psutil.pid_exists(again))
        with process.stay(tmp_path, grace_s=0.3) as new:
            assert modelserver.status(new.address)["pid"] != again


def test_only_its_user_can_come_in(stay):
    assert stay.address.stat().st_mode & 0o777 == 0o600
    assert stay.address.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_a_link_is_not_used(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Unreachable, match="belongs to somebody else"):
        process.stay(tmp_path / "link")


def test_without_an_address_it_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("GEOLAB_MODELSERVER", raising=False)
    with pytest.raises(Unreachable, match="GEOLAB_MODELSERVER is not set"):
        modelserver.status()


def test_a_portrait_shows_the_whole_model(at, splats):
    picture = modelserver.portrait(splats, (160, 120), background=(1, 1, 1), at=at)
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L")).astype(int)
    assert pixels.shape == (120, 160)
    drawn = pixels < 230
    assert drawn[45:75, 50:110].mean() > 0.5
    assert drawn[:4].mean() + drawn[-4:].mean() + drawn[:, :4].mean() + drawn[:, -4:].mean() < 0.05
