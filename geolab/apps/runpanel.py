"""One run as it goes, and when it is done: the same panel on every page that starts runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import charts, command, ended, parts, words
from geolab.apps.live import Live, Look, Picture
from geolab.apps.results import figure, results
from geolab.apps.runlist import recent
from geolab.errors import GeolabError
from geolab.jobs.listing import View
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.shell import Page

__all__ = ["RunPanel", "recent"]

LOOK_S = 1.0
ACTIVE = ("queued", "running")


class RunPanel(widgets.VBox):
    """State, progress, log, curves, figures, results of one run, live while a browser shows it.

    run_id: the run it shows; `show` turns to another. view: what was seen of it last, or None.
    on_end: called with the view once when the run has ended, also when it had before. on_close: the panel
    has a button for it.
    """

    def __init__(
        self,
        page: Page,
        run_id: str,
        *,
        on_end: Callable[[View], None] | None = None,
        on_close: Callable[[], None] | None = None,
    ):
        self.page, self.run_id, self.on_end, self.on_close = page, run_id, on_end, on_close
        self.view: View | None = None
        self._task: Any = None
        self._head, self._actions = parts.html(""), parts.row()
        self._bar, self._words = parts.Progress(None, ""), parts.html("")
        self._trouble, self._results = parts.stack(), parts.stack()
        self._charts, self._figures = charts.Charts(), parts.box([], "geolab-figures")
        self._log = parts.Log(label="Log of the run")
        self._log_fold = parts.Fold("Log", self._log, opened=True)
        self._more = parts.Fold("Run it again, take it along")
        super().__init__([])
        self.add_class("geolab-run")
        self.show(run_id)

    def show(self, run_id: str) -> None:
        """Turn to this run; the page's address remembers it where the page takes a `run`."""
        self.stop()
        self.run_id, self.view, self._asked = run_id, None, False
        self._begin()
        if "run" in self.page.asked and self.page.asked["run"] != run_id:
            self.page.remember(run=run_id)
        live = Live(self.page.settings, run_id)
        self._task = self.page.every(LOOK_S, self._shown, work=lambda: _looked(live))

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.stop()
            self._task = None

    def close(self) -> None:
        """Leave the page."""
        self.stop()
        super().close()

    # ------------------------------------------------------------ what is seen

    def _begin(self) -> None:
        self._head.value, self._words.value = "", ""
        self._bar.part, self._bar.text, self._bar.eta_s, self._bar.state = None, "", None, "queued"
        for place in (self._actions, self._trouble, self._results, self._figures):
            place.children = ()
        self._pictures: tuple[Picture, ...] = ()
        self._charts.series = {}
        self._log.clear()
        self.children = (parts.skeleton(),)

    def _shown(self, look: Look | GeolabError) -> None:
        if isinstance(look, GeolabError):
            self.stop()
            close = [parts.button("Close", self.on_close)] if self.on_close else []
            link = parts.link("See all runs", self.page.link("monitor"))
            self.children = (parts.empty(str(look), link, *close),)
            return
        first = self.view is None
        before, self.view = self.view, look.view
        self._tell(look.view)
        self._log.append(look.log)
        self._charts.series = look.series
        self._draw(look.pictures)
        if first or (before and before.state != look.view.state):
            self._turn(look)
        if look.view.state not in ACTIVE and before is not None and before.state == look.view.state:
            self.stop()  # seen twice: what came with the end has been read too

    def _tell(self, view: View) -> None:
        mark = parts.state(view.state).value
        name = origin.safe(title_of(view))
        self._head.value = f'<div class="geolab-run-head">{mark}<strong>{name}</strong></div>'
        self._bar.state = view.state
        self._bar.part = 1.0 if view.state == "succeeded" else view.progress
        self._bar.eta_s, self._bar.text = view.eta_s, _doing(view, asked=self._asked)
        self._words.value = f'<p class="geolab-soft geolab-small-text">{origin.safe(_facts(view))}</p>'

    def _turn(self, look: Look) -> None:
        """Show what hangs on the state: buttons, what went wrong, results."""
        view = look.view
        self._actions.children = tuple(self._buttons(view))
        self._trouble.children = tuple(ended.told(self.page, view))
        self._log_fold.opened = view.state in ACTIVE
        self._more.inside(*self._taken_along(look))
        if view.state == "succeeded":
            self._results.children = (results(self.page, view, figures=False),)
        shown = [parts.box([self._head, self._actions], "geolab-row", "geolab-between")]
        shown += [self._bar] if view.state in ACTIVE else []
        shown += [self._words, self._trouble, self._results, self._charts, self._figures]
        self.children = (parts.card("", *shown, self._log_fold, self._more),)
        if view.state not in ACTIVE and self.on_end is not None:
            self.on_end(view)

    def _draw(self, pictures: tuple[Picture, ...]) -> None:
        """Show the figures; those that are there stay as they are."""
        if pictures == self._pictures:
            return
        known = dict(zip(self._pictures, self._figures.children, strict=True))
        self._figures.children = tuple(known.get(one) or figure(self.run_id, one) for one in pictures)
        self._pictures = pictures

    # ------------------------------------------------------------ what can be done

    def _buttons(self, view: View) -> list[widgets.Widget]:
        close = [parts.button("Close", self.on_close)] if self.on_close else []
        if view.state in ACTIVE:
            return [parts.button("Cancel", self.cancel, danger=True, hint="Stop this run"), *close]
        return [
            *([] if view.state == "succeeded" else [parts.button("Retry", self.retry, primary=True)]),
            *close,
        ]

    def cancel(self) -> None:
        """Ask the run to stop; if it does not answer, offer to end it at once."""
        self._asked = True
        self.page.aside(lambda: jobs.cancel(self.run_id, settings=self.page.settings), self._cancelled)

    def _cancelled(self, view: View) -> None:
        if view.state in ACTIVE:
            kill = parts.button("End it at once", self.kill, danger=True, hint="Kill its process")
            self._actions.children = (kill,)
        self._tell(view)

    def kill(self) -> None:
        """End the run's process at once."""
        self.page.aside(lambda: jobs.kill(self.run_id, settings=self.page.settings), self._tell)

    def retry(self) -> None:
        """Do the work once more, and show that run."""
        self.page.aside(
            lambda: jobs.retry(self.run_id, settings=self.page.settings),
            lambda submitted: self.show(submitted.run_id),
        )

    def _taken_along(self, look: Look) -> list[widgets.Widget]:
        view, notebook = look.view, look.notebook
        text = command.of(notebook, view.parameters)
        shown: list[widgets.Widget] = [parts.Copy("Copy", text)]
        links = [
            parts.link(words_of, origin.run_file_url(view.run_id, name), download=True)
            for name, words_of in (("notebook.ipynb", "Executed notebook"), ("log.txt", "Log"))
            if (view.folder / name).is_file()
        ]
        place = parts.stack()
        opened = parts.button("Open as notebook", lambda: self._open(notebook, view, place))
        return [*shown, parts.row(opened, *links), place]

    def _open(self, notebook: str, view: View, place: widgets.Box) -> None:
        """Put a notebook with this run's parameters into the workspace, and say where."""
        copied = command.notebook_copy(self.page.settings, notebook, view.parameters)
        address = command.lab_url(copied)
        if address:
            place.children = (parts.link(f"Open {copied.name} in JupyterLab", address, new=True),)
            return
        place.children = (
            parts.text("It lies in the workspace, its parameters filled in:", soft=True),
            parts.Copy("Copy", f"jupyter lab {shlex.quote(str(copied))}"),
        )


def _looked(live: Live) -> Look | GeolabError:
    try:
        return live.look()
    except GeolabError as error:
        return error


def title_of(view: View) -> str:
    """What people call a run's notebook: its title, else its name."""
    known = jobs.notebooks().get(view.notebook)
    try:
        return jobs.contract(known).title if known else view.notebook
    except GeolabError:
        return view.notebook


def _doing(view: View, *, asked: bool) -> str:
    """What the run does now, in words."""
    if view.state == "queued":
        return "Starting" if view.host else "Waits for a worker; geolab worker starts one"
    if view.state != "running":
        return ""
    return ", ".join(filter(None, ["stopping" if asked else "", view.doing, words.rate(view.rate)]))


def _facts(view: View) -> str:
    """When, how long, on what, as which attempt."""
    told = [f"run {view.run_id}", words.duration(view.seconds)]
    told += [f"attempt {view.attempt}"] if view.attempt > 1 else []
    told += [f"on {view.host}"] if view.host else []
    told += [f"{view.pipeline}, {view.slot}"] if view.pipeline else []
    return " · ".join(filter(None, [*told, words.usage(view.usage)]))
