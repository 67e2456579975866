"""Real Chromium against a real Jupyter server; every request that leaves the server is stopped and kept."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Dialog, Page, Route

from geolab import catalog, ingest, settings, town
from geolab.catalog import items
from geolab.splats import io as files
from geolab.splats import products
from geolab.splats.views import Camera

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def _load(path: str) -> ModuleType:
    """A module of another folder of tests: tests are no package, so it is loaded by its path."""
    name = f"geolab_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def serving() -> ModuleType:
    return _load("service/serving.py")


@dataclass
class Visit:
    """A page, with everything it asked for and complained about."""

    page: Page
    outside: list[str] = field(default_factory=list)  # addresses of other servers
    answers: list[tuple[int, str]] = field(default_factory=list)  # (status, address)
    errors: list[str] = field(default_factory=list)  # of the console, and uncaught ones
    dialogs: list[str] = field(default_factory=list)

    def tiles(self) -> list[int]:
        return [status for status, url in self.answers if "/geolab/tiles/" in url]


@pytest.fixture(scope="session")
def shown_world(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """A workspace with a small town at two dates and two photos over it, one with a hostile title."""
    workspace = settings.load(tmp_path_factory.mktemp("shown"), environ={})
    sources = tmp_path_factory.mktemp("sources")
    written = town.write(sources, seed=1, size_px=512, photos=0)
    outcomes = list(ingest.ingest([written.folder], collection="town", settings=workspace))
    assert {o.status for o in outcomes} <= {"added", "rejected"}
    west, south, east, north = catalog.open_catalog(workspace).search(catalog.Search()).items[0]["bbox"]
    photos = []
    for number, title in enumerate((HOSTILE, "roof.jpg")):
        path = sources / f"photo-{number}.jpg"
        Image.fromarray(np.full((300, 400, 3), 90 + 80 * number, np.uint8)).save(path)
        place = [west + (east - west) * (0.25 + 0.5 * number), (south + north) / 2]
        photos.append(
            items.item(
                f"photo-{number}",
                collection="town",
                geometry={"type": "Point", "coordinates": place},
                datetime="2024-09-27T12:00:00Z",
                properties={"title": title, "geolab:role": "photo"},
                assets={"data": {"href": path.as_uri(), "roles": ["data"]}},
            )
        )
    catalog.open_catalog(workspace).put(photos)
    return workspace


@pytest.fixture(scope="session")
def server(shown_world: settings.Settings, serving, tmp_path_factory) -> Iterator[object]:
    """The server below a hub's prefix: what works there works at the root too."""
    with serving.serve(shown_world.home, tmp_path_factory.mktemp("server"), base_url="/user/ann/") as running:
        yield running


@pytest.fixture(scope="session")
def chromium(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    if not Path(CHROMIUM).exists() and not shutil.which("chromium"):
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install -y --no-install-recommends chromium")
    context = request.getfixturevalue("playwright").chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium"),
        headless=True,
        args=FLAGS,
        viewport={"width": 1280, "height": 1000},
    )
    yield context
    context.close()


def open_page(chromium: BrowserContext, origin: str, url: str, **options: str) -> Visit:
    """Open an address in a new page, with the world outside shut off."""
    page = chromium.new_page()
    if options:
        page.emulate_media(**options)  # type: ignore[arg-type]
    seen = Visit(page)

    def only_here(route: Route) -> None:
        if route.request.url.startswith((f"{origin}/", "data:", "blob:")):
            route.continue_()
        else:
            seen.outside.append(route.request.url)
            route.abort()

    def dismiss(dialog: Dialog) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.route("**/*", only_here)
    page.on("response", lambda r: seen.answers.append((r.status, r.url)))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)
    page.on("dialog", dismiss)
    page.goto(url, wait_until="commit")
    return seen


@pytest.fixture(scope="session")
def visit() -> Callable[..., Visit]:
    return open_page


@pytest.fixture(scope="session")
def explored(chromium: BrowserContext, server) -> Iterator[Visit]:
    """02_explore as a page, when its maps have their tiles."""
    seen = open_page(
        chromium, server.origin, f"{server.url}voila/render/02_explore.ipynb?token={server.token}"
    )
    try:
        seen.page.wait_for_selector(".leaflet-sbs-divider", timeout=150_000)
        seen.page.wait_for_selector(".geolab-map .leaflet-tile-loaded", timeout=60_000)
        seen.page.wait_for_load_state("networkidle")
    except Exception:
        print(seen.errors, seen.answers[-20:], server.log.read_text()[-4000:])
        raise
    yield seen
    seen.page.close()


# ---------------------------------------------------------------- the apps


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """A workspace with data, runs in every state and models (lived_in.py), made once: add, take nothing."""
    return _load("browser/lived_in.py").make(tmp_path_factory.mktemp("lived-in") / "home")


@pytest.fixture(scope="session")
def apps_server(lived_in: settings.Settings, serving, tmp_path_factory) -> Iterator[object]:
    """The apps on that workspace, below a hub's prefix: `url`, `origin`, `token`, `log`."""
    scratch = tmp_path_factory.mktemp("apps-server")
    options = {"base_url": "/user/ann/", "root": serving.APPS, "config": serving.APPS_CONFIG}
    with serving.serve(lived_in.home, scratch, **options) as running:
        yield running


@pytest.fixture(scope="session")
def open_app(chromium: BrowserContext, apps_server) -> Callable[..., Visit]:
    """A function that opens a page of the apps by name and waits until its widgets are there.

    query: becomes the address's query string. The caller closes `visit.page`.
    """

    def opened(name: str, query: dict[str, str] | None = None, **options: str) -> Visit:
        asked = urlencode({"token": apps_server.token, **(query or {})})
        address = f"{apps_server.url}voila/render/{name}.ipynb?{asked}"
        seen = open_page(chromium, apps_server.origin, address, **options)
        try:
            seen.page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
        except Exception:
            print(seen.errors, seen.answers[-20:], apps_server.log.read_text()[-4000:])
            raise
        return seen

    return opened


# ---------------------------------------------------------------- splats

GROUND = "#204060"


@pytest.fixture(scope="session")
def hills() -> ModuleType:
    """A model whose every place is known."""
    return _load("viewer/terrain.py")


@pytest.fixture(scope="session")
def cameras(hills) -> list[Camera]:
    """Oblique ones, and one straight down whose upper edge is not north."""
    down = np.array([[0.6, 0.8, 0, 0], [0.8, -0.6, 0, 0], [0, 0, -1, 70], [0, 0, 0, 1.0]])
    K = np.array([[350, 0, 200], [0, 350, 150], [0, 0, 1.0]])
    return [
        hills.camera((35, -50, 45), (5, 3, 0)),
        hills.camera((-50, 20, 30), (0, 0, 4)),
        Camera(400, 300, K, down),
    ]


def notebook(path: Path, *cells: str) -> None:
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = [cell | {"id": f"c{i}", "source": source} for i, source in enumerate(cells)]
    told = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(told))


def _put_height_model(home: settings.Settings, dsm: Path) -> None:
    facts = {"geolab:role": "dsm", "datetime": "2024-08-15T00:00:00Z"}
    made = ingest.product_item(str(dsm), item_id="dsm", collection="hills", title="Hills", properties=facts)
    catalog.open_catalog(home).put([made])


@pytest.fixture(scope="session")
def pages(hills, cameras, serving, tmp_path_factory) -> Iterator[object]:
    """A server with notebooks that show the model.

    view; plain: without the bundle; many: small ones, made and taken away; flight: on a map, with
    its products and hostile names.
    """
    folder, scratch = tmp_path_factory.mktemp("views"), tmp_path_factory.mktemp("view-server")
    home = settings.load(tmp_path_factory.mktemp("view-home"), environ={})
    model = files.write(scratch / "hills.ply", hills.terrain(), hills.FRAME)
    small = files.write(scratch / "small.ply", hills.terrain(500, sh_degree=0), hills.FRAME)
    made = products.orthophoto_and_dsm(hills.terrain(), hills.FRAME, gsd_m=0.5, out=scratch)
    _put_height_model(home, made.dsm)
    np.savez(scratch / "cameras.npz", K=[c.K for c in cameras], pose=[c.world_to_camera for c in cameras])
    start = (
        "import numpy as np\nfrom geolab import viewer\nfrom geolab.splats.views import Camera\n"
        f"told = np.load({str(scratch / 'cameras.npz')!r})\n"
        "cameras = [Camera(400, 300, K, pose) for K, pose in zip(told['K'], told['pose'])]\n"
        f"def show(model={str(model)!r}, height_px=300):\n    return viewer.show(model, cameras=cameras, "
        f"title='Hills', background={GROUND!r}, height_px=height_px)"
    )
    notebook(folder / "view.ipynb", start, "shown = show()\nshown.camera = cameras[0]\nshown")
    hide = "from pathlib import Path\nfrom geolab.viewer import bundle\nbundle.BUNDLE = Path('none.js')\n"
    notebook(folder / "plain.ipynb", start, hide + "show(height_px=300)")
    many = (
        "import ipywidgets\nplace, again = ipywidgets.VBox(), ipywidgets.Button(description='Another')\n"
        f"again.on_click(lambda _: setattr(place, 'children', [show({str(small)!r}, 200)]))\n"
        "ipywidgets.VBox([again, place])"
    )
    notebook(folder / "many.ipynb", start, many)
    flight = (
        "from pathlib import Path\nfrom geolab import catalog, settings\n"
        "from geolab.splats.views import View\n"
        f"views = [View({HOSTILE!r} + str(i), Path('p'), camera) for i, camera in enumerate(cameras)]\n"
        "dsm = catalog.open_catalog(settings.load()).get('dsm', 'hills')\n"
        f"viewer.on_map({str(model)!r}, orthophoto={str(made.orthophoto)!r}, dsm=dsm, cameras=views, "
        f"title={HOSTILE!r}, height='400px')"
    )
    notebook(folder / "flight.ipynb", start, flight)
    with serving.serve(home.home, scratch, root=folder) as running:
        yield running
