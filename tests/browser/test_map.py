"""The Map page as analysts meet it: ten thousand photos, a swipe, pixels read, an area drawn, a job sent."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
import rasterio
from PIL import Image

from geolab import catalog, ingest, settings, town
from geolab.catalog import items
from geolab.maps import area

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
MANY = 10_000
MOST_MARKERS = 600  # in the page, however many photos
CHART = ".geolab-chart-map"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """A small town at two dates, and ten thousand photos around it, one with a hostile title."""
    workspace = settings.load(tmp_path_factory.mktemp("mapped"), environ={})
    written = town.write(tmp_path_factory.mktemp("mapped-town"), seed=1, size_px=512, photos=0)
    list(ingest.ingest([written.folder], collection="town", settings=workspace))
    opened = catalog.open_catalog(workspace)
    west, south, east, north = opened.search(catalog.Search(limit=1)).items[0]["bbox"]
    picture = tmp_path_factory.mktemp("mapped-photo") / "photo.jpg"
    Image.fromarray(np.full((300, 400, 3), 120, np.uint8)).save(picture)
    asset = {"href": picture.as_uri(), "type": "image/jpeg", "roles": ["data"]}
    away = np.random.default_rng(0).normal(size=(MANY, 2)) * [0.02, 0.015] + [east + 0.05, north]
    away[0] = (west + east) / 2, south + 0.3 * (north - south)
    opened.put(
        items.item(
            f"photo-{number:05d}",
            collection="survey",
            geometry={"type": "Point", "coordinates": [float(x), float(y)]},
            datetime="2024-09-27T12:00:00Z",
            properties={"title": f"DJI_{number:05d}.JPG" if number else HOSTILE, "geolab:role": "photo"},
            assets={"data": asset},
        )
        for number, (x, y) in enumerate(away)
    )
    return workspace


@pytest.fixture(scope="module")
def map_server(world: settings.Settings, serving, tmp_path_factory) -> Iterator[object]:
    scratch = tmp_path_factory.mktemp("map-server")
    options = {"base_url": "/user/ann/", "root": serving.APPS, "config": serving.APPS_CONFIG}
    with serving.serve(world.home, scratch, **options) as running:
        yield running


@pytest.fixture(scope="module")
def open_map(chromium, map_server, visit) -> Callable[..., object]:
    def opened(**asked: str):
        query = urlencode({"token": map_server.token, **asked})
        seen = visit(chromium, map_server.origin, f"{map_server.url}voila/render/map.ipynb?{query}")
        try:
            seen.page.wait_for_selector(f"{CHART} .leaflet-control-scale-line", timeout=90_000)
            seen.page.wait_for_selector(f"{CHART} .leaflet-tile-loaded", timeout=60_000)
        except Exception:
            print(seen.errors, seen.answers[-20:], map_server.log.read_text()[-4000:])
            raise
        return seen

    return opened


@pytest.fixture(scope="module")
def mapped(open_map) -> Iterator[object]:
    """The page, once for the tests that only look on."""
    seen = open_map()
    yield seen
    seen.page.close()


def tab(page, name: str) -> None:
    page.locator(".geolab-mappage .geolab-tabs-head button", has_text=re.compile(f"^{name}$")).click()


def panel(page):
    return page.locator(".geolab-mappage-panel")


def view(page) -> tuple[float, float, float, float]:
    """What the address says that the map shows."""
    west, south, east, north = map(float, parse_qs(urlsplit(page.url).query)["bbox"][0].split(","))
    return west, south, east, north


def when_view_changes(page, act: Callable[[], object]) -> None:
    before = page.url
    act()
    page.wait_for_function("before => window.location.href !== before", arg=before)


def markers(page) -> int:
    return page.locator(f"{CHART} .geolab-mark, {CHART} .geolab-cluster").count()


def picture(page) -> np.ndarray:
    page.wait_for_load_state("networkidle")
    page.wait_for_function("!document.querySelector('.geolab-chart.geolab-tiles-loading')")
    page.wait_for_timeout(400)  # tiles fade in for a fifth of a second
    shot = page.locator(CHART).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def test_the_map_opens_at_the_newest_image_with_scale_and_coordinates(mapped, world):
    page = mapped.page
    item = catalog.open_catalog(world).search(catalog.Search(collections=("town",), limit=1)).items[0]
    page.wait_for_function("window.location.search.includes('bbox')")
    west, south, east, north = view(page)
    assert west < item["bbox"][0] < item["bbox"][2] < east
    assert south < item["bbox"][1] < item["bbox"][3] < north
    assert page.locator(f"{CHART} .leaflet-control-scale-line").inner_text().endswith(" m")
    assert "° N" in page.locator(f"{CHART} .geolab-where").inner_text()
    shown = picture(page)
    middle = shown[shown.shape[0] // 3 : -shown.shape[0] // 3, shown.shape[1] // 3 : -shown.shape[1] // 3]
    assert middle.std() > 25, "the ground shows, not the town"
    box = page.locator(CHART).bounding_box()
    told = []
    for away in (100, 300):  # the longitude grows to the east, the latitude falls to the south
        before = page.locator(f"{CHART} .geolab-where").inner_text()
        page.mouse.move(box["x"] + away, box["y"] + away, steps=8)
        page.wait_for_function(
            "before => document.querySelector('.geolab-chart .geolab-where').textContent !== before",
            arg=before,
        )
        told.append(page.locator(f"{CHART} .geolab-where").inner_text().split())
    assert told[1][2] > told[0][2]
    assert told[1][0] < told[0][0]


def test_things_are_found_by_their_title_and_counted(mapped):
    page = mapped.page
    assert re.search(r"of [\d,]+ in view, 10,00\d in all", panel(page).inner_text())
    page.get_by_placeholder("Search titles").fill("town-20")
    page.keyboard.press("Enter")
    panel(page).get_by_text("1-2 of 2 in view").wait_for()
    assert panel(page).locator("tbody tr").count() == 2
    thumb = panel(page).locator("tbody tr img").first
    page.wait_for_function("e => e.naturalWidth > 0", arg=thumb.element_handle())
    assert "text=town-20" in page.url
    panel(page).get_by_role("button", name="Clear").click()
    panel(page).get_by_text("10,00").wait_for()


def test_ten_thousand_photos_pan_and_zoom_in_a_small_page(mapped):
    page = mapped.page
    when_view_changes(page, panel(page).get_by_role("button", name="Fit to all").click)
    page.wait_for_function(
        """() => [...document.querySelectorAll('.geolab-cluster')].some(e => e.textContent.endsWith('k')
            || Number(e.textContent) > 500)"""
    )
    counts = [markers(page)]
    box = page.locator(CHART).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    for _ in range(4):
        when_view_changes(page, lambda: page.mouse.wheel(0, -200))
        counts.append(markers(page))
    for step in (120, -160, 90):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + step, y + step / 2, steps=6)
        when_view_changes(page, page.mouse.up)
        counts.append(markers(page))
    assert max(counts) <= MOST_MARKERS
    assert max(counts) > 10
    cluster = page.locator(f"{CHART} .geolab-cluster").first
    assert cluster.locator("xpath=..").get_attribute("role") == "button", "reached by keyboard"
    assert mapped.errors == []


def test_a_cluster_goes_nearer_and_a_photo_shows_its_card(open_map, world):
    photo = catalog.open_catalog(world).get("photo-00000", "survey")
    x, y = photo["geometry"]["coordinates"]
    seen = open_map(bbox=f"{x - 2e-4},{y - 2e-4},{x + 2e-4},{y + 2e-4}")
    page = seen.page
    page.locator(CHART).get_by_role("button", name=HOSTILE, exact=True).click()
    card = page.locator(".leaflet-popup .geolab-popup")
    card.wait_for()
    assert HOSTILE in card.inner_text()
    page.wait_for_function("e => e.naturalWidth === 400", arg=card.locator("img").element_handle())
    full = card.get_by_role("link", name="Full resolution").get_attribute("href")
    assert "/user/ann/geolab/original/survey/photo-00000" in full
    cluster = page.locator(f"{CHART} .geolab-cluster")
    for _ in range(20):  # Leaflet takes no click while it zooms
        if cluster.count():
            break
        page.locator(".leaflet-control-zoom-out").click()
        page.wait_for_timeout(500)
    cluster.first.wait_for()
    assert page.locator("img[onerror], .geolab-mappage script").count() == 0
    assert seen.dialogs == []
    assert seen.errors == []
    page.close()


def test_a_swipe_shows_two_dates_with_their_names_and_moves_by_keyboard(open_map):
    seen = open_map()
    page = seen.page
    tab(page, "Swipe")
    panel(page).get_by_role("button", name="Swipe", exact=True).last.click()
    handle = page.locator(".geolab-swipe-line")
    handle.wait_for()
    names = handle.locator(".geolab-swipe-name").all_inner_texts()
    assert re.fullmatch(r"◂ 2021-\d\d-\d\d", names[0])
    assert re.fullmatch(r"2024-\d\d-\d\d ▸", names[1])
    handle.focus()
    for _ in range(10):
        page.keyboard.press("PageUp")
    before = picture(page)
    assert handle.get_attribute("aria-valuenow") == "98"
    for _ in range(10):
        page.keyboard.press("PageDown")
    after = picture(page)
    middle = np.s_[after.shape[0] // 3 : -after.shape[0] // 3, after.shape[1] // 3 : -after.shape[1] // 3]
    assert np.abs(before[middle] - after[middle]).mean() > 5, "both sides show the same date"
    box = page.locator(CHART).bounding_box()
    grip = handle.bounding_box()
    page.mouse.move(grip["x"] + 1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    half = picture(page)
    width = half.shape[1]
    left, right = np.s_[100:-100, 60 : width // 2 - 140], np.s_[100:-100, width // 2 + 140 : -60]
    assert np.abs(half[left] - before[left]).mean() < 3
    assert np.abs(half[right] - after[right]).mean() < 3
    assert seen.errors == []
    assert seen.outside == []
    page.close()


def test_a_click_reads_the_pixel_that_rasterio_reads(open_map, world):
    seen = open_map()
    page = seen.page
    box = page.locator(CHART).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.52, box["y"] + box["height"] * 0.45)
    cards = panel(page).locator(".geolab-card")
    cards.first.wait_for()
    lat, lon = map(float, panel(page).locator("h2").first.inner_text().split(", "))
    opened = catalog.open_catalog(world)
    images = opened.search(catalog.Search(collections=("town",))).items
    for item in (i for i in images if i["properties"]["geolab:role"] == "image"):
        card = cards.filter(has=page.get_by_text(item["properties"]["title"], exact=True))
        told = dict(
            zip(card.locator("dt").all_inner_texts(), card.locator("dd").all_inner_texts(), strict=True)
        )
        column, row = map(int, re.findall(r"\d+", told["Pixel"]))
        with rasterio.open(item["assets"]["data"]["href"]) as file:
            values = file.read(window=((row, row + 1), (column, column + 1)))[:, 0, 0]
            xs, ys = rasterio.warp.transform("EPSG:4326", file.crs, [lon], [lat])
            near = file.index(xs[0], ys[0])
            bands = [name for name in file.descriptions if name]
        assert abs(near[0] - row) <= 3
        assert abs(near[1] - column) <= 3
        assert [told[name] for name in bands] == [str(value) for value in values]
    assert seen.errors == []
    page.close()


def test_an_area_is_drawn_with_the_mouse_measured_and_changed(open_map):
    seen = open_map()
    page = seen.page
    tab(page, "Jobs")
    panel(page).get_by_role("button", name="Rectangle").click()
    page.locator(f"{CHART}.geolab-drawing").wait_for()
    box = page.locator(CHART).bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 420, box["y"] + 330, steps=5)
    page.mouse.up()
    size = panel(page).get_by_text(" ha. Drag")
    size.wait_for()
    assert page.locator(f"{CHART} .geolab-handle").count() == 4
    typed = panel(page).get_by_placeholder("west,south,east,north").input_value()
    first = area.parsed_box(typed)
    west, south, east, north = first
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    m2 = area.square_metres({"type": "Polygon", "coordinates": [ring]})
    assert float(size.inner_text().split()[0]) == pytest.approx(m2 / 1e4, abs=0.06)
    corner = page.locator(f"{CHART} .geolab-handle").first.bounding_box()
    page.mouse.move(corner["x"] + 7, corner["y"] + 7)
    page.mouse.down()
    page.mouse.move(corner["x"] - 60, corner["y"] + 70, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "before => document.querySelector('.geolab-mappage-panel input[placeholder^=west]').value !== before",
        arg=typed,
    )
    second = area.parsed_box(panel(page).get_by_placeholder("west,south,east,north").input_value())
    assert second[0] < first[0]
    assert second[1] < first[1]
    assert second[2:] == pytest.approx(first[2:], abs=2e-6)
    assert panel(page).get_by_text("Use in a job").is_visible(), "drawing is no click that reads pixels"
    panel(page).get_by_role("button", name="Polygon").click()
    page.locator(f"{CHART}.geolab-drawing").wait_for()
    for x, y in ((150, 150), (380, 160), (300, 380), (160, 300)):
        page.mouse.click(box["x"] + x, box["y"] + y)
    page.keyboard.press("Enter")
    page.locator(f"{CHART}:not(.geolab-drawing)").wait_for()
    page.wait_for_function("document.querySelectorAll('.geolab-handle:not(.small)').length === 4")
    assert page.locator(f"{CHART} .geolab-handle.small").count() == 4
    panel(page).get_by_role("button", name="Rectangle").click()
    page.locator(f"{CHART}.geolab-drawing").wait_for()
    page.keyboard.press("Escape")
    page.locator(f"{CHART}:not(.geolab-drawing)").wait_for()
    assert seen.errors == []
    page.close()


def test_what_is_in_view_becomes_a_job_and_its_result_a_layer(open_map, world):
    seen = open_map(collection="town")
    page = seen.page
    tab(page, "Jobs")
    panel(page).get_by_role("button", name="Detect change between two dates").click()
    run = panel(page).get_by_role("button", name="Run", exact=True)
    run.wait_for()
    page.wait_for_function("e => !e.disabled", arg=run.element_handle())
    run.click()
    page.wait_for_function("window.location.search.includes('run=')", timeout=60_000)
    page.wait_for_function("window.location.search.includes('results%2F')", timeout=240_000)
    tab(page, "Layers")
    panel(page).locator(".geolab-layer", has_text="mask").first.wait_for()
    page.locator(f"{CHART} .geolab-legend").wait_for()
    found = catalog.open_catalog(world).search(catalog.Search(collections=("results",))).items
    mask = next(i["id"] for i in found if i["properties"]["geolab:result"] == "mask")
    page.wait_for_function(
        """id => [...document.querySelectorAll('.leaflet-tile-loaded')]
            .some(e => e.src.includes(`/results/${id}/`))""",
        arg=mask,
    )
    assert seen.errors == []
    page.close()


def test_on_a_phone_the_map_is_the_page_and_a_link_shows_the_same(open_map):
    seen = open_map(role="image", bbox="11.50,48.33,11.54,48.35")
    page = seen.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    chart, below = page.locator(CHART).bounding_box(), panel(page).bounding_box()
    assert chart["width"] >= 340
    assert below["y"] > chart["y"] + chart["height"]
    assert "role=image" in page.url
    assert seen.errors == []
    assert seen.outside == []
    page.close()
