"""Operations per second of the ledger with many processes, beside what its back end can do at best.

python bench/ledger.py [--processes 8] [--seconds 5]

One operation is one transaction: enqueue, claim, renew or finish of a run, equally many of each. The bounds:
the same number of processes that change one small row each and do nothing else, through the same library;
and how often this disk can be told to keep what was written.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from geolab.jobs import ids, processes, record
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.processes import Owner
from geolab.jobs.record import Record
from geolab.settings import Settings


def cycle(ledger: Ledger, me: Owner, number: int) -> int:
    """The operations done: one run from its queue to its end."""
    new = Record(
        ids.new(), "tiny", f"{me.pid} {number}", {"n": number}, pipeline="p", slot=f"{me.pid}/{number}"
    )
    ledger.enqueue(new)
    run = ledger.claim_next(owner=me, lease_s=30)
    if run is None:
        return 2
    ledger.renew(run.id, owner=me, lease_s=30)
    ledger.update(run.id, partial(record.finish, owner=me, state="succeeded", now=1.0, folder="f"))
    return 4


def through_ledger(url: str) -> Callable[[int], int]:
    return partial(cycle, open_ledger(Settings(Path("/nowhere"), ledger_url=url)), processes.owner())


def bare_sqlite(path: str) -> Callable[[int], int]:
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("PRAGMA synchronous = NORMAL")

    def change(number: int) -> int:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE bare SET value = ? WHERE id = ?", (number, os.getpid() % 8))
        db.execute("COMMIT")
        return 1

    return change


def bare_postgres(url: str) -> Callable[[int], int]:
    db = psycopg.connect(url, autocommit=True)

    def change(number: int) -> int:
        db.execute("UPDATE bare SET value = %s WHERE id = %s", (number, os.getpid() % 8))
        return 1

    return change


def sync(path: str) -> Callable[[int], int]:
    """Append a block as a log does, and wait until the disk has it."""
    handle = os.open(f"{path}.{os.getpid()}", os.O_CREAT | os.O_WRONLY)

    def write(number: int) -> int:
        os.pwrite(handle, b"x" * 8192, number % 2000 * 8192)
        os.fdatasync(handle)
        return 1

    return write


def work(
    open_: Callable[[str], Callable[[int], int]], where: str, seconds: float, barrier: Any, done: Any
) -> None:
    step = open_(where)
    barrier.wait()
    count, number, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        count, number = count + step(number), number + 1
    done.put(count)


def rate(open_: Callable[[str], Callable[[int], int]], where: str, count: int, seconds: float) -> float:
    """Steps per second of that many processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, done = context.Barrier(count), context.Queue()
    workers = [
        context.Process(target=work, args=(open_, where, seconds, barrier, done)) for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    total = sum(done.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total / seconds


def server() -> Any:
    """A PostgreSQL server as the tests start it, but one that waits for the disk."""
    path = Path(__file__).parents[1] / "tests" / "postgres.py"
    spec = importlib.util.spec_from_file_location("geolab_tests_postgres", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Server(durable=True) if module.installed() else print(module.REMEDY)


def rows() -> str:
    return "CREATE TABLE bare (id INTEGER PRIMARY KEY, value INTEGER);" + "".join(
        f"INSERT INTO bare VALUES ({number}, 0);" for number in range(8)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    measure = partial(rate, count=given.processes, seconds=given.seconds)
    print(f"{given.processes} processes, {os.cpu_count()} cores, {given.seconds:g} s each")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        with sqlite3.connect(f"{folder}/bare.db") as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(rows())
        db.close()
        sync_rate = rate(sync, f"{folder}/block", 1, given.seconds)
        print(f"disk: {sync_rate:,.0f} fdatasync/s of one process")
        bound = measure(bare_sqlite, f"{folder}/bare.db")
        ours = measure(through_ledger, f"sqlite:///{folder}/ledger.db")
        one = rate(through_ledger, f"sqlite:///{folder}/one.db", 1, given.seconds)
        report("SQLite", ours, bound, one)
    started = server()
    if started is None:
        return
    try:
        url = started.url(started.new())
        with psycopg.connect(url) as db:
            db.execute(rows())  # pyright: ignore
        bound = measure(bare_postgres, url)
        ours = measure(through_ledger, url)
        one = rate(through_ledger, started.url(started.new()), 1, given.seconds)
        report("PostgreSQL", ours, bound, one)
    finally:
        started.remove()


def report(name: str, ours: float, bound: float, one: float) -> None:
    print(
        f"{name}: {ours:,.0f} operations/s ({ours / 4:,.0f} runs/s), {ours / bound:.2f} of the bare rows' "
        f"{bound:,.0f}/s; one process alone {one:,.0f}/s"
    )


if __name__ == "__main__":
    main()
