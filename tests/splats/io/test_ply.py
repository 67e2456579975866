"""PLY: the same numbers as independent readers, any layout that says the same, one line for what is none."""

from __future__ import annotations

import gsply
import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from geolab.errors import BadInput, FileRejected
from geolab.splats import io

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def same(one, other):
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_read_is_what_was_written(tmp_path, make, frame, degree):
    written = make(degree=degree)
    found = io.read(io.write(tmp_path / "m.ply", written, frame, meta={"psnr": 27.5}))
    same(found.gaussians, written)
    assert (found.frame, found.meta, found.format, found.warnings) == (frame, {"psnr": 27.5}, "ply", ())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gsply_reads_the_same_numbers(tmp_path, make, degree):
    written = make(degree=degree)
    found = gsply.plyread(io.write(tmp_path / "m.ply", written))
    np.testing.assert_array_equal(found.means, written.means)
    np.testing.assert_array_equal(found.quats, written.quats)
    np.testing.assert_array_equal(found.scales, written.log_scales)
    np.testing.assert_array_equal(found.opacities, written.logit_opacities)
    np.testing.assert_array_equal(found.sh0, written.sh[:, 0])
    if degree:
        np.testing.assert_array_equal(found.shN, written.sh[:, 1:])


def test_plyfile_reads_the_layout_of_3dgs(tmp_path, make):
    written = make(degree=2)
    table = PlyData.read(io.write(tmp_path / "m.ply", written))["vertex"].data
    assert table.dtype.names == (
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(24)),
        "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
    )  # fmt: skip
    for channel in range(3):  # all of red, then all of green, then all of blue
        for k in range(8):
            np.testing.assert_array_equal(
                table[f"f_rest_{channel * 8 + k}"], written.sh[:, 1 + k, channel].numpy()
            )
    np.testing.assert_array_equal(table["rot_0"], written.quats[:, 0])
    np.testing.assert_array_equal(table["scale_1"], written.log_scales[:, 1])


def test_gsply_writes_what_we_read(tmp_path, make):
    told = make(degree=3)
    gsply.plywrite(
        tmp_path / "g.ply", told.means.numpy(), told.log_scales.numpy(), told.quats.numpy(),
        told.logit_opacities.numpy(), told.sh[:, 0].numpy(), told.sh[:, 1:].numpy(),
    )  # fmt: skip
    same(io.read(tmp_path / "g.ply").gaussians, told)


@pytest.mark.parametrize(("text", "order"), [(True, "<"), (False, ">"), (False, "<")])
def test_any_order_of_properties_types_and_encoding_is_read(tmp_path, make, text, order):
    written = make(count=7, degree=1)
    table = PlyData.read(io.write(tmp_path / "m.ply", written))["vertex"].data
    names = [n for n in reversed(table.dtype.names) if not n.startswith("n")]
    other = np.empty(len(table), [(n, "f8" if n == "x" else "f4") for n in names] + [("label", "u1")])
    for name in names:
        other[name] = table[name]
    other["label"] = 3
    faces = np.array([([0, 1, 2],)], [("vertex_indices", "i4", (3,))])
    elements = [PlyElement.describe(faces, "face"), PlyElement.describe(other, "vertex")]
    PlyData(elements, text=text, byte_order="=" if text else order).write(tmp_path / "o.ply")
    found = io.read(tmp_path / "o.ply")
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found.gaussians, name), getattr(written, name), rtol=1e-6)
    assert found.warnings == ("ignored the properties label", "ignored the elements face")


# ---------------------------------------------------------------- refused


def changed(path, function):
    path.write_bytes(function(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda b: b[:-1], "a truncated PLY"),
        (lambda b: b.replace(b"vertex 40", b"vertex 4000000000"), "announces 4000000000 vertices"),
        (lambda b: b.replace(b"vertex 40", b"vertex -1"), "the line 'element vertex -1'"),
        (lambda b: b.replace(b"vertex 40", b"vertex 0"), "holds no Gaussians"),
        (lambda b: b.replace(b"float rot_3", b"float rot_9"), "Gaussians without rot_3"),
        (lambda b: b.replace(b"f_rest_44", b"f_rest_45"), "45 properties f_rest_"),
        (lambda b: b.replace(b"float f_rest_44", b"float other"), "44 properties f_rest_"),
        (lambda b: b.replace(b"float x", b"flaot x"), "the line 'property flaot x'"),
        (lambda b: b.replace(b"property float x", b"property list int int x"), "Gaussians without x"),
        (lambda b: b.replace(b"float nx", b"float x"), "the line 'property float x'"),
        (lambda b: b.replace(b"end_header", b"end_haeder"), "not a PLY file"),
        (lambda b: b.replace(b"1.0\n", b"2.0\n", 1), "the line 'format"),
        (lambda b: b.replace(b"float nx", b"float n\xff"), "not ASCII"),
        (lambda b: b[:4] + b"comment " + b"x" * 70_000 + b[4:], "not a PLY file"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, make, function, reason):
    path = changed(io.write(tmp_path / "m.ply", make()), function)
    with pytest.raises(FileRejected, match=reason) as caught:
        io.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x", np.nan, "2 of 40 Gaussians have a position that is not finite or .*; the first: 7"),
        ("y", 1e30, "position that is not finite or out of range"),
        ("opacity", np.inf, "opacity that is not finite"),
        ("f_rest_3", -np.inf, "colour that is not finite"),
        ("scale_2", 100.0, "scale that is not finite or out of range"),
        ("rot", 0.0, "rotation that is zero"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path, make, name, value, reason):
    path = io.write(tmp_path / "m.ply", make())
    read = PlyData.read(path, mmap=False)
    for one in [n for n in read["vertex"].data.dtype.names if n.startswith(name)]:
        read["vertex"].data[one][[7, 30]] = value
    read.write(path)
    with pytest.raises(FileRejected, match=reason):
        io.read(path)


def test_a_point_cloud_is_told_from_a_model(tmp_path):
    points = np.zeros(3, [(n, "f4") for n in "xyz"])
    PlyData([PlyElement.describe(points, "vertex")]).write(tmp_path / "points.ply")
    with pytest.raises(FileRejected, match=r"a point cloud or mesh, not Gaussians: it lacks f_dc_0"):
        io.read(tmp_path / "points.ply")


def test_a_compressed_ply_says_what_to_do(tmp_path):
    vertex = np.zeros(3, [(f"packed_{n}", "u4") for n in ("position", "rotation", "scale", "color")])
    PlyData([PlyElement.describe(vertex, "vertex")]).write(tmp_path / "c.ply")
    with pytest.raises(FileRejected, match="save it as a standard"):
        io.read(tmp_path / "c.ply")


def test_what_could_not_be_read_again_is_not_written(tmp_path, make):
    broken = make().map(lambda t: torch.where(t == t.max(), torch.nan, t))
    with pytest.raises(BadInput, match="not finite"):
        io.write(tmp_path / "m.ply", broken)
    with pytest.raises(BadInput, match="found none, expected at least one"):
        io.write(tmp_path / "m.ply", make().map(lambda t: t[:0]))
    assert list(tmp_path.iterdir()) == []


def test_gradients_and_float64_are_written_as_numbers(tmp_path, make):
    written = make(degree=0)
    learnt = written.map(lambda t: t.double().requires_grad_())
    same(io.read(io.write(tmp_path / "m.ply", learnt)).gaussians, written)
