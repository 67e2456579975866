"""02_explore as analysts meet it: through Voila, in Chromium, below a hub's prefix, without the internet."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolab import catalog

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BLANK = np.array([0xEE, 0xF1, 0xF3])  # the map's ground where nothing is drawn


def picture(locator) -> np.ndarray:
    """[y, x, 3] bytes of an element as it is on the screen."""
    locator.scroll_into_view_if_needed()
    time.sleep(0.5)  # tiles fade in for a fifth of a second
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


def drawn(pixels: np.ndarray) -> np.ndarray:
    """The middle half of a map, where the town lies."""
    height, width, _ = pixels.shape
    return pixels[height // 4 : -height // 4, 3 * width // 8 : -3 * width // 8]


def test_tiles_come_and_are_seen(explored):
    statuses = explored.tiles()
    assert statuses.count(200) >= 8
    assert set(statuses) <= {200, 204}, [a for a in explored.answers if a[0] not in (200, 204)]
    middle = drawn(picture(explored.page.locator(".geolab-map").first))
    assert (np.abs(middle.astype(int) - BLANK).sum(axis=-1) > 30).mean() > 0.9, "the ground shows through"
    assert middle.std() > 30
    assert len(np.unique(middle.reshape(-1, 3), axis=0)) > 3000


def test_nothing_is_asked_of_other_servers(explored):
    assert explored.outside == []


def test_the_console_has_no_error_and_no_answer_is_one(explored):
    assert explored.errors == []
    assert [(status, url) for status, url in explored.answers if status >= 400] == []


def test_every_tile_is_asked_for_below_the_prefix(explored, server):
    asked = [url for _, url in explored.answers if "geolab/tiles/" in url or "geolab/preview/" in url]
    assert asked
    assert all(url.startswith(f"{server.origin}/user/ann/geolab/") for url in asked)


def test_the_swipe_shows_two_dates_and_says_which_is_where(explored, shown_world):
    found = catalog.open_catalog(shown_world).search(catalog.Search(collections=("town",))).items
    images = [i for i in found if i["properties"]["geolab:role"] == "image"]
    first, last = sorted(i["properties"]["datetime"][:10] for i in images)
    page = explored.page
    second = page.locator(".geolab-map").nth(1)
    words = page.evaluate(
        """() => ['::before', '::after'].map(side =>
            getComputedStyle(document.querySelector('.leaflet-sbs-divider'), side).content)"""
    )
    assert words == [f'"◂ {first}"', f'"{last} ▸"']
    whole = picture(second)
    handle = second.locator("input.leaflet-sbs-range")
    handle.evaluate("e => { e.value = 0.02; e.dispatchEvent(new Event('input')) }")
    after = drawn(picture(second))
    handle.evaluate("e => { e.value = 0.98; e.dispatchEvent(new Event('input')) }")
    before = drawn(picture(second))
    handle.evaluate("e => { e.value = 0.5; e.dispatchEvent(new Event('input')) }")
    assert np.abs(before.astype(int) - after).mean() > 10, "both sides show the same date"
    left, right = np.array_split(drawn(whole), 2, axis=1)
    near = slice(0, left.shape[1] - 130)  # away from the handle and its words
    assert np.abs(left[:, near].astype(int) - before[:, near]).mean() < 2
    assert np.abs(right[:, -100:].astype(int) - after[:, -100:]).mean() < 2


def test_scale_coordinates_and_layers_are_there(explored):
    first = explored.page.locator(".geolab-map").first
    assert first.locator(".leaflet-control-scale-line").inner_text().endswith(" m")
    assert "° N" in first.locator(".geolab-where").last.inner_text()
    where = first.locator(".geolab-where").last
    for x, y in ((300, 300), (420, 320)):  # the longitude grows to the east, the latitude falls to the south
        before = where.inner_text()
        first.hover(position={"x": x, "y": y})
        for _ in range(50):
            if where.inner_text() != before:
                break
            explored.page.wait_for_timeout(100)
        explored.page.wait_for_timeout(500)
        before, after = before, where.inner_text()
    assert after.split()[2] > before.split()[2]
    assert after.split()[0] < before.split()[0]
    first.get_by_text("Layers", exact=True).click()
    assert first.get_by_text("Footprints", exact=True).is_visible()
    assert first.get_by_text("Photos (2)", exact=True).is_visible()
    first.get_by_text("Layers", exact=True).click()


def test_a_photo_with_a_hostile_title_shows_the_title_and_runs_nothing(explored):
    page = explored.page
    markers = page.locator(".geolab-map").first.locator(".leaflet-div-icon")
    markers.first.wait_for()
    seen = []
    for number in range(markers.count()):
        markers.nth(number).click(force=True)
        card = page.locator(".leaflet-popup .geolab-popup")
        card.wait_for()
        page.wait_for_timeout(800)
        seen.append(card.inner_text())
        assert card.locator("img").evaluate("e => e.naturalWidth") == 400
        page.locator(".leaflet-popup-close-button").dispatch_event("click")  # the panel may lie over it
        page.wait_for_timeout(400)
    assert any("<img src=x onerror=alert(1)><script>alert(2)</script>" in text for text in seen)
    assert any("roof.jpg" in text for text in seen)
    assert explored.dialogs == []
    assert page.locator("img[onerror]").count() == 0


def test_sources_are_not_in_the_page(explored):
    assert "jobs.context()" not in explored.page.content()


def test_figures_are_in_the_page(explored):
    figures = explored.page.locator(".jp-RenderedImage img")
    assert figures.count() == 2
    assert figures.nth(1).evaluate("e => e.naturalWidth") == 1500


def test_the_page_is_dark_for_readers_who_prefer_it(explored):
    page = explored.page
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) == "rgb(20, 23, 26)"
    page.emulate_media(color_scheme="light")


def test_a_page_that_does_not_exist_says_so_without_the_internet(chromium, server, visit):
    seen = visit(chromium, server.origin, f"{server.url}voila/render/nothing.ipynb?token={server.token}")
    seen.page.wait_for_selector("h1")
    assert "no such page" in seen.page.inner_text("main")
    assert seen.outside == []
    seen.page.close()


@pytest.fixture(scope="module")
def broken(shown_world, serving, tmp_path_factory):
    """A server on a folder with a page that fails, and that ends idle kernels after two seconds."""
    folder = tmp_path_factory.mktemp("pages")
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": []}
    notebook = {
        "cells": [cell | {"source": "secret = 'quince' + 'jelly'\nraise RuntimeError(secret)"}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    Path(folder, "broken.ipynb").write_text(json.dumps(notebook))
    options = (
        "--MappingKernelManager.cull_idle_timeout=2",
        "--MappingKernelManager.cull_interval=1",
    )
    with serving.serve(
        shown_world.home, tmp_path_factory.mktemp("broken"), root=folder, options=options
    ) as running:
        yield running


def test_a_failing_page_shows_neither_source_nor_exception_and_its_kernel_ends(chromium, broken, visit):
    seen = visit(chromium, broken.origin, f"{broken.url}voila/render/broken.ipynb?token={broken.token}")
    seen.page.wait_for_selector("#rendered_cells", state="visible", timeout=60_000)
    assert "Load it again" in seen.page.inner_text("#rendered_cells")
    text = seen.page.content()
    assert "quincejelly" not in text
    assert "'quince'" not in text
    assert "RuntimeError" not in text
    assert seen.outside == []
    seen.page.close()
    for _ in range(60):
        if broken.get("api/kernels").json() == []:
            return
        time.sleep(0.5)
    raise AssertionError("the kernel of a closed page still runs")
