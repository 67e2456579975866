"""What a form asks of jobs: whether its values can be taken, which command they are, and the run itself.

All of it may be slow (hashes of inputs, the registry) and is called in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab import jobs
from geolab.apps import command, finders
from geolab.errors import GeolabError
from geolab.jobs.parameters import Contract, value
from geolab.settings import Settings


@dataclass(frozen=True)
class Examined:
    """What is known of a form's values. problems: by parameter, in the command line's words.

    values: typed, paths absolute; command: "" while there are problems; cards: what names stand for.
    """

    problems: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    cards: dict[str, finders.Row] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A run that was asked for. reused: it was there; finished: when it ended, "" if it has not."""

    run_id: str
    reused: bool
    finished: str = ""


def examine(
    contract: Contract,
    given: Mapping[str, Any],
    settings: Settings,
    known: Mapping[str, finders.Row] | None = None,
) -> Examined:
    """Every value looked at by itself. known: cards found before, which are taken again."""
    problems, values, cards = dict[str, str](), dict[str, Any](), dict[str, finders.Row]()
    for parameter in contract.parameters:
        name = parameter.name
        try:
            typed = value(parameter, given[name])
            card = _card(parameter, typed, settings, (known or {}).get(name))
            cards |= {name: card} if card else {}
            values |= jobs.resolve((parameter,), {name: typed}, settings)
        except GeolabError as error:
            problems[name] = str(error)
    if problems:
        return Examined(problems, {}, "", cards)
    try:
        return Examined({}, values, command.of(contract.path, values), cards)
    except GeolabError:  # a text that no command line can hold
        return Examined({}, values, "", cards)


def _card(
    parameter: jobs.Parameter, typed: Any, settings: Settings, known: finders.Row | None
) -> finders.Row | None:
    if not parameter.references or not isinstance(typed, str) or typed in parameter.choices:
        return None
    if known and known["value"] == typed and "missing" not in known:
        return known
    return finders.card(parameter.references[0], settings, typed)


def submit(notebook: Path, given: Mapping[str, Any], settings: Settings, *, force: bool = False) -> Asked:
    """The run with these values. Raises BadInput or NotFound."""
    submitted = jobs.submit(notebook, given, settings=settings, force=force)
    view = jobs.show(submitted.run_id, settings=settings)
    finished = (view.finished or "")[:16].replace("T", " ") if view.state == "succeeded" else ""
    return Asked(submitted.run_id, submitted.reused, f"{finished} UTC" if finished else "")


def attempt(
    notebook: Path, given: Mapping[str, Any], settings: Settings, *, force: bool = False
) -> Asked | Examined | Exception:
    """The run; or what is wrong with the values; or why it can't be asked for."""
    try:
        examined = examine(jobs.contract(notebook), given, settings)
        return examined if examined.problems else submit(notebook, given, settings, force=force)
    except Exception as error:  # noqa: BLE001 (told by the page)
        return error


def copied(notebook: Path, given: Mapping[str, Any], settings: Settings) -> Path | Examined | Exception:
    """A notebook of one's own with these values; or what is wrong with them; or why there can be none."""
    try:
        examined = examine(jobs.contract(notebook), given, settings)
        return examined if examined.problems else command.notebook_copy(settings, notebook, examined.values)
    except Exception as error:  # noqa: BLE001 (told by the page)
        return error
