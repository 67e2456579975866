"""SIGKILL at any moment, also while a step is being stored: no step that was done is done again."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import pytest

from geolab.jobs import events

STEPS, MOST_KILLS = 12, 15

# one attempt at the work: a process that may be killed at any moment
_WORK = f"""\
import sys
from pathlib import Path
import numpy as np
from geolab import settings
from geolab.jobs.session import Run

folder, home, told = map(Path, sys.argv[1:])
folder.mkdir()
run = Run(folder, settings.load(home), "soak", {{}}, folder.name, "a" * 64, 1)
total = 0.0
for number in range({STEPS}):
    with run.step(f"s{{number}}", depends={{"total": total}}) as step:
        if step.due:
            with told.open("a") as stream:
                stream.write(f"begin {{number}}\\n")
            array = np.random.default_rng(number).normal(size=50_000)
            np.save(run.path(f"arrays/{{number}}.npy"), array)
            with run.path("journal.txt").open("a") as stream:
                stream.write(f"{{number}}\\n")
            step.keep(array=array, file=run.path("journal.txt"))
    with told.open("a") as stream:
        stream.write(f"end {{number}}\\n")
    total += float(step["array"].sum())
run.path("total.txt").write_text(repr(total))
"""


def _attempt(folder: Path, home: Path, told: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", _WORK, *map(str, (folder, home, told))]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def _content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "events.jsonl"
    }


@pytest.mark.slow
def test_attempts_killed_at_random_moments_add_up_to_one_that_was_not(tmp_path):
    whole = tmp_path / "undisturbed"
    assert _attempt(whole, tmp_path / "one", tmp_path / "one.txt").wait() == 0
    took_s = mean(event["seconds"] for event in events.read(whole) if event.get("state") == "done")
    chance, told, kills = random.Random(4), tmp_path / "told.txt", 0
    told.touch()
    while True:
        folder = tmp_path / f"attempt-{kills}"
        process = _attempt(folder, tmp_path / "home", told)
        begun = told.read_text().count("begin")
        while process.poll() is None and told.read_text().count("begin") == begun:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 3 * took_s))
        if kills == MOST_KILLS:
            process.wait()
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills >= 5
    assert _content(folder) == _content(whole)
    ended: set[str] = set()
    for event, number in (line.split() for line in told.read_text().splitlines()):
        assert not (event == "begin" and number in ended)
        ended |= {number} if event == "end" else set()
    kept = {path.stem for path in (tmp_path / "home").rglob("steps/*.json")}
    assert kept == {f"s{number}" for number in range(STEPS)}
    print(f"{kills} kills, {told.read_text().count('begin')} begun of {STEPS}")
