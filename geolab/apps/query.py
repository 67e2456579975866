"""What a page's address asks for, checked like the parameters of any notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from geolab import jobs
from geolab.errors import BadInput, GeolabError, NotFound
from geolab.jobs import notebook
from geolab.jobs.parameters import Contract, value
from geolab.settings import Settings

LONGEST = 20_000  # characters of a query
_SERVERS = {"token", "voila-theme", "voila-template", "_xsrf", "_"}  # asked of the server, not of the page


def notebook_of(page: str) -> Path:
    """The notebook of a page: of the checkout or of the package. Raises NotFound."""
    folder = notebook.folder() / "apps"
    path = folder / f"{page}.ipynb"
    if not path.is_file():
        raise NotFound("page", page, known=[p.stem for p in folder.glob("*.ipynb")])
    return path


def asked(
    page: str, parameters: Mapping[str, Any], text: str, settings: Settings
) -> tuple[dict[str, Any], str]:
    """All parameters of the page, and one line about the first that can't be taken ("" if none).

    A value of the query that is wrong leaves the page's own in place.
    """
    agreed = jobs.contract(notebook_of(page))
    values = jobs.parse(agreed, parameters)
    problem = ""
    try:
        given = pairs(text)
    except BadInput as error:
        return values, str(error)
    for name, said in given.items():
        try:
            values[name] = _checked(agreed, name, said, settings)
        except GeolabError as error:
            problem = problem or str(error)
    return values, problem


def pairs(text: str) -> dict[str, str]:
    """The names and values of a query, without those that are the server's. Raises BadInput."""
    if len(text) > LONGEST:
        raise BadInput(
            "address", found=f"a query of {len(text):,} characters", expected=f"at most {LONGEST:,}"
        )
    try:
        listed = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as error:
        raise BadInput(
            "address", found=f"a query that can't be read ({error})", expected="name=value pairs"
        ) from error
    found = dict[str, str]()
    for name, said in listed:
        if name in found:
            raise BadInput("address", found=f"'{name}' twice", expected="each name once")
        if name not in _SERVERS:
            found[name] = said
    return found


def _checked(agreed: Contract, name: str, said: str, settings: Settings) -> Any:
    parameter = agreed.parameter(name)
    if parameter is None:
        raise NotFound(f"parameter of page {agreed.name}", name, known=[p.name for p in agreed.parameters])
    found = value(parameter, said)
    return jobs.resolve((parameter,), {name: found}, settings)[name]


def written(given: Any) -> str:
    """A value as jobs.parse reads it back: JSON's words."""
    return json.dumps(given, ensure_ascii=False)
