"""A form in real Chromium: filled in by keyboard, mended, run, and its run found again after a reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from geolab import jobs, settings

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
WAIT_MS = 60_000
CELL = f"""
count: int = 3  # how many {HOSTILE} {{1..99}}
word: str = "{HOSTILE}"  # what to say
method: str = "first"  # how {{first|second|third}}
share: "Optional[float]" = None  # of all, per cent; none for all of it {{0..100}}
careful: bool = False  # take care
day: str = ""  # when {{date}}
seed: int = 0  # of every random choice
""".strip()
PAGE = """
import os
from urllib.parse import parse_qs
from geolab import apps, settings
from geolab.apps import parts
from geolab.apps.shell import Page, framed
asked = parse_qs(os.environ.get("QUERY_STRING", ""))
page = Page("trial", settings.load(), {"run": asked.get("run", [""])[0]})
place = parts.stack()
show = lambda run_id: (page.remember(run=run_id), setattr(place, "children", (apps.RunPanel(page, run_id),)))
form = apps.Form(page, NOTEBOOK, on_submitted=show)
if page.asked["run"]: show(page.asked["run"])
framed(page, parts.stack(form, place))
"""


def _notebook(path: Path, *cells: str, tagged: int = -1) -> None:
    made = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if number == tagged else {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    told = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(told))


@pytest.fixture(scope="module")
def trial(serving, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A page with a form of a notebook that works until its gate is opened."""
    home = settings.load(tmp_path_factory.mktemp("form-home") / "home", environ={})
    folder, scratch = tmp_path_factory.mktemp("form-pages"), tmp_path_factory.mktemp("form-server")
    gate, job = scratch / "gate", scratch / "waits.ipynb"
    work = (
        "import time\nfrom pathlib import Path\nfrom geolab import jobs\nrun = jobs.context()",
        f"gate = Path({str(gate)!r})\nrun.progress(1, 2, 'waiting at the gate')\n"
        "while not gate.exists():\n    time.sleep(0.1)",
        "jobs.report(count=count, word=word, method=method, share=share)",
    )
    _notebook(job, CELL, *work, tagged=0)
    _notebook(folder / "trial.ipynb", PAGE.replace("NOTEBOOK", repr(str(job))))
    options = {"base_url": "/user/ann/", "root": folder, "config": serving.APPS_CONFIG}
    with serving.serve(home.home, scratch, **options) as server:
        yield SimpleNamespace(server=server, home=home, gate=gate, job=job)
        for view in jobs.runs(settings=home):
            if view.state in ("queued", "running"):
                jobs.kill(view.run_id, settings=home)


def _tab_to(page: Page, label: str) -> None:
    """Walk with the tab key until the control of this name has the focus."""
    name = "() => { const e = document.activeElement; return e.getAttribute('aria-label') || "
    name += "(e.labels && e.labels[0] && e.labels[0].textContent) || e.textContent; }"
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(name).strip())
        if seen[-1] == label:
            return
    raise AssertionError(f"no {label!r} among {seen}")


def _problem(page: Page, name: str):
    return page.locator(f'.geolab-field[data-name="{name}"] .geolab-problem')


def test_a_form_is_filled_in_by_keyboard_mended_run_and_found_again(trial, chromium, visit):
    server = trial.server
    seen = visit(chromium, server.origin, f"{server.url}voila/render/trial.ipynb?token={server.token}")
    page = seen.page
    try:
        page.wait_for_selector(".geolab-field", timeout=90_000)
        # what is hostile is read, and nothing of it is made
        assert page.get_by_label("Word", exact=True).input_value() == HOSTILE
        assert page.locator(".geolab-help", has_text=HOSTILE).count() == 2  # a help, and a default
        assert page.locator(".geolab-apps script, .geolab-apps img").count() == 0

        _tab_to(page, "Count")
        page.keyboard.press("Control+A")
        page.keyboard.type("1000")
        expect(_problem(page, "count")).to_have_text(
            "count: found 1000, expected a value in 1..99", timeout=WAIT_MS
        )
        expect(page.get_by_label("Count", exact=True)).to_have_attribute("aria-invalid", "true")
        _tab_to(page, "Run")
        page.keyboard.press("Enter")
        expect(page.get_by_text("1 field to mend before this can run.")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_label("Count", exact=True)).to_be_focused()
        assert jobs.runs(settings=trial.home) == []

        page.keyboard.press("Control+A")
        page.keyboard.type("41")
        expect(_problem(page, "count")).to_be_hidden(timeout=WAIT_MS)
        _tab_to(page, "first")
        page.keyboard.press("ArrowRight")  # a group of radio buttons is one stop
        _tab_to(page, "none")
        page.keyboard.press("Space")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("12.5")
        _tab_to(page, "Careful")
        page.keyboard.press("Space")
        told = page.locator(".geolab-form-actions code")
        line = f"geolab run {trial.job} -p count=41 -p method=second -p share=12.5 -p careful=true"
        expect(told).to_have_text(line, timeout=WAIT_MS)
        _tab_to(page, "Run")
        page.keyboard.press("Enter")

        expect(page.locator(".geolab-run")).to_contain_text("waiting at the gate", timeout=WAIT_MS)
        run_id = parse_qs(urlsplit(page.url).query)["run"][0]
        view = jobs.show(run_id, settings=trial.home)
        assert view.parameters == {
            "count": 41, "word": HOSTILE, "method": "second", "share": 12.5,
            "careful": True, "day": "", "seed": 0,
        }  # fmt: skip

        page.reload()
        expect(page.locator(".geolab-run")).to_contain_text("waiting at the gate", timeout=90_000)
        assert len(jobs.runs(settings=trial.home)) == 1
        trial.gate.touch()
        expect(page.locator(".geolab-run .geolab-state").first).to_have_text("succeeded", timeout=WAIT_MS)
        expect(page.locator(".geolab-run")).to_contain_text("12.5")
    except Exception:
        print(seen.errors, seen.answers[-10:], server.log.read_text()[-3000:])
        raise
    assert [answer for answer in seen.answers if answer[0] >= 400] == []
    assert (seen.errors, seen.outside, seen.dialogs) == ([], [], [])
    page.close()
