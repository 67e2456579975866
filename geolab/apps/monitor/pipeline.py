"""One pipeline, live: how far each stage is, every run as a square, what failed, what can be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.monitor import rows
from geolab.apps.monitor.watched import LETTERS, Seen, Watched
from geolab.jobs.ledger import Control
from geolab.maps import origin
from geolab.pipeline import control
from geolab.pipeline.watch import Figures

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 1.5


class PipelinePanel(widgets.VBox):
    """on_open(run_id): a run was chosen. What the buttons do is what `geolab pipeline` does."""

    def __init__(self, page: Page, name: str, on_open: Callable[[str], None]):
        self.page, self.name, self._on_open = page, name, on_open
        self.watched = Watched(name, page.settings)
        self.driver: control.Driver | None = None
        self._figures: Figures | None = None
        self._head, self._bar = parts.html(""), parts.Progress(None, "")
        self._actions, self._doing = parts.row(), list[str]()
        self._stages = parts.Table(rows.STAGES, label="Stages")
        self._running = parts.Table(rows.RUNNING, on_open=on_open, page_rows=10, label="Runs in progress")
        self._failed = parts.Table(
            rows.FAILED,
            on_open=on_open,
            actions=[parts.Action("retry", "Retry")],
            on_action=self._retry_some,
            page_rows=10,
            label="Failed runs",
        )
        self._buttons = {
            "pause": parts.button("Pause", self.pause),
            "resume": parts.button("Resume", self.resume, primary=True),
            "run": parts.button("Run what is left", self.run, primary=True),
            "retry": parts.button("Retry failed", self.retry),
            "stop": parts.button("Stop", self.stop, danger=True),
        }
        self.matrix = parts.Matrix(LETTERS, self._open_square)
        super().__init__([parts.skeleton(4)])
        self.add_class("geolab-stack")
        self._shown: tuple[Any, ...] = ()
        self._task = page.every(LOOK_S, self._show, work=self.watched.look)

    def close(self) -> None:
        """Leave the page."""
        self._task.stop()
        super().close()

    # ------------------------------------------------------------ what is seen

    def _show(self, seen: Seen) -> None:
        self._hear_driver()
        if seen.figures is None:
            said = parts.empty(f"Its file can't be read: {seen.problem}")
            self.children = (self._title(seen.control, None), said)
            return
        figures = self._figures = seen.figures
        self._tell(seen.control, figures)
        self.matrix.show(seen.grids)
        self._act(figures)
        self.children = tuple(self._laid_out(seen, figures))

    def _title(self, found: Control, figures: Figures | None) -> widgets.HTML:
        state = "active" if figures is None else rows.state(figures)
        mark, name = parts.state(state).value, origin.safe(found.name)
        told = " · ".join(filter(None, [found.file, *(f"{k} {v}" for k, v in found.parameters.items())]))
        self._head.value = (
            f'<div class="geolab-run-head">{mark}<strong>{name}</strong></div>'
            f'<p class="geolab-soft geolab-small-text">{origin.safe(told)}</p>'
        )
        return self._head

    def _tell(self, found: Control, figures: Figures) -> None:
        self._title(found, figures)
        self._bar.part = figures.done / figures.total if figures.total else None
        self._bar.state = "succeeded" if figures.done == figures.total else rows.state(figures)
        self._bar.text, self._bar.eta_s = rows.progress(figures), figures.eta_s
        self._stages.rows = rows.stages(figures)
        self._running.rows = [rows.running(one) for one in figures.running]
        self._failed.rows = rows.failures(figures)

    def _laid_out(self, seen: Seen, figures: Figures) -> list[widgets.Widget]:
        key = (bool(figures.running), bool(figures.failures), seen.hidden)
        if key == self._shown and len(self.children) > 2:
            return list(self.children)
        self._shown = key
        head = parts.box([self._head, self._actions], "geolab-row", "geolab-between")
        shown: list[widgets.Widget] = [head, self._bar, self._stages]
        shown += [self._running] if figures.running else []
        shown += [self._failed] if figures.failures else []
        shown.append(self.matrix)
        if seen.hidden:
            shown.append(parts.text(f"Too many runs for squares: {', '.join(seen.hidden)}.", soft=True))
        return [*shown, self._exports()]

    def _exports(self) -> widgets.Widget:
        kinds = (("Report", ".html"), ("Table", ".csv"), ("Document", ".json"))
        return parts.row(*(self._export(label, kind) for label, kind in kinds))

    def _export(self, label: str, kind: str) -> parts.Download:
        name = f"{label} ({kind[1:]})"
        return parts.Download(self.page, name, f"{self.name}{kind}", lambda: self.watched.report(kind))

    # ------------------------------------------------------------ what can be done

    def _act(self, figures: Figures) -> None:
        """The buttons that make sense now; they are made anew only when they are others."""
        wanted = rows.actions(figures)
        if wanted == self._doing:
            return
        self._doing = wanted
        self._actions.children = tuple(self._buttons[name] for name in wanted)

    def pause(self) -> None:
        """Start no more runs; those in progress go on."""
        self._set("paused", "Paused: no more runs start; those in progress go on.")

    def resume(self) -> None:
        """Start runs again after a pause."""
        self._set("active", "Resumed.")

    def stop(self) -> None:
        """End all runs."""
        self.page.tell("Stopping: all runs of the pipeline end.", "run")
        self.page.aside(lambda: control.stop(self.name, self.page.settings), self._stopped)

    def _stopped(self, left: int) -> None:
        text = f"{left} runs have not ended yet." if left else "Stopped; Run goes on from here."
        self.page.tell(text, "warn" if left else "ok")
        self._task.soon()

    def run(self) -> None:
        """Start a driver that does what is left."""
        self._drive(retry_failed=False)

    def retry(self) -> None:
        """Try again what has failed: by the driver there is, or by a new one."""
        seen = self._figures
        if seen is not None and seen.driven:
            self.page.aside(lambda: control.retry(self.watched.failed(), self.page.settings), self._retried)
        else:
            self._drive(retry_failed=True)

    def _retry_some(self, _name: str, run_ids: list[str]) -> None:
        """Try one again, whether or not somebody drives the pipeline."""
        driven = self._figures is not None and self._figures.driven
        self.page.aside(lambda: control.retry(run_ids, self.page.settings, waiting=driven), self._retried)

    def _retried(self, told: tuple[int, str]) -> None:
        asked, problem = told
        text = f"{asked} {'run' if asked == 1 else 'runs'} asked for again. {problem}"
        self.page.tell(text.strip(), "warn" if problem else "ok")
        self._task.soon()

    def _drive(self, *, retry_failed: bool) -> None:
        def started(driver: control.Driver) -> None:
            self.driver = driver
            self.page.tell("Started; it goes on when this page is closed.", "run")
            self._task.soon()

        self.page.aside(
            lambda: control.go_on(self.name, self.page.settings, retry_failed=retry_failed), started
        )

    def _hear_driver(self) -> None:
        if self.driver is not None and self.driver.refused:
            self.page.tell(self.driver.refused, "fail")
            self.driver = None

    def _set(self, state: str, said: str) -> None:
        def done(_: object) -> None:
            self.page.tell(said)
            self._task.soon()

        self.page.aside(lambda: control.set_state(self.name, state, self.page.settings), done)

    def _open_square(self, stage: str, row: int, column: int) -> None:
        def opened(run_id: str) -> None:
            if run_id:
                self._on_open(run_id)
            else:
                self.page.tell("That one has not run yet.", "warn")

        self.page.aside(lambda: self.watched.run_at(stage, row, column), opened)
