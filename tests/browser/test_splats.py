"""The Splats page in Chromium: turn a model, keep views, fly along them, ask for the film."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from geolab import jobs
from geolab.splats import pathfile

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = '.geolab-splats[data-ready="true"]'
NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest);
};"""


@pytest.fixture(scope="module")
def splats(open_app):
    seen = open_app("splats")
    seen.page.wait_for_selector(READY, timeout=90_000)
    yield seen
    seen.page.close()


def drag(page, by: int) -> None:
    box = page.locator(".gs-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y + by / 4, steps=6)
    page.mouse.up()


def pressed(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_views_are_kept_and_a_film_along_them_becomes_a_run(splats, lived_in):
    page = splats.page
    page.get_by_role("button", name="Camera path").click()
    for count in range(1, 9):
        drag(page, 120)
        page.wait_for_timeout(1000)  # the view glides out, and the kernel is told, before it is kept
        pressed(page, "Keep this view")
        page.wait_for_function(f"document.querySelectorAll('.geolab-key img').length === {count}")
        pictures = [image.screenshot() for image in page.locator(".geolab-key img").all()]
        if pictures[0] != pictures[-1]:
            break
    pressed(page, "Play")
    pressed(page, "Stop")
    pressed(page, "Film it")
    page.wait_for_selector(".geolab-form")
    (file,) = (lived_in.home / "paths").glob("*.json")
    ends = pathfile.read_path(file).cameras
    assert abs(ends[0].position - ends[-1].position).max() > 5  # metres: two views, not one
    known = {view.run_id for view in jobs.runs(settings=lived_in)}
    page.get_by_role("button", name="Render", exact=True).click()
    page.wait_for_selector(".geolab-run-head", timeout=60_000)
    (run,) = [v for v in jobs.runs(notebook="06_render_splats", settings=lived_in) if v.run_id not in known]
    assert run.parameters["path"] == str(file)
    page.wait_for_function(f"location.search.includes('run={run.run_id}')")
    jobs.cancel(run.run_id, settings=lived_in)
    page.get_by_text("cancelled", exact=False).first.wait_for(timeout=60_000)
    assert splats.errors == []
    assert splats.outside == []


def test_without_webgl_the_machines_model_server_draws(chromium, apps_server, visit):
    address = f"{apps_server.url}voila/render/splats.ipynb?token={apps_server.token}"
    seen = visit(chromium, apps_server.origin, "about:blank")
    seen.page.add_init_script(NO_WEBGL)
    seen.page.goto(address, wait_until="commit")
    still = seen.page.locator(".geolab-splats img").first
    still.wait_for(timeout=90_000)
    before = still.get_attribute("src")
    box = still.bounding_box()
    seen.page.mouse.move(box["x"] + 200, box["y"] + 200)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 320, box["y"] + 220, steps=5)
    seen.page.mouse.up()
    seen.page.wait_for_function("b => document.querySelector('.geolab-splats img').src !== b", arg=before)
    assert [e for e in seen.errors if not re.search("WebGL", e)] == []
    assert seen.outside == []
    seen.page.close()


def test_splats_are_trained_from_a_form_and_turned(open_app, lived_in):
    scene = lived_in.home.parent / f"{lived_in.home.name}-sources" / "town"
    asked = open_app("training", {"kind": "splats", "scene": str(scene)})
    page = asked.page
    for name, value in (("Steps", "6"), ("Image", "96")):
        field = page.get_by_label(re.compile(f"^{name}")).first
        field.fill(value)
        field.press("Tab")
    known = {view.run_id for view in jobs.runs(settings=lived_in)}
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_selector(".geolab-run-head", timeout=60_000)
    page.reload()  # in the middle
    page.get_by_text("succeeded", exact=True).first.wait_for(timeout=120_000)
    (run,) = [v for v in jobs.runs(notebook="05_train_splats", settings=lived_in) if v.run_id not in known]
    assert (run.parameters["steps"], run.parameters["image_px"]) == (6, 96)
    page.get_by_role("link", name="Turn it in 3-D").click()
    page.wait_for_selector(READY, timeout=90_000)
    canvas = page.locator(".gs-canvas")
    before = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    drag(page, 150)
    for _ in range(60):  # without a graphics card a frame takes its time
        now = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
        if np.abs(now - before).mean() > 2:
            break
        page.wait_for_timeout(500)
    assert np.abs(now - before).mean() > 2
    assert asked.outside == []
    page.close()
