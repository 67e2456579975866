"""The parts of pages in real Chromium: drawn, sorted, typed at, dropped on; and hostile texts stay texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
from playwright.sync_api import Page, expect

from geolab import settings

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
CELL = f"""
from geolab import settings
from geolab.apps import parts
from geolab.apps.shell import Page, framed
HOSTILE = {HOSTILE!r}
page = Page("parts", settings.load(), {{"run": ""}})
said, ticks, log = parts.text("-"), parts.text("0"), parts.Log("first line\\n")
say = lambda *told: setattr(said, "value", parts.text(" ".join(map(str, told))).value)
count = iter(range(1, 10_000))
def tick(number):
    ticks.value = parts.text(f"tick {{number}}").value
    log.append(f"line {{number}} " + HOSTILE + "\\n")
page.every(0.3, tick, work=lambda: next(count))
kinds = {{"name": "text", "size": "number", "state": "state", "link": "link", "part": "bar"}}
kinds["picture"] = "thumb"
columns = [parts.Column(n, n.capitalize(), k, "MB" if k == "number" else "") for n, k in kinds.items()]
rows = [
    {{"id": n, "name": f"row {{n:02d}}", "size": 60 - n, "state": "failed" if n == 7 else "succeeded",
     "part": n / 60, "link": {{"text": f"file {{n}}", "href": "/user/ann/geolab/x"}}}}
    for n in range(60)
]
rows[0] |= {{"name": HOSTILE, "state": HOSTILE, "link": {{"text": HOSTILE, "href": "javascript:alert(3)"}},
            "picture": "https://elsewhere.test/x.png"}}
table = parts.Table(columns, rows, on_open=lambda i: say("opened", i), page_rows=20, label="Rows",
    actions=[parts.Action("keep", "Keep")], on_action=lambda name, ids: say(name, *ids))
one = {{"id": "a", "title": HOSTILE, "note": HOSTILE, "thumb": "//elsewhere.test/x.png", "state": "ok"}}
cards = parts.Cards([one, {{"id": "b", "title": "second"}}], select="many", label="Cards")
cards.observe(lambda change: say("chosen", *change["new"]), "selected")
curves = parts.Curves(
    {{"loss": [(0, 1), (1, 0.5), (2, 0.25)], HOSTILE: [(0, 0.2), (2, 0.8)]}}, marks={{HOSTILE: 1}},
    x_title="step", y_title="loss")
upload = parts.Upload(lambda files: say("uploaded", *[f"{{f.name}} {{f.size}}" for f in files]), ".tif")
matrix = parts.Matrix({{"s": "succeeded", "f": "failed"}}, lambda *at: say("square", *at))
matrix.show([parts.Grid("draw", ("c01", "c02"), ("2021", "2022", "2023"), "ssf.ss")])
bar = parts.Progress(0.25, "epoch 3 " + HOSTILE, 90)
fold = parts.Fold("More", parts.text("inside the fold"))
tabs = parts.tabs({{"One": parts.text("tab one"), "Two": parts.text("tab two")}})
def fail(): raise ValueError(HOSTILE)
framed(page, parts.stack(said, ticks, parts.button("Remember", lambda: page.remember(run="abc", odd=HOSTILE)),
    parts.button("Fail", fail), table, cards, curves, upload, matrix, bar, fold, tabs, log,
    parts.Copy("Copy", "geolab run " + HOSTILE),
    parts.Download(page, "Save", "told.csv", lambda: b"a,b\\n1,2\\n"),
    parts.fold("Details", HOSTILE), parts.text(HOSTILE)))
"""


@pytest.fixture(scope="module")
def shown(chromium, visit, serving, tmp_path_factory) -> Iterator[object]:
    """The page with all parts on it."""
    home = settings.load(tmp_path_factory.mktemp("parts-home") / "home", environ={})
    folder, scratch = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("parts-server")
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "execution_count": None, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    told = {"cells": [cell | {"source": CELL}], "metadata": {"kernelspec": kernel}}
    (folder / "parts.ipynb").write_text(json.dumps(told | {"nbformat": 4, "nbformat_minor": 5}))
    options = {"base_url": "/user/ann/", "root": folder, "config": serving.APPS_CONFIG}
    with serving.serve(home.home, scratch, **options) as server:
        seen = visit(chromium, server.origin, f"{server.url}voila/render/parts.ipynb?token={server.token}")
        try:
            seen.page.wait_for_selector(".geolab-table tbody tr", timeout=120_000)
        except Exception:
            print(seen.errors, server.log.read_text()[-4000:])
            raise
        yield seen
        seen.page.close()


@pytest.fixture
def page(shown) -> Page:
    return shown.page


def said(page: Page, text: str) -> None:
    """Wait until the kernel has said this."""
    expect(page.locator(".geolab-text").first).to_have_text(text, timeout=20_000)


def test_tables_are_sorted_filtered_turned_and_opened_by_keyboard(page):
    table = page.locator(".geolab-table")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(20)
    table.get_by_role("button", name="Size").click()
    expect(rows.first.locator("td").first).to_have_text("row 59")
    expect(rows.first.locator("td").nth(1)).to_have_text("1 MB")
    table.get_by_role("button", name="Next").click()
    expect(table.get_by_text("21–40 of 60")).to_be_visible()
    table.get_by_label("Filter rows").fill("row 07")
    expect(rows).to_have_count(1)
    expect(table.locator(".geolab-is-fail")).to_have_text("failed")
    table.get_by_role("button", name="Keep").click()
    said(page, "keep 7")
    rows.first.focus()
    page.keyboard.press("Enter")
    said(page, "opened 7")
    table.get_by_label("Filter rows").fill("")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == rows.nth(1).get_attribute("data-id")


def test_hostile_texts_are_texts_in_every_part(shown, page):
    page.locator(".geolab-table").get_by_label("Filter rows").fill("onerror")
    first = page.locator(".geolab-table tbody tr").first
    expect(first.locator("td").first).to_have_text(HOSTILE)
    assert first.locator("a").count() == 0  # javascript: is no address
    assert first.locator("img").count() == 0  # nor is another server's
    page.locator(".geolab-table").get_by_label("Filter rows").fill("")
    expect(page.locator(".geolab-card-name").first).to_have_text(HOSTILE)
    expect(page.locator(".geolab-curves-key")).to_contain_text(HOSTILE)
    expect(page.locator(".geolab-progress-text")).to_have_text(f"epoch 3 {HOSTILE}")
    expect(page.locator(".geolab-copy code")).to_have_text(f"geolab run {HOSTILE}")
    page.get_by_role("button", name="Fail").click()
    notice = page.locator(".geolab-told")
    expect(notice).to_contain_text("Something failed here.")
    notice.locator("summary").click()
    expect(notice.locator("pre")).to_contain_text(f"ValueError: {HOSTILE}")
    notice.get_by_role("button").click()
    expect(notice).to_have_count(0)
    assert shown.dialogs == []
    assert page.locator("img[src='x']").count() == 0
    assert page.locator(".geolab-apps script").count() == 0


def test_curves_cards_and_squares_answer(page):
    assert page.locator(".geolab-curves path.curve").count() == 2
    expect(page.locator(".geolab-curves text.title", has_text="step")).to_be_visible()
    page.locator(".geolab-card-one").nth(1).click()
    said(page, "chosen b")
    canvas = page.locator(".geolab-matrix canvas")
    canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    said(page, "square draw 0 2")
    page.keyboard.press("ArrowRight")  # over the square that is not there
    expect(page.locator(".geolab-matrix-said")).to_have_text("c02 / 2022: succeeded")
    canvas.click(position={"x": 48, "y": 6})
    expect(page.locator(".geolab-matrix-legend")).to_have_text("succeeded 4failed 1")


def test_folds_and_tabs_open_by_keyboard(page):
    expect(page.get_by_text("inside the fold")).to_have_count(0)
    page.get_by_role("button", name="More").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("inside the fold")).to_be_visible()
    page.get_by_role("button", name="Two").press("Enter")
    expect(page.get_by_text("tab two")).to_be_visible()
    expect(page.get_by_text("tab one")).to_have_count(0)


def test_the_clock_ticks_while_the_page_is_seen_and_the_log_follows(page):
    before = int(page.locator(".geolab-text").nth(1).inner_text().split()[-1])
    page.wait_for_function(
        "n => Number(document.querySelectorAll('.geolab-text')[1].innerText.split(' ').at(-1)) > n + 2",
        arg=before,
    )
    log = page.locator(".geolab-log pre")
    expect(log).to_contain_text("first line")
    expect(log).to_contain_text(HOSTILE)
    page.wait_for_function(
        "(l => l.scrollTop + l.clientHeight > l.scrollHeight - 30)(document.querySelector('.geolab-log pre'))"
    )
    # a page that is hidden says nothing, and nothing is done
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    page.wait_for_timeout(800)  # what was under way
    still = page.locator(".geolab-text").nth(1).inner_text()
    page.wait_for_timeout(1000)
    assert page.locator(".geolab-text").nth(1).inner_text() == still
    page.evaluate("delete document.hidden")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".geolab-text").nth(1)).not_to_have_text(still)


def test_files_come_up_by_drop_and_go_down_by_a_button(page, tmp_path):
    path = tmp_path / "drop me ü.tif"
    where = rasterio.transform.from_origin(690_000, 5_340_000, 2, 2)
    facts = {"width": 8, "height": 8, "count": 1, "dtype": "uint8", "crs": "EPSG:32632", "transform": where}
    with rasterio.open(path, "w", driver="GTiff", **facts) as out:
        out.write(np.ones((1, 8, 8), np.uint8))
    bad = tmp_path / "bad.tif"
    bad.write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files([path, bad])
    said(page, f"uploaded {path.name} {path.stat().st_size}")
    lines = page.locator(".geolab-upload-list li")
    expect(lines.first.locator(".geolab-is-ok")).to_have_text("uploaded")
    expect(lines.nth(1).locator(".geolab-is-fail")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save").click()
    assert saved.value.suggested_filename == "told.csv"
    assert Path(saved.value.path()).read_bytes() == b"a,b\n1,2\n"


def test_what_is_remembered_is_in_the_address_and_nothing_outside_was_asked(shown, page):
    page.get_by_role("button", name="Remember").click()
    page.wait_for_function("new URL(location.href).searchParams.get('run') === 'abc'")
    assert parse_qs(urlsplit(page.url).query)["odd"] == [HOSTILE]
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    assert shown.outside == []
    refused = [error for error in shown.errors if "422" in error]  # the upload that was no picture
    assert shown.errors == refused
