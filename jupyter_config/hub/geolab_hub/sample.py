"""A small sample world in a workspace that is empty: python -m geolab_hub.sample HOME SEED."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

SIZE_PX = 768


def fill(home: Path, seed: int) -> bool:
    """Whether a town was put into the workspace: not if its catalogue holds anything."""
    from geolab import catalog, ingest, settings, town

    workspace = settings.load(home)
    if catalog.open_catalog(workspace).search(catalog.Search(limit=1)).items:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        written = town.write(Path(scratch), seed=seed, size_px=SIZE_PX, photos=4)
        for _ in ingest.ingest([written.folder], collection="town", settings=workspace):
            pass
    return True


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
