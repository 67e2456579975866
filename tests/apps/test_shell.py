"""The frame of pages: queries, addresses, the clock, and what is said when something fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from geolab import settings
from geolab.apps import faults, query, shell
from geolab.errors import BadInput, NotFound


def test_what_a_page_is_asked_is_typed_and_checked_like_parameters(workspace):
    values, problem = query.asked(
        "home", {"run": "", "listed": 6}, "listed=12&run=abc&token=secret", workspace
    )
    assert problem == ""
    assert values == {"run": "abc", "listed": 12}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listed=many", "listed: found 'many', expected a whole number"),
        ("listed=1000", "listed: found 1000, expected a value in 1..50"),
        ("liste=3", "no parameter of page home 'liste'; did you mean 'listed'?"),
        ("run=a&run=b", "'run' twice"),
        ("run=%ff", "can't be read"),
        ("x" * 30_000, "expected at most 20,000"),
        ("&".join(f"n{i}=1" for i in range(200)), "can't be read"),
    ],
)
def test_a_wrong_query_is_one_line_and_leaves_the_pages_own_values(workspace, text, said):
    values, problem = query.asked("home", {"run": "x"}, text, workspace)
    assert said in problem
    assert "\n" not in problem
    assert values == {"run": "x", "listed": 6}


def test_an_item_of_the_query_that_is_not_there_is_said_and_left_out(workspace):
    values, problem = query.asked("change", {}, "before=nothing-like-that", workspace)
    assert "no item 'nothing-like-that'" in problem
    assert values["before"] == ""


def test_a_page_that_is_not_there_names_those_that_are():
    with pytest.raises(NotFound, match="did you mean 'home'"):
        query.notebook_of("hom")


def test_links_are_quoted_and_lie_below_the_servers_path(workspace, make_page, hostile, monkeypatch):
    monkeypatch.setenv("GEOLAB_BASE_URL", "/user/ann/")
    page = make_page(workspace)
    assert page.link("map") == "/user/ann/voila/render/map.ipynb"
    link = page.link("data", item=f'{hostile}"&?', many=[1, 2], none=None, empty="", off=False)
    assert "<" not in link
    assert '"' not in link
    parsed = query.pairs(link.split("?", 1)[1])
    assert parsed == {"item": f'{hostile}"&?', "many": "[1, 2]", "off": "false"}


def test_what_is_remembered_goes_into_the_address_as_parameters_read_it(workspace, make_page):
    page = make_page(workspace, run="", listed=6)
    page.remember(run="abc", listed=7)
    page.remember(run=None)
    assert page.frame.address == {"run": "", "listed": "7"}
    assert page.asked["listed"] == 7


# ---------------------------------------------------------------- time


def test_nothing_is_done_until_a_browser_says_that_the_page_is_seen(workspace, make_page, say):
    page, done = make_page(workspace), []
    page.every(5, lambda: done.append(1))
    assert page.frame.period_s == 5
    assert done == []
    say(page.frame, kind="pulse")
    say(page.frame, kind="pulse")  # too early for a second time
    assert done == [1]


def test_a_page_without_tasks_asks_for_no_pulse(workspace, make_page):
    page = make_page(workspace)
    task = page.every(1, lambda: None)
    page.every(3, lambda: None)
    assert page.frame.period_s == 1
    task.stop()
    assert page.frame.period_s == 3


def test_soon_makes_a_task_due_and_wakes_the_browser(workspace, make_page, say):
    page, done = make_page(workspace), []
    task = page.every(60, lambda: done.append(1))
    say(page.frame, kind="pulse")
    woken = page.frame._wake
    task.soon()
    assert page.frame._wake == woken + 1
    say(page.frame, kind="pulse")
    assert done == [1, 1]


def test_work_is_done_in_a_thread_and_told_on_the_loop_one_at_a_time(workspace, make_page, beat):
    async def shown() -> list[object]:
        import threading

        page, found, began = make_page(workspace), list[object](), list[int]()
        gate, main = threading.Event(), threading.get_ident()

        def work() -> int:
            began.append(1)
            gate.wait(10)
            return threading.get_ident()

        page.every(1, lambda thread: found.extend([thread != main, threading.get_ident() == main]), work=work)
        beat(page)
        beat(page)  # while the first is at work
        gate.set()
        while not found:
            await asyncio.sleep(0)
        return [*found, len(began)]

    assert asyncio.run(shown()) == [True, True, 1]


def test_a_task_that_fails_says_so_once_and_is_tried_again(workspace, make_page, beat):
    page, said, work = make_page(workspace), [], iter([BadInput("x", found="1", expected="2")] * 2 + [None])
    page.frame.observe(lambda change: said.append(change["new"].get("text")), "notice")

    def do() -> None:
        error = next(work)
        if error:
            raise error

    page.every(1, do)
    for _ in range(3):
        beat(page)
        page.tell("")
    assert said == ["x: found 1, expected 2", None]


# ---------------------------------------------------------------- faults


def test_an_error_of_ours_is_one_line_and_any_other_is_logged_with_its_details_folded(
    workspace, make_page, hostile
):
    page = make_page(workspace)
    faults.keep_log(workspace)

    def fail(error: Exception) -> None:
        raise error

    page.guard(fail)(NotFound("item", "x"))
    assert page.frame.notice == {"text": "no item 'x'", "kind": "fail", "details": ""}
    assert page.guard(fail)(ValueError(hostile)) is None
    assert page.frame.notice["text"] == shell.FAILED
    assert "ValueError" in page.frame.notice["details"]
    assert hostile in (workspace.home / faults.LOG).read_text()
    with pytest.raises(BadInput, match="kind"):
        page.tell("x", "loud")


def test_a_guarded_callback_that_works_gives_back_what_it_gives(workspace, make_page):
    assert make_page(workspace).guard(lambda a, b: a + b)(1, b=2) == 3


def test_a_page_that_cannot_be_built_says_so_and_shows_no_traceback(workspace, monkeypatch, shown, capfd):
    monkeypatch.setattr("geolab.apps.home.build", lambda page: 1 / 0)
    shell.show("home", run="", listed=6)
    assert shown[0].children[0].notice["text"] == shell.FAILED
    assert "ZeroDivisionError" not in "".join(capfd.readouterr())


def test_a_page_with_a_wrong_query_is_shown_with_one_line_about_it(workspace, monkeypatch, shown):
    monkeypatch.setenv("QUERY_STRING", "listed=none")
    shell.show("home", run="", listed=6)
    frame, body = shown[0].children
    assert frame.notice == {
        "text": "listed: found 'none', expected a whole number", "kind": "fail", "details": ""
    }  # fmt: skip
    assert body.children


def test_a_page_loads_neither_torch_nor_mlflow_nor_matplotlib(tmp_path):
    code = (
        "import sys, json; from geolab import apps; apps.show('home'); apps.show('monitor');"
        "print(json.dumps(sorted(m for m in sys.modules if '.' not in m)), file=sys.stderr)"
    )
    environment = {"GEOLAB_HOME": str(tmp_path / "w"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & {"torch", "mlflow", "matplotlib", "papermill", "leafmap", "pandas", "distributed"}
    assert not settings.load(tmp_path / "w", environ={}).ledger_path.exists()  # looking makes nothing
