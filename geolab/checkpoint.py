"""Where a training stands, in one file: tensors as safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from geolab import store
from geolab.errors import BadInput, FileRejected

if TYPE_CHECKING:
    from torch import Tensor

NAME = "checkpoint.safetensors"
SCHEMA = 1


@dataclass
class State:
    """What every training knows beside its tensors.

    identity: hash of its settings and what it learns from. There is no state of random generators: every
    choice is drawn from one that is seeded with the number of the step.
    """

    identity: str
    threads: int


S = TypeVar("S", bound=State)


def write(path: Path, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Replace the checkpoint, whole or not at all."""
    from safetensors.torch import save

    told = {"schema": SCHEMA} | asdict(state)
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    store.write_bytes(path, save(flat, metadata={"geolab": json.dumps(told)}))


def read(path: Path, kind: type[S], *, identity: str, learns_from: str) -> tuple[S, dict[str, Tensor]]:
    """State and tensors. Raises BadInput if they belong to another training, FileRejected if damaged.

    learns_from: what, beside its settings, makes one training another, in words.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            told = json.loads(stream.metadata()["geolab"])
            if told.pop("schema") != SCHEMA or told["identity"] != identity:
                raise BadInput(
                    "checkpoint", found=f"{path} of another training (other settings, {learns_from})",
                    expected="this one's", remedy="give another folder, or resume=False to begin anew",
                )  # fmt: skip
            return kind(**told), {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise FileRejected(
            str(path), f"no checkpoint of a training: {error}; remove it to begin anew"
        ) from error
