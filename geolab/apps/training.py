"""Training: a network that finds change, or splats from photos; from a form, with live curves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, jobs
from geolab.apps import parts
from geolab.apps.form import Form
from geolab.apps.runpanel import RunPanel, recent
from geolab.errors import GeolabError
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.jobs.listing import View


@dataclass(frozen=True)
class Kind:
    """One thing that can be trained. data: its parameter that names a collection, and the role it needs."""

    name: str
    title: str
    notebook: str
    data: str
    role: str
    needs: str
    advanced: tuple[str, ...]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "change",
            "Change detection",
            "03_train_change",
            data="pairs",
            role="label",
            needs="A collection with images of two dates and labels of what changed",
            advanced=("tile_px", "loss", "seed", "resume"),
        ),
        Kind(
            "splats",
            "Splats from photos",
            "05_train_splats",
            data="scene",
            role="photo",
            needs="A collection or folder of overlapping photos",
            advanced=("sfm", "strategy", "sh_degree", "held_out", "gcp", "strict", "backend", "seed"),
        ),
    )
}
NOTEBOOKS = tuple(kind.notebook for kind in KINDS.values())


def build(page: Page) -> widgets.Widget:
    """The page: the run that is asked for, else the way to a new one."""
    return Training(page)


class Training(widgets.VBox):
    """Either the question (what is trained, with which values) or its answer (a run)."""

    def __init__(self, page: Page):
        self.page = page
        self.kind = KINDS[page.asked["kind"]]
        self.form: Form | None = None
        self.panel: RunPanel | None = None
        self._recent = recent(page, NOTEBOOKS, self.show_run)
        super().__init__([])
        self.add_class("geolab-stack")
        if page.asked["run"]:
            self.show_run(page.asked["run"])
        else:
            self.ask(self._asked())

    def _asked(self) -> dict[str, Any]:
        """What the page's address says of the training."""
        text = self.page.asked[self.kind.data]
        return {self.kind.data: text} if text else {}

    # ------------------------------------------------------------ the question

    def ask(self, values: dict[str, Any] | None = None) -> None:
        """Show the form of a new training, filled in with these values."""
        self._leave()
        choice = parts.tabs({kind.title: parts.stack() for kind in KINDS.values()}, chosen=self.kind.title)
        choice.on_change(self._turn)
        self._place = parts.stack()
        self.children = (choice, self._place, parts.heading("Recent trainings"), self._recent)
        self._fill(values or {})

    def _turn(self, title: str) -> None:
        self.kind = next(kind for kind in KINDS.values() if kind.title == title)
        self.page.remember(kind=self.kind.name)
        self._fill({})

    def _fill(self, values: dict[str, Any]) -> None:
        kind = self.kind
        self.form = Form(
            self.page, kind.notebook, values=values, advanced=kind.advanced,
            on_submitted=self.show_run, label="Train",
        )  # fmt: skip
        self._hint = parts.stack()
        summary = parts.text(jobs.contract(self.form.path).summary, soft=True)
        self._place.children = (summary, self._hint, self.form)
        if kind.data not in values:
            self.page.aside(partial(fitting, self.page.settings, kind), partial(self._offer, kind))

    def _offer(self, kind: Kind, names: list[str]) -> None:
        """Fill in a collection that can be trained on; say what is missing where there is none."""
        if kind is not self.kind or self.form is None:
            return
        if not names:
            add = parts.link("Bring in data, or make the sample town", self.page.link("data", tab="add"))
            self._hint.children = (parts.empty(f"{kind.needs} is needed; none is here yet.", add),)
        elif self.form.filling.text(kind.data) not in names:
            self.form.put(**{kind.data: names[0]})

    # ------------------------------------------------------------ the answer

    def show_run(self, run_id: str) -> None:
        """Show a training: as it goes, then what came of it."""
        self._leave()
        self.page.remember(run=run_id)
        self._next = parts.stack()
        self.panel = RunPanel(self.page, run_id, on_end=self._ended)
        again = parts.button("New training", self._again)
        back = parts.box([parts.text(""), again], "geolab-row", "geolab-between")
        self.children = (back, self.panel, self._next, parts.heading("Recent trainings"), self._recent)

    def _again(self) -> None:
        """The form with the values of the run that was shown: what is tried next differs in little."""
        view = self.panel.view if self.panel is not None else None
        self.page.remember(run="")
        self.page.tell("")
        self.kind = _kind_of(view) or self.kind
        self.ask(_still_known(view) if _kind_of(view) else None)

    def _leave(self) -> None:
        if self.panel is not None:
            self.panel.stop()
            self.panel = None

    def _ended(self, view: View) -> None:
        """Say what a training that succeeded is good for."""
        given = (view.report or {}).get("results") or {}
        links = [parts.link(words, href) for words, href in _uses(self.page, view, given)]
        self._next.children = (parts.row(parts.text("Next:", soft=True), *links),) if links else ()


def _uses(page: Page, view: View, results: dict[str, Any]) -> list[tuple[str, str]]:
    if view.state != "succeeded":
        return []
    if view.notebook == KINDS["change"].notebook and isinstance(results.get("model"), str):
        model = results["model"]
        detect = page.link("change", method="model", model=model)
        return [
            ("Find change with this model", detect),
            ("See it among the models", page.link("models", model=model)),
        ]
    if view.notebook == KINDS["splats"].notebook and isinstance(results.get("splats"), str):
        return [("Turn it in 3-D", page.link("splats", model=results["splats"]))]
    return []


def _kind_of(view: View | None) -> Kind | None:
    return next(
        (kind for kind in KINDS.values() if view is not None and kind.notebook == view.notebook), None
    )


def _still_known(view: View | None) -> dict[str, Any]:
    """The parameters of a run that its notebook still takes as they are."""
    assert view is not None
    contract, values = jobs.contract(jobs.find_notebook(view.notebook)), dict[str, Any]()
    for name, value in view.parameters.items():
        try:
            values |= {name: jobs.parse(contract, {name: value})[name]}
        except GeolabError:
            continue
    return values


def fitting(settings: Settings, kind: Kind) -> list[str]:
    """The collections that hold what a training needs, those with most of it first."""
    role = {"op": "=", "args": [{"property": "geolab:role"}, kind.role]}
    counted = dict[str, int]()
    with catalog.open_catalog(settings) as opened:
        for collection in opened.collections():
            name = str(collection["id"])
            counted[name] = opened.search(catalog.Search(collections=(name,), filter=role, limit=1)).matched
    return sorted((name for name, count in counted.items() if count), key=lambda name: (-counted[name], name))
