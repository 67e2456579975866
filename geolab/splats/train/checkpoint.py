"""Where a training stands, in one file: tensors as safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from geolab import store
from geolab.errors import BadInput, FileRejected

SCHEMA = 1
NAME = "checkpoint.safetensors"


@dataclass
class State:
    """What a training knows beside its tensors; it changes with every step.

    identity: hash of configuration, photos, cameras and start. There is no state of random generators: every
    choice is drawn from one that is seeded with the number of the step.
    """

    identity: str
    threads: int
    step: int = 0
    elapsed_s: float = 0.0
    peak_mb: float = 0.0
    finished: bool = False
    last: dict[str, Any] = field(default_factory=dict)  # the report of the last step
    history: list[dict[str, Any]] = field(default_factory=list)  # of every validation


def write_checkpoint(path: Path, state: State, tensors: dict[str, Tensor]) -> None:
    """Replace the checkpoint, whole or not at all."""
    told = {"schema": SCHEMA} | asdict(state)
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    store.write_bytes(path, save(flat, metadata={"geolab": json.dumps(told)}))


def read_checkpoint(path: Path, *, identity: str) -> tuple[State, dict[str, Tensor]]:
    """State and tensors. Raises BadInput if they belong to another training, FileRejected if damaged."""
    try:
        with safe_open(path, framework="pt") as stream:
            told = json.loads(stream.metadata()["geolab"])
            if told.pop("schema") != SCHEMA or told["identity"] != identity:
                raise BadInput(
                    "checkpoint", found=f"{path} of another training (other settings, photos or cameras)",
                    expected="this one's", remedy="give another folder, or resume=False to begin anew",
                )  # fmt: skip
            return State(**told), {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise FileRejected(
            str(path), f"no checkpoint of a training: {error}; remove it to begin anew"
        ) from error
