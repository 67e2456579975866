"""The same run by other means: as a command for a terminal, as a notebook with its parameters filled in."""

from __future__ import annotations

import ast
import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geolab import jobs
from geolab.errors import BadInput, GeolabError, NotFound
from geolab.maps import origin
from geolab.settings import Settings

FOLDER = "notebooks"  # of the workspace: copies that people work on


def of(notebook: str | Path, values: Mapping[str, Any]) -> str:
    """The command `geolab run ...` that means exactly this run, safe to paste into bash.

    values: typed and in full, as `jobs.parse` or a run's record give them; those that equal their defaults
    are left out. A notebook that is gone is named as it was. Raises BadInput for a text that no command
    line can hold.
    """
    name, known = str(notebook), dict[str, jobs.Parameter]()
    with suppress(NotFound):
        path = jobs.find_notebook(notebook)
        name = path.stem if jobs.notebooks().get(path.stem) == path else str(path)
        known = {p.name: p for p in jobs.contract(path).parameters}
    told = [
        f"-p {_word(f'{key}={_text(key, value)}')}"
        for key, value in values.items()
        if key not in known or not _same(value, known[key].default)
    ]
    return " ".join(["geolab run", _word(name), *told])


def _same(one: Any, other: Any) -> bool:
    """Whether two values give one key: True is not 1, and 1.0 not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _text(name: str, value: Any) -> str:
    """What the command line reads back as this value."""
    text = value if isinstance(value, str) else "none" if value is None else _json(value)
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadInput(name, found=repr(text), expected="a text that a command line can hold")
    return text


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _word(text: str) -> str:
    """The text as one word of bash.

    Characters that a terminal acts on (escape sequences could end its protection of pasted text) or
    that show otherwise than they are, are spelled out.
    """
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_spelled, text)) + "'"


def _spelled(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


# ---------------------------------------------------------------- a notebook to open


def notebook_copy(settings: Settings, notebook: str | Path, values: Mapping[str, Any]) -> Path:
    """The path of a copy of the notebook in the workspace whose parameters cell holds these values.

    The copy that was made before is found again as long as its parameters are these. Raises NotFound for
    an unknown parameter, BadInput for a value, ContractBroken.
    """
    source = jobs.find_notebook(notebook)
    full = jobs.parse(jobs.contract(source), values)
    folder = settings.home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    text = _filled(source, full)
    for number in range(1, 10_000):
        target = folder / f"{source.stem[:85]}-copy{f'-{number}' if number > 1 else ''}.ipynb"
        with suppress(FileExistsError), target.open("x", encoding="utf-8") as stream:
            stream.write(text)
            return target
        if _holds(target, full):
            return target
    raise BadInput("notebook", found=f"10,000 copies in {folder}", expected="fewer; delete some")


def lab_url(path: Path) -> str:
    """The address of a notebook in JupyterLab; "" where this page's server has none that reaches it."""
    root = os.environ.get("GEOLAB_LAB_ROOT", "")
    place = path.resolve()
    if not root or not place.is_relative_to(root):
        return ""
    return f"{origin.base_url()}lab/tree/{quote(place.relative_to(root).as_posix())}"


def _holds(path: Path, values: Mapping[str, Any]) -> bool:
    """Whether a notebook is there whose parameters have these values already."""
    try:
        found = {p.name: p.default for p in jobs.contract(path).parameters}
    except (GeolabError, OSError):
        return False
    return _same(found, dict(values))


def _filled(source: Path, values: Mapping[str, Any]) -> str:
    """The notebook's text without outputs and injected values, these values in place of its defaults."""
    document = json.loads(source.read_bytes())
    kept = [cell for cell in document["cells"] if "injected-parameters" not in _tags(cell)]
    for cell in kept:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        if "parameters" in _tags(cell):
            cell["source"] = filled_in(cell["source"], values)
    document["cells"] = kept
    document.get("metadata", {}).pop("papermill", None)
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def filled_in(cell: str | list[str], values: Mapping[str, Any]) -> str:
    """The parameters cell with these values as its literals; types, help and comments stay as they are."""
    text = cell if isinstance(cell, str) else "".join(cell)
    lines = text.encode().splitlines(keepends=True)  # ast counts bytes
    for statement in reversed(ast.parse(text).body):  # a line may hold two
        assert isinstance(statement, ast.AnnAssign)
        assert isinstance(statement.target, ast.Name)
        given = statement.value
        assert given is not None
        if statement.target.id in values:
            line, literal = lines[given.lineno - 1], _literal(values[statement.target.id]).encode()
            lines[given.lineno - 1] = line[: given.col_offset] + literal + line[given.end_col_offset :]
    return b"".join(lines).decode()


def _literal(value: Any) -> str:
    """The value as a Python literal on one line, printable whatever it holds."""
    text = repr(value)
    plain = isinstance(value, str) and text.startswith("'") and '"' not in text and "\\" not in text
    return f'"{value}"' if plain else text
