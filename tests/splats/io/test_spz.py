"""SPZ: as precise as it promises, the same as gsply's and Niantic's, and no bomb goes off."""

from __future__ import annotations

import gzip
import math
import struct

import gsply
import numpy as np
import pyarrow
import pytest
import torch

from geolab.errors import BadInput, FileRejected
from geolab.splats import io
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import axes, spz
from geolab.splats.io.facts import difference
from geolab.splats.transform import transform


def content(path):
    return bytearray(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_read_is_what_was_written_within_the_steps(tmp_path, make, frame, degree):
    written = make(count=400, degree=degree)
    found = io.read(io.write(tmp_path / "m.spz", written, frame))
    assert (found.frame, found.format, found.gaussians.sh_degree) == (frame, "spz", degree)
    changed = difference(written, found.gaussians)
    assert changed["position_m"] < 2**-13 + 1e-5
    assert changed["rotation_deg"] < 0.25
    assert changed["scale"] < math.expm1(1 / 32) + 1e-5
    assert changed["opacity"] < 1 / 510 + 1e-5
    assert changed["colour"] < 0.2821 / (2 * 0.15 * 255) + 1e-5
    assert changed["harmonics"] < 0.02  # half a step each, mixed by the turn to y up and back


def test_reading_and_writing_again_changes_no_more(tmp_path, make):
    once = io.read(io.write(tmp_path / "a.spz", make(degree=0))).gaussians
    twice = io.read(io.write(tmp_path / "b.spz", once)).gaussians
    changed = difference(once, twice)
    assert changed.pop("rotation_deg") < 0.25
    assert changed.pop("position_m") < 1e-4
    assert set(changed.values()) == {0.0}


def test_gsply_decodes_the_same_numbers_with_y_up(tmp_path, make):
    path = io.write(tmp_path / "m.spz", make())
    ours = transform(io.read(path).gaussians, axes.Z_UP_TO_Y_UP)
    theirs = gsply.read_spz(path)
    np.testing.assert_allclose(ours.means, theirs.means, atol=1e-4)
    np.testing.assert_allclose(ours.log_scales, theirs.scales, atol=1e-6)
    np.testing.assert_allclose(ours.logit_opacities, theirs.opacities, atol=2e-2)  # theirs in float32
    np.testing.assert_allclose(ours.sh[:, 1:], theirs.shN, atol=1e-5)
    same = np.abs(np.einsum("nk,nk->n", ours.quats.numpy(), theirs.quats))
    np.testing.assert_allclose(same, 1, atol=1e-5)


def test_up_is_y_and_north_is_away_as_niantic_stores_it(tmp_path):
    one = Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1, 3), torch.zeros(1),
        torch.tensor([[[0.0], [0.5], [0.25], [-0.25]]]).expand(1, 4, 3),
    )  # fmt: skip
    stored = gsply.read_spz(io.write(tmp_path / "m.spz", one))
    np.testing.assert_allclose(stored.means, [[1, 3, -2]])
    # a colour that grows to the north (-y coefficient) and up (z) grows backwards and to y
    np.testing.assert_allclose(stored.shN[0, :, 0], [-0.25, 0.5, -0.25])


def test_version_2_stores_three_bytes_of_a_rotation(tmp_path, make):
    written = make(count=5, degree=0)
    raw = content(io.write(tmp_path / "m.spz", written))
    w, *vector = transform(written, axes.Z_UP_TO_Y_UP).quats.numpy().T
    length = np.sqrt(w**2 + sum(v**2 for v in vector))
    stored = np.stack([np.sign(w) * v / length for v in vector], axis=1)
    start = 16 + 16 * 5
    raw[4] = 2
    old = raw[:start] + np.round((stored + 1) * 127.5).astype(np.uint8).tobytes()
    (tmp_path / "old.spz").write_bytes(gzip.compress(bytes(old)))
    assert difference(written, io.read(tmp_path / "old.spz").gaussians)["rotation_deg"] < 6


def test_version_4_is_read_too(tmp_path, make):
    path = io.write(tmp_path / "m.spz", make())
    raw, sizes = bytes(content(path)), spz.Header(3, 40, 3, 12, 0).sizes
    parts = np.split(np.frombuffer(raw[16:], np.uint8), np.cumsum(sizes)[:-1])
    packed = [pyarrow.compress(p.tobytes(), codec="zstd", asbytes=True) for p in parts]
    table = b"".join(struct.pack("<QQ", len(z), n) for z, n in zip(packed, sizes, strict=True))
    header = struct.pack("<IIIBBBBI", 0x5053474E, 4, 40, 3, 12, 0, 6, 32) + bytes(12)
    new = tmp_path / "new.spz"
    new.write_bytes(header + table + b"".join(packed))
    changed = difference(io.read(path).gaussians, io.read(new).gaussians)
    assert set(changed.values()) == {0.0}
    new.write_bytes(new.read_bytes()[:-9])
    with pytest.raises(FileRejected, match=r"stream no\. 5"):
        io.read(new)


def test_far_models_get_coarser_steps_not_wrong_places(tmp_path, make):
    far = make()
    far = Gaussians(far.means * 1000, far.quats, far.log_scales, far.logit_opacities, far.sh)
    reach = float(far.means.abs().max())
    found = io.read(io.write(tmp_path / "m.spz", far)).gaussians
    assert float((found.means - far.means).abs().max()) < reach / 2**21
    lost = Gaussians(far.means * 3e3, far.quats, far.log_scales, far.logit_opacities, far.sh)
    with pytest.raises(BadInput, match="4,000 km"):
        io.write(tmp_path / "n.spz", lost)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, b"XXXX", "does not begin with NGSP"),
        (4, struct.pack("<I", 9), "SPZ version 9; expected 2, 3 or 4"),
        (8, struct.pack("<I", 41), "truncated SPZ"),
        (8, struct.pack("<I", 0), "holds no Gaussians"),
        (8, struct.pack("<I", 4_000_000_000), "announces 4000000000 Gaussians"),
        (12, b"\4", "degree 4; expected 0 to 3"),
        (13, b"\0", "0 fractional bits"),
        (13, b"\x20", "32 fractional bits"),
    ],
)
def test_a_damaged_header_is_refused_in_one_line(tmp_path, make, place, value, reason):
    raw = content(io.write(tmp_path / "m.spz", make()))
    raw[place : place + len(value)] = value
    (tmp_path / "n.spz").write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(FileRejected, match=reason) as caught:
        io.read(tmp_path / "n.spz")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    header = struct.pack("<IIIBBBB", 0x5053474E, 3, 30_000_000, 0, 12, 0, 0)
    (tmp_path / "bomb.spz").write_bytes(gzip.compress(header + bytes(1 << 22)))
    with pytest.raises(FileRejected, match="announces 30000000 Gaussians"):
        io.read(tmp_path / "bomb.spz")
    (tmp_path / "tail.spz").write_bytes(
        gzip.compress(header[:8] + b"\1\0\0\0" + header[12:] + bytes(1 << 24))
    )
    assert len(io.read(tmp_path / "tail.spz").gaussians) == 1


def test_flags_that_change_the_picture_are_told(tmp_path, make):
    raw = content(io.write(tmp_path / "m.spz", make()))
    raw[14] = 3
    (tmp_path / "n.spz").write_bytes(gzip.compress(bytes(raw)))
    told = " ".join(io.read(tmp_path / "n.spz").warnings)
    assert "anti-aliasing" in told
    assert "vendor's extensions" in told
