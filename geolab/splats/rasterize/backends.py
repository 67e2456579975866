"""Which back end draws, and why."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from geolab.errors import BadInput, NotFound

BACKENDS = ("auto", "cuda", "cpu", "reference")


@dataclass(frozen=True)
class Choice:
    """A back end (one of "cuda", "cpu", "reference"), why it was taken, and where its tensors have to be."""

    name: str
    reason: str
    device: str


def choose(backend: str = "auto", device: str | torch.device | None = None) -> Choice:
    """The back end that `backend` means for tensors on `device`; None stands for this machine's best.

    "auto" on a CUDA device is gsplat. If gsplat is missing or does not work there, this raises MissingExtra
    or BadInput with the cause; nothing else is taken in silence.
    """
    if backend not in BACKENDS:
        raise NotFound("back end", backend, known=BACKENDS)
    where = _device(backend, device)
    if backend == "auto":
        backend = "cuda" if where == "cuda" else "cpu"
        why = f"tensors are on {where}" if device is not None else f"this machine's best device is {where}"
    else:
        why = "it was asked for"
    needed = "cuda" if backend == "cuda" else "cpu"
    if backend != "reference" and where != needed:
        raise BadInput(
            f"back end {backend}",
            found=f"tensors on {where}",
            expected=f"tensors on {needed}",
            remedy=f"move them: .to('{needed}')",
        )
    if backend == "cuda":
        why = f"{why}; {_module('cuda').works()}"
    return Choice(backend, why, where)


def _device(backend: str, device: str | torch.device | None) -> str:
    where = None if device is None else torch.device(device).type
    if backend == "cuda" and where != "cuda" and not torch.cuda.is_available():
        raise BadInput(
            "back end cuda", found="no CUDA device", expected="one that torch sees", remedy="backend='cpu'"
        )
    best = "cuda" if torch.cuda.is_available() else "cpu"
    return where or {"auto": best, "cuda": "cuda"}.get(backend, "cpu")


def module(name: str) -> Any:
    """The back end's module: `rasterize` and `rasterize_2d`. Loaded when first drawn with."""
    return _module(name)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"geolab.splats.rasterize.{name}")
