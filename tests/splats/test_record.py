"""What is kept with a model."""

import json
from pathlib import Path

import numpy as np
import pytest

from geolab.errors import BadInput
from geolab.splats import record
from geolab.splats.views import Camera, Points, Scene, View

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])


def scene(points: bool = True) -> Scene:
    """Three cameras 50 m over a plane, looking down."""
    views = []
    for k in range(3):
        matrix = np.diag([1.0, -1, -1, 1])
        matrix[:3, 3] = -matrix[:3, :3] @ [10.0 * k, 0, 50]
        camera = Camera(640, 480, K, matrix)
        views.append(View(f"{k}.jpg", Path("x"), camera, taken=f"2024-05-0{3 - k}T10:00:00Z", item=f"i{k}"))
    flat = np.random.default_rng(0).uniform(-30, 30, (200, 3)) * [1, 1, 0]
    cloud = Points(flat, np.zeros((200, 3), np.uint8))
    return Scene(tuple(views), cloud if points else None, held_out=frozenset({"1.jpg"}))


def test_cameras_survive_json_and_the_held_out_ones_are_known():
    told = json.loads(json.dumps(record.record(scene(), facts={"steps": 7, "cameras": "overruled"})))
    assert told["steps"] == 7
    back = record.cameras(told)
    assert len(back) == 3
    np.testing.assert_array_equal(back[2].world_to_camera, scene().views[2].camera.world_to_camera)
    (held,) = record.cameras(told, held_out=True)
    np.testing.assert_allclose(held.position, [10, 0, 50])
    assert len(record.cameras(told, held_out=False)) == 2
    assert told["items"] == ["i0", "i1", "i2"]
    assert told["taken"] == ["2024-05-01T10:00:00Z", "2024-05-03T10:00:00Z"]


def test_the_ground_pixel_is_height_by_focal_length():
    assert record.gsd(scene()) == pytest.approx(50 / 500)
    assert record.gsd(scene(points=False)) is None


def test_products_get_the_ground_pixel_of_the_photos_in_training():
    assert record.product_gsd(record.record(scene(), image_px=320)) == pytest.approx(0.2)
    assert record.product_gsd(record.record(scene())) == pytest.approx(0.1)
    assert record.product_gsd(record.record(scene(), image_px=4000)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "facts", [{}, {"training_gsd_m": "wide"}, {"training_gsd_m": -1}, {"training_gsd_m": 1e9}]
)
def test_a_record_without_a_ground_pixel_asks_for_one(facts):
    with pytest.raises(BadInput, match="give gsd_m"):
        record.product_gsd(facts)


def test_points_behind_every_camera_give_no_ground_pixel():
    made = scene()
    assert made.points is not None
    above = Points(made.points.xyz + np.array([0, 0, 100]), made.points.rgb)
    assert record.gsd(Scene(made.views, above)) is None


def test_a_record_without_cameras_has_none():
    assert record.cameras({}) == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.pop("K"),
        lambda c: c.update(width=0),
        lambda c: c.update(width="many"),
        lambda c: c.update(K=[[1, 2], [3, 4]]),
        lambda c: c["K"][0].__setitem__(0, float("nan")),
        lambda c: c["K"][0].__setitem__(0, -500.0),
        lambda c: c["world_to_camera"][0].__setitem__(0, 9.0),
        lambda c: c["world_to_camera"].pop(),
    ],
)
def test_a_damaged_camera_is_one_line(damage):
    told = record.record(scene())
    damage(told["cameras"][1])
    with pytest.raises(BadInput, match=r"^camera of the model: found"):
        record.cameras(told)


@pytest.mark.parametrize("told", ["abc", {"a": 1}, 3])
def test_what_is_no_list_of_cameras_is_one_line(told):
    with pytest.raises(BadInput, match=r"^cameras? of the model: found"):
        record.cameras({"cameras": told})


@pytest.mark.parametrize(
    ("facts", "mode"),
    [({}, "classic"), ({"training": {"antialiased": True}}, "antialiased"), ({"training": "x"}, "classic")],
)
def test_a_model_is_drawn_as_it_was_trained(facts: dict, mode: str):
    assert record.rasterize_mode(facts) == mode
