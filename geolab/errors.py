"""Every error a user of geolab can meet.

An error keeps its facts as attributes; its message says what was found, what was
expected and what to do next, in one line. The command line prints that line and exits 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GeolabError(Exception):
    """The parent of all errors that geolab raises on purpose; the message is one line."""


def one_line(text: object, limit: int = 300) -> str:
    """The text on one printable line: hostile names and library messages may hold anything."""
    flat = "".join(c if c.isprintable() else " " for c in str(text))
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; else the names there are."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}" if known else "none is known"


# ---------------------------------------------------------------- settings


class SettingsError(GeolabError):
    """A setting that is unknown or has an impossible value."""

    def __init__(self, where: str, key: str, *, found: object, expected: str):
        self.where, self.key, self.found, self.expected = where, key, found, expected
        super().__init__(one_line(f"{where}: {key} is {found!r}; expected {expected}"))


# ---------------------------------------------------------------- files and rasters


class FileRejected(GeolabError):
    """One file that can't be used; the rest of the work goes on."""

    def __init__(self, href: str, reason: str):
        self.href, self.reason = href, one_line(reason)
        super().__init__(one_line(f"{href}: {reason}"))


class NotFound(GeolabError):
    """A file, item, notebook, run or model that does not exist."""

    def __init__(self, kind: str, name: str, *, known: Iterable[str] = (), remedy: str = ""):
        self.kind, self.name, self.known = kind, name, tuple(known)
        hint = did_you_mean(name, self.known) if self.known else ""
        super().__init__(one_line(f"no {kind} '{name}'" + "".join(f"; {t}" for t in (hint, remedy) if t)))


class NoScene(GeolabError):
    """A cell and a season that no scene shows well enough."""

    def __init__(self, cell: str, *, when: str, max_cloud: float, seen: int = 0):
        self.cell, self.when, self.max_cloud, self.seen = cell, when, max_cloud, seen
        others = f" ({seen} with more)" if seen else ""
        super().__init__(
            one_line(
                f"no scene under {max_cloud:g} % cloud in {when} for {cell}{others}. "
                f"{'Raise max_cloud' if seen else 'Widen the season'} or skip the year."
            )
        )


class GridMismatch(GeolabError):
    """Two rasters that do not share CRS, transform and shape."""

    def __init__(self, before: str, after: str, *, what: str, found: object = "", expected: object = ""):
        self.before, self.after, self.what = before, after, what
        self.found, self.expected = found, expected
        facts = f" ({found}, expected {expected})" if found != "" or expected != "" else ""
        super().__init__(
            one_line(
                f"{after} has another {what} than {before}{facts}; align it first: "
                f"geolab.raster.align({after!r}, like={before!r}, out=...)"
            )
        )


class BadInput(GeolabError):
    """A value, parameter or data set that was understood but can't be used."""

    def __init__(self, what: str, *, found: object, expected: str, remedy: str = ""):
        self.what, self.found, self.expected, self.remedy = what, found, expected, remedy
        super().__init__(
            one_line(f"{what}: found {found}, expected {expected}" + (f"; {remedy}" if remedy else ""))
        )


class TooLarge(BadInput):
    """More bytes or pixels than a limit allows."""


class MissingExtra(GeolabError):
    """An optional part that is not installed."""

    def __init__(self, what: str, *, extra: str, cause: str = ""):
        self.what, self.extra, self.cause = what, extra, cause
        why = f" ({cause})" if cause else ""
        super().__init__(one_line(f"{what} is not available{why}: pip install 'geolab[{extra}]'"))


# ---------------------------------------------------------------- jobs


class ContractBroken(GeolabError):
    """A notebook whose parameters cell does not keep to its grammar."""

    def __init__(self, notebook: str, reason: str, *, cell: int = 0, line: int = 0):
        self.notebook, self.reason, self.cell, self.line = notebook, reason, cell, line
        where = (f", cell {cell}" if cell else "") + (f", line {line}" if line else "")
        super().__init__(one_line(f"{notebook}{where}: {reason}"))


class EngineError(GeolabError):
    """What executes the runs of a pipeline can't be used, or was lost."""

    def __init__(self, reason: str):
        self.reason = one_line(reason)
        super().__init__(self.reason)


class WorkerLost(EngineError):
    """The process that held one call has died; the others go on."""


class PipelineError(GeolabError):
    """A pipeline file that can't be run as it is: where, and what to change."""

    def __init__(self, file: str, reason: str, *, line: int = 0, key: str = ""):
        self.file, self.reason, self.line, self.key = file, one_line(reason), line, key
        where = (f", line {line}" if line else "") + (f", {key}" if key else "")
        super().__init__(one_line(f"{file}{where}: {reason}", 600))


class LedgerError(GeolabError):
    """A ledger that can't be used: out of reach, unwritable, damaged, or on a full disk."""

    def __init__(self, where: str, reason: str):
        self.where, self.reason = where, one_line(reason)
        super().__init__(one_line(f"ledger {where}: {reason}"))


class StorageError(GeolabError):
    """A place that can't be written: full, read-only, or somebody else's."""

    def __init__(self, where: str, reason: str, *, full: bool = False):
        self.where, self.reason, self.full = where, one_line(reason), full
        super().__init__(one_line(f"{where}: {reason}"))


# ---------------------------------------------------------------- pages


class Busy(GeolabError):
    """A service that has as much to do as it takes on."""

    def __init__(self, what: str, *, waiting: int):
        self.what, self.waiting = what, waiting
        super().__init__(f"{what} is busy, {waiting} wait already; try again in a moment")


class Superseded(GeolabError):
    """A request in place of which the same page has made a newer one."""

    def __init__(self) -> None:
        super().__init__("something newer was asked for")


class Unreachable(GeolabError):
    """A process of this machine that pages need and that does not answer."""

    def __init__(self, what: str, reason: str):
        self.what, self.reason = what, one_line(reason)
        super().__init__(one_line(f"{what} does not answer ({self.reason}); load the page again in a moment"))


# ---------------------------------------------------------------- catalogue


class CatalogError(GeolabError):
    """A catalogue that can't be used: not one, damaged, too new, busy or out of reach."""

    def __init__(self, where: str, reason: str):
        self.where, self.reason = where, one_line(reason)
        super().__init__(one_line(f"catalogue {where}: {reason}"))
