"""Every page on a workspace whose texts are all script: they are seen as text, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import numpy as np
import pytest
import rasterio
from PIL import Image

from geolab import catalog, jobs, settings
from geolab.catalog import items

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'>{{7*7}}${alert(3)}"
PAGES = ("home", "data", "map", "training", "models", "change", "splats", "monitor")
QUERIES = {"data": {"text": HOSTILE}, "map": {"bbox": HOSTILE}, "monitor": {"run": HOSTILE, "state": HOSTILE}}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """Two images and a photo with hostile words in every field, and a run that names them."""
    folder = tmp_path_factory.mktemp("hostile")
    workspace = settings.load(folder / "<b>home", environ={})
    grid = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    listed = []
    for number, day in enumerate(("2021-06-01", "2024-06-01")):
        path = folder / f"image-{number}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", count=3, height=64, width=64, **grid
        ) as out:
            out.write(np.full((3, 64, 64), 50 + 90 * number, np.uint8))
            out.descriptions = (HOSTILE, "green", "blue")
        listed.append(_item(f"image-{number}", path, f"{day}T00:00:00Z", "image", f"{HOSTILE} {number}"))
    photo = folder / "photo.jpg"
    Image.fromarray(np.full((60, 80, 3), 99, np.uint8)).save(photo)
    listed.append(_item("photo", photo, "2024-06-01T00:00:00Z", "photo", HOSTILE))
    opened = catalog.open_catalog(workspace)
    opened.put(listed)
    opened.put_collection({
        "id": "words", "title": HOSTILE, "description": f"# {HOSTILE}\n[x](javascript:alert(4))",
        "license": HOSTILE, "keywords": [HOSTILE],
        "providers": [{"name": HOSTILE, "url": "javascript:alert(5)", "description": HOSTILE}],
    })  # fmt: skip
    pair = {"before": "image-0", "after": "image-1"}
    waiting = jobs.enqueue("04_detect_change", pair, settings=workspace)
    jobs.cancel(waiting.run_id, settings=workspace)
    return workspace


def _item(name, path, when, role, title):
    west, south, size = 15.0, 45.15, 0.001
    corners = [[west, south], [west + size, south], [west + size, south + size], [west, south + size]]
    polygon = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    point = {"type": "Point", "coordinates": [west, south]}
    return items.item(
        name, collection="words", geometry=point if role == "photo" else polygon, datetime=when,
        properties={
            "title": title, "geolab:role": role, "description": HOSTILE, "platform": HOSTILE,
            "instruments": [HOSTILE], "camera": HOSTILE, "geolab:run": HOSTILE, "keywords": [HOSTILE],
        },
        assets={"data": {"href": path.as_uri(), "roles": ["data"], "title": HOSTILE, "type": HOSTILE}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(hostile, serving, tmp_path_factory) -> Iterator[object]:
    # a path of its own: cookies are shared by all servers of one host
    options = {"base_url": "/hostile/", "root": serving.APPS, "config": serving.APPS_CONFIG}
    with serving.serve(hostile.home, tmp_path_factory.mktemp("hostile-server"), **options) as running:
        yield running


@pytest.fixture(scope="module")
def look(chromium, served, visit):
    """A function that opens a page, waits for its content, and says what was run on it."""

    def opened(name: str, **query: str):
        asked = urlencode({"token": served.token, **query})
        seen = visit(chromium, served.origin, f"{served.url}voila/render/{name}.ipynb?{asked}")
        seen.page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
        seen.page.wait_for_load_state("networkidle")
        assert seen.dialogs == [], name
        assert seen.outside == [], name
        assert seen.page.locator("img[onerror], a[href^='javascript:']").count() == 0
        return seen

    return opened


@pytest.mark.parametrize("name", PAGES)
def test_a_page_full_of_script_runs_none_of_it(look, name):
    seen = look(name, **QUERIES.get(name, {}))
    seen.page.close()


def test_an_items_page_shows_every_field_as_text(look):
    seen = look("data", item="image-0", collection="words")
    seen.page.get_by_text(HOSTILE, exact=False).first.wait_for(timeout=60_000)
    assert seen.page.get_by_text(HOSTILE, exact=False).count() >= 2
    assert seen.dialogs == []
    seen.page.close()


def test_a_query_that_names_nothing_gets_one_line_and_the_page_opens(look):
    seen = look("home", **{"<b>": HOSTILE})
    line = seen.page.get_by_text("no parameter of page home", exact=False).first
    line.wait_for(timeout=60_000)
    assert "Traceback" not in seen.page.content()
    seen.page.close()
