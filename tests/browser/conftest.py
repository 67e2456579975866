"""Real Chromium against a real Jupyter server; every request that leaves the server is stopped and kept."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

from geolab import catalog, ingest, settings, town
from geolab.catalog import items

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def _load_serving() -> ModuleType:
    """tests/service/serving.py: tests are no package, so it is loaded by its path."""
    if "geolab_serving" not in sys.modules:
        path = Path(__file__).parents[1] / "service" / "serving.py"
        spec = importlib.util.spec_from_file_location("geolab_serving", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["geolab_serving"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["geolab_serving"]


@pytest.fixture(scope="session")
def serving() -> ModuleType:
    return _load_serving()


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
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    if not Path(CHROMIUM).exists() and not shutil.which("chromium"):
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install -y --no-install-recommends chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
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

    page.route("**/*", only_here)
    page.on("response", lambda r: seen.answers.append((r.status, r.url)))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)
    page.on("dialog", lambda d: (seen.dialogs.append(d.message), d.dismiss()))
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
