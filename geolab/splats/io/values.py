"""Arrays of a file become Gaussians, or the file is refused; the same for all formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geolab.errors import BadInput, FileRejected
from geolab.splats.gaussians import Gaussians

Floats = NDArray[np.float32]

LARGEST_LOG_SCALE = 80.0  # e^80 metres; float32 overflows at e^88.7
FARTHEST_M = 1e9  # more than twice the distance of the Moon
_LARGEST = {"scale": LARGEST_LOG_SCALE, "position": FARTHEST_M, "rotation": 1e12}
_SHORTEST = 1e-12  # of a quaternion's components, whose squares must not vanish


def checked(
    href: str, *, means: Any, quats: Any, log_scales: Any, logit_opacities: Any, sh: Any
) -> Gaussians:
    """The Gaussians of arrays as a file holds them, float32 on the CPU. Raises FileRejected."""
    with np.errstate(over="ignore", invalid="ignore"):
        parts = {
            "position": np.asarray(means, np.float32),
            "rotation": np.asarray(quats, np.float32),
            "scale": np.asarray(log_scales, np.float32),
            "opacity": np.asarray(logit_opacities, np.float32),
            "colour": np.asarray(sh, np.float32),
        }
    count = len(parts["position"])
    if count == 0:
        raise FileRejected(href, "holds no Gaussians")
    for name, array in parts.items():
        bad = ~np.isfinite(array.reshape(count, -1)).all(axis=1)
        if name in _LARGEST:
            bad |= ~(np.abs(array) <= _LARGEST[name]).all(axis=1)
        if name == "rotation":
            bad |= ~(np.abs(array) > _SHORTEST).any(axis=1)
        if bad.any():
            what = {"rotation": "zero or not finite"}.get(name, "not finite or out of range")
            raise FileRejected(
                href,
                f"{int(bad.sum())} of {count} Gaussians have a {name} that is {what}; "
                f"the first: {int(bad.argmax())}",
            )
    return Gaussians(*(torch.from_numpy(np.array(a, order="C", copy=True)) for a in parts.values()))


def arrays(gaussians: Gaussians) -> dict[str, Floats]:
    """The parameters by the names of `Gaussians` as float32 on the CPU, fit to be written.

    Raises BadInput if there are none, or if one is not finite: a file of them could not be read again.
    """
    if len(gaussians) == 0:
        raise BadInput("Gaussians", found="none", expected="at least one to write")
    held = gaussians.map(lambda t: t.detach().to("cpu", torch.float32))
    made = {name: getattr(held, name).numpy() for name in Gaussians.__dataclass_fields__}
    try:
        checked("Gaussians", means=made["means"], quats=made["quats"], log_scales=made["log_scales"],
                logit_opacities=made["logit_opacities"], sh=made["sh"])  # fmt: skip
    except FileRejected as error:
        raise BadInput("Gaussians", found=error.reason, expected="finite numbers only") from error
    return made
