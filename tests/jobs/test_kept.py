"""What a step keeps comes back as it was, from files that hold no code."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
import xarray as xr

from geolab.errors import BadInput
from geolab.jobs import kept

# affine 3.1 wants @ for *; rioxarray 0.19 still multiplies
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def _again(value, tmp_path: Path, run: Path | None = None):
    folder, run = tmp_path / "step", run or tmp_path / "run"
    folder.mkdir(exist_ok=True)
    run.mkdir(exist_ok=True)
    node = json.loads(json.dumps(kept.write("x", value, folder, run)))
    return kept.read(node, folder, run)


@pytest.mark.parametrize(
    "value", [None, True, 3, -0.1, 1e300, "tëxt\n\ud800", [], {}, [1, [2.5, {"a": None}]], {"a": {"b": [1]}}]
)
def test_json_comes_back(value, tmp_path):
    assert _again(value, tmp_path) == value
    assert not (tmp_path / "step" / kept.VALUES).exists()


def test_numbers_that_json_does_not_know_come_back(tmp_path):
    value = _again([float("nan"), float("inf"), -0.0, (1, 2)], tmp_path)
    assert np.isnan(value[0])
    assert value[1] == float("inf")
    assert np.signbit(value[2])
    assert value[3] == [1, 2]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.asfortranarray(np.random.default_rng(0).normal(size=(3, 2))),
        np.array(["2024-08-15", "NaT"], "datetime64[ns]"),
        np.array([b"a", b"bc"]),
        np.array([(1, 2.0)], [("a", "i4"), ("b", ">f8")]),
        np.zeros((0, 3), np.complex64),
        np.array(2.5, np.float16),
    ],
)
def test_arrays_come_back(array, tmp_path):
    back = _again(array, tmp_path)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_numpy_scalars_keep_their_type(tmp_path):
    for value in (np.float32(0.1), np.int64(2**62), np.bool_(True), np.datetime64("2024-08-15")):
        back = _again(value, tmp_path)
        assert type(back) is type(value)
        assert back == value


def test_values_inside_lists_and_dicts_come_back(tmp_path):
    value = {"a": [np.arange(2), 1], "b": {"c": pd.DataFrame({"x": [1.5]}), "d": "text"}}
    back = _again(value, tmp_path)
    assert np.array_equal(back["a"][0], [0, 1])
    assert back["a"][1] == 1
    assert back["b"]["c"].x.tolist() == [1.5]
    assert back["b"]["d"] == "text"


def test_frames_come_back(tmp_path):
    frame = pd.DataFrame(
        {
            "name": ["a", None], "when": pd.to_datetime(["2024-08-15", None], utc=True),
            "kind": pd.Categorical(["x", "y"]), "n": pd.array([1, None], "Int64"), "f": np.float32([1, 2]),
        },
        index=pd.Index([5, 7], name="id"),
    )  # fmt: skip
    pd.testing.assert_frame_equal(_again(frame, tmp_path), frame)


def test_geoframes_come_back_with_their_crs(tmp_path):
    frame = geopandas.GeoDataFrame(
        {"id": ["a", "b"]}, geometry=[shapely.Point(1, 2), shapely.box(0, 0, 1, 2)], crs=32633
    )
    back = _again(frame, tmp_path)
    assert isinstance(back, geopandas.GeoDataFrame)
    assert back.crs == frame.crs
    assert back.geometry.geom_equals(frame.geometry).all()


def _dataset() -> xr.Dataset:
    import rioxarray  # noqa: F401 - gives .rio

    data = xr.Dataset(
        {
            "red": (
                ("time", "y", "x"),
                np.arange(12, dtype=np.uint16).reshape(2, 2, 3),
                {"units": "1", "k": (1, 2)},
            )
        },
        coords={
            "time": pd.to_datetime(["2021-06-12", "2024-08-15"]),
            "y": [2.5, 1.5],
            "x": np.float32([0.5, 1.5, 2.5]),
            "scl": ("time", [3, 4], {"scale": np.float32(0.1), "list": np.arange(2)}),
        },
        attrs={"title": "täst", "n": np.int16(3)},
    )
    return data.rio.write_crs(32633).rio.write_transform()


def test_datasets_come_back_with_coordinates_types_attributes_and_crs(tmp_path):
    data = _dataset()
    back = _again(data, tmp_path)
    xr.testing.assert_identical(back, data)
    assert {n: v.dtype for n, v in back.variables.items()} == {n: v.dtype for n, v in data.variables.items()}
    assert type(back.attrs["n"]) is np.int16
    assert back.rio.crs == data.rio.crs
    assert back.rio.transform() == data.rio.transform()


@pytest.mark.parametrize("name", ["red", None])
def test_dataarrays_come_back(tmp_path, name):
    array = _dataset()["red"].rename(name)
    back = _again(array, tmp_path)
    xr.testing.assert_identical(back, array)
    assert back.rio.crs == array.rio.crs


def test_tensors_come_back(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"a": shared, "b": shared, "t": shared.T, "half": torch.ones(2, dtype=torch.bfloat16)}
    back = _again(state, tmp_path)
    assert back.keys() == state.keys()
    assert all(
        torch.equal(back[name], state[name]) and back[name].dtype == state[name].dtype for name in state
    )
    assert torch.equal(_again(torch.nn.Parameter(shared), tmp_path), shared)
    model = torch.nn.Linear(2, 3)
    model.load_state_dict(_again(model.state_dict(), tmp_path))


def test_files_and_folders_are_copied(tmp_path):
    source = tmp_path / "elsewhere" / "sub"
    source.mkdir(parents=True)
    (source / "a.bin").write_bytes(b"a")
    (source / "empty").mkdir()
    folder, file = _again([source, source / "a.bin"], tmp_path)
    (source / "a.bin").write_bytes(b"changed")
    assert (folder / "a.bin").read_bytes() == file.read_bytes() == b"a"
    assert (folder / "empty").is_dir()
    assert (folder.name, file.name) == ("sub", "a.bin")


def test_a_file_of_the_run_is_named_not_copied(tmp_path):
    run = tmp_path / "run"
    (run / "maps").mkdir(parents=True)
    (run / "maps/a.tif").write_bytes(b"a")
    assert _again([Path("maps/a.tif"), run / "maps"], tmp_path) == [run / "maps/a.tif", run / "maps"]


class Odd:
    def __reduce__(self):
        raise AssertionError("pickled")


@pytest.mark.parametrize(
    "value, found",
    [
        (Odd(), "Odd"),
        ({1, 2}, "a set"),
        (b"bytes", "a bytes"),
        (len, "builtin_function"),
        ({1: 2}, "a dict with the key 1"),
        (np.array([Odd()]), "ndarray that can't be stored exactly"),
        (np.ma.masked_array([1, 2], [True, False]), "keep .filled"),
        (pd.DataFrame({"a": [Odd()]}), "DataFrame that can't be stored"),
        (pd.DataFrame({"a": [1, "b"]}), "DataFrame that can't be stored"),
        (xr.Dataset({"a": ("x", np.array([Odd()]))}), "Dataset that can't be stored"),
        (xr.Dataset(attrs={"a": Odd()}), "Dataset that can't be stored"),
        (pd.Series([1]), "a pandas.*Series"),
        (Path("gone.tif"), "which is not there"),
        (Path(), "the run's own folder"),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else v,
)
def test_what_cannot_be_kept_is_refused_in_one_line(value, found, tmp_path):
    with pytest.raises(BadInput, match=f"x.*: found .*{found}"):
        _again({"deep": [value]}, tmp_path)


def test_paths_of_the_run_as_text_are_refused(tmp_path):
    for text in (str(tmp_path / "run" / "a.tif"), (tmp_path / "run" / "a.tif").as_uri()):
        with pytest.raises(BadInput, match=r"x.a: found a path of this run as text, expected a Path"):
            _again({"a": text}, tmp_path)
