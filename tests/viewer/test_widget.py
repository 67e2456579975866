"""The widget in the kernel: what it tells a page, and what a page may tell it."""

from __future__ import annotations

import base64
import gzip
import io as stream
import json

import numpy as np
import pytest
from PIL import Image

from geolab import viewer
from geolab.errors import BadInput, NotFound
from geolab.splats import io
from geolab.splats.views import Scene, View
from geolab.viewer import bundle


@pytest.fixture
def shown(world):
    """A view whose messages are kept: [(message, buffers)]."""
    made = viewer.show(world.terrain(300), world.FRAME, title="Hills")
    made.sent = []
    made.send = lambda message, buffers=None: made.sent.append((message, buffers))
    return made


def test_the_state_that_a_notebook_keeps_holds_neither_the_model_nor_the_bundle(world):
    made = viewer.show(world.terrain(20_000), cameras=[world.camera((0, -60, 50), (0, 0, 0))] * 20)
    state = json.dumps(made.get_state())
    assert len(state) < 60_000 < len(made._payload.data)
    assert "http" not in state.replace("http://www.w3.org/2000/svg", "")


def test_a_page_gets_the_model_when_it_asks(shown):
    shown._hear(shown, {"kind": "want", "what": "model"}, [])
    ((message, buffers),) = shown.sent
    assert message["kind"] == "model"
    assert buffers == [shown._payload.data]
    assert gzip.decompress(buffers[0])[:4] == b"NGSP"


def test_a_page_gets_the_bundle_when_it_asks(shown, tmp_path, monkeypatch):
    script = tmp_path / "viewer.js"
    script.write_text("export const start = 1;")
    monkeypatch.setattr(bundle, "BUNDLE", script)
    shown._hear(shown, {"kind": "want", "what": "bundle"}, [])
    assert gzip.decompress(shown.sent[0][1][0]) == script.read_bytes()


def test_without_a_bundle_the_page_is_told_what_to_do(world, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "BUNDLE", tmp_path / "none.js")
    made = viewer.show(world.terrain(50))
    assert made._bundle == ""
    assert "npm" in made._missing
    assert "make setup" in made._missing


def test_a_picked_point_is_told_in_degrees_as_the_frame_has_it(shown, world):
    shown._hear(shown, {"kind": "picked", "tool": "pick", "points": [[12.5, -7.25, 3.0]]}, [])
    lon, lat, height = world.FRAME.lonlat([[12.5, -7.25, 3.0]])[0]
    assert shown.picked == {
        "east_m": 12.5, "north_m": -7.25, "up_m": 3.0, "lon": lon, "lat": lat, "height_m": height,
    }  # fmt: skip
    words = " ".join(" ".join(line) for line in shown.readings)
    assert f"{lat:.7f}° N" in words
    assert "523.00 m (EGM96)" in words


def test_a_model_without_a_place_on_earth_is_picked_in_its_own_units(world):
    made = viewer.show(world.terrain(50))
    made._hear(made, {"kind": "picked", "tool": "pick", "points": [[1, 2, 3]]}, [])
    assert set(made.picked) == {"east_m", "north_m", "up_m"}
    assert made.readings == [["East, north, up", "1.00  2.00  3.00 units"]]


def test_a_measured_line_is_told_along_over_and_up(shown):
    shown._hear(shown, {"kind": "picked", "tool": "measure", "points": [[0, 0, 0]]}, [])
    assert shown.measured == {}
    shown._hear(shown, {"kind": "picked", "tool": "measure", "points": [[1, 1, 1], [4, 5, -11]]}, [])
    assert shown.measured["distance_m"] == 13.0
    assert (shown.measured["horizontal_m"], shown.measured["vertical_m"]) == (5.0, -12.0)
    assert shown.readings[0] == ["Distance", "13.00 m"]
    assert shown.picked == {}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "__init__"},
        {"kind": "want", "what": "../../etc/passwd"},
        {"kind": "picked", "points": []},
        {"kind": "picked", "points": [[float("nan"), 0, 0]]},
        {"kind": "picked", "points": [[1, 2]]},
        {"kind": "picked", "points": "everything"},
        {"kind": "picked"},
        {"kind": "still"},
        {"kind": "still", "number": 1, "orbit": {}, "size": "big"},
        {"kind": "status", "renderer": None, "message": None},
    ],
)
def test_messages_that_make_no_sense_change_nothing(shown, content):
    shown._hear(shown, content, [])
    assert (shown.picked, shown.measured, shown.sent, shown.drawn_by) == ({}, {}, [], "")


def test_a_page_says_who_draws_and_why(shown):
    shown._hear(shown, {"kind": "status", "renderer": "server", "message": "This browser has no WebGL"}, [])
    assert (shown.drawn_by, shown.problem) == ("server", "This browser has no WebGL")


@pytest.mark.parametrize("box", [[1, 2, 3], [0, 0, 0, -1, 1, 1], [0, 0, 0, 1, 1, float("nan")]])
def test_a_crop_that_is_no_box_is_refused(shown, box):
    with pytest.raises(BadInput, match="crop"):
        shown.crop = box
    shown.crop = [-1, -1, 0, 1, 1, 9]
    shown.crop = []


def test_the_camera_set_is_the_one_the_page_gets_and_the_view_comes_back(shown, world):
    seen = world.camera((30, -60, 50), (0, 0, 0))
    assert shown.camera is None
    shown.camera = seen
    assert shown.pose["K"] == [350, 357, 213, 141]
    assert (shown.pose["number"], shown.pose["animated"]) == (1, False)
    shown.view = {k: v for k, v in shown.pose.items() if k in ("width", "height", "K", "world_to_camera")}
    np.testing.assert_allclose(shown.camera.world_to_camera, seen.world_to_camera)


def test_looking_at_a_point_moves_both_forms_of_the_view(shown):
    shown.look_at((1, 2, 3), distance_m=40, azimuth_deg=90)
    assert shown.pose["target"] == shown._still["target"] == [1, 2, 3]
    assert shown.pose["azimuth"] == pytest.approx(np.pi / 2)
    with pytest.raises(BadInput, match="view"):
        shown.look_at((1, 2, float("nan")))


def test_a_view_opens_files_scenes_and_what_io_reads(world, tmp_path):
    path = io.write(tmp_path / "hills.ply", world.terrain(60), world.FRAME)
    made = viewer.show(str(path))
    assert made.frame == world.FRAME
    assert made.facts["summary"].startswith("hills.ply: 60 Gaussians")
    seen = View("a.jpg", tmp_path / "a.jpg", world.camera((0, -60, 50), (0, 0, 0)))
    assert viewer.show(io.read(path), cameras=Scene((seen,))).cameras[0]["name"] == "a.jpg"
    with pytest.raises(NotFound):
        viewer.show(tmp_path / "none.ply")
    with pytest.raises(BadInput, match="found dict"):
        viewer.show({})


def test_the_extent_leaves_strays_out(world):
    model = world.terrain(5000)
    model.means[0] = 5000.0
    box = viewer.show(model).facts["box"]
    assert box[0] == pytest.approx(-60, abs=5)
    assert box[3] == pytest.approx(60, abs=5)
    assert box[5] < 20


@pytest.mark.parametrize("make", [viewer.show, viewer.on_map])
def test_a_notebook_keeps_a_picture_for_readers_without_a_kernel(world, make):
    made = make(world.terrain(3000), world.FRAME, title="Hills")
    found = made._repr_mimebundle_()
    data = found[0] if isinstance(found, tuple) else found
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "Run this cell" in data["text/plain"]
    picture = np.asarray(Image.open(stream.BytesIO(base64.b64decode(data["image/jpeg"]))))
    assert picture.shape == (450, 800, 3)
    assert (np.abs(picture.astype(int) - [0xEE, 0xF1, 0xF3]).max(axis=-1) > 12).mean() > 0.15
    assert len(data["image/jpeg"]) < 300_000
