"""A run in the terminal: its progress while it lasts, its results when it has ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geolab.cli import output
from geolab.errors import one_line
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.jobs import Outcome, Submitted


def show_submitted(submitted: Submitted, as_json: bool) -> int:
    """Print the id of a run that nobody waits for."""
    from geolab import jobs

    if as_json:
        output.print_json(jobs.as_json(submitted))
    else:
        print(submitted.run_id)
    return 0


def execute(
    name: str,
    parameters: Mapping[str, Any],
    *,
    settings: Settings,
    force: bool = False,
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    retries: int = 0,
    backoff_s: float = 10,
    quiet: bool = False,
) -> Outcome:
    """The outcome of a run, its progress drawn while it lasts; Ctrl-C cancels it."""
    from geolab import jobs

    terms = {"timeout_s": timeout_s, "memory_mb": memory_mb, "retries": retries, "backoff_s": backoff_s}
    while True:
        submitted = jobs.submit(name, parameters, settings=settings, force=force, **terms)
        outcome = follow(name, submitted, settings, quiet=quiet)
        if not (submitted.reused and outcome.state in ("cancelled", "lost")):
            return outcome  # else: somebody else's was stopped: our turn


def follow(name: str, submitted: Submitted, settings: Settings, *, quiet: bool) -> Outcome:
    """The outcome of a run, or of the attempt that followed it last; Ctrl-C cancels what is ours."""
    from geolab import jobs

    run_id = submitted.run_id
    try:
        while True:
            _draw(name, run_id, settings, quiet=quiet)
            outcome = jobs.wait(run_id, settings=settings, reused=submitted.reused)
            following = jobs.successor(outcome, settings=settings)
            if not following:
                return outcome
            run_id = following
            if not quiet:
                print(f"{one_line(outcome.error, 120)}; trying again", file=sys.stderr)
    except KeyboardInterrupt:
        if not submitted.reused:
            jobs.cancel(run_id, settings=settings)
        raise


def _draw(name: str, run_id: str, settings: Settings, *, quiet: bool) -> None:
    """A line with the progress of a run, until it has ended."""
    from geolab import jobs

    with output.progress(quiet=quiet) as bar:
        task = bar.add_task(name, total=None)
        for event in jobs.watch(run_id, settings=settings):
            if event["event"] == "progress" and event["total"]:
                what = f"{name}  {one_line(event['what'], 60)}"
                bar.update(task, completed=event["done"], total=event["total"], description=what)


def show_outcome(outcome: Outcome) -> None:
    """What a person wants to know of a run that has ended."""
    if outcome.state != "succeeded":
        print(outcome.error or f"the run is {outcome.state}", file=sys.stderr)
    reused = " (found: the same run was finished before; --force repeats it)" if outcome.reused else ""
    print(f"{outcome.state}{reused}")
    output.table(["result", "value"], [(k, output.number(v)) for k, v in (outcome.results or {}).items()])
    print(f"run {outcome.run_id} in {outcome.folder}")
