"""What a step can keep: values to files and back, exactly. Nothing is pickled.

A value becomes a node, plain JSON: the value itself, or the kind and name of the file that holds it.
What is read back is always what was stored, so that a step that was done and one that was found give
the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import BadInput
from geolab.jobs import arrays

VALUES, FILES, OUTPUTS = "values", "files", "outputs"  # folders of a step: values, files, what lay in the run

Node = dict[str, Any]


@dataclass(frozen=True)
class _Kind:
    """Values of one type that are stored as a file. Types are named: nothing is imported to ask."""

    name: str
    module: str
    type: str
    suffix: str
    write: Callable[[Any, Path], None]
    read: Callable[[Path], Any]

    def holds(self, value: Any) -> bool:
        known = getattr(sys.modules.get(self.module), self.type, None)
        return known is not None and isinstance(value, known)


def write(what: str, value: Any, folder: Path, run_folder: Path) -> Node:
    """The node of a value, its files below `folder`. Raises BadInput for what can't be kept.

    A path below `run_folder` is only named: the step stores all that it left there itself.
    """
    if isinstance(value, Path):
        return _write_path(what, value, folder, run_folder)
    if isinstance(value, str):
        _refuse_own_path(what, value, run_folder)
    if value is None or type(value) in (bool, int, float, str):
        return {"kind": "json", "value": value}
    if type(value) in (list, tuple):
        items = [write(f"{what}[{i}]", one, folder, run_folder) for i, one in enumerate(value)]
        return _plain(items) or {"kind": "list", "items": items}
    if type(value) is dict and not _is_tensors(value):
        return _write_dict(what, value, folder, run_folder)
    return _write_file(what, value, folder)


def _write_dict(what: str, value: dict[Any, Any], folder: Path, run_folder: Path) -> Node:
    for name in value:
        if type(name) is not str:
            raise _refused(what, f"a dict with the key {name!r}", "texts as keys")
    items = {name: write(f"{what}.{name}", one, folder, run_folder) for name, one in value.items()}
    plain = _plain(items.values())
    return {"kind": "json", "value": dict(zip(items, plain["value"], strict=True))} if plain else {
        "kind": "dict", "items": items,
    }  # fmt: skip


def _plain(nodes: Collection[Node]) -> Node | None:
    """One node for a list whose members are all JSON."""
    if any(node["kind"] != "json" for node in nodes):
        return None
    return {"kind": "json", "value": [node["value"] for node in nodes]}


def read(node: Node, folder: Path, run_folder: Path) -> Any:
    """The value of a node."""
    match node["kind"]:
        case "json":
            return node["value"]
        case "dict":
            return {name: read(one, folder, run_folder) for name, one in node["items"].items()}
        case "list":
            return [read(one, folder, run_folder) for one in node["items"]]
        case "output":
            return run_folder / node["place"]
        case "path":
            return folder / node["place"]
        case kind:
            return next(k for k in _KINDS if k.name == kind).read(folder / node["place"])


def outputs(node: Node) -> Iterator[str]:
    """The paths in the run's folder that a node names, relative to it."""
    if node["kind"] == "output":
        yield node["place"]
    items = node.get("items", [])
    for one in items.values() if isinstance(items, dict) else items:
        yield from outputs(one)


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its relative name; a folder has an empty one."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise BadInput("a step's files", found=f"{path.name}, a link or device", expected="files")
        found[name] = "" if path.is_dir() else store.sha256(path)
    return found


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder to a name that is new, its folder made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=shutil.copy)
    else:
        shutil.copy(source, target)


# ---------------------------------------------------------------- leaves


def _write_path(what: str, path: Path, folder: Path, run_folder: Path) -> Node:
    path = run_folder / path  # a relative path is relative to the run
    if not path.exists():
        raise BadInput(what, found=f"{path}, which is not there", expected="an existing file or folder")
    real, own = path.resolve(), run_folder.resolve()
    if real == own:
        raise _refused(what, "the run's own folder", "a file or folder in it")
    if real.is_relative_to(own):
        return {"kind": "output", "place": real.relative_to(own).as_posix()}
    place = f"{FILES}/{_count(folder / FILES)}/{real.name}"
    copy(real, folder / place)
    return {"kind": "path", "place": place}


def _refuse_own_path(what: str, text: str, run_folder: Path) -> None:
    for start in (str(run_folder), run_folder.as_uri()):
        if text.startswith(start):
            raise _refused(what, "a path of this run as text", "a Path: the next attempt has another folder")


def _write_file(what: str, value: Any, folder: Path) -> Node:
    kind = next((kind for kind in _KINDS if kind.holds(value)), None)
    if kind is None or (kind.name == "tensors" and not _is_tensors(value)):
        raise _refused(
            what, f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
        )
    place = f"{VALUES}/{_count(folder / VALUES)}{kind.suffix}"
    (folder / VALUES).mkdir(parents=True, exist_ok=True)
    try:
        kind.write(value, folder / place)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _refused(what, f"a {kind.type} that can't be stored exactly ({error})") from error
    return {"kind": kind.name, "place": place}


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


_KEEPABLE = (
    "numbers, texts, arrays, data frames, xarray data, tensors by name, paths, or lists and dicts of them"
)


def _refused(what: str, found: str, expected: str = _KEEPABLE) -> BadInput:
    return BadInput(what, found=found, expected=expected)


# ---------------------------------------------------------------- kinds of files


def _read_scalar(path: Path) -> Any:
    return arrays.read_array(path)[()]


def _write_frame(value: Any, path: Path) -> None:
    value.to_parquet(path)


def _read_frame(path: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(path)


def _read_geoframe(path: Path) -> Any:
    import geopandas

    return geopandas.read_parquet(path)


def _is_tensors(value: Any) -> bool:
    """Whether a dict is the state of a model: a tensor under every name."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if tensor is None or type(value).__name__ not in ("dict", "OrderedDict") or not value:
        return False
    return all(type(name) is str and isinstance(one, tensor) for name, one in value.items())


def _write_tensors(value: Any, path: Path) -> None:
    from safetensors.torch import save

    # clones: safetensors refuses tensors that share memory, such as tied weights
    path.write_bytes(save({name: one.detach().cpu().clone().contiguous() for name, one in value.items()}))


def _read_tensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _write_tensor(value: Any, path: Path) -> None:
    _write_tensors({"": value}, path)


def _read_tensor(path: Path) -> Any:
    return _read_tensors(path)[""]


_KINDS = (
    _Kind("array", "numpy", "ndarray", ".npy", arrays.write_array, arrays.read_array),
    _Kind("scalar", "numpy", "generic", ".npy", arrays.write_array, _read_scalar),
    _Kind("geoframe", "geopandas", "GeoDataFrame", ".parquet", _write_frame, _read_geoframe),
    _Kind("frame", "pandas", "DataFrame", ".parquet", _write_frame, _read_frame),
    _Kind("dataset", "xarray", "Dataset", "", arrays.write_dataset, arrays.read_dataset),
    _Kind("dataarray", "xarray", "DataArray", "", arrays.write_dataarray, arrays.read_dataarray),
    _Kind("tensor", "torch", "Tensor", ".safetensors", _write_tensor, _read_tensor),
    _Kind("tensors", "builtins", "dict", ".safetensors", _write_tensors, _read_tensors),
)


def digest(value: Any) -> str:
    """The SHA-256 of a JSON value, 64 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
