"""What every ledger must do, whatever its back end; and what the steps of a run allow."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from geolab.errors import BadInput, NotFound
from geolab.jobs import ids, processes, record
from geolab.jobs.ledger import Ledger, SqliteLedger
from geolab.jobs.record import Record


@pytest.fixture(params=["sqlite"])
def ledger(request, tmp_path) -> Ledger:
    """Each back end in turn, empty."""
    return {"sqlite": lambda: SqliteLedger(tmp_path / "deep" / "ledger.db")}[request.param]()


def _run(key: str = "k", **facts) -> Record:
    now = time.time()
    return Record(
        ids.new(), "tiny", key, {"n": 1}, "queued", processes.owner(), now + 30, created=now, **facts
    )


def test_a_run_comes_back_as_it_was_put(ledger):
    run = _run(error="a 'quoted'; DROP TABLE runs --", folder="/x/é", force=True, timeout_s=2.5)
    assert ledger.enqueue(run) == run
    assert ledger.get(run.id) == run
    done = replace(run, state="succeeded", finished=3.0, parameters={"a": [None, "é"]})
    ledger.put(done)
    assert ledger.get(run.id) == done


def test_one_run_per_key_is_active(ledger):
    first, second, other = _run(), _run(), _run("another")
    assert ledger.enqueue(first).id == first.id
    assert ledger.enqueue(second).id == first.id
    assert ledger.enqueue(other).id == other.id
    ledger.update(first.id, lambda run: replace(run, state="failed"))
    again = ledger.enqueue(second)
    assert (again.id, again.attempt) == (second.id, 2)


def test_runs_are_listed_newest_first_and_filtered(ledger):
    runs = [_run(str(i)) for i in range(5)]
    runs = sorted(
        [replace(run, state=record.STATES[i]) for i, run in enumerate(runs)], key=lambda run: run.id
    )
    for run in runs:
        ledger.put(run)
    assert [run.id for run in ledger.runs()] == [run.id for run in reversed(runs)]
    assert [run.id for run in ledger.runs(limit=2)] == [run.id for run in reversed(runs)][:2]
    assert {run.state for run in ledger.runs(states=("failed", "running"))} == {"failed", "running"}
    assert [run.key for run in ledger.runs(key="3")] == ["3"]
    assert ledger.runs(notebook="nosuch") == []


def test_the_beginning_of_an_id_is_enough_if_it_is_unique(ledger):
    one = replace(_run("1"), id="1m7xxaq7p14nxr")
    two = replace(_run("2"), id="1m7xxaq7p1zzzz")
    ledger.put(one)
    ledger.put(two)
    assert ledger.get("1m7xxaq7p14") == one
    with pytest.raises(BadInput, match="the beginning of one id"):
        ledger.get("1m7xxaq7p1")
    for wrong in ("", "1m7", "nosuchrun", "%%%%%%", "1m7xxaq7______"):
        with pytest.raises(NotFound, match="no run"):
            ledger.get(wrong)
    with pytest.raises(NotFound):
        ledger.update("nosuchrun", lambda run: run)


def test_a_change_that_fails_changes_nothing(ledger):
    run = ledger.enqueue(_run())

    def fails(found: Record) -> Record:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.update(run.id, fails)
    assert ledger.update(run.id, lambda found: None) is None
    assert ledger.get(run.id) == run


def _claims(path: Path, run_id: str, barrier) -> None:
    ledger, me = SqliteLedger(path), processes.owner()
    barrier.wait()
    got = ledger.update(run_id, lambda run: record.claim(run, owner=me, lease_until=1e12, now=1.0))
    os._exit(0 if got is None else 1)


def test_of_many_claims_at_once_one_wins(tmp_path):
    path = tmp_path / "ledger.db"
    run = SqliteLedger(path).enqueue(_run())
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    workers = [context.Process(target=_claims, args=(path, run.id, barrier)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(worker.exitcode for worker in workers) == 1


def _creates(path: Path, barrier) -> None:
    barrier.wait()
    SqliteLedger(path).enqueue(_run(str(os.getpid())))


def test_many_processes_may_make_the_ledger_at_once(tmp_path):
    path = tmp_path / "ledger.db"
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    workers = [context.Process(target=_creates, args=(path, barrier)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(SqliteLedger(path).runs()) == 6
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []


def test_a_ledger_of_another_version_is_refused(tmp_path):
    import sqlite3

    path = tmp_path / "ledger.db"
    SqliteLedger(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(BadInput, match="version 99"):
        SqliteLedger(path)


# ---------------------------------------------------------------- steps


def test_only_the_owner_may_renew_place_and_finish():
    me, other = processes.owner(), processes.Owner("elsewhere", 1, "x")
    running = record.claim(_run(), owner=me, lease_until=9.0, now=1.0)
    assert running is not None
    assert record.claim(running, owner=other, lease_until=9.0, now=1.0) is None
    assert record.renew(running, owner=other, lease_until=9.0) is None
    assert record.place(running, owner=other, folder="x") is None
    assert record.finish(running, owner=other, state="failed", now=1.0, folder="x") is None
    assert record.finish(running, owner=me, state="failed", now=1.0, folder="x") is not None
    cancelled = record.ask_to_cancel(running)
    assert cancelled is not None
    assert record.place(cancelled, owner=me, folder="x") is None


def test_a_run_is_abandoned_when_its_owner_is_dead_or_its_lease_is_over():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = replace(_run(), owner=processes.owner(process.pid))
    now = time.time()
    assert not record.abandoned(run, now)
    assert record.abandoned(replace(run, lease_until=now - 1), now)
    reborn = replace(run.owner, started="another boot 12")
    assert record.abandoned(replace(run, owner=reborn), now)
    elsewhere = replace(run.owner, host="elsewhere", started="x")
    assert not record.abandoned(replace(run, owner=elsewhere), now)
    process.kill()
    while not processes.is_dead(run.owner):  # from its death on, though it stays a zombie until waited for
        time.sleep(0.01)
    assert record.abandoned(run, now)
    assert not record.abandoned(replace(run, state="succeeded"), now)
    process.communicate()


def test_ids_are_unique_and_sort_by_time():
    made = []
    for _ in range(50):
        made.append(ids.new())
        time.sleep(0.002)
    assert made == sorted(set(made))
    assert all(ids.PATTERN.fullmatch(one) for one in made)
