"""Making the ledger true: what is settled, what is left alone, and what it costs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial

import psutil
import pytest

from geolab.jobs import folders, ids, processes, record
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.processes import Owner
from geolab.jobs.reconcile import reconcile
from geolab.jobs.record import Record
from geolab.settings import Settings

ELSEWHERE = Owner("elsewhere", 1, "x")


@pytest.fixture
def settings(workspace) -> Settings:
    return replace(workspace, heartbeat_s=0.05, lease_s=0.3)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request, settings) -> Ledger:
    if request.param == "postgres":
        settings = replace(settings, ledger_url=request.getfixturevalue("postgres_url"))
    return open_ledger(settings)


def _with_folder(settings: Settings, run: Record) -> Record:
    folders.private(settings, run.id).mkdir(parents=True)
    (folders.private(settings, run.id) / folders.DESCRIBED).write_text("{}")
    return run


def _waiting(settings: Settings, key: str, **facts) -> Record:
    return _with_folder(settings, Record(ids.new(), "tiny", key, created=time.time(), **facts))


def test_what_waits_for_anyone_waits_for_ever(settings, ledger):
    run = ledger.enqueue(_waiting(settings, "k"))
    os.utime(folders.private(settings, run.id), (0, 0))
    time.sleep(0.4)
    reconcile(settings, ledger)
    assert ledger.get(run.id) == run
    assert (folders.private(settings, run.id) / folders.DESCRIBED).exists()


def test_what_was_cancelled_while_it_waited_is_over_at_once(settings, ledger):
    run = ledger.enqueue(_waiting(settings, "k"))
    ledger.update(run.id, record.ask_to_cancel)
    began = time.monotonic()
    reconcile(replace(settings, heartbeat_s=5), ledger)
    assert time.monotonic() - began < 5  # nobody is waited for
    over = ledger.get(run.id)
    assert (over.state, over.error) == ("cancelled", "cancelled")
    assert not folders.private(settings, run.id).exists()


def test_a_run_of_another_machine_is_settled_by_its_lease_alone(settings, ledger):
    ledger.enqueue(_waiting(settings, "k"))
    run = ledger.claim_next(owner=ELSEWHERE, lease_s=600)
    reconcile(settings, ledger)
    assert ledger.get(run.id).state == "running"
    run = ledger.renew(run.id, owner=ELSEWHERE, lease_s=0.1)
    while ledger.now() < run.lease_until:
        time.sleep(0.05)
    reconcile(settings, ledger)
    over = ledger.get(run.id)
    assert over.state == "lost"
    assert over.lease_until < over.finished
    assert ledger.update(run.id, partial(record.place, owner=ELSEWHERE, folder="late")) is None


def test_a_lease_that_is_renewed_at_the_last_moment_counts(settings, ledger):
    """After a night of sleep the watcher may wake before the owner does."""
    ledger.enqueue(_waiting(settings, "k"))
    run = ledger.claim_next(owner=ELSEWHERE, lease_s=0.01)
    time.sleep(0.05)
    renewal = (
        "import sys, time; from pathlib import Path; from geolab.settings import Settings;"
        "from geolab.jobs.ledger import open_ledger; from geolab.jobs.processes import Owner;"
        "ledger = open_ledger(Settings(Path('/nowhere'), ledger_url=sys.argv[1]));"
        "ledger.now(); print('ready', flush=True);"
        "sys.stdin.readline(); time.sleep(0.2);"
        "ledger.renew(sys.argv[2], owner=Owner('elsewhere', 1, 'x'), lease_s=600)"
    )
    url = _url(ledger)
    owner = subprocess.Popen(
        [sys.executable, "-c", renewal, url, run.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "ready\n"
    owner.stdin.write("go\n")
    owner.stdin.flush()
    reconcile(replace(settings, heartbeat_s=2.0), ledger)
    owner.communicate()
    assert ledger.get(run.id).state == "running"


def _url(ledger: Ledger) -> str:
    from geolab.jobs.ledger import open as opened

    return next(url for url, one in opened._OPEN.items() if one is ledger)


def test_settling_kills_processes_of_this_machine_only(settings, ledger):
    """The kernel of a machine that was cut off, in folders that both share, is left to that machine."""
    kernels = []
    for owner in (ELSEWHERE, replace(processes.owner(), started="gone")):
        run = ledger.enqueue(_waiting(settings, str(owner.pid)))
        assert ledger.claim(run.id, owner=owner, lease_s=0.01)
        described = folders.private(settings, run.id) / folders.DESCRIBED
        kernels.append(
            subprocess.Popen(
                [sys.executable, "-c", "input()"],
                stdin=subprocess.PIPE,
                env=os.environ | {"GEOLAB_RUN": str(described)},
            )
        )
    time.sleep(0.1)
    reconcile(settings, ledger)
    assert {run.state for run in ledger.runs()} == {"lost"}
    assert not psutil.pid_exists(kernels[1].pid)
    assert kernels[0].poll() is None
    kernels[0].communicate(b"\n")
    kernels[1].communicate()


def test_the_host_of_the_settings_says_what_is_local(settings, ledger):
    there = replace(settings, host="there")
    run = ledger.enqueue(_waiting(settings, "k"))
    ledger.claim(run.id, owner=replace(processes.owner(host="there"), started="gone"), lease_s=600)
    reconcile(settings, ledger)
    assert ledger.get(run.id).state == "running"  # of another machine, as far as this one knows
    reconcile(there, ledger)
    assert ledger.get(run.id).state == "lost"


def test_a_hundred_thousand_finished_runs_and_as_many_that_wait_cost_little(settings, workspace):
    ledger = open_ledger(settings)
    ledger.put(
        Record(ids.new(), "tiny", "done", state="succeeded", pipeline="p", slot="s/0", folder="f" * 200)
    )
    ledger.enqueue(Record(ids.new(), "tiny", "waits", pipeline="p", slot="s/1"))
    with closing(sqlite3.connect(settings.ledger_path)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(runs)")][3:-1]
        db.execute(
            f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO runs (id, notebook, key, number, {", ".join(columns)})
            SELECT key || i, 'tiny', key || i, i + 9, {", ".join(columns)} FROM n, runs"""
        )
    assert len(ledger.active()) == 100_001
    began = time.process_time()
    ledger.runs(states=record.ACTIVE)
    all_read = time.process_time() - began
    for _ in range(10):
        reconcile(settings, ledger)
    assert time.process_time() - began - all_read < all_read  # ten times less than even one reading of all
    _with_folder(settings, ledger.get("waits77"))
    reconcile(settings, ledger)
    assert folders.private(settings, "waits77").exists()
