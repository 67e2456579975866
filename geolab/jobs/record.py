"""What the ledger knows of a run, and the only ways in which that changes.

    queued -> running -> succeeded | failed | cancelled
    queued or running, with a dead owner or an expired lease -> lost

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

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE


def hand_over(run: Record, *, owner: Owner, lease_until: float) -> Record | None:
    """A queued run whose worker was started: the worker is its owner from now on."""
    return replace(run, owner=owner, lease_until=lease_until) if run.state == "queued" else None


def claim(run: Record, *, owner: Owner, lease_until: float, now: float) -> Record | None:
    """A queued run taken by a worker."""
    if run.state != "queued":
        return None
    return replace(run, state="running", owner=owner, lease_until=lease_until, started=now)


def renew(run: Record, *, owner: Owner, lease_until: float) -> Record | None:
    """A running run whose owner still works on it."""
    return replace(run, lease_until=lease_until) if _owns(run, owner) else None


def ask_to_cancel(run: Record) -> Record | None:
    """A run that shall stop."""
    return replace(run, cancel=True) if run.active else None


def place(run: Record, *, owner: Owner, folder: str) -> Record | None:
    """A running run whose files now lie in `folder`; not if it is to be cancelled."""
    return replace(run, folder=folder) if _owns(run, owner) and not run.cancel else None


def finish(
    run: Record, *, owner: Owner, state: str, now: float, folder: str, error: str = ""
) -> Record | None:
    """A running run that ended."""
    if not _owns(run, owner):
        return None
    return replace(run, state=state, finished=now, folder=folder, error=error)


def settle(run: Record, *, now: float, state: str, folder: str, error: str) -> Record | None:
    """An active run whose owner is gone, in the state that its files show."""
    if not abandoned(run, now):
        return None
    return replace(run, state=state, finished=now, folder=folder, error=error)


def abandoned(run: Record, now: float) -> bool:
    """Whether nobody works on an active run any more: its owner is dead or its lease has expired."""
    return run.active and (is_dead(run.owner) or run.lease_until < now)


def _owns(run: Record, owner: Owner) -> bool:
    return run.state == "running" and run.owner == owner
