"""A run goes on without the terminal that asked for it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from geolab import jobs

pytestmark = pytest.mark.slow


def _in_a_terminal(command: list[str]) -> tuple[int, int]:
    """A command in a session of its own with a real terminal: its pid, and our end of the terminal."""
    pid, ours = pty.fork()
    if pid == 0:
        for number in (signal.SIGHUP, signal.SIGINT):  # a test-suite behind nohup or & ignores them
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    return pid, ours


def _read(ours: int, seconds: float = 60) -> str:
    """What comes out of the terminal until the program has ended."""
    text = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            part = os.read(ours, 4096)
        except OSError:  # EIO: nobody has it open any more
            break
        if not part:
            break
        text += part
    return text.decode()


def test_a_detached_run_survives_its_terminal(workspace, sleeping):
    # the shell stays after the command, and is hung up when the terminal closes
    shell = f"{sys.executable} -m geolab run {sleeping} -p seconds=3 --detach; echo asked; sleep 600"
    pid, ours = _in_a_terminal(["sh", "-c", shell])
    text = b""
    while b"asked" not in text:
        text += os.read(ours, 4096)
    run_id = text.decode().split()[0]
    session = os.getsid(pid)
    os.close(ours)  # the terminal is gone: its session gets SIGHUP
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGHUP
    view = jobs.show(run_id, settings=workspace)
    assert view.state in ("queued", "running")
    assert os.getsid(view.pid) not in (session, os.getsid(0))
    outcome = jobs.wait(run_id, settings=workspace)
    assert (outcome.state, outcome.error) == ("succeeded", "")
    log = (outcome.folder / "log.txt").read_text()
    assert "step 29" in log


def test_a_run_that_is_watched_survives_a_terminal_that_hangs_up(workspace, sleeping):
    pid, ours = _in_a_terminal(["geolab", "run", str(sleeping), "-p", "seconds=3"])
    deadline = time.monotonic() + 60
    while not jobs.runs("running", settings=workspace):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.close(ours)
    os.waitpid(pid, 0)
    (run,) = jobs.runs(settings=workspace)
    assert jobs.wait(run.run_id, settings=workspace).state == "succeeded"


def test_ctrl_c_in_the_terminal_cancels_what_was_waited_for_but_nothing_detached(workspace, sleeping):
    detached = jobs.submit(sleeping, {"seconds": 4}, settings=workspace).run_id
    pid, ours = _in_a_terminal(["geolab", "run", str(sleeping), "-p", "seconds=60"])
    deadline = time.monotonic() + 60
    while len(jobs.runs("running", settings=workspace)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    watched = next(r.run_id for r in jobs.runs(settings=workspace) if r.run_id != detached)
    os.write(ours, b"\x03")
    said = _read(ours)
    _, status = os.waitpid(pid, 0)
    os.close(ours)
    assert os.waitstatus_to_exitcode(status) == 130, said
    assert jobs.wait(watched, settings=workspace).state == "cancelled"
    assert jobs.wait(detached, settings=workspace).state == "succeeded"


def test_detach_prints_the_id_at_once(workspace, sleeping):
    began = psutil.Process().create_time() and time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "geolab", "run", str(sleeping), "-p", "seconds=30", "--detach", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - began < 25
    submitted = json.loads(done.stdout)
    assert submitted["reused"] is False
    assert jobs.kill(submitted["run_id"], settings=workspace).state == "cancelled"


def test_detach_and_queue_exclude_each_other(workspace, counting, capsys):
    from geolab import cli

    with pytest.raises(SystemExit):
        cli.main(["run", str(counting), "--detach", "--queue"])
    assert "not allowed with" in capsys.readouterr().err
    assert not Path(workspace.home).exists()
