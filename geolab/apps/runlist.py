"""Lists of runs: what a page opened elsewhere, or again, finds its run in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, jobs
from geolab.apps import parts, words
from geolab.errors import GeolabError, one_line
from geolab.jobs.listing import View
from geolab.maps import origin
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 3.0
MOST = 10
_ID = re.compile(r"[0-9a-f]{16,64}(-[\w-]{1,60})?")  # an item's, made of its content, or of a result
COLUMNS = (
    parts.Column("state", "State", "state"),
    parts.Column("what", "What"),
    parts.Column("progress", "Progress", "bar"),
    parts.Column("created", "Asked for", "date"),
    parts.Column("took", "Took", "short"),
)


def recent(page: Page, notebooks: Sequence[str], on_open: Callable[[str], None]) -> widgets.Widget:
    """The active and the last runs of these notebooks, newest first; all notebooks if none is named."""
    table = parts.Table(COLUMNS, on_open=on_open, empty="No run yet.", label="Recent runs")

    def look() -> list[dict[str, Any]]:
        views = newest(page, notebooks)
        titles = titles_of(views, page.settings)
        return [row(view, named=len(notebooks) != 1, titles=titles) for view in views]

    def show(rows: list[dict[str, Any]]) -> None:
        table.rows = rows

    page.every(LOOK_S, show, work=look)
    return table


def newest(page: Page, notebooks: Sequence[str], most: int = MOST) -> list[View]:
    """The newest runs of these notebooks; of all if none is named."""
    found = list[View]()
    if not has_ledger(page.settings):
        return found
    for name in notebooks or [""]:
        found += jobs.runs(notebook=name, limit=most, settings=page.settings)
    return sorted(found, key=lambda view: view.created, reverse=True)[:most]


def titles_of(views: Iterable[View], settings: Settings) -> dict[str, str]:
    """What people call the items that these runs name, by their ids; for a thread."""
    named = {value for view in views for value in view.parameters.values() if isinstance(value, str)}
    ids = [value for value in named if _ID.fullmatch(value)]
    if not ids:
        return {}
    with catalog.open_catalog(settings) as opened:
        found = opened.search(catalog.Search(ids=ids, limit=len(ids))).items
    return {str(item["id"]): origin.title(item) for item in found}


def has_ledger(settings: Settings) -> bool:
    """Whether anything was ever asked for here: looking shall make no file."""
    return not settings.ledger_url.startswith("sqlite:///") or settings.ledger_path.exists()


def row(
    view: View, *, named: bool = True, titles: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """A run as a row of a table. named: say its notebook too. titles: of items, by their ids."""
    known = {name: titles.get(v, v) if isinstance(v, str) else v for name, v in view.parameters.items()}
    what = summary(view.notebook, known)
    return {
        "id": view.run_id,
        "state": view.state,
        "notebook": view.notebook,
        "what": ": ".join(filter(None, [view.notebook if named else "", what])),
        "progress": view.progress if view.state == "running" else None,
        "created": view.created,
        "took": words.duration(view.seconds),
        "error": one_line(view.error.strip().split("\n", 1)[0], 160),
    }


def summary(notebook: str, parameters: Mapping[str, Any], most: int = 3) -> str:
    """What sets a run apart: the parameters that are not as in the notebook."""
    known = _defaults(notebook)
    told = [
        f"{name} {short(value)}"
        for name, value in parameters.items()
        if value not in ("", None) and (name not in known or known[name] != value)
    ]
    return ", ".join(told[:most]) + (", …" if len(told) > most else "")


def short(value: Any) -> str:
    """A value in a few words: of a file its name, of a list how much is in it."""
    if isinstance(value, list):
        return f"{len(value)} value{'' if len(value) == 1 else 's'}"
    text = str(value)
    if "/" in text.rstrip("/") and (text.startswith("/") or "://" in text):
        text = text.rstrip("/").rsplit("/", 1)[-1]
    return one_line(text, 40)


def _defaults(notebook: str) -> dict[str, Any]:
    path = jobs.notebooks().get(notebook)
    try:
        return {p.name: p.default for p in jobs.contract(path).parameters} if path else {}
    except GeolabError:
        return {}  # a notebook of the reader's own that was changed since
