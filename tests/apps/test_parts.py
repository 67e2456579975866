"""The widgets of pages: what they take, what they hear of a browser, and that text stays text."""

from __future__ import annotations

import math
import re

import pytest

from geolab.apps import faults, parts
from geolab.apps.parts import assets
from geolab.apps.parts.plain import is_address
from geolab.errors import BadInput

COLUMNS = [parts.Column("name", "Name"), parts.Column("size", "Size", "number", "MB")]
ROWS = [{"id": 1, "name": "a", "size": 2}, {"id": "b", "name": "b", "size": 3, "actions": ["keep"]}]


# ---------------------------------------------------------------- words


def test_every_text_of_the_plain_parts_is_shown_as_it_is(hostile, words):
    made = parts.stack(
        parts.text(hostile),
        parts.heading(hostile),
        parts.card(hostile, parts.empty(hostile, parts.link(hostile, "/x"))),
        parts.state(hostile, hostile),
        parts.facts({hostile: hostile, "link": parts.link(hostile, f'/"{hostile}')}),
        parts.fold(hostile, hostile),
        parts.figure("/geolab/x.png", hostile),
        hostile,
    )
    shown = words(made)
    assert shown.count("&lt;img src=x onerror=alert(1)&gt;") >= 12
    assert "<img src=x" not in shown
    assert "<script" not in shown
    assert parts.link(hostile, f'/"{hostile}').value.startswith(
        "<span>"
    )  # an address has no quotes or spaces


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x",
        "//evil.test", "/\\evil.test", "file:///etc/passwd", "", "x", "http:", "https:///x", "http://[",
    ],
)  # fmt: skip
def test_a_link_that_may_not_be_followed_is_only_its_words(href):
    assert not is_address(href)
    assert parts.link("words", href).value == "<span>words</span>"
    assert "<img" not in parts.figure(href, "words").value


def test_a_link_of_this_origin_or_by_https_is_one():
    assert is_address("/geolab/assets/a/b%20c")
    assert is_address("https://example.org/x?y#z")
    assert parts.link("w", "/x", download=True, new=True).value == (
        '<a class="geolab-link" href="/x" download target="_blank" rel="noopener noreferrer">w</a>'
    )


def test_a_figure_of_another_server_is_not_shown():
    assert "<img" not in parts.figure("https://example.org/x.png", "alt").value
    assert "<img" in parts.figure("run1", "alt", "a/b.png").value


def test_a_button_calls_without_arguments_and_what_it_raises_goes_to_the_page(monkeypatch):
    pressed, told = [], []
    parts.button("Go", lambda: pressed.append(1), primary=True).click()
    monkeypatch.setattr(faults, "handler", told.append)
    parts.button("Go", lambda: 1 / 0).click()
    assert pressed == [1]
    assert isinstance(told[0], ZeroDivisionError)


def test_a_fold_holds_its_widgets_back_until_it_is_opened():
    inside = parts.text("x")
    fold = parts.Fold("More", inside)
    assert len(fold.children) == 1
    fold.opened = True
    assert inside in fold.children[1].children
    fold.inside(parts.text("y"))
    assert "y" in fold.children[1].children[0].value


def test_tabs_show_one_widget_and_tell_which(within):
    one, two, told = parts.text("one"), parts.text("two"), []
    tabs = parts.tabs({"One": one, "Two": two}, "Two")
    tabs.on_change(told.append)
    assert two in within(tabs)
    tabs.chosen = "One"
    assert one in within(tabs)
    assert two not in within(tabs)
    assert told == ["One"]


# ---------------------------------------------------------------- tables


def test_ids_of_rows_are_texts_and_a_row_without_one_is_refused():
    table = parts.Table(COLUMNS, ROWS)
    assert [row["id"] for row in table.rows] == ["1", "b"]
    with pytest.raises(BadInput, match="an id in each"):
        table.rows = [{"name": "x"}]
    with pytest.raises(BadInput, match="column x"):
        parts.Column("x", "X", "colour")


def test_a_table_answers_only_for_rows_and_actions_that_it_has(say):
    opened, done = [], []
    table = parts.Table(
        COLUMNS, ROWS, on_open=opened.append, select="many", actions=[parts.Action("keep", "Keep")],
        on_action=lambda name, ids: done.append((name, ids)),
    )  # fmt: skip
    for content in (
        {"kind": "open", "ids": ["1"]},
        {"kind": "open", "ids": ["1", "b"]},
        {"kind": "open", "ids": "1"},
        {"kind": "open", "ids": [{"a": 1}, None, "zzz"]},
        {"kind": "action", "name": "keep", "ids": ["b", "zzz", 3]},
        {"kind": "action", "name": "drop", "ids": ["b"]},
        {"kind": "action", "name": ["keep"], "ids": ["b"]},
        {"kind": ["open"]},
        {},
    ):
        say(table, **content)
    assert opened == ["1"]
    assert done == [("keep", ["b"])]


def test_an_action_that_a_row_does_not_offer_is_not_done_to_it(say):
    done = []
    table = parts.Table(
        COLUMNS, ROWS, actions=[parts.Action("drop", "Drop")], on_action=lambda name, ids: done.append(ids)
    )
    say(table, kind="action", name="drop", ids=["1", "b"])
    assert done == [["1"]]


def test_cards_answer_for_their_own_rows_only(say):
    opened = []
    cards = parts.Cards([{"id": 7, "title": "x"}], on_open=opened.append)
    say(cards, kind="open", ids=["8"])
    say(cards, kind="open", ids=["7"])
    assert opened == ["7"]


def test_a_matrix_opens_squares_that_are_there(say):
    opened = []
    matrix = parts.Matrix({"s": "succeeded"}, lambda *at: opened.append(at))
    matrix.show([parts.Grid("draw", ("a", "b"), ("1", "2", "3"), "sss...")])
    for row, column in ((1, 2), (2, 0), (0, 3), (-1, 0), ("0", 0), (True, 0)):
        say(matrix, kind="open", grid="draw", row=row, column=column)
    say(matrix, kind="open", grid="other", row=0, column=0)
    assert opened == [("draw", 1, 2)]
    with pytest.raises(BadInput, match="2 x 2"):
        parts.Grid("draw", ("a", "b"), ("1", "2"), "sss")


# ---------------------------------------------------------------- what grows


def test_a_log_sends_what_is_new_and_all_to_a_page_that_has_just_come(say, monkeypatch):
    log, sent = parts.Log("one\n"), []
    monkeypatch.setattr(log, "send", lambda content, buffers=None: sent.append(content))
    log.append("two\n")
    log.append("")
    say(log, kind="want")
    log.clear()
    assert sent == [
        {"kind": "more", "text": "two\n"},
        {"kind": "all", "text": "one\ntwo\n"},
        {"kind": "all", "text": ""},
    ]


def test_a_log_keeps_its_end():
    log = parts.Log()
    for number in range(100):
        log.append(f"{number}" * 10_000 + "\n")
    assert len(log.text) == 400_000
    assert log.text.endswith("99\n")


def test_curves_leave_out_what_is_no_number_and_thin_what_is_very_long():
    many = [(i, math.sin(i)) for i in range(10_001)]
    curves = parts.Curves({"a": [(0, 1), (1, float("nan")), ("x", 2), (2, None), (3, 4)], "b": many})
    assert curves.series["a"] == [[0, 1], [3, 4]]
    assert len(curves.series["b"]) <= 2001
    assert curves.series["b"][-1] == list(many[-1])


def test_uploads_are_told_once_and_only_if_they_look_like_some(say):
    told = []
    upload = parts.Upload(told.append, ".tif")
    good = {"id": "u1", "name": "a.tif", "size": 3, "sha256": "0" * 64}
    for files in ([good, {"id": "u2"}, {**good, "size": "3"}, None], "no list", []):
        say(upload, kind="done", files=files)
    assert told == [[parts.Uploaded("u1", "a.tif", 3, "0" * 64)]]
    assert upload.url.endswith("geolab/upload")


def test_a_download_is_made_when_it_is_asked_for_and_its_failure_is_told(
    workspace, make_page, say, monkeypatch
):
    page, sent, fails = make_page(workspace), [], []

    def make() -> bytes:
        if fails:
            raise BadInput("report", found="nothing", expected="something")
        return b"all"

    button = parts.Download(page, "Report", "a.csv", make)
    monkeypatch.setattr(button, "send", lambda content, buffers=None: sent.append(buffers))
    say(button, kind="want")
    fails.append(1)
    say(button, kind="want")
    assert sent == [[b"all"]]
    assert page.frame.notice["text"] == "report: found nothing, expected something"
    assert not button.busy


# ---------------------------------------------------------------- files


def test_scripts_write_text_as_text_and_ask_no_other_server():
    for path in assets.STATIC.glob("*.js"):
        script = path.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function", script
        )
        assert not re.search(r"https?://(?!www\.w3\.org/)", script), path.name
    assert not re.search(r"url\(|@import|https?://", assets.style())
