"""What the one thread does: pictures of a model together, windows of a pair with one scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geolab.change import preview
from geolab.errors import GeolabError
from geolab.modelserver.asked import Picture, Window
from geolab.modelserver.kept import Kept
from geolab.splats import io, portrait, rasterize, still
from geolab.splats.gaussians import Gaussians

MOST_BYTES = 2_000_000_000  # of models of splats
MOST_PAIRS = 4

Answer = tuple[dict[str, Any], bytes]


class Work:
    """Holds the models. backend: as `rasterize.choose` takes it."""

    def __init__(self, backend: str = "auto", device: str = "auto"):
        self.choice = rasterize.choose(backend)
        self._device = device
        self._splats: Kept[Gaussians] = Kept(_bytes, MOST_BYTES)
        self._pairs: Kept[preview.Preview] = Kept(lambda _: 1, MOST_PAIRS)

    def perform(self, jobs: Sequence[Picture | Window]) -> list[Answer | GeolabError]:
        """An answer or an error for each of the jobs of one group."""
        if isinstance(jobs[0], Picture):
            return self._pictures([job for job in jobs if isinstance(job, Picture)])
        return [self._window(job) for job in jobs if isinstance(job, Window)]

    def status(self) -> dict[str, Any]:
        """What it holds."""
        return {
            "backend": self.choice.name,
            "models": len(self._splats),
            "models_mb": round(self._splats.bytes() / 1e6, 1),
            "pairs": len(self._pairs),
        }

    def _pictures(self, jobs: list[Picture]) -> list[Answer | GeolabError]:
        first = jobs[0]
        gaussians = self._splats.get(first.version, lambda: self._read(first.uri))
        cameras = [job.camera or portrait.camera(gaussians, *job.size) for job in jobs]
        seen = rasterize.render(
            gaussians, cameras, background=first.background, mode="RGB",
            rasterize_mode=first.mode, backend=self.choice.name,
        )  # fmt: skip
        told = {"type": "image/jpeg"}
        return [(told, still.jpeg(one.rgb, quality=job.quality)) for job, one in zip(jobs, seen, strict=True)]

    def _read(self, uri: str) -> Gaussians:
        return io.read(uri).gaussians.to(self.choice.device)

    def _window(self, job: Window) -> Answer | GeolabError:
        try:
            pair = self._pairs.get((job.versions, job.method), lambda: self._open(job))
            levels = pair.levels(job.rows, job.cols)
        except GeolabError as error:
            return error
        return {"shape": list(levels.shape), "threshold": pair.threshold}, np.ascontiguousarray(
            levels
        ).tobytes()

    def _open(self, job: Window) -> preview.Preview:
        return preview.open_pair(
            job.before, job.after, method=job.method, model=job.model or None, device=self._device
        )


def _bytes(gaussians: Gaussians) -> int:
    tensors = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
