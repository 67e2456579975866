"""Failures in words, and text that is safe to show in a terminal."""

from __future__ import annotations

import pytest

from geolab.jobs import failure
from geolab.jobs.failure import Place


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[0;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07plain", "plain"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[Hover", "over"),
        ("10%\r50%\r100%\nnext", "100%\nnext"),
        ("a\r\nb\r", "a\nb"),
        ("tab\tbell\x07\x00\x9b31m", "tab\tbell31m"),
        ("\x1bcfull reset", "full reset"),
        ("ünï©ode\n", "ünï©ode\n"),
    ],
)
def test_control_characters_never_reach_the_terminal(text, shown):
    assert failure.clean(text) == shown


def test_a_failure_names_cell_source_and_traceback():
    text = failure.of_cell(
        5, "\n".join(map(str, range(40))), "KeyError", "'no'", ["\x1b[31mTrace\x1b[0m", "line 2"]
    )
    assert text.startswith("cell 5 failed: KeyError: 'no'\n\n    0\n    1\n")
    assert "… (28 more lines)" in text
    assert text.endswith("Trace\nline 2")


def test_a_very_long_error_keeps_both_ends():
    text = failure.shortened("a" * 50_000 + "b" * 50_000)
    assert len(text) < failure.LONGEST_ERROR + 100
    assert (text[0], text[-1]) == ("a", "b")
    assert "80000 characters left out" in text


def test_the_place_is_said_in_words():
    assert failure.of_time_out(3, Place()) == (
        "stopped after 3 s (the time-out), before the first cell (the kernel was starting)"
    )
    place = Place(number=4, source="\n  for step in steps:\n    pass")
    assert failure.of_time_out(2.5, place).endswith("in cell 4 (for step in steps:)")
    assert failure.of_dead_kernel(place).startswith("the kernel died in cell 4 (for step in steps:): ")
