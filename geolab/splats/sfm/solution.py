"""What structure from motion tells while it works, and at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from geolab.splats.views import Scene


@dataclass(frozen=True)
class LensFound:
    """One camera's focal length, in pixels of its photos. prior_px: as the photos state it, or None.

    held: whether it was kept at the prior; why: in words. drift_pct: from the prior, or None.
    """

    photos: int
    camera: str
    prior_px: float | None
    focal_px: float
    held: bool
    why: str

    @property
    def drift_pct(self) -> float | None:
        return None if self.prior_px is None else 100 * (self.focal_px / self.prior_px - 1)


@dataclass(frozen=True)
class Facts:
    """Figures of a solution. reprojection_px: mean, in pixels of the working copies."""

    photos: int
    registered: int
    models: int
    points: int
    reprojection_px: float
    pairs: str
    position_priors: bool
    lenses: tuple[LensFound, ...]

    def as_json(self) -> dict[str, Any]:
        lenses = [asdict(lens) | {"drift_pct": lens.drift_pct} for lens in self.lenses]
        return asdict(self) | {"lenses": lenses}


@dataclass(frozen=True)
class Step:
    """One step. what: copies, features, matches, cameras or points. done: 0..1 of the whole.

    scene, facts: at the last step.
    """

    what: str
    done: float
    detail: str = ""
    scene: Scene | None = field(default=None, repr=False)
    facts: Facts | None = None
