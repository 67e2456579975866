"""Arrays and xarray data as files: exact for every type, without pickle and without a netCDF library.

A dataset is a folder: one .npy a variable, and dataset.json with names, dimensions and attributes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_array(value: Any, path: Path) -> None:
    """Write an array as .npy. Raises TypeError or ValueError for one of objects, or with a mask."""
    import numpy as np

    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a mask: keep .filled(nan), or data and mask")
    np.save(path, value, allow_pickle=False)


def read_array(path: Path) -> Any:
    """The array of a .npy file."""
    import numpy as np

    return np.load(path, allow_pickle=False)


def write_dataarray(value: Any, path: Path) -> None:
    """Write a DataArray as the one variable of a dataset."""
    write_dataset(value.to_dataset(name=_UNNAMED).assign_attrs({_NAME: value.name}), path)


def read_dataarray(path: Path) -> Any:
    """What `write_dataarray` wrote."""
    dataset = read_dataset(path)
    return dataset[_UNNAMED].rename(dataset.attrs[_NAME])


_UNNAMED, _NAME = "geolab_values", "geolab_name"


def write_dataset(value: Any, path: Path) -> None:
    """Every variable as a plain array, the rest as JSON: exact for all types, and needs no netCDF library."""
    described: dict[str, Any] = {"attrs": _attributes(value.attrs), "coords": [], "variables": []}
    path.mkdir()
    for number, (name, variable) in enumerate(value.variables.items()):
        if type(name) is not str or (name in value.indexes and value.indexes[name].nlevels > 1):
            raise TypeError(f"{name!r}: only plain names and indexes")
        write_array(variable.values, path / f"{number}.npy")
        encoding = {
            key: one for key, one in variable.encoding.items() if key in ("grid_mapping", "_FillValue")
        }
        facts = [name, list(variable.dims), _attributes(variable.attrs), _attributes(encoding)]
        described["variables"].append(facts)
        described["coords"] += [name] if name in value.coords else []
    (path / "dataset.json").write_text(json.dumps(described))


def _attributes(values: dict[Any, Any]) -> list[list[Any]]:
    """Attributes as JSON that keeps the types of numbers: [name, type, value]."""
    told = []
    for name, one in values.items():
        array = getattr(one, "dtype", None)
        plain = one.tolist() if array is not None else list(one) if isinstance(one, tuple) else one
        told.append([name, str(array) if array is not None else type(one).__name__, plain])
    return told


def _read_attributes(told: list[list[Any]]) -> dict[str, Any]:
    import numpy as np

    plain = ("str", "int", "float", "bool", "NoneType", "list", "dict")
    made: dict[str, Any] = {}
    for name, kind, value in told:
        array = None if kind in (*plain, "tuple") else np.array(value, dtype=kind)
        made[name] = tuple(value) if kind == "tuple" else value if array is None else array[()]
    return made


def read_dataset(path: Path) -> Any:
    """What `write_dataset` wrote."""
    import xarray as xr

    described = json.loads((path / "dataset.json").read_text())
    variables = {}
    for number, (name, dims, attrs, encoding) in enumerate(described["variables"]):
        array = read_array(path / f"{number}.npy")
        variables[name] = xr.Variable(dims, array, _read_attributes(attrs), _read_attributes(encoding))
    coords = {name: variables.pop(name) for name in described["coords"]}
    return xr.Dataset(variables, coords, _read_attributes(described["attrs"]))
