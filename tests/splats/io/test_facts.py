"""What `info` says of a file, and what a conversion costs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from geolab.errors import BadInput, FileRejected, NotFound
from geolab.splats import io
from geolab.splats.gaussians import Gaussians
from geolab.splats.io.facts import difference
from geolab.store import sha256

NAMES = ["m.ply", "m.spz", "m.glb", "tileset.json"]


@pytest.mark.parametrize("name", NAMES)
def test_info_tells_the_same_of_every_format(tmp_path, make, frame, name):
    written = make(count=500, degree=2)
    path = io.write(tmp_path / name, written, frame, meta={"photos": 3})
    told = io.info(path)
    json.dumps(told, allow_nan=False)
    assert (told["gaussians"], told["sh_degree"], told["sha256"]) == (500, 2, sha256(path))
    assert told["bytes"] == sum(p.stat().st_size for p in tmp_path.iterdir())
    means = written.means.double().numpy()
    np.testing.assert_allclose(told["bounds"], [means.min(0), means.max(0)], atol=1e-3)
    np.testing.assert_allclose(told["bulk"], np.percentile(means, [0.5, 99.5], axis=0), atol=1e-3)
    assert told["extent_m"] == pytest.approx(np.subtract(*told["bulk"][::-1]))
    assert told["frame"] == frame.as_json()
    west, south, low, east, north, high = told["lonlat"]
    assert west < frame.lon < east
    assert south < frame.lat < north
    assert low < frame.height_m < high
    assert told["opacity"]["p50"] == pytest.approx(float(written.opacities.median()), abs=0.02)
    assert told["scale_m"]["p1"] < told["scale_m"]["p99"]


def test_info_warns_of_what_will_not_look_right(tmp_path, make):
    odd = make()
    odd = Gaussians(odd.means + 500_000, odd.quats, odd.log_scales, odd.logit_opacities - 9, odd.sh)
    told = " | ".join(io.info(io.write(tmp_path / "m.ply", odd))["warnings"])
    assert "does not say where on Earth" in told
    assert "float32 steps by 0.03" in told
    assert "all but transparent" in told


def test_what_is_absent_or_no_model_is_refused(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        io.info(tmp_path / "absent.ply")
    with pytest.raises(NotFound, match="no file"):
        io.info(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(FileRejected, match="expected PLY, SPZ, GLB or a tileset"):
        io.info(tmp_path / "a.png")


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", ["n.ply", "n.spz", "n.glb", "n.json"])
def test_any_format_becomes_any_other_and_keeps_its_place(tmp_path, make, frame, source, target):
    path = io.write(tmp_path / source, make(degree=2), frame, meta={"photos": 3})
    told = io.convert(path, tmp_path / "out" / target)
    found = io.read(told["file"])
    assert (found.frame, found.meta) == (frame, {"photos": 3})
    if not target.endswith(".spz"):
        assert set(told["changed"].values()) == {0.0}
    elif not source.endswith(".spz"):
        assert min(told["changed"].values()) > 0


def test_a_conversion_replaces_nothing_unless_told(tmp_path, make, frame):
    path = io.write(tmp_path / "m.ply", make(), frame)
    target = io.write(tmp_path / "n.ply", make(seed=1))
    with pytest.raises(BadInput, match="replace it with --force"):
        io.convert(path, target)
    io.convert(path, target, replace=True)
    assert torch.equal(io.read(target).gaussians.means, make().means)


def test_a_conversion_says_what_it_means_for_heights(tmp_path, make, frame):
    path = io.write(tmp_path / "m.ply", make(), frame)
    assert "above EGM96 were taken as ellipsoidal" in io.convert(path, tmp_path / "t.json")["warnings"][0]
    assert "tileset.json for globes" in io.convert(path, tmp_path / "t.glb")["warnings"][0]


def test_the_difference_is_in_its_units(make):
    one = make()
    turn = Rotation.from_rotvec([0, 0, np.radians(5)]).as_quat(canonical=True)
    product = (
        Rotation.from_quat(np.roll(one.quats.numpy(), -1, axis=1)) * Rotation.from_quat(turn)
    ).as_quat()
    other = Gaussians(
        one.means + torch.tensor([0.0, -0.25, 0.0]),
        -torch.from_numpy(np.roll(product, 1, axis=1)) * 3,
        one.log_scales + np.log(1.1),
        torch.logit(one.opacities.double() * 0.5).float(),
        one.sh * torch.tensor([1.0, 0, 1]),
    )
    changed = difference(one, other)
    assert changed["position_m"] == pytest.approx(0.25, abs=1e-5)
    assert changed["rotation_deg"] == pytest.approx(5, abs=1e-3)
    assert changed["scale"] == pytest.approx(0.1, abs=1e-5)
    assert changed["opacity"] == pytest.approx(float(one.opacities.max()) / 2, abs=1e-5)
    assert changed["colour"] == pytest.approx(0.28209 * float(one.sh[:, 0, 1].abs().max()), rel=1e-4)
    assert changed["harmonics"] == pytest.approx(float(one.sh[:, 1:, 1].abs().max()), rel=1e-6)
    assert set(difference(one, one).values()) == {0.0}


def test_the_summary_tells_people_photos_and_score(tmp_path, make):
    path = io.write(tmp_path / "m.ply", make(30), None, meta={"photos": 24, "psnr": 27.53})
    lines = io.summary(io.info(path))
    assert lines["photos"] == "24"
    assert lines["held out"] == "PSNR 27.5 dB on photos it has not seen"
    assert "origin" not in lines
    assert " m" not in lines["largest scale"]
    hostile = io.write(tmp_path / "h.ply", make(30), None, meta={"photos": "<b>", "psnr": [1]})
    assert {"photos", "held out"}.isdisjoint(io.summary(io.info(hostile)))
