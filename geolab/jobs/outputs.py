"""What a finished run leaves: its report, and its rasters and splat models as items of the catalogue."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import geolab
from geolab import store
from geolab.errors import FileRejected
from geolab.jobs import events, folders
from geolab.jobs.record import Record
from geolab.jobs.references import Input
from geolab.jobs.session import RESULTS
from geolab.settings import Settings
from geolab.splats import names

COLLECTION = "results"
_log = logging.getLogger(__name__)

_RASTERS = (".tif", ".tiff")


def write_report(
    folder: Path,
    final: Path,
    run: Record,
    inputs: list[Input],
    *,
    seconds: float,
    usage: dict[str, float] | None = None,
) -> None:
    """Write report.json, the last file of a run, with every path as it will be when published."""
    handed_over = _handed_over(folder)
    items = list(_items(run, handed_over["results"], folder, inputs))
    report = {
        "run_id": run.id,
        "key": run.key,
        "notebook": run.notebook,
        "parameters": run.parameters,
        "results": handed_over["results"],
        "outputs": items,
        "inputs": [asdict(one) for one in inputs],
        "geolab": geolab.__version__,
        "git_commit": git_commit(),
        "device": handed_over["device"] or f"CPU, {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "attempt": run.attempt,
        "created": when(run.created),
        "started": when(run.started),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 3),
        "usage": usage or {},  # means and peaks of processor, memory (units of 1e6 bytes) and GPU
    }
    _clear(folder, final)
    text = json.dumps(moved(report, folder, final), ensure_ascii=False, indent=1, allow_nan=False)
    store.write_bytes(folder / folders.REPORT, text.encode())


def _handed_over(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / RESULTS).read_bytes())
    except FileNotFoundError:  # a notebook without jobs.report has no results, and says so by them
        return {"results": {}, "device": ""}


def _clear(folder: Path, final: Path) -> None:
    """Remove what only the run itself needed; let the notebook's text name the published folder."""
    for name in (RESULTS, folders.DESCRIBED, folders.SOURCE):
        (folder / name).unlink(missing_ok=True)
    notebook = folder / folders.NOTEBOOK
    text = notebook.read_text(encoding="utf-8")
    notebook.write_text(text.replace(str(folder), str(final)), encoding="utf-8")


def moved(value: Any, folder: Path, final: Path) -> Any:
    """The value with every path or URI below `folder` below `final` instead."""
    if isinstance(value, str):
        for old, new in ((folder.as_uri(), final.as_uri()), (str(folder), str(final))):
            if value == old or value.startswith(old + "/"):
                return new + value[len(old) :]
        return value
    if isinstance(value, dict):
        return {key: moved(one, folder, final) for key, one in value.items()}
    return [moved(one, folder, final) for one in value] if isinstance(value, list) else value


def when(seconds: float | None) -> str | None:
    """A time in seconds since 1970 as RFC 3339 in UTC."""
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )


@cache
def git_commit() -> str | None:
    """The commit of the checkout this process began with, with -dirty if changed; None for a wheel."""
    checkout = Path(geolab.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git on this machine
    return done.stdout.strip() or None


# ---------------------------------------------------------------- results as items


def _files(results: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Name and URI of each result that is a raster or a model of this run; those in lists too."""
    for name, value in results.items():
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            path = store.local_path(one) if isinstance(one, str) and one else None
            known = path and (path.name.lower().endswith(_RASTERS) or names.is_model(path.name))
            if path and known and path.is_relative_to(folder):
                if not path.is_file():
                    raise FileRejected(str(one), f"reported as the result '{name}' but not there")
                yield (f"{name}-{number}" if isinstance(value, list) else name), str(one)


def _items(
    run: Record, results: dict[str, Any], folder: Path, inputs: list[Input]
) -> Iterator[dict[str, Any]]:
    for name, uri in _files(results, folder):
        facts: dict[str, Any] = {
            "collection": COLLECTION,
            "title": f"{run.notebook} {name} {run.key[:6]}",
            "properties": {
                "geolab:run": run.id,
                "geolab:notebook": run.notebook,
                "geolab:result": name,
                **_dates(inputs),
            },
            "derived_from": _sources(inputs),
            "datetime": when(time.time()),
        }
        try:
            if names.is_model(uri):
                from geolab.splats import items  # torch loads with it

                yield items.item(uri, **facts)
            else:
                from geolab import ingest  # rasterio loads with it; many runs have no raster

                yield ingest.product_item(uri, item_id=f"{run.key[: folders.KEY_DIGITS]}-{name}", **facts)
        except FileRejected as error:  # one that lies nowhere on Earth is a result, but no item
            _log.warning("the result %s does not go into the catalogue: %s", name, error)


def _sources(inputs: list[Input]) -> list[str]:
    """Ids of the items that a run read; a model that was named by its file has its item by content."""
    ids = [one.item_id or (names.item_id(one.sha256) if names.is_model(one.ref) else "") for one in inputs]
    return [one for one in dict.fromkeys(ids) if one]


def _dates(inputs: list[Input]) -> dict[str, str]:
    """The time that a product shows: from its first input to its last; nothing if they tell none."""
    starts, ends = [i.start for i in inputs if i.start], [i.end for i in inputs if i.end]
    if not starts or not ends:
        return {}
    first, last = (f(each, key=datetime.fromisoformat) for f, each in ((min, starts), (max, ends)))
    return {"datetime": first} if first == last else {"start_datetime": first, "end_datetime": last}


def announce(settings: Settings, folder: Path) -> None:
    """Tell catalogue and experiment tracker of a run that has ended; doing it twice changes nothing.

    What goes wrong here is logged: results that exist are not undone because a server is away.
    """
    for tell in (_register, _attach):
        try:
            tell(settings, folder)
        except Exception:  # noqa: BLE001 - as said above, whatever a tracking server's client raises
            _log.exception("%s: %s did not work", folder.name, tell.__name__.strip("_"))


def _attach(settings: Settings, folder: Path) -> None:
    """Attach notebook and log to the MLflow runs that the notebook named with `run.track`.

    What a killed notebook could not end itself is ended here.
    """
    succeeded = folders.read_report(folder) is not None
    for event in events.read(folder):
        if event["event"] == "tracked":
            from geolab import track  # mlflow loads with it

            tracked = track.attach(settings, str(event["run_id"]))
            for name in (folders.NOTEBOOK, folders.LOG):
                if (folder / name).is_file():
                    tracked.file(folder / name, "run")
            if not succeeded and tracked.running:
                tracked.end("KILLED")


def _register(settings: Settings, folder: Path) -> None:
    """Put the outputs of a published run into the catalogue."""
    report = folders.read_report(folder)
    if report and report["outputs"]:
        from geolab import catalog

        catalog.open_catalog(settings).put(report["outputs"])
