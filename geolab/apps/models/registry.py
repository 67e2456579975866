"""The registry: models, their versions and aliases; promoted, and looked at in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from geolab import track
from geolab.apps import parts
from geolab.apps.models import addresses, card, compare
from geolab.apps.shell import Page
from geolab.errors import BadInput, GeolabError, one_line
from geolab.settings import Settings
from geolab.track import ModelRef

REFRESH_S = 10.0
USUAL = ("production", "staging", "candidate")
FIRST = ("iou", "f1", "precision", "recall")  # metrics that stand in the table
COLUMNS = (
    parts.Column("name", "Model"),
    parts.Column("version", "Version", "number"),
    parts.Column("aliases", "Aliases"),
    *(parts.Column(name, compare.label(name), "number") for name in FIRST),
    parts.Column("created", "Registered", "date"),
)


class Registry:
    """Every version of every model, kept fresh while the page is seen."""

    def __init__(self, page: Page, place: widgets.Box):
        self.page, self.place = page, place
        self.models: list[ModelRef] | None = None
        self.detail = parts.stack()
        self.table = parts.Table(COLUMNS, on_open=self.open, label="Registered models")
        self.wanted = str(page.asked.get("model") or "")
        self.task = page.every(REFRESH_S, self._seen, work=lambda: track.models(page.settings))

    def _seen(self, models: list[ModelRef]) -> None:
        if models == self.models:
            return
        self.models = models
        self.table.rows = rows(models)
        if not models:
            training = parts.link("Train a model", self.page.link("training"))
            self.place.children = (
                parts.empty("No model is registered yet. Training one registers it.", training),
            )
            return
        told = parts.text("Open a version to see what it takes, and to give it an alias.", soft=True)
        self.place.children = (told, self.table, self.detail)
        wanted, self.wanted = self.wanted, ""
        if wanted:
            self.open(wanted)

    def open(self, ref: str) -> None:
        """Show one version in full. ref: name/3, or name@alias."""
        found = next((one for one in self.models or [] if ref in names_of(one)), None)
        if found is None:
            self.page.tell(f"No model '{one_line(ref, 80)}' is registered.", "warn")
            return
        self.page.remember(model=found.ref)
        self.detail.children = (parts.skeleton(4),)
        show = lambda told: setattr(self.detail, "children", (self._card(found, told),))  # noqa: E731
        self.page.aside(lambda: look(self.page.settings, found.ref), show)

    def _card(self, model: ModelRef, told: dict[str, Any] | str) -> widgets.Widget:
        """What the model is and what can be done with it; told: its description, or why there is none."""
        links = [
            parts.link(
                "Detect change with this model", self.page.link("change", method="model", model=model.ref)
            ),
            parts.link("In MLflow", addresses.version(model.name, model.version), new=True),
        ]
        if model.run_id:
            links.append(
                parts.link("Its training run", self.page.link("models", tab="runs", run=model.run_id))
            )
        scores = {compare.label(k): compare.value(v) for k, v in sorted(model.metrics.items())}
        shown: list[widgets.Widget] = [parts.row(*links), Aliases(self.page, model, self._changed).widget]
        if isinstance(told, str):
            shown.append(parts.text(told, soft=True))
        else:
            shown.append(parts.heading("Signature"))
            shown.append(parts.facts(card.signature(told)))
        shown += [parts.heading("Scores on the held-out place"), parts.facts(scores)] if scores else []
        more = card.facts(told) if isinstance(told, dict) else {}
        shown += [parts.fold("What it was trained on", parts.facts(more))] if more else []
        return parts.card(f"{model.name}, version {model.version}", *shown)

    def _changed(self, ref: str) -> None:
        """Look again, and show the version that was changed."""
        self.wanted, self.models = ref, None
        self.page.aside(lambda: track.models(self.page.settings), self._seen)


class Aliases:
    """The aliases of a version: taken away, or moved to it, each after a second word."""

    def __init__(self, page: Page, model: ModelRef, on_changed: Callable[[str], None]):
        self.page, self.model, self.on_changed = page, model, on_changed
        self.alias = widgets.Combobox(
            placeholder="production", options=USUAL, ensure_option=False, layout={"width": "160px"}
        )
        self.alias.tooltip = "Alias"
        self.ask = parts.stack()
        give = parts.button("Promote", self.promote, primary=True, hint="Move this alias to this version")
        held = [
            parts.button(
                f"Remove {alias}", lambda a=alias: self.remove(a), hint=f"Take {alias} off this version"
            )
            for alias in model.aliases
        ]
        bears = ", ".join(model.aliases) or "none"
        self.widget = parts.stack(
            parts.text(f"Aliases: {bears}"), parts.row("Alias", self.alias, give, *held), self.ask
        )

    def promote(self) -> None:
        """Ask whether the alias shall be moved here. Raises BadInput without one."""
        alias = self.alias.value.strip()
        if not alias:
            raise BadInput("alias", found="no name", expected="a name, such as production")
        said = f"Move '{one_line(alias, 100)}' to {self.model.ref}? Whoever asks for it gets this version."
        self._confirm(said, "Move it", lambda: track.promote(self.page.settings, self.model.ref, alias))

    def remove(self, alias: str) -> None:
        """Ask whether the alias shall be taken away."""
        said = f"Take '{alias}' off {self.model.ref}? Whoever asks for it then gets nothing."
        self._confirm(said, "Remove it", lambda: track.demote(self.page.settings, self.model.name, alias))

    def _confirm(self, said: str, word: str, do: Callable[[], object]) -> None:
        done = self.page.guard(lambda _=None: self._done(word))

        def act() -> None:
            self.ask.children = (parts.skeleton(1),)
            self.page.aside(lambda: _tried(do), lambda error: self._failed(error) if error else done())

        keep = parts.button("Keep it as it is", lambda: setattr(self.ask, "children", ()))
        self.ask.children = (parts.row(said, parts.button(word, act, primary=True), keep),)

    def _done(self, word: str) -> None:
        self.ask.children = ()
        self.page.tell("Moved." if word == "Move it" else "Removed.")
        self.on_changed(self.model.ref)

    def _failed(self, error: GeolabError) -> None:
        self.ask.children = ()
        self.page.fault(error)


def _tried(do: Callable[[], object]) -> GeolabError | None:
    """What was refused, so that the question goes away in any case."""
    try:
        do()
    except GeolabError as error:
        return error
    return None


def look(settings: Settings, ref: str) -> dict[str, Any] | str:
    """The description of a model, or why it can't be read."""
    try:
        return card.read(track.model_folder(ref, settings))
    except GeolabError as error:
        return str(error)


def names_of(model: ModelRef) -> set[str]:
    """The names that mean this version now."""
    return {model.ref, *(f"{model.name}@{alias}" for alias in model.aliases)}


def rows(models: list[ModelRef]) -> list[dict[str, Any]]:
    """One row for each version."""
    return [
        {
            "id": model.ref,
            "name": one_line(model.name, 100),
            "version": model.version,
            "aliases": ", ".join(model.aliases),
            "created": compare.when(model.created),
            **{name: compare.digits(model.metrics.get(name)) for name in FIRST},
        }
        for model in models
    ]
