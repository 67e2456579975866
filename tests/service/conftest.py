"""A workspace with a few rasters of known pixels, and a server on it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from geolab import catalog, raster, settings
from geolab.catalog import items


def _load_serving() -> ModuleType:
    """serving.py beside this file: tests are no package, and the browser's tests use it too."""
    spec = importlib.util.spec_from_file_location("geolab_serving", Path(__file__).with_name("serving.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["geolab_serving"] = module
    spec.loader.exec_module(module)
    return module


serving = _load_serving()


def write_scene(path: Path, transform: Affine, *, crs: str = "EPSG:32632", nodata: float | None = 0) -> str:
    """A scene 90 high and 140 wide: red grows to the east, green to the south, blue is 1; a nodata corner."""
    rows, columns = np.mgrid[0:90, 0:140]
    pixels = np.stack([1000 + 20 * columns, 3000 + 30 * rows, np.full_like(rows, 500)]).astype("uint16")
    pixels[:, :20, :30] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=140, height=90, count=3, dtype="uint16", crs=crs,
        transform=transform, nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        for band, name in enumerate(("red", "green", "blue"), 1):
            dataset.set_band_description(band, name)
    return path.as_uri()


def scene_item(uri: str, name: str, *, collection: str = "town", date: str = "2024-08-15") -> dict:
    info = raster.read_info(uri)
    return items.item(
        name,
        collection=collection,
        geometry=raster.footprint_lonlat(info),
        datetime=f"{date}T10:00:00Z",
        properties={"title": name, "gsd": raster.gsd_m(info), "geolab:role": "image"},
        assets={"data": {"href": uri, "roles": ["data"]}},
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """A catalogue of a north-up and a rotated scene, a mask, a file without CRS, and one that is gone."""
    home = tmp_path_factory.mktemp("workspace")
    found = settings.load(home, environ={})
    north_up = from_origin(500000, 5300000, 2.0, 3.0)
    turned = Affine.translation(499950, 5299900) @ Affine.rotation(30) @ Affine.scale(2.0, -3.0)
    files = home / "files"
    listed = [
        scene_item(write_scene(files / "up.tif", north_up), "up"),
        scene_item(write_scene(files / "turned.tif", turned), "turned", date="2021-05-03"),
    ]
    with rasterio.open(
        files / "mask.tif", "w", driver="GTiff", width=140, height=90, count=1, dtype="uint8",
        crs="EPSG:32632", transform=north_up, nodata=255,
    ) as dataset:  # fmt: skip
        mask = np.zeros((1, 90, 140), "uint8")
        mask[:, 30:60, 40:100] = 1
        dataset.write(mask)
    listed.append(scene_item((files / "mask.tif").as_uri(), "mask"))
    lost = scene_item((files / "up.tif").as_uri(), "lost")
    lost["assets"]["data"]["href"] = (files / "gone.tif").as_uri()
    nowhere = scene_item((files / "up.tif").as_uri(), "nowhere")
    with rasterio.open(
        files / "plain.png", "w", driver="PNG", width=9, height=7, count=1, dtype="uint8"
    ) as d:
        d.write(np.ones((1, 7, 9), "uint8"))
    nowhere["assets"]["data"]["href"] = (files / "plain.png").as_uri()
    relative = scene_item((files / "up.tif").as_uri(), "relative")
    relative["assets"]["data"]["href"] = "../../etc/passwd"
    text = scene_item((files / "up.tif").as_uri(), "text")
    text["assets"]["data"]["href"] = "/etc/passwd"
    (home / "secret.tif").write_bytes((files / "up.tif").read_bytes())  # lies in the workspace, in no item
    catalog.open_catalog(found).put([*listed, lost, nowhere, relative, text])
    return found


@pytest.fixture(scope="session")
def server(world: settings.Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with serving.serve(world.home, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def opening() -> ModuleType:
    """opening.py: pages opened as a browser would."""
    spec = importlib.util.spec_from_file_location("geolab_opening", Path(__file__).with_name("opening.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def apps(world: settings.Settings, opening: ModuleType, tmp_path_factory) -> Iterator[object]:
    """A server of the apps below a hub's prefix, with the small pages of opening.py; three at once."""
    root = opening.write_pages(tmp_path_factory.mktemp("small-pages"))
    options = ("--PageKernels.most=3", "--PageKernels.cull_idle_timeout=600")
    given = {"base_url": "/user/ann/", "root": root, "config": serving.APPS_CONFIG, "options": options}
    with serving.serve(world.home, tmp_path_factory.mktemp("apps"), **given) as running:
        yield running


@pytest.fixture
def serving_of(opening: ModuleType, tmp_path: Path):
    """A function: a server of the small pages on a workspace, with options, gone after its block."""

    def served(home: Path, options: tuple[str, ...]):
        root, scratch = opening.write_pages(tmp_path / "pages"), tmp_path / "scratch"
        scratch.mkdir()
        return serving.serve(home, scratch, root=root, config=serving.APPS_CONFIG, options=options)

    return served
