"""A trained model: network, preprocessing and threshold, and the folder that keeps the three.

A model folder holds `model.safetensors` (weights) and `model.json` (everything else). Neither
can run code. Loading checks the JSON, then the header of the weights against the architecture,
and only then makes tensors.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes

import geolab
from geolab import store
from geolab.change.network import MULTIPLE_PX, WIDTHS, Network, reach_px
from geolab.change.preprocessing import Preprocessing
from geolab.errors import BadInput, FileRejected, NotFound

__all__ = ["Model", "Preprocessing", "load", "save", "untrained"]

SCHEMA = 1
MOST_BANDS = 512
LARGEST_JSON_BYTES = 32 << 20  # the manifest of a set of many thousand pairs is among the facts
LARGEST_HEADER_BYTES = 1 << 20
LARGEST_WEIGHTS_BYTES = 256 << 20


@dataclass(frozen=True)
class Model:
    """What detection needs: `network` in evaluation mode, its preprocessing and its threshold.

    threshold: of the probability, chosen on validation, 0..1. metrics: scores by name, and
    facts: what is worth knowing about the training (JSON values only).
    """

    network: Network
    preprocessing: Preprocessing
    size: str
    threshold: float = 0.5
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def bands(self) -> int:
        """Number of bands of each date."""
        return len(self.preprocessing.bands)

    @property
    def multiple_px(self) -> int:
        """Tiles must begin and end on multiples of this (the total stride), in pixels."""
        return MULTIPLE_PX

    @property
    def halo_px(self) -> int:
        """Margin within which an output depends on a tile's edge, a multiple of `multiple_px`."""
        return -(-reach_px(self.network) // MULTIPLE_PX) * MULTIPLE_PX


def untrained(preprocessing: Preprocessing, *, size: str = "small", seed: int = 0) -> Model:
    """A model with random weights, the same for the same seed."""
    if size not in WIDTHS:
        raise BadInput("size of the model", found=repr(size), expected=" or ".join(WIDTHS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(len(preprocessing.bands), size)
    return Model(network.eval(), preprocessing, size)


# ---------------------------------------------------------------- writing


def save(model: Model, folder: str | os.PathLike[str]) -> Path:
    """The folder, which holds the model whole or not at all; a model already there is replaced."""
    target = Path(folder).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as scratch:
        fresh = Path(scratch, "model")
        fresh.mkdir()
        weights = tensor_bytes({k: v.detach().cpu().contiguous() for k, v in _state(model.network).items()})
        store.write_bytes(fresh / "model.safetensors", weights)
        store.write_bytes(fresh / "model.json", _description(model, sha256(weights).hexdigest()))
        if target.exists():
            _check_replaceable(target)
            target.rename(Path(scratch, "old"))
        fresh.rename(target)
    return target


def _check_replaceable(target: Path) -> None:
    if not target.is_dir() or (any(target.iterdir()) and not (target / "model.json").is_file()):
        raise BadInput("model folder", found=f"{target}, which holds other things", expected="a new folder")


def _state(network: Network) -> dict[str, torch.Tensor]:
    """Weights and running statistics; the batch counters of the normalisation are of no use."""
    return {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}


def _description(model: Model, weights_sha256: str) -> bytes:
    content = {
        "schema": SCHEMA,
        "geolab": geolab.__version__,
        "architecture": {"kind": "siamese-difference", "size": model.size, "bands": model.bands},
        "preprocessing": {
            "bands": list(model.preprocessing.bands),
            "mean": list(model.preprocessing.mean),
            "std": list(model.preprocessing.std),
        },
        "threshold": model.threshold,
        "metrics": model.metrics,
        "facts": model.facts,
        "weights_sha256": weights_sha256,
    }
    return json.dumps(content, indent=2, allow_nan=False).encode()


# ---------------------------------------------------------------- reading


def load(folder: str | os.PathLike[str]) -> Model:
    """The model kept in a folder (path or URI), on the CPU, in evaluation mode.

    Raises NotFound if there is none, FileRejected if it is damaged, of another kind or of a
    newer schema.
    """
    base = os.fspath(folder).rstrip("/")
    described, weights = f"{base}/model.json", f"{base}/model.safetensors"
    content = _read(described, LARGEST_JSON_BYTES)
    try:
        model, expected_sha256 = _from_description(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise FileRejected(described, f"not a model's description: {_reason(error)}") from error
    data = _read(weights, LARGEST_WEIGHTS_BYTES)
    try:
        if sha256(data).hexdigest() != expected_sha256:
            raise ValueError("the bytes are not those that model.json was written with")
        _check_header(data, model.network)
        tensors = read_tensors(data)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FileRejected(weights, f"not this model's weights: {_reason(error)}") from error
    model.network.load_state_dict(tensors, strict=False, assign=True)
    for module in model.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.num_batches_tracked = torch.tensor(0)
    model.network.eval()
    return model


def _read(uri: str, most_bytes: int) -> bytes:
    try:
        with store.open_read(uri) as stream:
            data = stream.read(most_bytes + 1)
    except NotFound as error:
        raise NotFound(
            "model", uri, remedy="a model folder holds model.json and model.safetensors"
        ) from error
    if len(data) > most_bytes:
        raise FileRejected(uri, f"larger than {most_bytes} bytes")
    return data


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _from_description(content: Any) -> tuple[Model, str]:
    """The model without its weights (on the meta device), and the hash they must have."""
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']!r}, this geolab reads {SCHEMA}")
    architecture, scaling = content["architecture"], content["preprocessing"]
    if architecture["kind"] != "siamese-difference" or architecture["size"] not in WIDTHS:
        raise ValueError("unknown architecture")
    bands = tuple(str(b) for b in scaling["bands"])
    if not 1 <= len(bands) <= MOST_BANDS or architecture["bands"] != len(bands):
        raise ValueError(f"{len(bands)} bands")
    preprocessing = Preprocessing(bands, _numbers(scaling["mean"], bands), _numbers(scaling["std"], bands))
    if min(preprocessing.std) <= 0:
        raise ValueError("a standard deviation that is not positive")
    threshold = float(content["threshold"])
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold {threshold}")
    metrics = {str(k): float(v) for k, v in content["metrics"].items()}
    with torch.device("meta"):
        network = Network(len(bands), architecture["size"])
    facts = dict(content["facts"])
    model = Model(network, preprocessing, architecture["size"], threshold, metrics, facts)
    return model, str(content["weights_sha256"])


def _numbers(values: Any, bands: tuple[str, ...]) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if len(numbers) != len(bands) or not np.isfinite(numbers).all():
        raise ValueError("the scaling does not have one finite number a band")
    return numbers


def _check_header(data: bytes, network: Network) -> None:
    """Raise ValueError unless the header names exactly the network's tensors, in their shapes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > LARGEST_HEADER_BYTES or 8 + length > len(data):
        raise ValueError("no safetensors header")
    header = json.loads(data[8 : 8 + length])
    found = {k: (v["dtype"], tuple(v["shape"])) for k, v in header.items() if k != "__metadata__"}
    expected = {k: ("F32", tuple(v.shape)) for k, v in _state(network).items()}
    if found != expected:
        wrong = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        raise ValueError(f"tensor '{wrong[0]}' and {len(wrong) - 1} more differ from the architecture")
