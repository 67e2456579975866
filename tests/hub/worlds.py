"""Workspaces of two projects, each with something of every kind: python tests/hub/worlds.py HOME..."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from geolab import catalog, ingest, jobs, settings, town
from geolab.splats import io as files
from geolab.splats import items as splat_items
from geolab.track.client import client

TERRAIN = Path(__file__).parents[1] / "viewer" / "terrain.py"


def make(home: Path, seed: int, like: Path | None) -> None:
    """Images, a cancelled run, an experiment and a splat model, all named after the project."""
    home.mkdir(parents=True)
    if like is not None:
        shutil.copyfile(like, home / "mlflow.db")  # its tables, without anything in them
    workspace, name = settings.load(home, environ={}), home.name
    sources = home.parent / f"{name}-sources"
    written = town.write(sources, seed=seed, size_px=512, photos=0)
    list(ingest.ingest([written.folder], collection=name, settings=workspace))
    _put_splats(workspace, sources)
    images = [i["id"] for i in catalog.open_catalog(workspace).search(catalog.Search(limit=100)).items]
    pair = {"before": images[0], "after": images[1], "method": "irmad"}
    jobs.cancel(jobs.enqueue("04_detect_change", pair, settings=workspace).run_id, settings=workspace)
    client(workspace).create_experiment(f"{name}-experiment")


def tables(path: Path) -> Path:
    """An MLflow database that is still empty."""
    client(settings.load(path.parent, environ={})).search_experiments()
    return path


def _put_splats(workspace: settings.Settings, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("geolab_terrain", TERRAIN)
    assert spec is not None
    assert spec.loader is not None
    hills = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = hills
    spec.loader.exec_module(hills)
    model = files.write(folder / "hills.ply", hills.terrain(3_000, sh_degree=0), hills.FRAME)
    kept = {"geolab:result": "splats"}
    made = splat_items.item(
        str(model), collection="results", title=f"Hills of {workspace.home.name}", properties=kept
    )
    catalog.open_catalog(workspace).put([made])


if __name__ == "__main__":
    homes = [Path(word) for word in sys.argv[1:]]
    empty = homes[0].parent / "tables" / "mlflow.db"
    empty.parent.mkdir(parents=True)
    tables(empty)
    for number, place in enumerate(homes, start=1):
        make(place, number, empty)
