"""3D Tiles: a tile that stands where its frame says, upright, by the axes of a globe."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyproj import Transformer
from scipy.spatial.transform import Rotation

from geolab.errors import BadInput, FileRejected
from geolab.splats import io
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.io.facts import difference
from geolab.splats.transform import transform

Y_UP_TO_Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # what a runtime does to glTF in 3D Tiles


def tileset(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_read_is_what_was_written(tmp_path, make, frame, degree):
    written = make(degree=degree)
    found = io.read(io.write(tmp_path / "tileset.json", written, frame, meta={"a": 1}))
    assert (found.frame, found.meta, found.format, found.warnings) == (frame, {"a": 1}, "3dtiles", ())
    assert set(difference(written, found.gaussians).values()) == {0.0}


def test_a_globe_puts_every_centre_where_the_frame_does(tmp_path, make, frame):
    written = make()
    told = tileset(io.write(tmp_path / "tileset.json", written, frame))
    content = tmp_path / told["root"]["content"]["uri"]
    length = int.from_bytes(content.read_bytes()[12:16], "little")
    node = json.loads(content.read_bytes()[20 : 20 + length])["nodes"][0]
    local = Rotation.from_quat(node["rotation"]).apply(written.means.double().numpy()) @ Y_UP_TO_Z_UP.T
    matrix = np.array(told["root"]["transform"]).reshape(4, 4).T  # column by column
    ecef = local @ matrix[:3, :3].T + matrix[:3, 3]
    lonlat = np.stack(Transformer.from_crs(4978, 4979, always_xy=True).transform(*ecef.T), axis=1)
    np.testing.assert_allclose(lonlat, frame.lonlat(written.means), rtol=0, atol=1e-6)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix[:3, :3]) > 0


def test_the_document_is_of_version_1_1_with_a_box_around_all(tmp_path, make, frame):
    written = make()
    told = tileset(io.write(tmp_path / "tileset.json", written, frame))
    assert told["asset"]["version"] == "1.1"
    assert told["extensionsUsed"] == ["3DTILES_content_gltf"]
    assert told["extensions"]["3DTILES_content_gltf"]["extensionsUsed"] == ["KHR_gaussian_splatting"]
    assert told["geometricError"] > 0 == told["root"]["geometricError"]
    centre, *axes = np.array(told["root"]["boundingVolume"]["box"]).reshape(4, 3)
    half = np.diag(axes)
    assert np.array_equal(axes, np.diag(half))
    turns = Rotation.from_quat(np.roll(written.quats.numpy(), -1, axis=1)).as_matrix()
    scales = written.scales.double().numpy()
    low, high = [], []
    for mean, turn, scale in zip(written.means.double().numpy(), turns, scales, strict=True):
        reach = 3 * np.sqrt(np.diag(turn @ np.diag(scale**2) @ turn.T))
        low.append(mean - reach)
        high.append(mean + reach)
    np.testing.assert_allclose(centre - half, np.min(low, axis=0), rtol=1e-6)
    np.testing.assert_allclose(centre + half, np.max(high, axis=0), rtol=1e-6)


def test_writing_again_leaves_one_content(tmp_path, make, frame):
    (tmp_path / "tileset-other.glb").write_bytes(b"")
    for seed in (0, 1):
        path = io.write(tmp_path / "tileset.json", make(seed=seed), frame)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["tileset-other.glb", "tileset.json", tileset(path)["root"]["content"]["uri"]]
    )


def test_a_model_nowhere_on_earth_is_no_tile(tmp_path, make):
    with pytest.raises(BadInput, match="without a place on Earth"):
        io.write(tmp_path / "tileset.json", make())


def foreign(path, change):
    """The tileset as another program would have written it: without our extras, and changed."""
    told = tileset(path)
    told["asset"].pop("extras")
    change(told)
    path.write_text(json.dumps(told))
    return path


def test_the_place_of_a_foreign_tileset_is_its_transform(tmp_path, make, frame):
    path = foreign(io.write(tmp_path / "tileset.json", make(), frame), lambda t: None)
    found = io.read(path)
    assert found.frame is not None
    assert (found.frame.lon, found.frame.lat) == pytest.approx((frame.lon, frame.lat), abs=1e-12)
    assert found.frame.height_m == pytest.approx(frame.height_m, abs=1e-6)
    assert found.frame.vertical_datum == "ellipsoid"
    changed = difference(make(), found.gaussians)
    assert changed.pop("rotation_deg") < 1e-3
    assert max(changed.values()) < 1e-4


def test_a_foreign_tileset_may_turn_and_grow_its_content(tmp_path, make, frame):
    turn = Rotation.random(random_state=1).as_matrix()

    def change(told):
        matrix = frame.enu_to_ecef
        matrix[:3, :3] = 2 * matrix[:3, :3] @ turn
        told["root"]["transform"] = matrix.T.ravel().tolist()

    found = io.read(foreign(io.write(tmp_path / "tileset.json", make(), frame), change))
    expected: Gaussians = transform(make(), turn, 2.0)
    changed = difference(expected, found.gaussians)
    assert changed.pop("rotation_deg") < 1e-3
    assert max(changed.values()) < 1e-4


def test_a_transform_that_leads_nowhere_leaves_no_place(tmp_path, make, frame):
    path = foreign(io.write(tmp_path / "tileset.json", make(), frame), lambda t: t["root"].pop("transform"))
    found = io.read(path)
    assert found.frame is None
    assert "does not lead to the Earth" in found.warnings[0]


def test_extras_that_disagree_with_the_transform_are_told(tmp_path, make, frame):
    path = io.write(tmp_path / "tileset.json", make(), frame)
    told = tileset(path)
    told["root"]["transform"] = Frame(9.0, 49.0, 5.0).enu_to_ecef.T.ravel().tolist()
    path.write_text(json.dumps(told))
    found = io.read(path)
    assert found.frame is not None
    assert found.frame.lon == pytest.approx(9.0)
    assert "disagree" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t["root"]["content"].update(uri="../../etc/passwd"), "not the plain name"),
        (lambda t: t["root"]["content"].update(uri="http://127.0.0.1/x.glb"), "not the plain name"),
        (lambda t: t["root"]["content"].update(uri=".hidden"), "not the plain name"),
        (lambda t: t["root"]["content"].update(uri=5), "not the plain name"),
        (lambda t: t["root"]["content"].update(uri="absent.glb"), "content absent.glb is not there"),
        (lambda t: t["root"]["content"].update(uri="tileset.json"), "not a GLB"),
        (lambda t: t["root"].update(children=[{}]), "several tiles"),
        (lambda t: t["root"].pop("content"), "several tiles"),
        (lambda t: t.pop("root"), "not a tileset"),
        (lambda t: t["root"].update(transform=[1, 2]), "not 16 numbers"),
        (lambda t: t["root"].update(transform=[float("nan")] * 16), "not finite"),
        (lambda t: t["root"].update(transform=[0.0] * 16), "mirrors, shears"),
    ],
)
def test_a_hostile_or_damaged_tileset_is_refused_in_one_line(tmp_path, make, frame, change, reason):
    path = foreign(io.write(tmp_path / "tileset.json", make(), frame), change)
    with pytest.raises(FileRejected, match=reason) as caught:
        io.read(path)
    assert "\n" not in str(caught.value)
