"""Notebooks as files: where they are, and their cells.

Read as JSON rather than with nbformat, whose schema checks would cost every command half a second.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from geolab.errors import BadInput, FileRejected, NotFound

_SAFE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PACKAGE = Path(__file__).parents[1]


Version = tuple[int, int, int, int]


@dataclass(frozen=True)
class Cell:
    """One cell. number: 1 for the first cell of the notebook."""

    number: int
    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: frozenset[str] = frozenset()


def notebooks() -> dict[str, Path]:
    """The notebooks that come with geolab, by name, in name order."""
    return dict(_notebooks(folder(), version(folder())))


@lru_cache(maxsize=4)
def _notebooks(folder: Path, _version: Version) -> dict[str, Path]:
    return {
        path.stem: path for path in sorted(folder.glob("*.ipynb")) if not path.name.startswith((".", "_"))
    }


@cache
def folder() -> Path:
    """The checkout's notebooks (development install), else those packed into the wheel."""
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "notebooks").is_dir():
        return checkout / "notebooks"
    return _PACKAGE / "_notebooks"


def find_notebook(name: str | Path) -> Path:
    """The file of a notebook: one of geolab's by its name, or an existing .ipynb file by its path.

    Raises NotFound, or BadInput for a file whose name can't name a folder of runs.
    """
    known = notebooks()
    if str(name) in known:
        return known[str(name)]
    path = Path(name).expanduser().absolute()
    if path.suffix != ".ipynb" or not path.is_file():
        raise NotFound("notebook", str(name), known=known, remedy="or give the path of an .ipynb file")
    if not _SAFE_STEM.fullmatch(path.stem):
        raise BadInput(
            "notebook", found=path.name, expected="a file name of letters, digits, '.', '_' and '-'"
        )
    return path


def version(path: Path) -> Version:
    """What changes whenever a file does: device, inode, size, time of change in ns; zeros if absent."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0, 0)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def cells(path: Path) -> list[Cell]:
    """The cells of a notebook. Raises NotFound or FileRejected."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFound("notebook", str(path)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileRejected(str(path), f"not a notebook: {error}") from error
    found = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(found, list) or document.get("nbformat") != 4:
        raise FileRejected(str(path), "not a notebook of format 4; open it in JupyterLab and save it")
    return [_cell(path, number, raw) for number, raw in enumerate(found, start=1)]


def _cell(path: Path, number: int, raw: Any) -> Cell:
    try:
        source, tags = raw["source"], raw.get("metadata", {}).get("tags", [])
        text = source if isinstance(source, str) else "".join(source)
        return Cell(number, str(raw["cell_type"]), text, frozenset(map(str, tags)))
    except (KeyError, TypeError, AttributeError) as error:
        raise FileRejected(str(path), f"cell {number} is not a notebook cell: {error!r}") from error
