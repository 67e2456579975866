"""What a training of splats knows beside its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from geolab import checkpoint


@dataclass
class State(checkpoint.State):
    """It changes with every step; identity: hash of configuration, photos, cameras and start."""

    step: int = 0
    elapsed_s: float = 0.0
    peak_mb: float = 0.0
    finished: bool = False
    last: dict[str, Any] = field(default_factory=dict)  # the report of the last step
    history: list[dict[str, Any]] = field(default_factory=list)  # of every validation
