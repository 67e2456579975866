"""What became of one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["added", "updated", "unchanged", "rejected"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `id` of its item, or the `reason` why there is none."""

    href: str
    status: Status
    id: str | None = None
    reason: str | None = None
