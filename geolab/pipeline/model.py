"""What a pipeline file says, checked: parameters, axes, stages and what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab.errors import PipelineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Value = str | int | float | bool  # of an axis
Index = tuple[int, ...]  # of a node: the position of its value on each axis of its stage


@dataclass(frozen=True)
class Axis:
    """One direction of the matrix. labels: the values as texts, which name a node's place in a slot."""

    name: str
    values: tuple[Value, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(map(label, self.values))

    @cached_property
    def positions(self) -> dict[str, int]:
        return {one: position for position, one in enumerate(self.labels)}


def label(value: Value) -> str:
    """The value as one part of a slot, where parts are separated by '/'."""
    return _text(value).replace("%", "%25").replace("/", "%2F")


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Pick:
    """Where on an axis of the needed stage: at an offset from the own value, at a position, or everywhere."""

    axis: str = ""
    offset: int = 0
    position: int | None = None

    @property
    def everywhere(self) -> bool:
        return not self.axis and self.position is None


@dataclass(frozen=True)
class Need:
    """Runs of another stage whose results a stage takes. picks: one for each axis of that stage."""

    name: str
    stage: str
    picks: tuple[Pick, ...]

    @property
    def many(self) -> bool:
        """Whether it gives lists."""
        return any(pick.everywhere for pick in self.picks)


@dataclass(frozen=True)
class Stage:
    """One notebook, run at every place of the matrix that its axes span."""

    name: str
    notebook: Path
    each: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)  # templates
    retries: int = 0
    backoff_s: float = 10.0
    timeout_s: float | None = None
    memory_mb: float | None = None
    gpu: int = 0
    limit: int = 0  # runs at once; 0: no limit
    priority: int = 0
    line: int = 0

    def need(self, name: str) -> Need | None:
        """The need of that name, or None."""
        return next((need for need in self.needs if need.name == name), None)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline file with its parameters put in. Stages stand after those that they need.

    given: the parameters that differ from the file's own, as JSON's types; paths in them are absolute.
    """

    name: str
    path: Path
    parameters: Mapping[str, Any]
    axes: Mapping[str, Axis]
    stages: Mapping[str, Stage]
    given: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    limit: int = 0  # runs at once, of all stages; 0: no limit
    schedule: str = ""
    search: Mapping[str, Any] = field(default_factory=dict)

    def axes_of(self, stage: Stage) -> list[Axis]:
        """The axes of a stage, in its order."""
        return [self.axes[name] for name in stage.each]

    @cached_property
    def present(self) -> dict[str, NDArray[np.bool_]]:
        """For each stage: where on its axes a node is."""
        from geolab.pipeline import matrix  # numpy loads with it

        return matrix.present(self)

    @cached_property
    def count(self) -> int:
        """How many nodes there are."""
        return sum(int(there.sum()) for there in self.present.values())

    def error(self, reason: str, *, key: str = "", line: int = 0) -> PipelineError:
        """An error that names this file."""
        return PipelineError(self.path.name, reason, line=line, key=key)
