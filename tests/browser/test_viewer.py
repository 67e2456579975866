"""The 3-D view in Chromium, through Voila and in JupyterLab, with the world outside shut off."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolab.splats import rasterize
from geolab.splats.views import Camera
from geolab.viewer import bundle

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GROUND = "#204060"  # as in conftest
READY = '.geolab-splats[data-ready="true"]'
HIDDEN = ".gs-tools, .gs-side, .gs-card, .gs-crop, .gs-marks { visibility: hidden !important; }"
# final for five frames: the sorting of splats runs in a worker of its own
SETTLED = """() => {
  const told = document.querySelector('.geolab-splats')?.dataset ?? {};
  window.calm = told.ready === 'true' && told.settled === 'true' ? (window.calm ?? 0) + 1 : 0;
  return window.calm > 5;
}"""
NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest);
};"""


def voila(pages, name: str) -> str:
    return f"{pages.url}voila/render/{name}.ipynb?token={pages.token}"


def opened(chromium, pages, visit, address: str, waited_for: str = READY, **options):
    """A small page: without a graphics card each pixel costs."""
    seen = visit(chromium, pages.origin, address, **options)
    seen.page.set_viewport_size({"width": 600, "height": 520})
    try:
        seen.page.wait_for_selector(waited_for, timeout=120_000)
    except Exception:
        print(seen.errors, seen.answers[-10:], pages.log.read_text()[-3000:])
        raise
    return seen


def settled(page) -> None:
    page.evaluate("window.calm = 0")
    page.wait_for_function(SETTLED, timeout=60_000)


def picture(page, selector: str = ".gs-canvas") -> np.ndarray:
    """[y, x, 3] of the canvas without the tools over it, 0..255."""
    style = page.add_style_tag(content=HIDDEN)
    data = page.locator(selector).screenshot()
    style.evaluate("e => e.remove()")
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def changed(page, before: np.ndarray, selector: str = ".gs-canvas") -> np.ndarray:
    """The picture when it is final; it must differ from the one before."""
    settled(page)
    now = picture(page, selector)
    assert np.abs(now - before).mean() > 1
    return now


@pytest.fixture(scope="module")
def view(chromium, pages, visit):
    """The page of most tests, without flights, as for readers who prefer less motion."""
    if not bundle.BUNDLE.is_file():
        pytest.skip(bundle.MISSING)
    seen = opened(chromium, pages, visit, voila(pages, "view"), reduced_motion="reduce")
    settled(seen.page)
    yield seen
    seen.page.close()


# ---------------------------------------------------------------- the picture


def ours(hills, camera: Camera, shape) -> np.ndarray:
    """The rasterizer's picture of the same camera on a canvas of this shape."""
    background = [int(GROUND[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    seen = hills.fitted(camera, shape[1], shape[0])
    return np.clip(rasterize.render(hills.terrain(), seen, background=background, mode="RGB").rgb, 0, 1) * 255


def compared(hills, camera: Camera, got: np.ndarray) -> tuple[float, float, float]:
    """PSNR in dB, correlation, and the largest difference of mean colour of blocks of 20 pixels."""
    expected = ours(hills, camera, got.shape)
    got, expected = got[8:-8, 8:-8], expected[8:-8, 8:-8]  # round corners
    rows, columns = (n // 20 * 20 for n in got.shape[:2])
    blocks = [
        a[:rows, :columns].reshape(rows // 20, 20, columns // 20, 20, 3).mean((1, 3)) for a in (got, expected)
    ]
    correlation = float(np.corrcoef(got.ravel(), expected.ravel())[0, 1])
    return hills.psnr(got, expected), correlation, float(np.abs(blocks[0] - blocks[1]).max())


def test_the_page_shows_what_our_rasterizer_shows_of_the_same_camera(view, hills, cameras):
    psnr, correlation, block = compared(hills, cameras[0], picture(view.page))
    print(f"page against rasterizer: {psnr:.1f} dB, correlation {correlation:.4f}, blocks within {block:.1f}")
    assert psnr > 35
    assert correlation > 0.99
    assert block < 10


def test_nothing_is_asked_of_other_servers_and_the_console_has_no_error(view):
    assert view.outside == []
    assert view.errors == []
    assert [(status, url) for status, url in view.answers if status >= 400] == []


def fly(page, index: int) -> None:
    page.get_by_label("Fly to a photo").select_option(str(index))
    settled(page)


@pytest.mark.parametrize("index", [1, 2])
def test_choosing_a_photo_goes_to_exactly_its_camera(view, hills, cameras, index):
    fly(view.page, index)
    psnr, correlation, _ = compared(hills, cameras[index], picture(view.page))
    assert psnr > 33
    assert correlation > 0.98


# ---------------------------------------------------------------- tools


def shown_at(page, hills, camera: Camera, point) -> dict[str, float]:
    """Where on the page's canvas a point lies when it looks through this camera."""
    box = page.locator(".gs-canvas").bounding_box()
    u, v = hills.pixel(hills.fitted(camera, box["width"], box["height"]), point)
    return {"x": u, "y": v}


def reading(page, word: str) -> str:
    page.wait_for_function(
        "word => document.querySelector('.gs-card')?.innerText.includes(word)", arg=word, timeout=30_000
    )
    return page.locator(".gs-card").inner_text()


def test_picking_a_known_point_tells_its_longitude_latitude_and_height(view, hills, cameras):
    page = view.page
    fly(page, 1)
    page.get_by_label("Pick a point").click()
    page.locator(".gs-canvas").click(position=shown_at(page, hills, cameras[1], hills.WHITE_ROOF))
    text = reading(page, "Height")
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", text)]
    lon, lat, height = hills.FRAME.lonlat([hills.WHITE_ROOF])[0]
    assert "° N" in text
    assert numbers[0] == pytest.approx(lat, abs=3e-6)  # 0.3 m
    assert numbers[1] == pytest.approx(lon, abs=4e-6)
    assert numbers[2] == pytest.approx(height, abs=0.3)
    assert "EGM96" in text


def test_measuring_between_two_roofs_tells_their_distance(view, hills, cameras):
    page = view.page
    fly(page, 2)
    page.get_by_label("Measure between").click()
    for roof, word in ((hills.RED_ROOF, "second point"), (hills.WHITE_ROOF, "Over the ground")):
        page.locator(".gs-canvas").click(position=shown_at(page, hills, cameras[2], roof))
        text = reading(page, word)
    along, over, up = (float(n) for n in re.findall(r"[-+]?\d+\.\d+", text)[:3])
    step = np.subtract(hills.WHITE_ROOF, hills.RED_ROOF)
    assert along == pytest.approx(np.linalg.norm(step), abs=0.6)
    assert over == pytest.approx(np.hypot(*step[:2]), abs=0.6)
    assert up == pytest.approx(step[2], abs=0.3)
    assert page.locator(".gs-marks circle.mark").count() == 2
    page.locator(".gs-canvas").press("Escape")


def test_a_crop_shows_only_what_is_in_the_box(view, hills, cameras):
    page = view.page
    fly(page, 2)
    page.get_by_label("Crop to a box").click()
    page.get_by_label("West side of the crop box").evaluate(
        "e => { e.value = 0; e.dispatchEvent(new Event('input')) }"
    )
    settled(page)
    got = picture(page)
    seen = hills.fitted(cameras[2], got.shape[1], got.shape[0])
    ground = [int(GROUND[i : i + 2], 16) for i in (1, 3, 5)]
    for east, empty in ((-15, True), (-5, True), (5, False), (15, False)):
        u, v = (round(float(n)) for n in hills.pixel(seen, (east, -5, hills.ground(east, -5))))
        patch = got[v - 3 : v + 4, u - 3 : u + 4].mean((0, 1))
        assert (np.abs(patch - ground).max() < 12) == empty, east
    page.get_by_role("button", name="Show everything").click()
    page.get_by_label("Crop to a box").click()


def test_frusta_stand_where_the_photos_were_taken_and_a_click_looks_through_one(view, hills, cameras):
    page = view.page
    page.get_by_label("Back to the first view").click()
    settled(page)
    without = picture(page)
    page.get_by_label("Show where the photos were taken").click()
    settled(page)
    lines = np.abs(picture(page) - without).max(axis=-1) > 30
    assert 0.001 < lines.mean() < 0.2
    places = page.locator(".gs-marks .photo")
    assert places.count() == 3
    places.nth(0).dispatch_event("click")
    page.get_by_label("Show where the photos were taken").click()
    settled(page)
    psnr, _, _ = compared(hills, cameras[0], picture(page))
    assert psnr > 33


def test_the_keys_turn_move_zoom_and_bring_back(view):
    page, canvas = view.page, view.page.locator(".gs-canvas")
    canvas.press("r")
    settled(page)
    first = now = picture(page)
    for key in ("ArrowLeft", "Shift+ArrowUp", "+", "t"):
        canvas.press(key)
        now = changed(page, now)
    canvas.press("r")
    settled(page)
    assert np.abs(picture(page) - first).mean() < 0.1


def test_dragging_orbits_and_the_wheel_comes_closer(view):
    page = view.page
    page.locator(".gs-canvas").press("r")
    settled(page)
    before = picture(page)
    box = page.locator(".gs-canvas").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 120, middle[1] + 20, steps=3)
    page.mouse.up()
    turned = changed(page, before)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -600)
    closer = changed(page, turned)
    empty = [(np.abs(p - p[10, 10]).max(axis=-1) < 3).mean() for p in (turned, closer)]
    assert empty[1] < empty[0]


def test_at_rest_nothing_is_drawn(view):
    page = view.page
    settled(page)
    frames = page.evaluate(
        """async () => {
          const gl = document.querySelector('.gs-canvas').getContext('webgl2');
          const draw = gl.drawElementsInstanced;
          let drawn = 0;
          gl.drawElementsInstanced = function (...a) { drawn += 1; return draw.apply(this, a); };
          for (let i = 0; i < 40; i++) await new Promise(requestAnimationFrame);
          delete gl.drawElementsInstanced;
          return drawn;
        }"""
    )
    assert frames == 0


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(view):
    named = view.page.evaluate(
        """() => [...document.querySelectorAll('.gs-stage :is(button, select, input, canvas)')].map(
             e => [e.tagName, e.getAttribute('aria-label') || e.textContent.trim(), e.tabIndex])"""
    )
    assert len(named) > 12
    assert all(name and index >= 0 for _, name, index in named), named


# ---------------------------------------------------------------- coming and going


def test_views_follow_the_readers_theme_and_leave_no_graphics_behind(chromium, pages, visit):
    seen = opened(chromium, pages, visit, voila(pages, "many"), "button:has-text('Another')")
    page, again = seen.page, seen.page.get_by_role("button", name="Another")
    warnings: list[str] = []
    page.on("console", lambda m: warnings.append(m.text) if "too many" in m.text.lower() else None)
    for _ in range(18):  # browsers keep 16
        page.evaluate("document.querySelector('.geolab-splats')?.setAttribute('data-old', '')")
        again.click()
        page.wait_for_selector(f"{READY}:not([data-old])", timeout=60_000)
    assert page.locator(".gs-canvas").count() == 1
    color = "getComputedStyle(document.querySelector('.gs-button')).backgroundColor"
    assert page.evaluate(color) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(color) == "rgb(20, 23, 26)"
    assert warnings == []
    assert seen.errors == []
    page.close()


# ---------------------------------------------------------------- pictures from the kernel


def _still(page, after: str = "0") -> np.ndarray:
    """The kernel's picture, at rest, when it is newer than the number given."""
    page.wait_for_function(
        """after => { const told = document.querySelector('.geolab-splats')?.dataset ?? {};
        const done = told.renderer === 'server' && told.settled === 'true';
        return done && Number(told.number) > Number(after); }""",
        arg=after,
        timeout=60_000,
    )
    return picture(page, ".gs-still")


def _number(page) -> str:
    return page.locator(".geolab-splats").get_attribute("data-number")


def test_without_the_bundle_the_page_says_so_and_shows_pictures_from_the_kernel(chromium, pages, visit):
    seen = opened(chromium, pages, visit, voila(pages, "plain"), ".gs-still")
    page = seen.page
    first = _still(page)
    assert "make setup" in page.locator(".gs-foot").inner_text()
    inner = first[20:-20, 20:-20]
    ground = np.array([int(GROUND[i : i + 2], 16) for i in (1, 3, 5)])
    drawn = np.abs(inner - ground).max(axis=-1) > 12
    assert 0.15 < drawn.mean() < 0.9
    assert inner[drawn].std() > 25
    for act in ("Turn left", "Closer"):
        number = _number(page)
        page.get_by_label(act).click()
        assert np.abs(_still(page, number) - first).mean() > 2, act
    assert seen.outside == []
    assert seen.errors == []
    page.close()


def test_without_webgl_dragging_and_keys_move_pictures_from_the_kernel(chromium, pages):
    page = chromium.new_page()
    page.set_viewport_size({"width": 600, "height": 520})
    page.add_init_script(NO_WEBGL)
    page.goto(voila(pages, "view"), wait_until="commit")
    page.wait_for_selector(".gs-still", timeout=120_000)
    first = _still(page)
    assert "no WebGL" in page.locator(".gs-foot").inner_text()
    box = page.locator(".gs-still").bounding_box()
    number = _number(page)
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 210, steps=3)
    page.mouse.up()
    turned = _still(page, number)
    assert np.abs(turned - first).mean() > 2
    number = _number(page)
    page.locator(".gs-still").press("ArrowUp")
    assert np.abs(_still(page, number) - turned).mean() > 1
    page.close()


# ---------------------------------------------------------------- in JupyterLab


def run_all(page) -> None:
    """Run all cells; again where JupyterLab has dropped them, as it does before it knows the kernel."""
    for _ in range(20):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(1500)
        if all(text.strip("[]: \u00a0") for text in page.locator(".jp-InputPrompt").all_inner_texts()):
            return


@pytest.fixture(scope="module")
def lab(chromium, pages, visit):
    if not bundle.BUNDLE.is_file():
        pytest.skip(bundle.MISSING)
    seen = visit(chromium, pages.origin, f"{pages.url}lab/tree/view.ipynb?token={pages.token}")
    page = seen.page
    try:
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)
        run_all(page)
        page.wait_for_selector(READY, timeout=120_000)
        page.locator(".gs-canvas").scroll_into_view_if_needed()
        settled(page)
    except Exception:
        page.screenshot(path=str(Path(pages.log).with_name("lab.png")))
        print(seen.errors, seen.answers[-10:], pages.log.read_text()[-3000:])
        raise
    yield seen
    page.close()


def test_jupyterlab_shows_what_our_rasterizer_shows_of_the_same_camera(lab, hills, cameras):
    psnr, correlation, block = compared(hills, cameras[0], picture(lab.page))
    print(f"JupyterLab against rasterizer: {psnr:.1f} dB, correlation {correlation:.4f}")
    assert psnr > 35
    assert correlation > 0.99
    assert block < 10


def test_jupyterlab_asks_nothing_of_other_servers_and_the_view_makes_no_error(lab):
    assert lab.outside == []
    assert lab.errors == []


def test_keys_of_the_view_are_not_jupyterlabs(lab):
    canvas = lab.page.locator(".gs-canvas")
    cells = lab.page.locator(".jp-Cell").count()
    canvas.press("b")  # in a notebook: a new cell below
    canvas.press("b")
    settled(lab.page)
    assert lab.page.locator(".jp-Cell").count() == cells


def test_a_flight_to_a_photo_ends_at_its_camera(lab, hills, cameras):
    before = picture(lab.page)
    fly(lab.page, 1)
    psnr, _, _ = compared(hills, cameras[1], changed(lab.page, before))
    assert psnr > 33
