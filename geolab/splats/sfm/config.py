"""How cameras are found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geolab.errors import BadInput
from geolab.splats.sfm.database import Features

Focal = Literal["auto", "hold", "free"]


@dataclass(frozen=True)
class Config:
    """How cameras are found; as `solve` says."""

    image_px: int
    focal: Focal
    positions: bool
    held_out: int | Sequence[str]
    threads: int
    seed: int
    features: Features

    def __post_init__(self) -> None:
        expected = {
            "image_px": (self.image_px == 0 or self.image_px >= 200, "0, or at least 200 pixels"),
            "focal": (self.focal in ("auto", "hold", "free"), "auto, hold or free"),
            "threads": (self.threads >= 1, "at least 1"),
            "seed": (self.seed >= 0, "0 or more"),
        }
        for name, (good, wanted) in expected.items():
            if not good:
                raise BadInput(name, found=repr(getattr(self, name)), expected=wanted)

    @property
    def how(self) -> Features:
        return dataclasses.replace(self.features, threads=self.threads, seed=self.seed)
