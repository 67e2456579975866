"""The map and the 3-D view beside it: what opens, where it looks, what is marked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geolab import viewer
from geolab.errors import BadInput
from geolab.splats import io, items
from geolab.splats.views import Camera, View
from geolab.viewer import poses


@pytest.fixture
def placed(world):
    cameras = [world.camera((35, -50, 45), (5, 3, 0)), world.camera((-50, 20, 30), (0, 0, 4))]
    return viewer.on_map(world.terrain(2000, sh_degree=0), world.FRAME, cameras=cameras, title="Hills")


def test_the_model_is_not_sent_before_it_is_asked_for(placed):
    assert placed.children == (placed.map,)
    assert placed.viewer is None
    placed.open_here()
    assert placed.children == (placed.map, placed.viewer)
    first = placed.viewer
    placed.open_here()
    assert placed.viewer is first


def test_cameras_stand_on_the_map_where_they_were(placed, world):
    photos = next(layer for layer in placed.map.layers if layer.name == "Photos (2)")
    lon, lat, _ = world.FRAME.lonlat([(35, -50, 45)])[0]
    assert photos.data["features"][0]["geometry"]["coordinates"] == pytest.approx([lon, lat], abs=1e-9)


def test_the_view_opens_at_the_middle_of_the_map_as_wide_as_the_map_shows(placed, world):
    east, north = 20.0, 10.0  # on the red roof
    lon, lat, _ = world.FRAME.lonlat([(east, north, 0)])[0]
    placed.map.center, placed.map.zoom = [lat, lon], 20
    placed.open_here()
    pose = placed.viewer.pose
    assert pose["target"] == pytest.approx([east, north, world.RED_ROOF[2]], abs=0.1)
    pixel_m = 40075016.7 * np.cos(np.radians(lat)) / 256 / 2**20
    height_m = 2 * pose["distance"] * np.tan(np.radians(poses.FOV_DEG / 2))
    assert height_m == pytest.approx(560 * pixel_m, rel=1e-3)


def test_a_map_moved_away_opens_the_view_at_the_nearest_of_the_model(placed):
    placed.map.center, placed.map.zoom = [10.0, 100.0], 3
    placed.open_here()
    target, box = placed.viewer.pose["target"], placed.viewer.facts["box"]
    assert all(box[i] <= target[i] <= box[i + 3] for i in range(3))
    assert placed.viewer.pose["distance"] <= placed.viewer.facts["home"]["distance"]


def test_a_click_on_a_camera_looks_through_it_also_one_with_distortion(world):
    seen = world.camera((35, -50, 45), (5, 3, 0))
    bent = Camera(seen.width, seen.height, seen.K, seen.world_to_camera, "SIMPLE_RADIAL", (0.1,))
    placed = viewer.on_map(world.terrain(500), world.FRAME, cameras=[View("a.jpg", "a.jpg", bent)])
    next(layer for layer in placed.map.layers if layer.name.startswith("Photos"))._click_callbacks(
        event="click", properties={"index": 0}
    )
    assert placed.viewer.pose["world_to_camera"] == pytest.approx(seen.world_to_camera.ravel().tolist())


def test_a_picked_point_is_marked_on_the_map(placed, world):
    placed.open_here()
    placed.viewer._hear(placed.viewer, {"kind": "picked", "tool": "pick", "points": [[20, 10, 14]]}, [])
    lon, lat, _ = world.FRAME.lonlat([(20, 10, 14)])[0]
    assert placed.map.layers[-1].location == pytest.approx([lat, lon])


def test_a_file_brings_its_frame(world, tmp_path):
    path = io.write(tmp_path / "m.ply", world.terrain(300), world.FRAME)
    placed = viewer.on_map(str(path))
    assert placed.map.center == pytest.approx([world.FRAME.lat, world.FRAME.lon], abs=1e-3)
    placed.open_here()
    assert placed.viewer.facts["title"] == "m.ply"


def test_the_footprint_is_that_of_the_models_item(world, tmp_path):
    path = io.write(tmp_path / "m.ply", world.terrain(3000), world.FRAME)
    outline = next(layer for layer in viewer.on_map(path).map.layers if layer.name == "Footprint")
    assert outline.data["geometry"] == items.footprint(io.read(path))


def test_what_can_not_lie_on_a_map_is_refused_in_words(world):
    with pytest.raises(BadInput, match="frame"):
        viewer.on_map(world.terrain(50))
    with pytest.raises(BadInput, match="frame"):
        viewer.on_map(cameras=[world.camera((0, -60, 50), (0, 0, 0))])
    for height in ("50%", "12px", "99999px", "560px;background:url(x)"):
        with pytest.raises(BadInput, match="height"):
            viewer.on_map(world.terrain(50), world.FRAME, height=height)


@pytest.mark.parametrize("show", [viewer.show, viewer.on_map])
def test_a_model_of_nothing_is_refused_in_words(world, show):
    for nothing in (lambda t: t[:0], lambda t: t * float("nan")):
        with pytest.raises(BadInput, match="no Gaussian with finite numbers"):
            show(world.terrain(20).map(nothing), world.FRAME)


def test_the_state_that_a_notebook_keeps_names_no_server_and_holds_no_model(placed):
    placed.open_here()
    state = json.dumps([w.get_state() for w in (placed, placed.map, placed.viewer)], default=str)
    assert "http" not in state
    assert len(state) < 60_000


def test_without_a_model_there_is_a_map_without_a_button(world):
    placed = viewer.on_map(frame=world.FRAME, cameras=[world.camera((0, -60, 50), (0, 0, 0))])
    assert placed.children == (placed.map,)
    words = [getattr(getattr(c, "widget", None), "description", "") for c in placed.map.controls]
    assert "View in 3-D" not in words
