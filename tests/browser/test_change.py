"""The Change page in Chromium: run, watch, reload in the middle, slide the threshold, take the mask away."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Page

from geolab import jobs, town
from geolab.apps.change.layers import drawn

pytestmark = pytest.mark.browser

LIVE = ".geolab-live"


def slide(page: Page, steps: int) -> None:
    """Move the threshold by so many of its steps, by keyboard, as far as the page has followed."""
    handle = page.locator(f"{LIVE} .noUi-handle").first
    handle.focus()
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")


def threshold_tiles(page: Page, threshold: float) -> list[str]:
    """Addresses of the tiles of change that are on the map and loaded, at this threshold."""
    told = f"threshold={drawn(threshold):.4g}"
    page.wait_for_function(
        "told => [...document.querySelectorAll('.leaflet-tile-loaded')].some((i) => i.src.endsWith(told))",
        arg=told,
        timeout=60_000,
    )
    sources = page.eval_on_selector_all(".leaflet-tile-loaded", "tiles => tiles.map((tile) => tile.src)")
    return [source for source in sources if source.endswith(told)]


def painted(apps_server, addresses: list[str]) -> int:
    """How many pixels of these tiles are painted in the colour of change."""
    total = 0
    for address in addresses:
        answer = apps_server.get(address.removeprefix(apps_server.url))
        if answer.status_code == 200:
            rgba = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
            near = np.abs(rgba[..., :3] - (0xE8, 0x59, 0x0C)).sum(axis=-1) < 60
            total += int((near & (rgba[..., 3] > 128)).sum())
    return total


def map_pixels(page: Page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator(".geolab-chart-map").screenshot())).convert("RGB"))


def read(uri: Path | str) -> np.ndarray:
    with rasterio.open(uri) as dataset:
        return dataset.read(1)


def test_a_detection_from_the_form_to_the_downloaded_mask(open_app, apps_server, lived_in, tmp_path: Path):
    seen = open_app("change")
    page = seen.page
    page.locator(".geolab-pairs button.geolab-card-one").first.click()
    page.get_by_text("in order: ").wait_for()
    page.get_by_role("button", name="IR-MAD").click()
    page.get_by_text("Change beyond what light and season explain").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".geolab-run").wait_for(timeout=60_000)
    page.wait_for_function("new URL(location.href).searchParams.get('run')")
    run_id = page.evaluate("new URL(location.href).searchParams.get('run')")
    assert jobs.show(run_id, settings=lived_in).parameters["method"] == "irmad"

    page.reload()  # in the middle, or just after
    page.wait_for_selector(LIVE, timeout=240_000)
    results = jobs.show(run_id, settings=lived_in).report["results"]
    page.get_by_text(f"{results['changed_m2'] / 1e4:.2f} ha changed").wait_for(timeout=60_000)
    first = threshold_tiles(page, 0.5)
    before = map_pixels(page)
    slide(page, 20)
    level = read(results["probability"])
    area = np.count_nonzero((level / 254 >= 0.6) & (level != 255)) * 0.25  # pixels of 0.5 m
    page.get_by_text(f"{area / 1e4:.2f} ha changed").wait_for(timeout=30_000)
    second = threshold_tiles(page, 0.6)
    page.wait_for_load_state("networkidle")
    assert (map_pixels(page) != before).any(axis=-1).sum() > 500
    assert 0 < painted(apps_server, second) < painted(apps_server, first)

    page.get_by_role("button", name="Files", exact=True).click()
    page.get_by_role("button", name="Make mask and polygons at 0.6").click()
    link = page.locator('a[href$="mask-0.6.tif"]')
    link.wait_for(timeout=120_000)
    with page.expect_download() as download:
        link.click()
    target = tmp_path / "mask.tif"
    download.value.save_as(target)
    assert download.value.suggested_filename == "mask-0.6.tif"
    assert (read(target) == np.where(level == 255, 255, level / 254 >= 0.6)).all()
    with rasterio.open(target) as mask, rasterio.open(results["probability"]) as source:
        assert (mask.crs, mask.transform, mask.nodata) == (source.crs, source.transform, 255)

    page.get_by_role("button", name="Polygons", exact=True).click()
    scale = page.locator(".geolab-chart .leaflet-control-scale-line").text_content()
    page.locator(".geolab-table tbody tr").first.click()
    page.wait_for_function(
        "was => document.querySelector('.leaflet-control-scale-line').textContent !== was", arg=scale
    )

    assert seen.outside == []
    assert seen.errors == []
    assert seen.dialogs == []
    page.close()


def test_a_run_is_cancelled_on_the_page(open_app, lived_in):
    done = next(v for v in jobs.runs("succeeded", notebook="04_detect_change", settings=lived_in))
    asked = {name: done.parameters[name] for name in ("before", "after")}
    seen = open_app("change", {**asked, "method": "pca_kmeans"})
    page = seen.page
    page.get_by_role("button", name="Run", exact=True).click(timeout=60_000)
    page.get_by_role("button", name="Cancel").click(timeout=60_000)
    page.locator(".geolab-run .geolab-state", has_text="cancelled").wait_for(timeout=60_000)
    run_id = page.evaluate("new URL(location.href).searchParams.get('run')")
    assert jobs.show(run_id, settings=lived_in).state == "cancelled"
    assert seen.errors == []
    page.close()


def test_a_pair_is_sent_from_the_readers_machine_and_a_bad_file_is_told(open_app, tmp_path: Path):
    made = town.write(tmp_path / "town", seed=5, size_px=128, photos=0)
    bad = tmp_path / "bad.tif"
    bad.write_text("<html>not an image</html>")
    seen = open_app("change")
    page = seen.page
    page.get_by_role("button", name="Upload", exact=True).click()
    files = [str(made.after), str(made.before), str(bad)]
    page.locator(".geolab-upload input[type=file]").set_input_files(files)
    page.get_by_text("it is a web page (HTML)").wait_for(timeout=60_000)
    page.get_by_text("in order: ").wait_for(timeout=120_000)
    assert page.get_by_text("added").count() == 2
    assert page.get_by_role("button", name="Run", exact=True).is_enabled()
    assert seen.outside == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_shows_a_run(open_app, lived_in, scheme: str):
    done = next(v for v in jobs.runs("succeeded", notebook="04_detect_change", settings=lived_in))
    seen = open_app("change", {"run": done.run_id, "threshold": "0.4"}, color_scheme=scheme)
    page = seen.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector(LIVE, timeout=60_000)
    threshold_tiles(page, 0.4)  # the address said it
    for name in ("Files", "Against a truth", "Compare", "Polygons"):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.errors == []
    page.close()
