"""The place on Earth beside a model: found again, never that of another file."""

from __future__ import annotations

import json

import pytest

from geolab.errors import BadInput, FileRejected
from geolab.splats import io


@pytest.fixture(params=["m.ply", "m.spz"])
def model(request, tmp_path, make, frame):
    return io.write(tmp_path / request.param, make(), frame, meta={"photos": 12})


def test_the_sidecar_names_its_model_by_hash(model, frame):
    told = json.loads(io.sidecar_path(model).read_text())
    assert io.sidecar_path(model).name == f"{model.name}.geo.json"
    assert (told["type"], told["version"], told["file"]) == ("geolab:splats", 1, model.name)
    assert told["frame"]["lon"] == frame.lon
    assert io.read(model).frame == frame


def test_a_model_that_was_swapped_is_noticed(model, make):
    kept = io.sidecar_path(model).read_bytes()
    io.write(model, make(seed=1))  # without a place: its sidecar goes
    assert not io.sidecar_path(model).exists()
    assert io.read(model).frame is None
    io.sidecar_path(model).write_bytes(kept)
    with pytest.raises(FileRejected, match="belongs to another file"):
        io.read(model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t | {"version": 2}, "version 2 of geolab:splats; this geolab knows version 1"),
        (lambda t: t | {"type": "Feature"}, "its type is not"),
        (lambda t: t | {"frame": {"lon": 200, "lat": 0, "height_m": 0}}, "origin"),
        (lambda t: t | {"frame": {"lon": "x"}}, "lon, lat and height_m as numbers"),
        (lambda t: t | {"frame": {"lon": float("nan"), "lat": 0, "height_m": 0}}, "origin"),
        (lambda t: t | {"frame": [1]}, "must be JSON objects"),
        (lambda t: t | {"meta": "x"}, "must be JSON objects"),
        (lambda t: [t], "its type is not"),
    ],
)
def test_a_damaged_sidecar_is_refused_in_one_line(model, change, reason):
    path = io.sidecar_path(model)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(FileRejected, match=reason) as caught:
        io.read(model)
    assert ".geo.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sidecar_that_is_no_json_is_refused(model):
    for text in ("{", "[" * 100_000, "\0"):
        io.sidecar_path(model).write_text(text)
        with pytest.raises(FileRejected, match="not JSON"):
            io.read(model)


def test_facts_that_json_cannot_hold_are_refused_before_anything_is_written(tmp_path, make, frame):
    for facts in ({"psnr": float("nan")}, {"a": object()}):
        with pytest.raises(BadInput, match="meta"):
            io.write(tmp_path / "m.ply", make(), frame, meta=facts)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_names_the_known_ones(tmp_path, make):
    for name in ("m.obj", "m", "m.ply.geo.json"):
        with pytest.raises(BadInput, match=r"\.ply, \.spz, \.glb, \.json"):
            io.write(tmp_path / name, make())


def test_a_file_uri_is_written_and_a_remote_one_refused(tmp_path, make):
    assert io.write((tmp_path / "a b.ply").as_uri(), make()) == tmp_path / "a b.ply"
    with pytest.raises(BadInput, match="expected a local path"):
        io.write("s3://bucket/m.ply", make())


def test_remote_models_are_read_with_their_sidecars(make, frame, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    local = io.write(tmp_path / "m.ply", make(), frame)
    for path in (local, io.sidecar_path(local)):
        memory.pipe_file(f"/models/{path.name}", path.read_bytes())
    assert io.read("memory://models/m.ply").frame == frame
    tiles = io.write(tmp_path / "tileset.json", make(), frame)
    for path in tmp_path.glob("tileset*"):
        memory.pipe_file(f"/models/{path.name}", path.read_bytes())
    assert io.read(f"memory://models/{tiles.name}").frame == frame
