"""The table of recorded runs; some of them chosen: their curves, figures and differences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from geolab import track
from geolab.apps import parts
from geolab.apps.models import addresses, compare
from geolab.apps.shell import Page
from geolab.errors import GeolabError, one_line
from geolab.settings import Settings
from geolab.track import Summary

MOST_RUNS = 200
MOST_COMPARED = 6
MOST_CURVES = 8  # metrics whose curves are drawn
MOST_FIGURES = 4  # of one run
REFRESH_S = 5.0
FIXED = (
    parts.Column("name", "Run"),
    parts.Column("experiment", "Experiment"),
    parts.Column("state", "State", "state"),
)
LAST = (
    parts.Column("best", "Best in"),
    parts.Column("started", "Started", "date"),
    parts.Column("took", "Took"),
)


@dataclass(frozen=True)
class Looked:
    """What was read of the chosen runs: histories by metric and run, figures by run."""

    histories: dict[str, dict[str, list[tuple[int, float]]]]
    figures: dict[str, list[tuple[str, bytes]]]


class Runs:
    """The runs of MLflow, kept fresh while the page is seen."""

    def __init__(self, page: Page, place: widgets.Box):
        self.page, self.place = page, place
        self.experiment = str(page.asked.get("experiment") or "")
        self.runs: list[Summary] = []
        self.known: dict[str, str] = {}
        self.wanted = [one for one in str(page.asked.get("run") or "").split(",") if one]
        self.choice = widgets.Dropdown(options=[("Every experiment", "")], layout={"width": "auto"})
        self.choice.observe(lambda change: self._chosen(change["new"]), "value")
        self.table = self._table([], [])
        self.detail = parts.stack()
        self.task = page.every(REFRESH_S, self._seen, work=self._look)

    def _table(self, parameters: Sequence[str], measures: Sequence[str]) -> parts.Table:
        columns = [parts.Column(f"p.{name}", one_line(name, 40)) for name in parameters]
        columns += [parts.Column(f"m.{name}", compare.label(name), "number") for name in measures]
        made = parts.Table(
            [*FIXED, *columns, *LAST],
            select="many",
            actions=[parts.Action("compare", "Compare the chosen")],
            on_action=lambda _name, ids: self.compare(ids),
            on_open=lambda run_id: self.compare([run_id]),
            empty="No run of this experiment yet.",
            label="Training runs",
        )
        self.shape = (tuple(parameters), tuple(measures))
        return made

    def _look(self) -> tuple[list[Summary], dict[str, str]]:
        """Asked in a thread: the first look imports MLflow."""
        known = track.experiments(self.page.settings)
        named = self.experiment if self.experiment in known else ""
        return track.runs(self.page.settings, named, limit=MOST_RUNS), known

    def _seen(self, looked: tuple[list[Summary], dict[str, str]]) -> None:
        runs, known = looked
        first = not self.place.children or self.table not in self.place.children
        if runs == self.runs and known == self.known and not first:
            return
        self.runs, self.known = runs, known
        self._show()
        if self.wanted:
            wanted, self.wanted = self.wanted, []
            self.compare(wanted)

    def _show(self) -> None:
        if not self.runs and not self.experiment:
            training = parts.link("Train a model", self.page.link("training"))
            told = "No run was recorded yet. Train a model, and its runs are compared here."
            self.place.children = (parts.empty(told, training),)
            return
        options = [("Every experiment", ""), *((one_line(name, 60), name) for name in self.known)]
        if tuple(options) != tuple(self.choice.options):
            self.choice.options = options
            self.choice.value = self.experiment if self.experiment in self.known else ""
        shape = self._columns()
        if shape != self.shape:
            chosen = self.table.selected
            self.table = self._table(*shape)
            self.table.selected = chosen
        self.table.rows = compare.rows(self.runs, *shape)
        told = parts.text("Choose several runs to see their curves beside each other.", soft=True)
        head = parts.row(self.choice, parts.link("Open MLflow", addresses.mlflow(), new=True))
        self.place.children = (head, told, self.table, self.detail)

    def _columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        parameters = compare.differing(self.runs)[: compare.MOST_COLUMNS]
        return tuple(parameters), tuple(compare.metrics(self.runs)[: compare.MOST_COLUMNS])

    def _chosen(self, experiment: str) -> None:
        if experiment != self.experiment:
            self.experiment = experiment
            self.page.remember(experiment=experiment)
            self.detail.children = ()
            self.task.soon()

    # ------------------------------------------------------------ some of them in full

    def compare(self, ids: Sequence[str]) -> None:
        """Show these runs beside each other, or one in full."""
        chosen = [run for run in self.runs if run.run_id in set(ids)][:MOST_COMPARED]
        if not chosen:
            self.page.tell("This run is not among those that are listed.", "warn")
            return
        self.page.remember(run=",".join(run.run_id for run in chosen))
        self.detail.children = (parts.skeleton(4),)
        names = [name for name in compare.metrics(chosen) if not name.startswith("system/")][:MOST_CURVES]
        work = lambda: look(self.page.settings, chosen, names)  # noqa: E731
        self.page.aside(work, lambda found: self._told(chosen, found))

    def _told(self, chosen: list[Summary], found: Looked) -> None:
        labels = _labels(chosen)
        shown: list[widgets.Widget] = [self._links(chosen, labels), self._differences(chosen, labels)]
        curves = [
            parts.card(compare.label(name), curve(series, labels)) for name, series in found.histories.items()
        ]
        if curves:
            shown.append(parts.grid(*curves, columns="repeat(auto-fit, minmax(min(100%, 320px), 1fr))"))
        figures = [_figures(labels[run.run_id], found.figures.get(run.run_id, [])) for run in chosen]
        shown += [one for one in figures if one is not None]
        title = "Run" if len(chosen) == 1 else f"{len(chosen)} runs compared"
        self.detail.children = (parts.card(title, *shown),)

    def _links(self, chosen: list[Summary], labels: dict[str, str]) -> widgets.Widget:
        links = [
            parts.link(f"{labels[r.run_id]} in MLflow", addresses.run(r.experiment_id, r.run_id), new=True)
            for r in chosen
        ]
        if len(chosen) > 1 and len({run.experiment_id for run in chosen}) == 1:
            href = addresses.compared(chosen[0].experiment_id, [run.run_id for run in chosen])
            links.append(parts.link("Compare in MLflow", href, new=True))
        return parts.row(*links)

    def _differences(self, chosen: list[Summary], labels: dict[str, str]) -> widgets.Widget:
        """A table whose columns are the runs: what differs first, then every metric; the rest folded."""
        same = {one_line(k, 60): one_line(v, 200) for k, v in compare.shared(chosen).items()}
        if len(chosen) == 1:
            known = compare.metrics(chosen)
            scores = {compare.label(name): compare.value(chosen[0].metrics[name]) for name in known}
            return parts.stack(parts.facts(scores), parts.fold("Parameters", parts.facts(same)))
        columns = [parts.Column("what", ""), *(parts.Column(r.run_id, labels[r.run_id]) for r in chosen)]
        names, measures = compare.differing(chosen), compare.metrics(chosen)
        told = {f"p.{name}": {r.run_id: r.parameters.get(name, "") for r in chosen} for name in names}
        told |= {f"m.{name}": compare.marked(chosen, name) for name in measures}
        lines = [_line(key, values) for key, values in told.items()]
        title = "Parameters that are the same"
        table = parts.Table(columns, lines, page_rows=100, label="Differences", empty="Nothing differs.")
        return parts.stack(table, *([parts.fold(title, parts.facts(same))] if same else []))


def _line(key: str, values: dict[str, str]) -> dict[str, Any]:
    name = compare.label(key[2:]) if key.startswith("m.") else one_line(key[2:], 60)
    return {"id": key, "what": name, **{k: one_line(v, 80) for k, v in values.items()}}


def _labels(chosen: Sequence[Summary]) -> dict[str, str]:
    """A short name for each run, no two the same."""
    names = [one_line(run.name or run.run_id[:8], 40) for run in chosen]
    return {
        run.run_id: name if names.count(name) == 1 else f"{name} {run.run_id[:6]}"
        for run, name in zip(chosen, names, strict=True)
    }


def look(settings: Settings, chosen: Sequence[Summary], names: Sequence[str]) -> Looked:
    """Histories and figures of these runs; what can't be read of one is left out."""
    histories: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name in names:
        series = {
            run.run_id: track.history(settings, run.run_id, name) for run in chosen if name in run.metrics
        }
        if any(len(points) > 1 for points in series.values()):
            histories[name] = series
    return Looked(histories, {run.run_id: _read(settings, run.run_id) for run in chosen})


def _read(settings: Settings, run_id: str) -> list[tuple[str, bytes]]:
    found = []
    for path in track.figures(settings, run_id)[:MOST_FIGURES]:
        with suppress(GeolabError):  # no picture, or a server that lost it
            found.append((path, track.figure(settings, run_id, path)))
    return found


def curve(series: dict[str, list[tuple[int, float]]], labels: dict[str, str]) -> parts.Curves:
    """One metric of several runs over their steps."""
    drawn = parts.Curves(x_title="step", y_title="")
    drawn.series = {labels[run_id]: points for run_id, points in series.items()}
    return drawn


def _figures(label: str, figures: list[tuple[str, bytes]]) -> widgets.Widget | None:
    if not figures:
        return None
    pictures = [widgets.Image(value=data, format="png", layout={"max_width": "100%"}) for _, data in figures]
    for picture in pictures:
        picture.add_class("geolab-figure")
    return parts.stack(parts.text(label, soft=True), *pictures)
