"""What a training of change detection knows beside its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from geolab import checkpoint


@dataclass
class State(checkpoint.State):
    """It changes with every step; identity: hash of configuration and pairs."""

    step: int = 0
    elapsed_s: float = 0.0
    best_iou: float = -1.0
    best_step: int = 0
    threshold: float = 0.5
    since_best: int = 0  # validations without a better one
    finished: bool = False
    last: dict[str, Any] = field(default_factory=dict)  # the report of the last step
    history: list[dict[str, Any]] = field(default_factory=list)  # of every validation
    scaler: dict[str, Any] = field(default_factory=dict)
