"""Execute one notebook with papermill. The only module that imports it; only the worker imports this."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from geolab.jobs import events, failure, kernels
from geolab.jobs.failure import Place
from geolab.jobs.notebook import Cell, cells
from geolab.jobs.warm import Template

START_TIMEOUT_S = 120

_log = logging.getLogger(__name__)


def execute(
    source: str,
    target: str,
    parameters: dict[str, Any],
    *,
    log: IO[str],
    place: Place,
    on_cell: Callable[[Place], None],
    template: Template | None = None,
) -> str:
    """What went wrong, in words; an empty text when every cell ran.

    source, target: names of files in the working folder (papermill formats braces in a path); the
    target is saved after every cell. log: takes what cells print, as it happens. on_cell: called
    when a code cell starts. template: the kernel is forked from it where that can be done.
    """
    given = cells(Path(source))
    place.total = sum(map(_runs, given))
    number_of = _numbers(given, bool(parameters))

    def kernel_started(how: str) -> None:
        events.append(Path(), "kernel", start=how)
        if template is not None and how != "warm":
            _log.warning("the kernel starts %s", how)

    def started(cell: Any, cell_index: int) -> None:
        number = number_of(cell_index)
        if number and _runs(given[number - 1]):
            place.number, place.source = number, cell.source
            place.started += 1
            on_cell(place)

    def executed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        allowed = "raises-exception" in cell.metadata.get("tags", [])
        if number_of(cell_index) and (allowed or execute_reply["content"]["status"] == "ok"):
            place.executed += 1

    try:
        papermill.execute_notebook(
            source,
            target,
            parameters=parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stdout_file=log,
            stderr_file=log,
            start_timeout=START_TIMEOUT_S,
            kernel_manager_class=kernels.manager(kernels.Start(template, log.fileno(), kernel_started)),
            on_cell_start=started,
            on_cell_executed=executed,
        )
    except PapermillExecutionError as error:
        return failure.of_cell(place.number, error.source, error.ename, error.evalue, error.traceback)
    except DeadKernelError:
        return failure.of_dead_kernel(place)
    except RuntimeError as error:  # nbclient 0.11: a kernel that dies before it has answered once
        if place.number:
            raise
        return failure.Words(f"the kernel did not start: {error}", "kernel died")
    if place.executed < place.total:  # papermill takes sys.exit(0) for the end of a notebook
        return f"the notebook ended itself {place}; {place.executed} of {place.total} cells ran"
    return ""


def _runs(cell: Cell) -> bool:
    return cell.kind == "code" and bool(cell.source.strip()) and "injected-parameters" not in cell.tags


def _numbers(given: list[Cell], injects: bool) -> Callable[[int], int]:
    """From papermill's index of a cell to its number in the notebook as given; 0 for the injected cell."""
    tagged = [c.number for c in given if "parameters" in c.tags]
    if not injects or not tagged or any("injected-parameters" in c.tags for c in given):
        return lambda index: index + 1
    after = tagged[0]  # papermill injects a cell right behind this one
    return lambda index: 0 if index == after else index + (index < after)
