"""Items of models: a footprint on the ground, the time of the photos, links to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shapely.geometry import Point, shape

from geolab import catalog, store
from geolab.catalog import refs
from geolab.errors import BadInput, FileRejected
from geolab.splats import io, items
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.record import _camera_json
from geolab.splats.views import Camera

FRAME = Frame(8.9, 49.1, 321.5, "EGM96", "2024-05-01")


def block(frame_up: float = 0.0, count: int = 600) -> Gaussians:
    """Opaque Gaussians over 80 x 30 m, and floaters far away."""
    drawn = torch.Generator().manual_seed(1)
    means = torch.rand(count, 3, generator=drawn) * torch.tensor([80.0, 30.0, 5.0]) + torch.tensor(
        [0.0, 0.0, frame_up]
    )
    means[:2] = torch.tensor([[5000.0, 0, 0], [0, -4000.0, 0]])
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(count, 4)
    return Gaussians(
        means, quats, torch.zeros(count, 3) - 2, torch.zeros(count) + 3, torch.zeros(count, 1, 3)
    )


def written(folder, meta=None, frame: Frame | None = FRAME, name="model.ply", model=None) -> str:
    return str(io.write(folder / name, model or block(), frame, meta=meta))


def test_the_item_is_valid_and_says_what_a_map_needs(tmp_path):
    meta = {
        "taken": ["2024-05-01T10:00:00Z", "2024-05-01T10:20:00+01:00"],
        "items": ["photo-1", "photo-2"],
        "photo_gsd_m": 0.021,
    }
    uri = written(tmp_path, meta)
    item = items.item(uri, collection="results", title="Valley", derived_from=["photo-2", "run-3"])
    catalog.items.validate(item)
    digest = store.sha256(uri)
    assert item["id"] == items.item_id(digest) == f"splats-{digest[:16]}"
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2024-05-01T09:20:00Z"
    assert properties["end_datetime"] == "2024-05-01T10:00:00Z"
    assert properties["geolab:frame"] == FRAME.as_json()
    assert properties["geolab:vertical_datum"] == "EGM96"
    assert (properties["geolab:gaussians"], properties["gsd"], properties["title"]) == (600, 0.021, "Valley")
    assert [li["title"] for li in item["links"] if li["rel"] == "derived_from"] == [
        "photo-1", "photo-2", "run-3",
    ]  # fmt: skip
    data, beside = item["assets"]["data"], item["assets"]["georeference"]
    assert store.exists(data["href"])
    assert data["file:checksum"] == f"1220{digest}"
    assert beside["href"] == data["href"] + ".geo.json"
    assert refs.data_href(item) == data["href"]


def test_the_footprint_is_around_the_bulk_and_not_its_floaters(tmp_path):
    item = items.item(written(tmp_path), collection="results")
    outline = shape(item["geometry"])
    inside, outside = FRAME.lonlat([[40.0, 15.0, 0.0], [100.0, 15.0, 0.0]])
    assert outline.contains(Point(*inside[:2]))
    assert not outline.contains(Point(*outside[:2]))
    corners = np.array(outline.exterior.coords)
    east, north = FRAME.enu(np.hstack([corners, np.full((len(corners), 1), 321.5)]))[:, :2].T
    assert np.ptp(east) == pytest.approx(80, abs=4)
    assert np.ptp(north) == pytest.approx(30, abs=3)
    assert outline.exterior.is_ccw


def test_cameras_confine_the_footprint_to_what_they_saw(tmp_path):
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    down = np.diag([1.0, -1, -1, 1])
    down[:3, 3] = -down[:3, :3] @ [20, 15, 40]
    cameras = [_camera_json("a", Camera(100, 80, K, down), held_out=False)]
    item = items.item(written(tmp_path, {"cameras": cameras}), collection="results")
    corners = np.array(shape(item["geometry"]).exterior.coords)
    east = FRAME.enu(np.hstack([corners, np.full((len(corners), 1), 321.5)]))[:, 0]
    assert 25 < np.ptp(east) < 42  # 40 m below it, the camera sees 40 m


def test_a_model_across_the_antimeridian_has_a_footprint_in_two_parts(tmp_path):
    item = items.item(
        written(tmp_path, frame=Frame(179.9995, -16.5, 0.0, epoch="2024-05-01")), collection="r"
    )
    catalog.items.validate(item)
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > item["bbox"][2]


def test_the_time_is_the_photos_else_the_epoch_else_what_is_given(tmp_path):
    def times(uri, **given):
        properties = items.item(uri, collection="r", **given)["properties"]
        return properties["datetime"], properties.get("start_datetime")

    day = written(tmp_path)
    assert times(day, datetime="2030-01-01T00:00:00Z") == ("2024-05-01T00:00:00Z", None)
    timeless = written(tmp_path, {"taken": ["yesterday"]}, Frame(8.9, 49.1), "b.ply")
    assert times(timeless, datetime="2030-01-01T00:00:00Z") == ("2030-01-01T00:00:00Z", None)
    span = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2021-01-01T00:00:00Z"}
    assert times(timeless, properties=span) == (None, "2020-01-01T00:00:00Z")
    with pytest.raises(BadInput, match="no date"):
        times(timeless)


def test_free_facts_of_a_hostile_sidecar_do_no_harm(tmp_path):
    meta = {"items": [5, "x" * 9999, None], "taken": {"a": 1}, "photo_gsd_m": "wide", "cameras": [{"K": 1}]}
    item = items.item(written(tmp_path, meta), collection="r")
    catalog.items.validate(item)
    assert [len(li["title"]) for li in item["links"] if li["rel"] == "derived_from"] == [200]


def test_a_model_nowhere_on_earth_has_no_item(tmp_path):
    with pytest.raises(FileRejected, match="georeference it first"):
        items.item(written(tmp_path, frame=None), collection="r")


def test_files_of_the_same_name_and_others_are_assets_beside_the_model(tmp_path):
    uri = written(tmp_path)
    io.convert(uri, tmp_path / "model.spz")
    for name in ("model.webp", "model.png", "turn.mp4"):
        (tmp_path / name).write_bytes(b"x")
    item = items.item(uri, collection="r", assets={"video": str(tmp_path / "turn.mp4")})
    catalog.items.validate(item)
    roles = {name: asset["roles"] for name, asset in item["assets"].items()}
    assert roles == {
        "data": ["data"],
        "georeference": ["metadata"],
        "spz": ["alternate"],
        "thumbnail": ["thumbnail"],
        "video": ["visual"],
    }
    assert item["assets"]["thumbnail"]["href"].endswith("model.webp")
    assert refs.data_href(item) == store.as_uri(uri)


def test_the_same_bytes_are_the_same_item(tmp_path):
    ids = {items.item(written(tmp_path / d), collection="r")["id"] for d in ("a", "b")}
    assert len(ids) == 1


def test_what_counts_as_a_model_is_told_by_its_name():
    names = ["a.ply", "A.PLY", "file:///x/b.spz", "c.glb", "t/tileset.json"]
    assert all(map(items.is_model, names))
    assert not any(map(items.is_model, ["path.json", "a.tif", "a.ply.geo.json", ""]))
