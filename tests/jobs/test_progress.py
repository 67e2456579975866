"""Progress, rate and time left, from events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geolab.jobs import events, progress
from geolab.jobs.progress import NONE, Progress


def _write(folder: Path, found: list[dict]) -> None:
    (folder / events.FILE).write_text("".join(json.dumps(event) + "\n" for event in found))


def _cell(time: float, number: int, done: int = 0) -> dict:
    return {"time": time, "event": "cell", "number": number, "done": done, "total": 4}


def _progress(time: float, done: float, total: float | None = 10, what: str = "tiles") -> dict:
    return {"time": time, "event": "progress", "done": done, "total": total, "what": what}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], NONE),
        ([_cell(0, 3, 2)], Progress(0.5, "cell 3")),
        ([_cell(0, 3), _progress(1, 5)], Progress(0.5, "tiles")),  # one event tells no rate
        ([_cell(0, 3), _progress(1, 1), _progress(3, 5)], Progress(0.5, "tiles", 2.0, 2.5)),
        ([_cell(0, 3), _progress(1, 5), _cell(2, 4, 3)], Progress(0.75, "cell 4")),  # the next cell has begun
        ([_progress(0, 9, 20), _progress(1, 5, 10), _progress(2, 6, 10)], Progress(0.6, "tiles", 1.0, 4.0)),
        ([_progress(0, 9), _progress(1, 1), _progress(2, 2)], Progress(0.2, "tiles", 1.0, 8.0)),  # anew
        ([_cell(0, 3), _progress(1, 5, None)], Progress(0.0, "cell 3")),
        ([_cell(0, 3), _progress(1, 5, what="")], Progress(0.5, "cell 3")),
        ([_progress(1, 4), _progress(1, 5)], Progress(0.5, "tiles")),  # no time between them
        ([_progress(1, 5), _progress(9, 5)], Progress(0.5, "tiles")),  # it stands still
        ([_progress(0, 1, 1000), *[_progress(100 + t, 100 + 2 * t, 1000) for t in range(61)]],
         Progress(0.22, "tiles", 2.0, 390.0)),  # the last minute counts
    ],
)  # fmt: skip
def test_progress_is_read_from_the_newest_events(tmp_path, found, expected):
    _write(tmp_path, found)
    seen = progress.of(tmp_path)
    assert (seen.part, seen.doing) == (expected.part, expected.doing)
    assert seen.rate == (None if expected.rate is None else pytest.approx(expected.rate))
    assert seen.eta_s == (None if expected.eta_s is None else pytest.approx(expected.eta_s))


def test_only_the_end_of_a_long_file_is_read_if_it_says_enough(tmp_path):
    found = [_cell(0, 2), *[_progress(t, t, 10_000) for t in range(5000)]]
    _write(tmp_path, found)
    assert progress.of(tmp_path).part == pytest.approx(0.4999)  # the cell is far back, and found
    _write(tmp_path, [*found, _cell(6000, 4, 3), _progress(6001, 1, 4)])
    assert len(events.last(tmp_path, "cell")) < 2000
    assert progress.of(tmp_path).part == 0.25


def test_an_unfinished_line_is_read_when_it_is_complete(tmp_path):
    _write(tmp_path, [_cell(0, 1)])
    with (tmp_path / events.FILE).open("ab") as file, (tmp_path / events.FILE).open("rb") as stream:
        assert len(list(events.take(stream))) == 1
        file.write(b'{"event": "log", ')
        file.flush()
        assert list(events.take(stream)) == []
        file.write(b'"text": "x"}\nnonsense\n[1]\n{"no": "event"}\n')
        file.flush()
        assert list(events.take(stream)) == [{"event": "log", "text": "x"}]
