"""The products of a flight on a map, and the model beside it, as analysts meet them through Voila."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from geolab.viewer import bundle

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"  # as in conftest
MAP_GROUND = np.array([0xEE, 0xF1, 0xF3])


@pytest.fixture(scope="module")
def flight(chromium, pages, visit):
    if not bundle.BUNDLE.is_file():
        pytest.skip(bundle.MISSING)
    seen = visit(
        chromium, pages.origin, f"{pages.url}voila/render/flight.ipynb?token={pages.token}",
        reduced_motion="reduce",
    )  # fmt: skip
    try:
        seen.page.wait_for_selector(".geolab-map .leaflet-image-layer", timeout=120_000)
        seen.page.wait_for_selector(".geolab-map .leaflet-tile-loaded", timeout=60_000)
    except Exception:
        print(seen.errors, seen.answers[-10:], pages.log.read_text()[-3000:])
        raise
    yield seen
    seen.page.close()


def picture(locator) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(float)


def middle(pixels: np.ndarray) -> np.ndarray:
    """What lies well inside the model, whose longer side runs from west to east."""
    height, width, _ = pixels.shape
    return pixels[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5]


def test_the_map_shows_the_orthophoto_that_is_no_item_yet(flight):
    seen = middle(picture(flight.page.locator(".geolab-map")))
    assert (np.abs(seen - MAP_GROUND).sum(axis=-1) > 30).mean() > 0.9
    assert np.ptp(seen, axis=-1).mean() > 15, "it has no colour"


def test_with_the_orthophoto_away_the_relief_is_drawn_by_the_server(flight):
    page = flight.page
    page.get_by_text("Layers", exact=True).click()
    page.get_by_label("Orthophoto").uncheck()
    page.wait_for_function("getComputedStyle(document.querySelector('.leaflet-image-layer')).opacity === '0' "
                           "|| !document.querySelector('.leaflet-image-layer').offsetParent")  # fmt: skip
    seen = middle(picture(page.locator(".geolab-map")))
    page.get_by_label("Orthophoto").check()
    page.get_by_text("Layers", exact=True).click()
    assert np.ptp(seen, axis=-1).mean() < 3, "it has colour"
    assert seen.std() > 8
    assert set(flight.tiles()) <= {200, 204}
    assert "colormap=hillshade" in next(url for _, url in flight.answers if "/geolab/tiles/" in url)


def test_the_button_opens_the_model_in_3d_beside_the_map(flight, hills):
    page = flight.page
    center = page.locator(".geolab-map").bounding_box()
    page.get_by_role("button", name="View in 3-D").click()
    page.wait_for_selector('.geolab-splats[data-ready="true"]', timeout=60_000)
    page.wait_for_function(
        "w => document.querySelector('.geolab-map').getBoundingClientRect().width < 0.6 * w",
        arg=center["width"],
    )
    chart, view = (page.locator(s).bounding_box() for s in (".geolab-map", ".geolab-splats"))
    assert chart["y"] == pytest.approx(view["y"], abs=2)
    assert chart["x"] + chart["width"] < view["x"]


def test_a_click_on_a_camera_looks_through_it_and_a_picked_point_is_marked(flight, hills, cameras):
    page = flight.page
    dots = page.locator(".geolab-map path.leaflet-interactive[fill='#ffffff']")
    assert dots.count() == len(cameras)
    number = page.locator(".geolab-splats").get_attribute("data-pose")
    dots.nth(2).hover()
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function(
        "n => document.querySelector('.geolab-splats').dataset.pose !== n", arg=number, timeout=30_000
    )
    page.get_by_label("Pick a point").click()
    box = page.locator(".gs-canvas").bounding_box()
    u, v = hills.pixel(hills.fitted(cameras[2], box["width"], box["height"]), hills.RED_ROOF)
    page.locator(".gs-canvas").click(position={"x": u, "y": v})
    page.wait_for_selector(".geolab-map .geolab-pin", timeout=30_000)
    found = [float(n) for n in re.findall(r"-?\d+\.\d+", page.locator(".gs-card").inner_text())]
    lon, lat, _ = hills.FRAME.lonlat([hills.RED_ROOF])[0]
    assert found[:2] == pytest.approx([lat, lon], abs=4e-6)


def test_hostile_names_are_shown_as_they_are_and_run_nothing(flight):
    page = flight.page
    option = page.get_by_label("Fly to a photo").locator("option").nth(1)
    assert option.text_content() == f"{HOSTILE}0"
    assert page.locator(".gs-foot").inner_text().startswith(f"{HOSTILE}: 20,000 Gaussians")
    assert page.locator("img[onerror]").count() == 0
    assert flight.dialogs == []


def test_nothing_is_asked_of_other_servers_and_nothing_fails(flight):
    assert flight.outside == []
    assert flight.errors == []
    assert flight.dialogs == []
    assert [(status, url) for status, url in flight.answers if status >= 400] == []
