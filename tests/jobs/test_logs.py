"""Logs for people and for machines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time

import pytest

from geolab import cli, jobs
from geolab.jobs import events, logs
from geolab.jobs.failure import Place
from geolab.jobs.logs import RunLog

RUN_ID = "0" * 14


@pytest.fixture
def log(tmp_path):
    made = RunLog(tmp_path, RUN_ID, Place(number=4))
    yield made
    made.close()


def _lines(folder) -> list[dict]:
    return list(logs.lines(events.read(folder), RUN_ID))


def test_what_is_printed_is_kept_as_it_is_and_line_by_line(tmp_path, log):
    for text in ("one\ntw", "o\n", "\x1b[31mred\x1b[0m\n", "10 %\r20 %\r\n", "no end é"):
        log.write(text)
    log.close()
    assert (
        tmp_path / "log.txt"
    ).read_bytes().decode() == "one\ntwo\n\x1b[31mred\x1b[0m\n10 %\r20 %\r\nno end é"
    found = _lines(tmp_path)
    assert [line["text"] for line in found] == ["one", "two", "red", "20 %", "no end é"]
    time = found[0].pop("time")
    assert found[0] == {"level": "INFO", "logger": "notebook", "text": "one", "run_id": RUN_ID, "cell": 4}
    assert time.endswith("+00:00")


def test_a_line_without_end_does_not_grow_for_ever(tmp_path, log):
    for _ in range(50):
        log.write("x" * 10_000)
    assert len(log._line) == logs.LONGEST_LINE
    log.close()
    assert len(_lines(tmp_path)[0]["text"]) == logs.LONGEST_LINE


def test_what_geolab_logs_goes_to_the_run_and_nowhere_else(tmp_path, log):
    outside = logging.getLogger().handlers[:]
    with logs.into(log):
        logging.getLogger("geolab.change").info("%d pairs", 3)
        logging.getLogger("another").info("not this")
        try:
            raise ValueError("inside")
        except ValueError:
            logging.getLogger("another").exception("but this")
    assert logging.getLogger().handlers == outside
    first, second = _lines(tmp_path)
    assert (first["level"], first["logger"], first["text"]) == ("INFO", "geolab.change", "3 pairs")
    assert second["level"] == "ERROR"
    assert second["text"].startswith("but this\nTraceback")
    assert "INFO geolab.change: 3 pairs" in (tmp_path / "log.txt").read_text()


def test_a_process_logs_json_lines_if_asked():
    code = (
        "import logging; from geolab.jobs import logs; logs.configure()\n"
        "logging.getLogger('geolab.x').info('run %s', 'é', extra={'run_id': 'abc'})"
    )
    for wanted, expected in (("json", True), ("", False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"GEOLAB_LOG": wanted},
        )
        (line,) = done.stderr.splitlines()
        if expected:
            facts = json.loads(line)
            assert (facts["text"], facts["run_id"], facts["level"]) == ("run é", "abc", "INFO")
        else:
            assert line.endswith("INFO geolab.x: run é")


@pytest.mark.slow
def test_runs_logs_json_has_every_line_with_its_cell_and_follows(workspace, make_notebook, capsys):
    path = make_notebook(
        "n: int = 3",
        "import logging, sys, time\nfrom geolab import jobs\nrun = jobs.context()",
        "logging.getLogger('geolab.own').warning('careful')\nrun.log('a remark')\n"
        "print('to stderr', file=sys.stderr)",
        "for i in range(n):\n    print('line', i, flush=True)\n    time.sleep(1)",
        "1 / 0",
        name="talks",
    )
    submitted = jobs.submit(path, settings=workspace)
    began, seen = time.time(), []
    for line in jobs.log_lines(submitted.run_id, follow=True, settings=workspace):
        seen.append((time.time() - began, line))
    texts = [line["text"] for _, line in seen]
    assert [text for text in texts if text.startswith("line")] == ["line 0", "line 1", "line 2"]
    at = {line["text"]: (when, line) for when, line in seen}
    assert at["line 2"][0] - at["line 0"][0] > 1  # as they came, not all at the end
    assert (at["careful"][1]["level"], at["careful"][1]["logger"], at["careful"][1]["cell"]) == (
        "WARNING",
        "geolab.own",
        4,
    )
    assert at["a remark"][1]["cell"] == 4
    assert at["to stderr"][1]["cell"] == 4
    assert at["line 0"][1]["cell"] == 5
    assert seen[-1][1]["level"] == "ERROR"
    assert seen[-1][1]["text"].startswith("failed: cell 6 failed: ZeroDivisionError")
    assert {line["run_id"] for _, line in seen} == {submitted.run_id}
    capsys.readouterr()
    assert cli.main(["runs", "logs", submitted.run_id[:12], "--json"]) == 0
    printed = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert printed == [line for _, line in seen]
    assert set(printed[0]) == {"time", "level", "logger", "text", "run_id", "cell"}
    assert cli.main(["runs", "logs", submitted.run_id]) == 0
    assert "line 1" in capsys.readouterr().out
