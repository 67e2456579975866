"""A workspace in which somebody has worked: `python tests/browser/lived_in.py FOLDER` makes one by hand.

Two dates of a small town with its truth and six photos; a network trained for seconds and registered;
a detection that is done, one that failed, one that was cancelled; a small splat model.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from geolab import catalog, ingest, jobs, settings, town
from geolab.errors import one_line
from geolab.settings import Settings
from geolab.splats import io as files
from geolab.splats import items as splat_items
from geolab.splats.gaussians import SH_C0, Gaussians

SIZE_PX, PHOTOS, TRAIN_MINUTES = 512, 6, 0.05


def make(home: Path) -> Settings:
    """The workspace; its sources lie beside it."""
    workspace = settings.load(home, environ={})
    sources = home.parent / f"{home.name}-sources"
    written = town.write(sources / "town", seed=1, size_px=SIZE_PX, photos=PHOTOS)
    outcomes = list(ingest.ingest([written.folder], collection="town", settings=workspace))
    assert any(o.status == "added" for o in outcomes), outcomes
    training = jobs.submit(
        "03_train_change",
        {"pairs": "town", "minutes": TRAIN_MINUTES, "epochs": 1, "tile_px": 64, "name": "tiny"},
        settings=workspace,
    )
    before, after = pair(workspace)
    _end(jobs.run("04_detect_change", {"before": before, "after": after}, settings=workspace), "succeeded")
    fails = {"before": before, "after": _plain_photo(workspace), "align": False}
    _end(jobs.run("04_detect_change", fails, settings=workspace), "failed")
    waiting = jobs.enqueue(
        "04_detect_change", {"before": before, "after": after, "method": "irmad"}, settings=workspace
    )
    jobs.cancel(waiting.run_id, settings=workspace)
    _put_splats(workspace, sources)
    _end(jobs.wait(training.run_id, settings=workspace), "succeeded")
    return workspace


def pair(workspace: Settings) -> tuple[str, str]:
    """The ids of the town's two dates, the earlier first."""
    found = catalog.open_catalog(workspace).search(catalog.Search(collections=("town",), limit=100)).items
    images = [i for i in found if i["properties"].get("geolab:role", "image") == "image"]
    images.sort(key=lambda i: i["properties"]["datetime"])
    return images[0]["id"], images[-1]["id"]


def _plain_photo(workspace: Settings) -> str:
    found = catalog.open_catalog(workspace).search(catalog.Search(collections=("town",), limit=100)).items
    return next(i["id"] for i in found if i["properties"].get("geolab:role") == "photo")


def _put_splats(workspace: Settings, folder: Path) -> None:
    hills = _terrain()
    shown = hills.terrain(8_000, sh_degree=1)
    model = files.write(folder / "hills.ply", shown, hills.FRAME)
    _picture(shown).save(folder / "hills.webp")  # its thumbnail, by its name
    made = splat_items.item(
        str(model), collection="results", title="Hills", properties={"geolab:result": "splats"}
    )
    catalog.open_catalog(workspace).put([made])


def _picture(model: Gaussians) -> Image.Image:
    """The model from above, crudely."""
    place = ((model.means[:, :2].numpy() * [2, -2]) + [130, 95]).astype(int)
    pixels = np.full((190, 260, 3), 235, np.uint8)
    colour = np.clip((model.sh[:, 0].numpy() * SH_C0 + 0.5) * 255, 0, 255)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        pixels[place[:, 1].clip(0, 188) + dy, place[:, 0].clip(0, 258) + dx] = colour
    return Image.fromarray(pixels)


def _terrain() -> ModuleType:
    path = Path(__file__).parents[1] / "viewer" / "terrain.py"
    spec = importlib.util.spec_from_file_location("geolab_terrain", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _end(outcome: jobs.Outcome, state: str) -> None:
    assert outcome.state == state, f"{outcome.state}: {one_line(str(outcome))}"


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute())
