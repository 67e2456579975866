"""What is asked of detection, checked at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geolab import settings, store
from geolab.change import classic
from geolab.errors import BadInput

if TYPE_CHECKING:
    from geolab.change.model import Model

METHODS = (*classic.METHODS, "model")
SMALLEST_TILE_PX, LARGEST_TILE_PX = 64, 8192


@dataclass(frozen=True, kw_only=True)
class Request:
    """One detection: see detect.scene for what the fields mean. Raises BadInput for impossible values.

    model: a Model, or its folder or registry name; None for classic methods. threshold None: the
    method's own. workers None: as many as the settings say.
    """

    before: str
    after: str
    out: str
    method: str = "cva"
    model: Model | str | None = None
    threshold: float | None = None
    tile_px: int = 512
    align: bool = False
    normalise: bool = False
    workers: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BadInput("method", found=repr(self.method), expected=", ".join(METHODS))
        if (self.method == "model") != (self.model is not None):
            raise BadInput(
                "model",
                found=f"{'one' if self.model is not None else 'none'} with method {self.method!r}",
                expected="a model exactly when the method is 'model'",
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise BadInput("threshold", found=self.threshold, expected="a probability, 0..1")
        if not SMALLEST_TILE_PX <= self.tile_px <= LARGEST_TILE_PX:
            raise BadInput(
                "tile_px", found=self.tile_px, expected=f"{SMALLEST_TILE_PX}..{LARGEST_TILE_PX} pixels"
            )
        if self.workers is not None and self.workers < 1:
            raise BadInput("workers", found=self.workers, expected="at least 1")
        folder = store.local_path(self.out)
        if folder is not None and folder.exists() and not folder.is_dir():
            raise BadInput("out", found=f"{self.out}, which is a file", expected="a folder")

    def worker_count(self) -> int:
        """Threads that score."""
        return self.workers or settings.load().worker_count()
