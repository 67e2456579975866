"""What a run has made: its numbers with their units, its products on a map, its figures, its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import store
from geolab.apps import parts, products, words
from geolab.apps.live import Picture, pictures
from geolab.errors import one_line
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View

Found = tuple[str, str, int]  # result, name in the run's folder, bytes
MOST_FILES = 60
MOST_NUMBERS = 40
FILES = (
    parts.Column("what", "Result"),
    parts.Column("file", "File", "link"),
    parts.Column("size", "Size"),
)


def results(page: Page, view: View, *, figures: bool = True) -> widgets.Widget:
    """The results of a run that succeeded. view: from `jobs.show`, which reads its report."""
    given = (view.report or {}).get("results") or {}
    files = list(found_files(given, view.folder))
    shown: list[widgets.Widget] = _top(page, view, dict(told(given, view.folder)), files)
    if figures and (found := tuple(pictures(view.folder))):
        shown.append(parts.box([figure(view.run_id, one) for one in found], "geolab-figures"))
    if files:
        shown.append(downloads(view.run_id, files))
    if not shown:
        return parts.text("No results were reported; the executed notebook holds what was shown.", soft=True)
    return parts.stack(*shown)


def _top(page: Page, view: View, numbers: Mapping[str, str], files: list[Found]) -> list[widgets.Widget]:
    """The numbers, beside the map where there is one."""
    shapes = next((view.folder / name for _, name, _ in files if name.endswith(".geojson")), None)
    report = view.report or {}
    shown: list[widgets.Widget] = [parts.facts(numbers)] if numbers else []
    if outputs := products.drawn(report.get("outputs") or []):
        shown.append(products.Products(page, outputs, report.get("inputs") or [], shapes))
    return [parts.grid(*shown, columns="minmax(200px, 1fr) 3fr")] if len(shown) > 1 else shown


def told(given: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """(label, text) of every result that is no file, at most so many."""
    for name, value in list(given.items())[:MOST_NUMBERS]:
        if next(found_files({name: value}, folder), None) is not None:
            continue
        plain = value if value is None or isinstance(value, str | int | float) else json.dumps(value)
        label, text = words.measure(name, plain)
        yield label, one_line(text)


def found_files(given: Mapping[str, Any], folder: Path) -> Iterator[Found]:
    """(result, name in the run's folder, bytes) of every result that is a file there, or a folder's files."""
    root = folder.resolve()
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            path = store.local_path(one) if isinstance(one, str) and one.startswith(("file:", "/")) else None
            if path is None or not (there := Path(path).resolve()).is_relative_to(root) or there == root:
                continue
            for each in [there] if there.is_file() else sorted(p for p in there.rglob("*") if p.is_file()):
                yield name, each.relative_to(root).as_posix(), each.stat().st_size


def downloads(run_id: str, files: list[Found]) -> widgets.Widget:
    """Links to the files, with what they are and how large."""
    rows = [
        {
            "id": name,
            "what": words.label(result),
            "file": {"text": name, "href": origin.run_file_url(run_id, name)},
            "size": words.size(count),
        }
        for result, name, count in dict.fromkeys(files)
    ]
    return parts.Table(FILES, rows[:MOST_FILES], page_rows=10, label="Files")


def figure(run_id: str, picture: Picture) -> widgets.HTML:
    """A figure of a run; the end of its address makes a page load it again when the file has changed."""
    name = picture.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    href = f"{origin.run_file_url(run_id, picture.name)}#{picture.stamp}"
    return parts.figure(href, words.label(name))
