"""What a ledger must do, whatever its back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from geolab.jobs.processes import Owner
from geolab.jobs.record import NOBODY, Record

CONTROLS = ("active", "paused", "stopped")


@dataclass(frozen=True)
class Control:
    """What is known of a pipeline by its name. While it is paused or stopped, none of its runs is claimed."""

    name: str
    state: str = "active"
    file: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    engine: str = ""
    dashboard: str = ""
    driver: Owner = NOBODY
    beat: float = 0.0  # when its driver was last heard of, by the ledger's clock


Change = Callable[[Record], Record | None]
ChangeControl = Callable[[Control | None], Control | None]
Past = tuple[str, str, str, str, str]  # slot, key, state, cause, id


class Ledger(Protocol):
    """An index of all runs, and the place of those that are not done yet. Each call is one transaction.

    All calls raise LedgerError, in one line, for a ledger that can't be reached, read or written.
    """

    def enqueue(self, run: Record) -> Record:
        """The new run with its attempt number; or the active run that has its key already."""
        ...

    def claim_next(self, *, owner: Owner, lease_s: float, gpus: int = 0, pipeline: str = "") -> Record | None:
        """The waiting run of highest priority, then the oldest, that may start now; running from here on.

        gpus: how many devices there are for it. pipeline: only runs of this one.
        """
        ...

    def claim(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        """This queued run, running from here on; None if it is not queued or may not start now."""
        ...

    def renew(self, run_id: str, *, owner: Owner, lease_s: float) -> Record | None:
        """The run with a lease from now on; None if it is the owner's no longer. Raises NotFound."""
        ...

    def update(self, run_id: str, change: Change) -> Record | None:
        """What `change` made of the run, atomically; None where it made nothing. Raises NotFound.

        None too where it would make a second active run of one key.
        """
        ...

    def put(self, run: Record) -> None:
        """Add or replace a run that is not active: how a ledger is rebuilt."""
        ...

    def get(self, run_id: str) -> Record:
        """The run with this id or unique beginning of an id. Raises NotFound or BadInput."""
        ...

    def runs(
        self,
        *,
        states: tuple[str, ...] = (),
        notebook: str = "",
        key: str = "",
        pipeline: str = "",
        slot: str = "",
        limit: int = 0,
    ) -> list[Record]:
        """The runs, newest first: in the order in which the ledger heard of them."""
        ...

    def held(self) -> list[Record]:
        """The active runs that have an owner, and those that wait and are to be cancelled.

        All that may be abandoned is among them, however many wait.
        """
        ...

    def active(self) -> set[str]:
        """The ids of all runs that are not over."""
        ...

    def now(self) -> float:
        """The ledger's own clock, seconds since 1970: leases are set and compared by it, and by no other."""
        ...

    def newest(self, pipeline: str) -> Iterator[Record]:
        """The newest run of every slot of a pipeline, in the order of slots; read in pages as it goes."""
        ...

    def history(self, pipeline: str) -> Iterator[Past]:
        """Slot, key, state, cause and id of all runs of a pipeline, oldest first; read in pages."""
        ...

    def executions(self, pipeline: str) -> int:
        """How many runs of a pipeline were ever started."""
        ...

    def control(self, pipeline: str) -> Control | None:
        """What is known of a pipeline; None if its name is new."""
        ...

    def set_control(self, control: Control) -> None:
        """Add or replace what is known of a pipeline."""
        ...

    def change_control(self, pipeline: str, change: ChangeControl) -> Control | None:
        """What `change` made of a pipeline's control, atomically; None where it made nothing."""
        ...

    def controls(self) -> list[Control]:
        """All pipelines, by name."""
        ...
