"""New notebooks: a copy of one that is there, without what its executions left in it."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from geolab.errors import BadInput
from geolab.jobs.notebook import cells, find_notebook, notebooks
from geolab.jobs.parameters import contract

TEMPLATE = "_template.ipynb"  # beside the notebooks that come with geolab

_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_EMPTY = "# name: type = value  # what it is, unit"


def create(name: str, folder: Path, *, like: str | Path = "") -> Path:
    """The path of a new notebook in a folder: a copy of `like`, or of the template.

    Outputs, counts and injected values are left out; where there is no parameters cell an empty one is
    put in. Raises BadInput for a name that can't be one or is taken, ContractBroken if the copy would be
    no job.
    """
    stem = name.removesuffix(".ipynb")
    if not _STEM.fullmatch(stem):
        raise BadInput("notebook", found=repr(name), expected="a name of letters, digits, '.', '_' and '-'")
    if stem in notebooks():
        raise BadInput("notebook", found=f"{stem}, which comes with geolab", expected="a name of its own")
    source = find_notebook(like) if like else next(iter(notebooks().values())).with_name(TEMPLATE)
    text = _text(source, title=re.sub(r"[._-]+", " ", stem).strip().capitalize())
    target = folder / f"{stem}.ipynb"
    with tempfile.TemporaryDirectory(prefix="geolab-") as temporary:
        draft = Path(temporary, target.name)
        draft.write_text(text, encoding="utf-8")
        contract(draft)
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise BadInput("notebook", found=f"{target}, which is there", expected="a new name") from error
    except OSError as error:
        raise BadInput(
            "notebook", found=f"{target}: {error.strerror}", expected="a folder to write"
        ) from error
    return target


def _text(source: Path, *, title: str) -> str:
    """The source's text as a new notebook."""
    cells(source)  # raises for what is no notebook
    document = json.loads(source.read_bytes())
    kept = [_cleaned(cell) for cell in document["cells"] if "injected-parameters" not in _tags(cell)]
    _rename(kept, title)
    if not any("parameters" in _tags(cell) for cell in kept):
        kept.insert(1, _code(_EMPTY, "parameters"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {
        "cells": [cell | {"id": str(i)} for i, cell in enumerate(kept)],
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    made["metadata"] = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _tags(cell: dict[str, Any]) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def _cleaned(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = {"tags": _tags(cell)} if _tags(cell) else {}
    plain = {"cell_type": cell["cell_type"], "metadata": metadata, "source": cell["source"]}
    code = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
    attached = {"attachments": cell["attachments"]} if cell.get("attachments") else {}
    return plain | code | attached


def _rename(kept: list[dict[str, Any]], title: str) -> None:
    """Give the notebook its own heading; what stands below it stays."""
    heading = f"# {title}"
    if kept and kept[0]["cell_type"] == "markdown":
        source = kept[0]["source"]
        first, _, rest = (source if isinstance(source, str) else "".join(source)).lstrip().partition("\n")
        below = f"\n{rest}" if first.startswith("#") else f"\n\n{first}\n{rest}"
        kept[0]["source"] = (heading + below).rstrip("\n")
    else:
        kept.insert(0, {"cell_type": "markdown", "metadata": {}, "source": heading})


def _code(source: str, *tags: str) -> dict[str, Any]:
    return _cleaned({"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source})
