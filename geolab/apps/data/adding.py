"""Files into the catalogue: dropped here, or from a folder or address; a run of 01_ingest does the work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from geolab import catalog, jobs
from geolab.apps import parts
from geolab.apps.data import facts
from geolab.apps.runpanel import RunPanel, recent
from geolab.apps.shell import Page
from geolab.errors import BadInput, one_line
from geolab.ingest.together import forget, together
from geolab.jobs import View

NOTEBOOK = "01_ingest"
OUTCOMES = "outcomes.json"
LARGEST_OUTCOMES_BYTES = 64 << 20
MOST_LINES = 2000  # outcomes that are listed; the rest is counted, and downloaded
WORDS = {"added": "added", "updated": "updated", "unchanged": "known already", "rejected": "rejected"}
COLUMNS = (
    parts.Column("name", "File"),
    parts.Column("status", "Result", "state"),
    parts.Column("reason", "Why"),
    parts.Column("item", "", "link"),
)
SENT = (parts.Column("name", "File"), parts.Column("size", "Size"))


class Adding:
    """Upload, ingest, and what became of each file. on_added(): items came in."""

    def __init__(self, page: Page, on_added: Callable[[], None]):
        self.page, self.on_added = page, on_added
        self.sent: list[parts.Uploaded] = []
        self.asked: dict[str, set[str]] = {}  # what each run of this page ingests
        self.task: Any = None
        self.panel, self.outcomes, self.files = parts.stack(), parts.stack(), parts.stack()
        self.collection = widgets.Combobox(
            placeholder="name of a new or known collection",
            options=tuple(c["id"] for c in catalog.open_catalog(page.settings).collections()),
            ensure_option=False,
            layout={"width": "auto", "flex": "1 1 220px"},
        )
        self.collection.value = str(page.asked.get("collection") or "")
        self.collection.tooltip = "Collection"
        self.add = parts.button("Add to the catalogue", lambda: self.submit(dry_run=False), primary=True)
        self.check = parts.button(
            "Only check", lambda: self.submit(dry_run=True), hint="Say what would happen; change nothing"
        )
        self.widget = self._laid_out()
        self._show_sent()
        if page.asked.get("run"):
            self.watch(str(page.asked["run"]))

    def _laid_out(self) -> widgets.Widget:
        text = "Drop GeoTIFFs, photos or a zip of them here"
        upload = parts.Upload(self.received, text=text)
        hint = parts.text("A zip may hold sidecar files (.tfw, .aux.xml) beside an image.", soft=True)
        buttons = parts.row("Collection", self.collection, self.check, self.add)
        known = parts.card("Earlier", recent(self.page, (NOTEBOOK,), self.watch))
        by_path = parts.fold(
            "From a folder, a bucket or an address that this server reaches", _Later(self._form)
        )
        first = parts.card("Add files", upload, hint, self.files, buttons)
        return parts.stack(first, self.panel, self.outcomes, by_path, known)

    def _form(self) -> widgets.Widget:
        from geolab.apps.form import Form  # the form loads when it is asked for

        name = self.collection.value.strip()
        values = {"source": "", **({"collection": name} if name else {})}
        hidden = ("town_px", "seed")
        return Form(self.page, NOTEBOOK, values=values, hidden=hidden, on_submitted=self.watch)

    # ------------------------------------------------------------ uploads

    def received(self, files: list[parts.Uploaded]) -> None:
        """Take files that the server has received."""
        self.sent += files
        self._show_sent()

    def _show_sent(self) -> None:
        rows = [{"id": one.id, "name": one.name, "size": facts.size(one.size)} for one in self.sent]
        forget_all = parts.button("Forget these", self.forget, hint="Remove the files that were sent")
        shown = (parts.Table(SENT, rows, label="Files that were sent"), parts.row(forget_all))
        self.files.children = shown if self.sent else ()
        self.add.disabled = self.check.disabled = not self.sent

    def forget(self, ids: set[str] | None = None) -> None:
        """Remove files that were sent; all of them if none are named."""
        gone = {one.id for one in self.sent} if ids is None else ids
        forget(self.page.settings, gone)
        self.sent = [one for one in self.sent if one.id not in gone]
        self._show_sent()

    def submit(self, *, dry_run: bool) -> str:
        """The run that ingests what was sent. Raises BadInput."""
        name = self.collection.value.strip()
        if not name:
            raise BadInput("collection", found="no name", expected="a new name, or one of the list")
        source = together(self.page.settings, [one.id for one in self.sent])
        given = {"source": str(source), "collection": name, "dry_run": dry_run}
        # forced: the catalogue may have changed since the same files were ingested
        run = jobs.submit(NOTEBOOK, given, settings=self.page.settings, force=True)
        self.asked[run.run_id] = {one.id for one in self.sent}
        self.watch(run.run_id)
        return run.run_id

    # ------------------------------------------------------------ the run

    def watch(self, run_id: str) -> None:
        """Show a run, and when it has ended what became of each file."""
        self.page.remember(run=run_id, tab="add")
        self.panel.children = (parts.card("Ingest", RunPanel(self.page, run_id)),)
        self.outcomes.children = ()
        if self.task is not None:
            self.task.stop()
        self.task = self.page.every(1.5, self._seen, work=lambda: _look(self.page, run_id))

    def _seen(self, seen: tuple[View, list[dict[str, Any]]]) -> None:
        view, found = seen
        if view.state in ("queued", "running"):
            return
        self.task.stop()
        if view.state != "succeeded":
            return
        self.outcomes.children = (told(self.page, view, found),)
        if not view.parameters.get("dry_run"):
            self._done(view.run_id, found)

    def _done(self, run_id: str, found: list[dict[str, Any]]) -> None:
        """What came in is in the store: the uploads are not needed any more."""
        if ids := self.asked.pop(run_id, None):
            self.forget(ids)
        if any(one["status"] != "rejected" for one in found):
            self.on_added()


class _Later(widgets.VBox):
    """Something that is made when it is first seen."""

    def __init__(self, make: Callable[[], widgets.Widget]):
        self._make = make
        super().__init__([parts.button("Open the form", self._open)])

    def _open(self) -> None:
        self.children = (self._make(),)


def _look(page: Page, run_id: str) -> tuple[View, list[dict[str, Any]]]:
    view = jobs.show(run_id, settings=page.settings)
    return view, outcomes(view.folder) if view.state == "succeeded" else []


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """What became of each file, as the run wrote it down: href, status, id, reason; nothing if it did not."""
    file = folder / OUTCOMES
    try:
        if file.stat().st_size > LARGEST_OUTCOMES_BYTES:
            return []
        listed = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return [one for one in listed if isinstance(one, dict) and one.get("status") in WORDS]


def told(page: Page, view: View, found: list[dict[str, Any]]) -> widgets.Widget:
    """The outcome of every file, the rejected first."""
    collection = str(view.parameters.get("collection") or "")
    dry = bool(view.parameters.get("dry_run"))
    ordered = sorted(found, key=lambda one: one["status"] != "rejected")
    rows = [_line(page, collection, number, one, dry) for number, one in enumerate(ordered[:MOST_LINES])]
    table = parts.Table(COLUMNS, rows, empty="This run kept no list of files.", label="Outcomes")
    more = parts.link("Show the collection", page.link("data", collection=collection))
    title = "What would become of each file" if dry else "What became of each file"
    shown = [parts.text(summary(found, dry)), table]
    return parts.card(title, *shown, *([] if dry else [more]))


def summary(found: list[dict[str, Any]], dry: bool) -> str:
    """How many files of each outcome, in words."""
    counts = {word: sum(one["status"] == status for one in found) for status, word in WORDS.items()}
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    rest = f" Listed are the first {MOST_LINES:,}." if len(found) > MOST_LINES else ""
    return f"{'Would be: ' if dry else ''}{said or 'no file'}.{rest}"


def _line(page: Page, collection: str, number: int, one: dict[str, Any], dry: bool) -> dict[str, Any]:
    item_id = one.get("id")
    row: dict[str, Any] = {
        "id": str(number),
        "name": one_line(str(one.get("href") or "").rstrip("/").rpartition("/")[2], 200),
        "status": WORDS[one["status"]],
        "reason": one_line(one.get("reason") or "", 300),
    }
    if isinstance(item_id, str) and item_id and not dry:
        row["item"] = {"text": "Open", "href": page.link("data", collection=collection, item=item_id)}
    return row
