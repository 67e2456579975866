"""Tiny notebooks for the apps, made when a test asks for them; pages, and a workspace with runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ipywidgets import HTML, Widget
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from geolab import jobs, settings
from geolab.apps import faults
from geolab.apps.shell import Page

Make = Callable[..., Path]
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def write_notebook(
    folder: Path,
    parameters: str,
    *code: str,
    name: str = "tiny",
    title: str = "# A tiny notebook\n\nIt counts.",
) -> Path:
    """A notebook: its parameters cell, then code cells."""
    cells = [new_markdown_cell(title), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    notebook = new_notebook(cells=cells + [new_code_cell(source) for source in code])
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def make_notebook(tmp_path: Path) -> Make:
    """A function that writes a notebook: its parameters cell, then code cells."""

    def make(parameters: str, *code: str, **named: str) -> Path:
        return write_notebook(tmp_path, parameters, *code, **named)

    return make


# ---------------------------------------------------------------- pages


@pytest.fixture
def hostile() -> str:
    """A text that must be shown as it is."""
    return HOSTILE


@pytest.fixture
def make_page() -> Iterator[Callable[..., Page]]:
    """A function that makes a page of a workspace; afterwards nothing of it is left in the process."""

    def make(workspace: settings.Settings, name: str = "home", **asked: Any) -> Page:
        return Page(name, workspace, asked)

    yield make
    _forget()


def _forget() -> None:
    """Leave nothing of a page in this process."""
    faults.handler = None
    log = logging.getLogger("geolab.apps")
    for handler in log.handlers:
        handler.close()
    log.handlers.clear()
    log.propagate = True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Widget]]:
    """What `apps.show` displays."""
    found: list[Widget] = []
    monkeypatch.setattr("IPython.display.display", found.append)
    yield found
    _forget()


@pytest.fixture
def beat() -> Callable[[Page], None]:
    """A function that is the page's browser: all tasks are due, and it says that the page is seen."""

    def pulse(page: Page) -> None:
        for task in page.clock.tasks:
            task.due = float("-inf")
        say(page.frame, kind="pulse")

    return pulse


def say(widget: Widget, **content: Any) -> None:
    """A message of the browser to a widget."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture(name="say")
def _say() -> Callable[..., None]:
    return say


def within(widget: Widget) -> Iterator[Widget]:
    """The widget and all that is in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from within(child)


@pytest.fixture(name="within")
def _within() -> Callable[[Widget], Iterator[Widget]]:
    return within


@pytest.fixture
def words() -> Callable[[Widget], str]:
    """All HTML and texts that a widget shows."""

    def said(widget: Widget) -> str:
        found = []
        for one in within(widget):
            if isinstance(one, HTML):
                found.append(one.value)
            found += [
                str(getattr(one, name)) for name in ("rows", "text", "description") if one.has_trait(name)
            ]
        return "\n".join(found)

    return said


# ---------------------------------------------------------------- runs


@dataclass(frozen=True)
class Ran:
    """A workspace with runs: one that drew and measured, one that failed, one that was cancelled."""

    workspace: settings.Settings
    drawn: str
    failed: str
    cancelled: str


_DRAW = """\
import numpy as np, rasterio
from PIL import Image
from geolab import jobs
run = jobs.context()
for step in range(5):
    run.metric("train_loss", 1 / (step + 1), step)
    run.metric("val_iou", step / 5, step)
print("five steps", flush=True)
Image.new("RGB", (40, 30), "red").save(run.path("figures/red.png"))
where = rasterio.transform.from_origin(690_000, 5_340_000, 2, 2)
facts = dict(width=64, height=48, count=1, dtype="uint8", crs="EPSG:32632", transform=where, nodata=255)
with rasterio.open(run.path("mask.tif"), "w", driver="GTiff", **facts) as out:
    out.write((np.indices((48, 64)).sum(0) % 2).astype("uint8"), 1)
run.path("table.csv").write_text("a,b")"""
_REPORT = """\
jobs.report(mask=run.path("mask.tif"), table=run.path("table.csv"), changed_m2=12345.6, changed_share=0.25,
            note=note, nothing=None, many=[1, 2])"""


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Made once: each of its runs takes seconds. Tests must not change it."""
    folder = tmp_path_factory.mktemp("ran")
    workspace = settings.load(folder / "workspace", environ={})
    note = f'note: str = "{HOSTILE}"  # a text'
    drawn = write_notebook(folder, note, _DRAW, _REPORT, name="drawn", title="# Draw\n\nIt draws.")
    failing = write_notebook(folder, note, "raise ValueError(note)", name="failing")
    waiting = write_notebook(folder, "n: int = 1  # a number", "print(n)", name="waiting")
    first = jobs.run(drawn, settings=workspace)
    second = jobs.run(failing, settings=workspace)
    third = jobs.enqueue(waiting, settings=workspace)
    jobs.cancel(third.run_id, settings=workspace)
    assert (first.state, second.state) == ("succeeded", "failed")
    return Ran(workspace, first.run_id, second.run_id, third.run_id)
