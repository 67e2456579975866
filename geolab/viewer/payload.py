"""A model on its way to the page: as SPZ, within a number of bytes."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gsply
import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput
from geolab.splats.gaussians import SH_DEGREES, Gaussians

Floats = NDArray[np.float32]

BUDGET_MB = 32.0
_FIXED = 19  # bytes of a Gaussian in SPZ, and 3 more for each coefficient above the constant
_PACKED = 0.85  # what gzip leaves of them, measured on trained models: 0.75 to 0.85
_POSITION_BITS = 23


@dataclass(frozen=True)
class Payload:
    """data: SPZ, axes as they are. shown of total Gaussians. note: a sentence on what was left out, or ""."""

    data: bytes
    shown: int
    total: int
    note: str = ""


def encode(gaussians: Gaussians, *, budget_mb: float = BUDGET_MB) -> Payload:
    """The model within about budget_mb: first the colour's dependence on the view goes, then the faintest.

    Raises BadInput if there is no Gaussian with finite numbers, or a budget that holds nothing.
    """
    arrays = _arrays(gaussians)
    total = len(arrays[0])
    most = budget_mb * 1e6
    k = next((k for k in (16, 9, 4, 1) if k <= arrays[4].shape[1] and total * _bytes(k) <= most), 1)
    count = min(total, int(most / _bytes(k)))
    if count < 1:
        raise BadInput("max_mb", found=budget_mb, expected="enough for one Gaussian", remedy="try max_mb=32")
    if count < total:
        kept = np.sort(np.argsort(-_importance(arrays), kind="stable")[:count])
        arrays = tuple(array[kept] for array in arrays)
    note = _note(total, count, before=gaussians.sh_degree, after=SH_DEGREES[k], budget_mb=budget_mb)
    return Payload(_spz(arrays, k), count, len(gaussians), note)


def _arrays(gaussians: Gaussians) -> tuple[Floats, ...]:
    """Means, quaternions, log scales, logit opacities, SH of all Gaussians whose numbers are finite."""
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    arrays = tuple(getattr(gaussians, name).detach().cpu().float().numpy() for name in names)
    good = np.logical_and.reduce([np.isfinite(a.reshape(len(a), -1)).all(axis=1) for a in arrays])
    if not good.any():
        raise BadInput("model", found="no Gaussian with finite numbers", expected="at least one")
    return tuple(array[good] for array in arrays)


def _bytes(k: int) -> float:
    return _PACKED * (_FIXED + 3 * (k - 1))


def _importance(arrays: tuple[Floats, ...]) -> Floats:
    """Opacity times the area of the two longest axes [N]."""
    _, _, log_scales, logits, _ = arrays
    ordered = np.sort(log_scales, axis=1)
    return ordered[:, 1] + ordered[:, 2] - np.logaddexp(0, -logits)


def _note(total: int, shown: int, *, before: int, after: int, budget_mb: float) -> str:
    left_out = []
    if shown < total:
        left_out.append(f"the {shown:,} largest of {total:,} Gaussians")
    if after < before:
        left_out.append(f"colour with harmonics of degree {after} of {before}")
    if not left_out:
        return ""
    return f"Shown to fit {budget_mb:g} MB: {', '.join(left_out)}. For more: show(..., max_mb=...)."


def _spz(arrays: tuple[Floats, ...], k: int) -> bytes:
    means, quats, log_scales, logits, sh = arrays
    data = gsply.GSData.from_arrays(
        means=np.ascontiguousarray(means),
        scales=np.ascontiguousarray(log_scales),
        quats=quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12),
        opacities=np.clip(logits, -80, 80),
        sh0=np.ascontiguousarray(sh[:, 0]),
        shN=np.ascontiguousarray(sh[:, 1:k]) if k > 1 else None,
        format="ply",
    )
    # the finest steps that reach all places: 0.02 mm for 128 m
    reach = max(float(np.abs(means).max()), 1e-6)
    fraction = min(20, math.floor(_POSITION_BITS - math.log2(reach) - 1e-6))
    if fraction < 1:
        raise BadInput("model", found=f"places up to {reach:.3g} m", expected="within 4,000 km of its origin")
    with tempfile.TemporaryDirectory(prefix="geolab-") as folder:
        path = Path(folder) / "model.spz"
        gsply.write_spz(path, data, version=3, fractional_bits=fraction)
        return path.read_bytes()
