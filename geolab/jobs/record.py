"""What the ledger knows of a run, and the only ways in which that changes.

    queued -> running -> succeeded | failed | cancelled
    queued or running, with a dead owner or an expired lease -> lost

A queued run that nobody owns waits for anyone, for as long as it takes.

Each step is a pure function: the ledger applies it to the newest record under its write lock. A
step that no longer applies (somebody else was first) comes back as None and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from geolab.jobs.processes import Owner, is_dead

NOBODY = Owner("", 0, "")
ACTIVE = ("queued", "running")
STATES = (*ACTIVE, "succeeded", "failed", "cancelled", "lost")
CAUSES = ("kernel died", "time-out", "memory", "disk full")
LONGEST_BACKOFF_S = 600.0


@dataclass(frozen=True)
class Record:
    """One run. Times are seconds since 1970; an empty text or None means not (yet) known."""

    id: str
    notebook: str
    key: str
    parameters: dict[str, Any] = field(default_factory=dict)
    state: str = "queued"
    owner: Owner = NOBODY
    lease_until: float = 0.0
    attempt: int = 1
    cancel: bool = False  # somebody asked it to stop
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    folder: str = ""  # where its files are now
    error: str = ""
    force: bool = False
    timeout_s: float | None = None
    priority: int = 0  # higher first
    retries: int = 0  # further attempts allowed after a failure
    backoff_s: float = 10.0  # wait before the second attempt, seconds; doubles with each failure
    not_before: float = 0.0  # it may not start earlier
    memory_mb: float | None = None  # a run that takes more is stopped
    gpu: int = 0  # devices it needs
    pipeline: str = ""  # name of the pipeline it belongs to
    slot: str = ""  # "stage/cell" there
    cause: str = ""  # of a failed run: "" (its own error) or one of CAUSES

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def waiting(self) -> bool:
        """Whether it is queued for anyone to take."""
        return self.state == "queued" and self.owner == NOBODY


def hand_over(run: Record, *, owner: Owner, lease_until: float) -> Record | None:
    """A queued run whose worker was started: the worker is its owner from now on."""
    return replace(run, owner=owner, lease_until=lease_until) if run.state == "queued" else None


def claim(run: Record, *, owner: Owner, lease_until: float, now: float) -> Record | None:
    """A queued run taken by a worker; not before its time, and not one that was cancelled while it waited."""
    if run.state != "queued" or run.not_before > now or (run.waiting and run.cancel):
        return None
    return replace(run, state="running", owner=owner, lease_until=lease_until, started=now)


def renew(run: Record, *, owner: Owner, lease_until: float) -> Record | None:
    """A running run whose owner still works on it."""
    return replace(run, lease_until=lease_until) if _owns(run, owner) else None


def give_back(run: Record, *, owner: Owner, started: float | None) -> Record | None:
    """A running run that its owner never began with, waiting for anyone again."""
    if not _owns(run, owner) or run.started != started:
        return None
    return replace(run, state="queued", owner=NOBODY, lease_until=0.0, started=None)


def keep(run: Record, *, owner: Owner, lease_until: float) -> Record | None:
    """A queued run that its owner will start later, and has not forgotten."""
    mine = run.state == "queued" and run.owner == owner
    return replace(run, lease_until=lease_until) if mine else None


def withdraw(run: Record, *, owner: Owner, now: float) -> Record | None:
    """A queued run that its owner will not start, because it was cancelled."""
    if run.state != "queued" or run.owner != owner or not run.cancel:
        return None
    return replace(run, state="cancelled", finished=now, error="cancelled")


def ask_to_cancel(run: Record) -> Record | None:
    """A run that shall stop."""
    return replace(run, cancel=True) if run.active else None


def place(run: Record, *, owner: Owner, folder: str) -> Record | None:
    """A running run whose files now lie in `folder`; not if it is to be cancelled."""
    return replace(run, folder=folder) if _owns(run, owner) and not run.cancel else None


def finish(
    run: Record, *, owner: Owner, state: str, now: float, folder: str, error: str = "", cause: str = ""
) -> Record | None:
    """A running run that ended. cause: of a failure, one of CAUSES or nothing.

    Said twice, because the answer got lost, it is true twice; unless the lease had ended before.
    """
    if _owns(run, owner):
        return replace(run, state=state, finished=now, folder=folder, error=error, cause=cause)
    same = (run.owner, run.state, run.folder, run.error, run.cause) == (owner, state, folder, error, cause)
    return run if same and (run.finished or run.lease_until + 1) <= run.lease_until else None


def settle(run: Record, *, now: float, state: str, folder: str, error: str, host: str = "") -> Record | None:
    """An active run whose owner is gone, in the state that its files show."""
    if not abandoned(run, now, host=host):
        return None
    return replace(run, state=state, finished=now, folder=folder, error=error)


def abandoned(run: Record, now: float, *, host: str = "") -> bool:
    """Whether nobody works on an active run any more: its owner is dead or its lease has expired.

    A waiting run has no owner to lose; once it is to be cancelled there is nobody else to end it.
    now: by the ledger's clock. host: this machine's name in the settings.
    """
    if run.waiting:
        return run.cancel
    return run.active and (is_dead(run.owner, host=host) or run.lease_until < now)


def backoff(run: Record, failures: int) -> float:
    """How long to wait before the next attempt after so many failures, seconds."""
    return min(LONGEST_BACKOFF_S, run.backoff_s * 2.0 ** min(failures - 1, 60))


def _owns(run: Record, owner: Owner) -> bool:
    return run.state == "running" and run.owner == owner
