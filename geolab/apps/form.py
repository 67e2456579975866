"""A form made from a notebook's parameters cell; *Run* submits the job.

    Form(page, "04_detect_change", on_submitted=show)

What it holds is read by the code that reads the command line, and its problems are told in its words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import asking, command, faults, finders, parts
from geolab.apps.asking import Asked, Examined
from geolab.apps.beside import Beside
from geolab.apps.filling import Filling
from geolab.errors import GeolabError
from geolab.jobs import parameters
from geolab.maps import origin

if TYPE_CHECKING:
    from geolab.apps.shell import Page


class Form(widgets.VBox):
    """Fields, *Run*, and the same run as a command or a notebook.

    values: of parameters, typed or as text, in place of their defaults. hidden: parameters that are not
    shown and keep those values. advanced: folded away; None for those that geolab knows to be technical.
    on_submitted(run_id): a run was asked for, or one with the same key was found.
    """

    def __init__(
        self,
        page: Page,
        notebook: str | Path,
        *,
        values: Mapping[str, Any] | None = None,
        hidden: tuple[str, ...] = (),
        advanced: tuple[str, ...] | None = None,
        on_submitted: Callable[[str], None] | None = None,
        label: str = "Run",
    ):
        self.page, self.path, self.on_submitted = page, jobs.find_notebook(notebook), on_submitted
        self.contract = jobs.contract(self.path)
        self.filling = Filling(
            self.contract, hidden=hidden, advanced=advanced, on_find=self._find, on_ask=self._ask
        )
        self._beside = Beside(page, self.filling, self._filled)
        self._touched: set[str] = set()
        self._examined = Examined()
        self._asks = self._examining = False
        self._note = parts.stack()
        self._run = parts.button(label, self._run_clicked, primary=True)
        self._copy = parts.Copy("Copy as command", "", shown=False)
        self._open = parts.button("Open as notebook", self._open_clicked)
        for name, given in (values or {}).items():
            self.filling.write(name, parameters.value(self.filling.parameter(name), given))
        for sheet in self.filling.sheets:
            sheet.observe(self._heard, "said")
        super().__init__(self._laid_out())
        self.add_class("geolab-form")
        self._examine()

    # ------------------------------------------------------------ what others ask of it

    @property
    def values(self) -> dict[str, Any]:
        """All parameters, typed and checked, paths absolute. Raises BadInput or NotFound."""
        return jobs.parse(self.contract, self.filling.given(), settings=self.page.settings)

    @property
    def problems(self) -> dict[str, str]:
        """What the command line would say of each parameter that can't be taken."""
        return asking.examine(self.contract, self.filling.given(), self.page.settings).problems

    @property
    def command(self) -> str:
        """The command that means this run. Raises BadInput or NotFound."""
        return command.of(self.path, self.values)

    def put(self, **values: Any) -> None:
        """Fill in values, typed or as text. Raises NotFound, BadInput."""
        typed = {
            name: parameters.value(self.filling.parameter(name), given) for name, given in values.items()
        }
        for name, value in typed.items():
            self.filling.write(name, value)
        self._examine()

    def submit(self, *, force: bool = False) -> str:
        """Ask for the run; its id. Raises BadInput or NotFound. force: even if it was done before."""
        asked = asking.submit(self.path, self.filling.given(), self.page.settings, force=force)
        self._tell(asked)
        return asked.run_id

    # ------------------------------------------------------------ what it is made of

    def _laid_out(self) -> list[widgets.Widget]:
        if not self.filling.sheets:
            self._note.children = (parts.text("This notebook takes no parameters.", soft=True),)
        actions = parts.row(self._run, self._copy, self._open)
        actions.add_class("geolab-form-actions")
        shown = [w for both in zip(self.filling.sheets, self._beside.boxes, strict=True) for w in both]
        return [*shown, actions, self._note]

    # ------------------------------------------------------------ while it is filled in

    def _heard(self, change: Any) -> None:
        old, new = change["old"], change["new"]
        self._touched |= {name for name, held in new.items() if held != old.get(name)}
        faults.call(self._examine)

    def _examine(self) -> None:
        """Look at all values in a thread; once more afterwards if they were changed meanwhile."""
        self._asks = True
        if self._examining:
            return
        self._asks, self._examining = False, True
        given, known = self.filling.given(), self._examined.cards
        self.page.aside(partial(_looked_at, self.contract, given, self.page.settings, known), self._show)

    def _show(self, examined: Examined | Exception) -> None:
        self._examining = False
        if isinstance(examined, Exception):
            self.page.fault(examined)
            return
        self._examined = examined
        for sheet in self.filling.sheets:
            sheet.cards = {name: card for name, card in examined.cards.items() if name in sheet.shown}
            sheet.problems = {
                name: line
                for name, line in examined.problems.items()
                if name in sheet.shown and name in self._touched
            }
        self._copy.text = examined.command
        self._copy.layout.display = "" if examined.command else "none"
        if self._asks:
            self._examine()

    def _find(self, name: str, text: str, page: int, number: int) -> None:
        reference, sheet = self.filling.parameter(name).references[0], self.filling.sheet_of(name)
        assert sheet is not None
        look = partial(_found, reference, self.page.settings, text, page)
        self.page.aside(look, lambda answer: sheet.found(name, number, answer))

    def _ask(self, name: str, what: str) -> None:
        self._beside.toggle(name, what)

    def _filled(self, name: str, value: Any) -> None:
        """Take what was drawn, chosen or uploaded beside a field."""
        self._touched.add(name)
        self.put(**{name: value})

    # ------------------------------------------------------------ the run

    def _run_clicked(self) -> None:
        self._ask_for(force=False)

    def _ask_for(self, *, force: bool) -> None:
        self._busy(True)
        self._note.children = (parts.text("Looking at the inputs…", soft=True),)
        ask = partial(asking.attempt, self.path, self.filling.given(), self.page.settings, force=force)
        self.page.aside(ask, self._answered)

    def _busy(self, busy: bool) -> None:
        self._run.disabled = busy
        for sheet in self.filling.sheets:
            sheet.busy = busy

    def _answered(self, answer: Asked | Examined | Exception) -> None:
        self._busy(False)
        if isinstance(answer, Exception):
            self.page.fault(answer)
        elif isinstance(answer, Examined):
            self._refused(answer)
        else:
            self._tell(answer)

    def _refused(self, examined: Examined) -> None:
        """Show every problem, and lead to the first."""
        self._touched |= set(examined.problems)
        self._show(examined)
        count = len(examined.problems)
        unseen = [line for name, line in examined.problems.items() if self.filling.sheet_of(name) is None]
        words = f"{count} field{'s' if count > 1 else ''} to mend before this can run."
        said = parts.html(f'<p class="geolab-problem" role="alert">{origin.safe(words)}</p>')
        self._note.children = (said, *map(parts.text, unseen))
        first = next((name for name in self.filling.parameters if name in examined.problems), "")
        sheet = self.filling.sheet_of(first) if first else None
        if sheet is not None:
            sheet.look_at(first)

    def _tell(self, asked: Asked) -> None:
        """Say whether the run was found, and tell whoever waits for it."""
        self._note.children = ()
        if asked.reused and asked.finished:
            again = parts.button("Run it again", lambda: self._ask_for(force=True))
            words = f"The same run was finished on {asked.finished}: this is it."
            self._note.children = (parts.row(parts.state("done", words), again),)
        elif asked.reused:
            self._note.children = (parts.state("running", "The same run is in progress: this is it."),)
        faults.call(self.on_submitted, asked.run_id)

    # ------------------------------------------------------------ as a notebook

    def _open_clicked(self) -> None:
        make = partial(asking.copied, self.path, self.filling.given(), self.page.settings)
        self.page.aside(make, self._opened_copy)

    def _opened_copy(self, made: Path | Examined | Exception) -> None:
        if isinstance(made, Exception):
            self.page.fault(made)
        elif isinstance(made, Examined):
            self._refused(made)
        else:
            href, words = command.lab_url(made), f"A copy with these parameters: {made}"
            opened = [parts.link("Open it in JupyterLab", href, new=True)] if href else []
            self._note.children = (parts.row(parts.text(words), *opened),)


def _looked_at(*question: Any) -> Examined | Exception:
    try:
        return asking.examine(*question)
    except Exception as error:  # noqa: BLE001 (told by the page)
        return error


def _found(reference: str, settings: Any, text: str, page: int) -> dict[str, Any]:
    try:
        return finders.find(reference, settings, text, page)
    except GeolabError as error:
        return {"rows": [], "words": "", "more": False, "page": page, "problem": str(error)}
