"""The apps in a real browser: Home at /, eight pages in one frame, by mouse, keyboard and on a phone."""

from __future__ import annotations

import time

import httpx
import pytest

pytestmark = pytest.mark.browser
PAGES = ("home", "data", "map", "training", "models", "change", "splats", "monitor")


def kernels(server) -> int:
    headers = {"Authorization": f"token {server.token}"}
    return httpx.get(f"{server.url}api/status", headers=headers, trust_env=False).json()["kernels"]


def wait_until_left(server, before: int) -> None:
    deadline = time.monotonic() + 60
    while kernels(server) > before:
        assert time.monotonic() < deadline, "a page that was left keeps its kernel"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def home(chromium, apps_server, visit):
    """Home, opened from the address that is printed."""
    seen = visit(chromium, apps_server.origin, f"{apps_server.url}?token={apps_server.token}")
    seen.page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
    yield seen
    seen.page.close()


def test_the_printed_address_leads_to_home_in_its_frame(home, apps_server):
    page = home.page
    assert page.url == f"{apps_server.url}voila/render/home.ipynb"  # without the token
    assert f"geolab | open {apps_server.url}?token={apps_server.token}" in apps_server.log.read_text()
    assert [a.inner_text() for a in page.query_selector_all(".geolab-rail a")] == [
        "Home", "Data", "Map", "Training", "Models", "Change", "Splats", "Monitor",
    ]  # fmt: skip
    assert page.locator(".geolab-rail [aria-current=page]").inner_text() == "Home"
    assert page.locator(".geolab-workspace").inner_text() == "home"
    page.wait_for_function("document.querySelector('#geolab-status').dataset.state !== 'wait'")
    assert page.locator("#geolab-status").inner_text() in ("Ready", "1 running", "2 running")
    assert page.locator("#loading").count() == 0
    assert not page.locator("#geolab-notice").is_visible()
    assert page.title() == "Home · geolab"


def test_the_frame_works_by_keyboard(home):
    page = home.page
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "geolab-skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0  # seen when focused
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "rendered_cells"
    page.evaluate("document.querySelector('.geolab-rail a').focus()")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Data"
    with page.expect_navigation(wait_until="commit"):
        page.keyboard.press("Enter")
    assert "/voila/render/data.ipynb" in page.url
    page.locator(".geolab-search input").fill('roof & <b>"more"')
    with page.expect_navigation(wait_until="commit"):
        page.keyboard.press("Enter")
    page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
    assert "data.ipynb?text=roof+%26+%3Cb%3E%22more%22" in page.url
    assert page.locator(".geolab-search input").input_value() == 'roof & <b>"more"'
    assert (home.outside, home.errors, home.dialogs) == ([], [], [])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_a_word_to_the_console_or_the_world(open_app, apps_server, name):
    before = kernels(apps_server)
    seen = open_app(name)
    page = seen.page
    page.wait_for_load_state("networkidle")
    assert page.locator(".geolab-failed").count() == 0
    assert seen.outside == []
    assert seen.errors == []
    assert [answer for answer in seen.answers if answer[0] >= 400] == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    rail = page.locator(".geolab-rail").bounding_box()
    assert rail["y"] + rail["height"] == 844  # a bar at the bottom
    assert rail["width"] == 390
    assert all(box["width"] >= 40 for box in (a.bounding_box() for a in page.locator(".geolab-rail a").all()))
    page.close(run_before_unload=True)
    wait_until_left(apps_server, before)


def test_a_page_whose_kernel_has_ended_says_so_and_offers_one_action(open_app, apps_server):
    seen = open_app("home")
    page = seen.page
    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    headers = {"Authorization": f"token {apps_server.token}"}
    httpx.post(f"{apps_server.url}voila/api/shutdown/{kernel}", headers=headers, trust_env=False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#geolab-notice button")
    assert "This page has ended" in page.locator("#geolab-notice").inner_text()
    with page.expect_navigation(wait_until="commit"):
        page.locator("#geolab-notice button").click()
    page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
    page.close()


def test_mlflows_pages_are_shown_behind_the_login(chromium, apps_server, visit):
    seen = visit(chromium, apps_server.origin, f"{apps_server.url}mlflow/?token={apps_server.token}")
    page = seen.page
    page.goto(f"{apps_server.url}mlflow/#/experiments")
    page.wait_for_selector("text=change", timeout=90_000)
    assert seen.outside == []
    page.close()
