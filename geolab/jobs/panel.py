"""What the workspace stands on, at a glance: a cell that ends in `jobs.services()` shows it.

workspace   ok   /data/geolab, 120 GB free
ledger      ok   3 running, 2 queued, 120 succeeded
"""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geolab import modelserver
from geolab import settings as settings_module
from geolab.errors import GeolabError, one_line
from geolab.jobs import gpus, processes
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.processes import Owner
from geolab.jobs.record import STATES
from geolab.settings import Settings

MOST = 1000  # runs of one state that are counted
LITTLE_GB = 1.0

_NEW = "made on first use"
_COLOUR = {"ok": "#2b8a3e", "missing": "#5b6670", "low": "#e67700", "broken": "#c92a2a"}


@dataclass(frozen=True)
class Service:
    """One line: `state` is ok, missing, low or broken."""

    what: str
    state: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Services:
    """All lines, as text and as a table of a notebook."""

    lines: tuple[Service, ...]

    def __repr__(self) -> str:
        width = max(len(line.what) for line in self.lines)
        return "\n".join(
            f"{line.what:<{width}}  {line.state:<7}  {line.detail}"
            + (f": {line.remedy}" if line.remedy else "")
            for line in self.lines
        )

    def _repr_html_(self) -> str:
        return f'<table style="border-collapse: collapse">{"".join(map(_row, self.lines))}</table>'


def _row(line: Service) -> str:
    state = f'<td style="color: {_COLOUR[line.state]}">{line.state}</td>'
    detail = html.escape(line.detail + (f": {line.remedy}" if line.remedy else ""))
    return f'<tr><th style="text-align: left">{html.escape(line.what)}</th>{state}<td style="text-align: left">{detail}</td></tr>'  # noqa: E501


def services(settings: Settings | None = None) -> Services:
    """Workspace, disk, ledger, workers, catalogue, MLflow and GPUs, each asked now; nothing is created."""
    settings = settings or settings_module.load()
    return Services(tuple(_all(settings)))


def _all(settings: Settings) -> Iterator[Service]:
    yield _workspace(settings)
    yield from _disks(settings)
    yield _asked("ledger", _ledger, settings)
    yield _asked("workers", _workers, settings)
    yield _asked("catalogue", _catalogue, settings)
    yield _asked("MLflow", _mlflow, settings)
    yield _gpu()
    yield from _models()


def _asked(what: str, ask: Callable[[Settings], str], settings: Settings) -> Service:
    try:
        return Service(what, "ok", one_line(ask(settings)))
    except (GeolabError, OSError) as error:
        return Service(what, "broken", one_line(error))


def _workspace(settings: Settings) -> Service:
    if not settings.home.exists():
        return Service("workspace", "ok", f"{settings.home} ({_NEW})")
    if not os.access(settings.home, os.W_OK):
        return Service("workspace", "broken", f"{settings.home} can't be written", "set GEOLAB_HOME")
    return Service("workspace", "ok", str(settings.home))


def _disks(settings: Settings) -> Iterator[Service]:
    """The file systems of workspace and runs; one line where they share one."""
    seen = set[int]()
    for folder in (settings.home, settings.runs):
        there = next(one for one in (folder, *folder.parents) if one.exists())
        if there.stat().st_dev not in seen:
            seen.add(there.stat().st_dev)
            yield _disk(there)


def _disk(folder: Path) -> Service:
    usage = shutil.disk_usage(folder)
    told = f"{usage.free / 1e9:,.0f} of {usage.total / 1e9:,.0f} GB free at {folder}"
    if usage.free < LITTLE_GB * 1e9:
        return Service(
            "disk", "low", f"{usage.free / 1e6:,.0f} MB free at {folder}", "remove what is not needed"
        )
    return Service("disk", "ok", told)


# ---------------------------------------------------------------- ledger and workers


def _opened(settings: Settings) -> Ledger | None:
    """The ledger; None for a file that is not there yet, so that looking makes none."""
    remote = not settings.ledger_url.startswith("sqlite:///")
    return open_ledger(settings) if remote or settings.ledger_path.exists() else None


def _ledger(settings: Settings) -> str:
    ledger = _opened(settings)
    if ledger is None:
        return _NEW
    told = []
    for state in STATES:
        count = len(ledger.runs(states=(state,), limit=MOST + 1))
        told += [f"over {MOST:,} {state}"] if count > MOST else [f"{count} {state}"] if count else []
    return ", ".join(told) or "no run yet"


def _workers(settings: Settings) -> str:
    """Who holds runs or drives pipelines, as far as can be seen from here; idle workers are in no ledger."""
    ledger = _opened(settings)
    now = ledger.now() if ledger else 0.0

    def lives(owner: Owner, until: float) -> bool:
        return owner.pid > 0 and until >= now and not processes.is_dead(owner, host=settings.host)

    held = ledger.held() if ledger else []
    owners = {run.owner for run in held if lives(run.owner, run.lease_until)}
    hosts = sorted({owner.name for owner in owners})
    told = [f"{len(owners)} at work on {', '.join(hosts)}"] if owners else []
    for control in ledger.controls() if ledger else []:
        if lives(control.driver, control.beat + settings.lease_s):
            told.append(f"pipeline {control.name} is {control.state}, driven on {control.driver.name}")
    return "; ".join(told) or "none at work"


# ---------------------------------------------------------------- the rest


def _catalogue(settings: Settings) -> str:
    if settings.catalog_url.startswith("sqlite:///") and not settings.catalog_path.exists():
        return _NEW
    from geolab import catalog  # rasterio loads with it

    with catalog.open_catalog(settings) as opened:
        items = opened.search(catalog.Search(limit=1)).matched
        collections = len(opened.collections())
    return f"{items:,} items in {collections} collection{'' if collections == 1 else 's'}"


def _mlflow(settings: Settings) -> str:
    from geolab.track.health import health

    return health(settings)


def _models() -> Iterator[Service]:
    """The process that draws for pages; nothing outside of a server of pages."""
    if modelserver.address() is None:
        return
    try:
        told = modelserver.status()
    except GeolabError as error:
        yield Service("model server", "broken", one_line(error))
        return
    held = f"{told['models']} models and {told['pairs']} pairs held"
    waiting = f"{told['waiting']} waiting, {held}, draws with {told['backend']}"
    yield Service("model server", "ok", waiting)


def _gpu() -> Service:
    count, use = gpus.count(), gpus.use()
    if not count or use is None:
        return Service("GPU", "missing", "none: everything runs on the CPU")
    return Service("GPU", "ok", f"{count}, {use.pct:.0f} % busy, {use.memory_mb / 1e3:,.1f} GB in use")
