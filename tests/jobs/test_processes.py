"""Whether the owner of a run still lives: told rightly by processes that see other pids."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from geolab.jobs import processes
from geolab.jobs.processes import Owner

_JUDGE = """
import sys
from geolab.jobs import processes
from geolab.jobs.processes import Owner
host, pid, started = sys.argv[1:]
print(processes.is_here(Owner(host, int(pid), started)), processes.is_dead(Owner(host, int(pid), started)))
processes.kill_owner(Owner(host, int(pid), started))
"""


@pytest.fixture
def other():
    """A living process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def _judged(one: Owner, *prefix: str) -> list[str]:
    command = [*prefix, sys.executable, "-c", _JUDGE, one.host, str(one.pid), one.started]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_an_owner_that_lives_is_not_dead_and_one_that_ended_is(other):
    one = processes.owner(other.pid)
    assert processes.is_here(one)
    assert not processes.is_dead(one)
    other.kill()
    while not processes.is_dead(one):
        time.sleep(0.01)
    assert processes.is_here(one)


def test_a_process_of_another_container_is_never_taken_for_a_dead_one(other):
    """Its pid means another process here, or none; its machine and node name may be the same."""
    one = processes.owner(other.pid)
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("a space of pids can be made by root only; to run this test: sudo .venv/bin/pytest")
    assert _judged(one, *apart) == ["False", "False"]
    assert other.poll() is None
    # and seen from here, an owner of such a space
    script = "from geolab.jobs import processes; one = processes.owner(); print(*vars(one).values(), sep='|')"
    found = subprocess.run([*apart, sys.executable, "-c", script], capture_output=True, text=True, check=True)
    host, pid, started = found.stdout.strip().split("|")
    inside = Owner(host, int(pid), started)
    assert inside.pid == 1
    assert inside.name == one.name
    assert not processes.is_here(inside)
    assert not processes.is_dead(inside)
    assert _judged(one) == ["True", "False"]  # which kills it, as it may
    other.wait(10)


def test_the_name_in_the_settings_tells_machines_apart_and_is_shown_alone(other):
    one = processes.owner(other.pid, host="gpu box 7")
    assert one.name == "gpu box 7"
    assert processes.is_here(one, host="gpu box 7")
    assert not processes.is_here(one)
    assert not processes.is_dead(replace(one, started="gone"))
    assert processes.is_dead(replace(one, started="gone"), host="gpu box 7")
    processes.kill_owner(one)
    time.sleep(0.1)
    assert other.poll() is None


def test_a_record_of_an_older_geolab_is_judged_as_before(other):
    one = replace(processes.owner(other.pid), host=platform.node())
    assert one.name == platform.node()
    assert not processes.is_dead(one)
    assert processes.is_dead(replace(one, started="another boot 12"))
    assert not processes.is_dead(replace(one, host="elsewhere", started="x"))
    other.kill()
    other.wait()
    assert processes.is_dead(one)


def test_nobody_is_neither_here_nor_dead():
    nobody = Owner("", 0, "")
    assert not processes.is_here(nobody)
    assert not processes.is_dead(nobody)


def test_a_process_never_kills_itself_as_an_owner():
    script = "from geolab.jobs import processes as p; p.kill_owner(p.owner()); print('lives', flush=True)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "lives\n")


def test_the_owner_without_a_pid_is_this_process():
    assert processes.owner() == processes.owner(os.getpid())
