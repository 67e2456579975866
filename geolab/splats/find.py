"""The file of a model, from whatever a user calls it."""

from __future__ import annotations

from pathlib import Path

from geolab import catalog
from geolab.errors import NotFound
from geolab.settings import Settings

LATEST = "latest"
FILE = "model.ply"  # what a training leaves in its run's folder


def locate(ref: str, settings: Settings) -> str:
    """The path or URI of a model: of a file that is there, of an item's model, or of the latest one.

    ref: a path, a URI, an item as `catalog.find` takes it, or "latest": trained last in this workspace, by a
    run or by hand in a notebook. Raises NotFound; BadInput if several items fit.
    """
    return str(latest(settings)) if ref == LATEST else catalog.locate(ref, settings)


def latest(settings: Settings) -> Path:
    """The model trained last in a workspace. Raises NotFound."""
    found = settings.runs.glob(f"*/*/{FILE}")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise NotFound("splat model", LATEST, remedy="train one: geolab run 05_train_splats")
    return newest.absolute()
