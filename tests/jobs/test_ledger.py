"""What every ledger must do, whatever its back end; and what the steps of a run allow."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from geolab.errors import BadInput, LedgerError, NotFound
from geolab.jobs import ids, processes, record
from geolab.jobs.ledger import Control, Ledger, open_ledger, sql
from geolab.jobs.record import NOBODY, Record
from geolab.settings import Settings

LEASE_S = 30.0


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    """Where a ledger of each back end in turn will be."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"


@pytest.fixture
def ledger(url) -> Ledger:
    return _open(url)


def _open(url: str) -> Ledger:
    return open_ledger(Settings(Path("/nowhere"), ledger_url=url))


def _run(key: str = "k", **facts) -> Record:
    now = time.time()
    return Record(
        ids.new(), "tiny", key, {"n": 1}, "queued", processes.owner(), now + 30, created=now, **facts
    )


def _waiting(key: str, **facts) -> Record:
    return Record(ids.new(), "tiny", key, created=time.time(), **facts)


def _together(count: int, work: Callable[..., Any], *values: Any) -> list[int]:
    """The exit codes of `count` processes that begin at the same moment."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    workers = [context.Process(target=work, args=(*values, barrier)) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode or 0 for worker in workers]


def test_a_run_comes_back_as_it_was_put(ledger):
    facts = {
        "priority": -2,
        "retries": 3,
        "backoff_s": 0.1,
        "not_before": 1e9 + 1 / 3,
        "memory_mb": 512.5,
        "gpu": 1,
        "pipeline": "p'",
        "slot": "acquire/c 1",
        "cause": "memory",
    }
    run = _run(error="a 'quoted'; DROP TABLE runs --", folder="/x/é", force=True, timeout_s=2.5, **facts)
    assert ledger.enqueue(run) == run
    assert ledger.get(run.id) == run
    done = replace(run, state="succeeded", finished=3.0, parameters={"a": [None, "é:id", "%s"]})
    ledger.put(done)
    assert ledger.get(run.id) == done


def test_text_that_no_database_takes_does_no_harm(ledger):
    run = ledger.enqueue(_run())
    assert ledger.update(run.id, lambda run: replace(run, error="a\0b")) is not None
    assert ledger.get(run.id).error == "ab"
    with pytest.raises(BadInput, match="Unicode"):
        ledger.enqueue(replace(_run("another"), parameters={"a": "\udcff"}))
    assert ledger.get(run.id).key == "k"


def test_one_run_per_key_is_active(ledger):
    first, second, other = _run(), _run(), _run("another")
    assert ledger.enqueue(first).id == first.id
    assert ledger.enqueue(second).id == first.id
    assert ledger.enqueue(other).id == other.id
    ledger.update(first.id, lambda run: replace(run, state="failed"))
    again = ledger.enqueue(second)
    assert (again.id, again.attempt) == (second.id, 2)
    # nor does a change or a rebuilt ledger make a second one
    assert ledger.update(first.id, lambda run: replace(run, state="queued")) is None
    assert ledger.get(first.id).state == "failed"
    with pytest.raises(BadInput, match="a second active run of key k"):
        ledger.put(replace(first, state="running"))
    assert ledger.get(second.id) == again


def test_an_id_is_not_used_twice(ledger):
    run = ledger.enqueue(_run())
    with pytest.raises(BadInput, match="an id of its own"):
        ledger.enqueue(replace(run, key="another"))
    assert ledger.get(run.id) == run


def test_runs_are_listed_newest_first_and_filtered(ledger):
    runs = [_run(str(i), pipeline="p" if i % 2 else "", slot=f"s/{i}") for i in range(5)]
    runs = sorted(
        [replace(run, state=record.STATES[i]) for i, run in enumerate(runs)], key=lambda run: run.id
    )
    for run in runs:
        ledger.put(run)
    assert [run.id for run in ledger.runs()] == [run.id for run in reversed(runs)]
    assert [run.id for run in ledger.runs(limit=2)] == [run.id for run in reversed(runs)][:2]
    assert {run.state for run in ledger.runs(states=("failed", "running"))} == {"failed", "running"}
    assert [run.key for run in ledger.runs(key="3")] == ["3"]
    assert {run.key for run in ledger.runs(pipeline="p")} == {"1", "3"}
    assert [run.key for run in ledger.runs(pipeline="p", slot="s/3")] == ["3"]
    assert ledger.runs(pipeline="p", slot="s/3", states=("queued",)) == []
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


# ---------------------------------------------------------------- claims


def test_the_most_important_and_then_the_oldest_run_is_claimed_first(ledger):
    me = processes.owner()
    first, second, urgent = _waiting("1"), _waiting("2"), _waiting("3", priority=5)
    first, second = sorted((first, second), key=lambda run: run.id, reverse=True)  # its clock is ahead
    for run in (first, urgent, second):
        ledger.enqueue(run)
    before = ledger.now()
    taken = [ledger.claim_next(owner=me, lease_s=LEASE_S) for _ in range(4)]
    assert [run and run.id for run in taken] == [urgent.id, first.id, second.id, None]
    one = ledger.get(urgent.id)
    assert (one.state, one.owner) == ("running", me)
    assert one == taken[0]
    assert one.started is not None
    assert before <= one.started <= ledger.now()
    assert one.lease_until == pytest.approx(one.started + LEASE_S)


def test_what_has_an_owner_is_cancelled_too_early_or_too_big_is_not_next(ledger):
    me = processes.owner()
    ledger.enqueue(_run("owned"))
    later = ledger.enqueue(_waiting("later", not_before=ledger.now() + 3600))
    ledger.enqueue(_waiting("gpu", gpu=2))
    cancelled = ledger.enqueue(_waiting("cancelled"))
    ledger.update(cancelled.id, record.ask_to_cancel)
    assert ledger.claim_next(owner=me, lease_s=LEASE_S, gpus=1) is None
    assert ledger.claim(later.id, owner=me, lease_s=LEASE_S) is None
    assert ledger.claim(cancelled.id, owner=me, lease_s=LEASE_S) is None
    soon = ledger.enqueue(_waiting("soon", not_before=ledger.now() + 0.3))
    while (run := ledger.claim_next(owner=me, lease_s=LEASE_S)) is None:
        time.sleep(0.02)
    assert run.id == soon.id
    assert run.started is not None
    assert run.started >= soon.not_before
    assert (run := ledger.claim_next(owner=me, lease_s=LEASE_S, gpus=2)) is not None
    assert run.key == "gpu"


@pytest.mark.parametrize("state", ["paused", "stopped"])
def test_a_pipeline_that_is_held_gives_no_runs(ledger, state):
    me = processes.owner()
    held, free, alone = (
        ledger.enqueue(_waiting(key, pipeline=key if key != "alone" else "", priority=-i))
        for i, key in enumerate(("held", "free", "alone"))
    )
    ledger.set_control(Control("held", state))
    ledger.set_control(Control("free", "active"))
    assert ledger.claim_next(owner=me, lease_s=LEASE_S, pipeline="held") is None
    assert ledger.claim(held.id, owner=me, lease_s=LEASE_S) is None
    taken = [ledger.claim_next(owner=me, lease_s=LEASE_S) for _ in range(3)]
    assert [run and run.id for run in taken] == [free.id, alone.id, None]
    ledger.set_control(Control("held", "active"))
    assert (run := ledger.claim(held.id, owner=me, lease_s=LEASE_S)) is not None
    assert run.state == "running"
    assert ledger.claim(held.id, owner=me, lease_s=LEASE_S) is None
    with pytest.raises(NotFound):
        ledger.claim("nosuchrun", owner=me, lease_s=LEASE_S)


def test_only_runs_of_one_pipeline_are_claimed_if_asked(ledger):
    me = processes.owner()
    for key in ("a", "b"):
        ledger.enqueue(_waiting(key, pipeline=key))
    assert (run := ledger.claim_next(owner=me, lease_s=LEASE_S, pipeline="b")) is not None
    assert run.key == "b"
    assert ledger.claim_next(owner=me, lease_s=LEASE_S, pipeline="b") is None


def test_a_late_owner_changes_nothing(ledger):
    """Its lease has ended, its run was settled and then taken by another: whatever it does comes too late."""
    late, other = replace(processes.owner(), host="elsewhere"), processes.owner()
    ledger.enqueue(_waiting("k", folder="mine"))
    run = ledger.claim_next(owner=late, lease_s=0.01)
    time.sleep(0.02)
    lost = partial(record.settle, now=ledger.now(), state="lost", folder="f", error="silent")
    assert ledger.update(run.id, lost) is not None
    again = ledger.enqueue(_waiting("k"))
    assert ledger.claim(again.id, owner=other, lease_s=LEASE_S) is not None
    for one in (run.id, again.id):
        before = ledger.get(one)
        assert ledger.renew(one, owner=late, lease_s=LEASE_S) is None
        assert ledger.update(one, partial(record.place, owner=late, folder="x")) is None
        finish = partial(record.finish, owner=late, state="succeeded", now=1.0, folder="x")
        assert ledger.update(one, finish) is None
        assert ledger.update(one, partial(record.give_back, owner=late, started=run.started)) is None
        assert ledger.get(one) == before
    assert ledger.get(run.id).state == "lost"
    assert (renewed := ledger.renew(again.id, owner=other, lease_s=LEASE_S)) is not None
    assert renewed.lease_until > ledger.get(run.id).lease_until + 20


def _claims(url: str, run_id: str, barrier) -> None:
    ledger, me = _open(url), processes.owner()
    barrier.wait()
    got = ledger.claim(run_id, owner=me, lease_s=LEASE_S)
    os._exit(0 if got is None else 1)


def test_of_many_claims_at_once_one_wins(url, ledger):
    run = ledger.enqueue(_run())
    assert sum(_together(6, _claims, url, run.id)) == 1


def _creates(url: str, barrier) -> None:
    barrier.wait()
    _open(url).enqueue(_run(str(os.getpid())))


def test_many_processes_may_make_the_ledger_at_once(url, tmp_path):
    assert _together(8, _creates, url) == [0] * 8
    assert len(_open(url).runs()) == 8
    assert list(tmp_path.rglob(".tmp*")) == []


# ---------------------------------------------------------------- many at once


def _works(url: str, folder: Path, barrier) -> None:
    """Claim and finish until nothing is left; each key is marked while it is worked on."""
    ledger, me = _open(url), processes.owner()
    barrier.wait()
    idle = 0
    while idle < 20:
        run = _patiently(lambda: ledger.claim_next(owner=me, lease_s=LEASE_S))
        if run is None:
            idle += 1
            time.sleep(0.02)
            continue
        idle = 0
        _works_on(ledger, run, folder / run.key)
    os._exit(0)


def _works_on(ledger: Ledger, run: Record, mark: Path) -> None:
    mark.mkdir()  # fails if another works on this key
    assert _patiently(lambda: ledger.renew(run.id, owner=run.owner, lease_s=LEASE_S))
    mark.rmdir()
    if int(run.key) % 5 or run.attempt > 1:
        _end(ledger, run, "succeeded")
    else:
        _end(ledger, run, "failed")
        _patiently(lambda: ledger.enqueue(_waiting(run.key)))


def _end(ledger: Ledger, run: Record, state: str) -> None:
    finish = partial(record.finish, owner=run.owner, state=state, now=1.0, folder="f")
    if _patiently(lambda: ledger.update(run.id, finish)) is None:  # done already, before the server went away
        assert ledger.get(run.id).state == state


def _patiently(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except LedgerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_eight_processes_lose_nothing_and_do_nothing_twice(url, ledger, tmp_path):
    for number in range(100):
        ledger.enqueue(_waiting(str(number)))
    assert _together(8, _works, url, tmp_path) == [0] * 8
    runs = ledger.runs()
    assert sorted(run.key for run in runs if run.state == "succeeded") == sorted(map(str, range(100)))
    failed = [run for run in runs if run.state != "succeeded"]
    assert sorted(int(run.key) for run in failed) == list(range(0, 100, 5))
    assert {run.state for run in failed} == {"failed"}


def _writes_for_ever(url: str) -> None:
    ledger, me = _open(url), processes.owner()
    while True:
        ledger.enqueue(_waiting(f"{random.random()}"))
        run = ledger.claim_next(owner=me, lease_s=LEASE_S)
        if run:
            ledger.renew(run.id, owner=me, lease_s=LEASE_S)
            ledger.update(
                run.id, partial(record.finish, owner=me, state="succeeded", now=1.0, folder="f" * 3000)
            )


def test_a_writer_that_is_killed_leaves_a_sound_ledger(url, ledger):
    context = multiprocessing.get_context("fork")
    for number in range(12):
        writers = [context.Process(target=_writes_for_ever, args=(url,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(0.15 + 0.02 * number)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        began = time.monotonic()
        mine = ledger.enqueue(_waiting(f"mine {number}", priority=9))
        assert (run := ledger.claim_next(owner=processes.owner(), lease_s=LEASE_S)) is not None
        assert run.id == mine.id
        assert time.monotonic() - began < 10  # no lock outlives its holder
    runs = ledger.runs()
    assert len(runs) > 24
    for run in runs:
        assert (run.state == "succeeded") == (run.folder != "")
        assert (run.state == "queued") == (run.owner == NOBODY)


# ---------------------------------------------------------------- pipelines


def test_the_newest_run_of_every_slot_and_all_that_was(ledger, monkeypatch):
    monkeypatch.setattr(sql, "PAGE", 3)
    slots = ["b/2021", "B/2021", "a b/é", "a/1", "a-b/1", "a/10", "a/2", "a/%"]
    expected, past = {}, []
    for attempt in range(3):
        for slot in slots[: 8 - 2 * attempt]:
            run = replace(_waiting(f"{slot} {attempt}", pipeline="p", slot=slot), state="failed")
            run = replace(run, cause="kernel died", started=1.0 if attempt else None)
            ledger.put(run)
            expected[slot] = run
            past.append((slot, run.key, "failed", "kernel died", run.id))
    ledger.put(replace(_waiting("other", pipeline="q", slot="a/1"), state="failed"))
    ledger.put(replace(_waiting("none"), state="failed"))
    assert list(ledger.newest("p")) == [expected[slot] for slot in sorted(slots)]
    assert list(ledger.history("p")) == past
    assert ledger.executions("p") == 10
    for unknown in ("nosuch", ""):
        assert list(ledger.newest(unknown)) == list(ledger.history(unknown)) == []
        assert ledger.executions(unknown) == 0


def test_what_the_ledger_heard_of_last_is_newest_whatever_the_clocks_say(ledger):
    late, early = sorted(
        (_waiting("k", pipeline="p", slot="s"), _waiting("k", pipeline="p", slot="s")),
        key=lambda run: run.id,
        reverse=True,
    )
    ledger.enqueue(late)  # from a machine whose clock is ahead
    ledger.update(late.id, lambda run: replace(run, state="failed"))
    ledger.enqueue(early)
    assert [run.id for run in ledger.newest("p")] == [early.id]
    assert [one[4] for one in ledger.history("p")] == [late.id, early.id]
    assert [run.id for run in ledger.runs(key="k")] == [early.id, late.id]
    ledger.put(replace(late, state="failed", error="told again"))
    assert [run.id for run in ledger.newest("p")] == [early.id]


def test_what_may_be_abandoned_is_found_among_many_that_wait(ledger):
    waiting = ledger.enqueue(_waiting("waits"))
    cancelled = ledger.enqueue(_waiting("cancelled"))
    ledger.update(cancelled.id, record.ask_to_cancel)
    owned, done = ledger.enqueue(_run("owned")), replace(_run("done"), state="failed")
    ledger.put(done)
    ledger.enqueue(_waiting("running", priority=1))
    running = ledger.claim_next(owner=processes.owner(), lease_s=LEASE_S)
    assert {run.id for run in ledger.held()} == {cancelled.id, owned.id, running.id}
    assert ledger.active() == {waiting.id, cancelled.id, owned.id, running.id}


def test_what_is_known_of_a_pipeline_comes_back_as_it_was_put(ledger):
    assert ledger.control("p") is None
    one = Control(
        "p", "paused", "/a/b.yaml", {"years": [2021, None]}, "tcp://x", "http://y", processes.owner(), 2.5
    )
    ledger.set_control(one)
    assert ledger.control("p") == one
    ledger.set_control(replace(one, state="active"))
    ledger.set_control(Control("a"))
    assert ledger.controls() == [Control("a"), replace(one, state="active")]
    assert ledger.change_control("p", lambda found: None) is None
    assert ledger.change_control("new", lambda found: found or Control("new", beat=1.0)) == Control(
        "new", beat=1.0
    )


def _beats(url: str, barrier) -> None:
    ledger = _open(url)
    barrier.wait()
    for _ in range(25):
        ledger.change_control(
            "p", lambda found: replace(found or Control("p"), beat=(found.beat if found else 0) + 1)
        )
    os._exit(0)


def test_changes_of_a_pipeline_are_not_lost(url, ledger):
    assert _together(6, _beats, url) == [0] * 6
    assert ledger.control("p").beat == 150


# ---------------------------------------------------------------- connections


def test_a_ledger_may_be_used_by_many_threads_and_after_a_fork(url, ledger):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda number: ledger.enqueue(_waiting(str(number))), range(60)))
    child = os.fork()
    if child == 0:
        try:
            assert len(ledger.runs()) == 60
            ledger.claim(runs[0].id, owner=processes.owner(), lease_s=LEASE_S)
            os._exit(0)
        finally:
            os._exit(1)
    ledger.claim(runs[1].id, owner=processes.owner(), lease_s=LEASE_S)
    assert os.waitpid(child, 0)[1] == 0
    assert len(ledger.runs(states=("running",))) == 2


def test_the_same_ledger_is_opened_once(url, ledger):
    assert _open(url) is ledger
    for number in range(12):
        _open(url.replace("deep", f"deep{number}"))
    assert _open(url).runs() == []


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


def test_an_end_that_is_told_twice_is_true_twice():
    me = processes.owner()
    running = record.claim(_run(), owner=me, lease_until=9.0, now=1.0)
    end = partial(record.finish, owner=me, state="failed", folder="x", error="e", cause="memory")
    ended = end(running, now=2.0)
    assert end(ended, now=3.0) == ended
    assert record.finish(ended, owner=me, state="succeeded", now=3.0, folder="x") is None
    assert end(replace(ended, owner=replace(me, pid=1)), now=3.0) is None
    assert end(replace(ended, finished=10.0), now=11.0) is None  # settled by another, after the lease


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


def test_a_run_that_waits_for_anyone_is_never_abandoned_unless_it_is_cancelled():
    run = _waiting("k")
    assert not record.abandoned(run, 1e12)
    assert record.settle(run, now=1e12, state="lost", folder="", error="") is None
    cancelled = record.ask_to_cancel(run)
    assert cancelled is not None
    assert record.abandoned(cancelled, 0.0)
    assert record.claim(cancelled, owner=processes.owner(), lease_until=1.0, now=0.0) is None


def test_the_wait_between_attempts_doubles_up_to_ten_minutes():
    run = _waiting("k", backoff_s=10.0)
    assert [record.backoff(run, failures) for failures in (1, 2, 3, 7, 5000)] == [10, 20, 40, 600, 600]
    assert record.backoff(replace(run, backoff_s=0), 3) == 0


def test_ids_are_unique_and_sort_by_time():
    made = []
    for _ in range(50):
        made.append(ids.new())
        time.sleep(0.002)
    assert made == sorted(set(made))
    assert all(ids.PATTERN.fullmatch(one) for one in made)
