"""What is particular to the ledger in a file: older ones, damage, full disks, a file that is removed."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from geolab.errors import BadInput, LedgerError
from geolab.jobs import ids, processes, record
from geolab.jobs.ledger import Control, SqliteLedger, open_ledger
from geolab.jobs.record import Record
from geolab.settings import Settings

FIRST_VERSION = """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, notebook TEXT NOT NULL, key TEXT NOT NULL, parameters TEXT NOT NULL,
        state TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, pid_started TEXT NOT NULL,
        lease_until REAL NOT NULL, attempt INTEGER NOT NULL, cancel INTEGER NOT NULL, created REAL NOT NULL,
        started REAL, finished REAL, folder TEXT NOT NULL, error TEXT NOT NULL,
        force INTEGER NOT NULL, timeout_s REAL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX one_active_run_per_key ON runs (key) WHERE state IN ('queued', 'running');
    CREATE INDEX runs_by_key ON runs (key);
    CREATE INDEX runs_by_state ON runs (state);
    INSERT INTO runs VALUES ('1m7xxaq7p14nxr', 'old', 'k', '{"n": 1}', 'succeeded', 'node', 7, 'boot 9', 5.5,
        2, 0, 1.5, 2.5, 3.5, '/f', '', 1, NULL);
    PRAGMA user_version = 1;
"""
OLD = Record(
    "1m7xxaq7p14nxr",
    "old",
    "k",
    {"n": 1},
    "succeeded",
    processes.Owner("node", 7, "boot 9"),
    5.5,
    attempt=2,
    created=1.5,
    started=2.5,
    finished=3.5,
    folder="/f",
    force=True,
)


def _old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(FIRST_VERSION)


def _waiting(key: str, **facts) -> Record:
    return Record(ids.new(), "tiny", key, created=time.time(), **facts)


# ---------------------------------------------------------------- versions


def test_an_older_ledger_is_brought_up_in_place(tmp_path):
    path = tmp_path / "ledger.db"
    _old(path)
    ledger = SqliteLedger(path)
    assert ledger.runs() == [OLD]
    again = ledger.enqueue(_waiting("k", pipeline="p", slot="s/1", priority=3))
    assert again.attempt == 2
    ledger.set_control(Control("p"))
    assert ledger.claim_next(owner=processes.owner(), lease_s=30) is not None
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        new = SqliteLedger(tmp_path / "new.db")
        with closing(sqlite3.connect(new.path)) as made:
            assert _shape(db) == _shape(made)  # an old one lacks nothing that a new one has


def _shape(db: sqlite3.Connection) -> tuple[set[str], set[tuple[str, ...]]]:
    indices = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    columns = {
        row[1:3] for table in ("runs", "pipelines") for row in db.execute(f"PRAGMA table_info({table})")
    }
    return indices, {(name, kind.replace("REAL", "DOUBLE PRECISION")) for name, kind in columns}


def _opens(path: Path, barrier) -> None:
    barrier.wait()
    SqliteLedger(path).enqueue(_waiting(str(os.getpid())))
    os._exit(0)


def test_many_processes_may_bring_it_up_at_once(tmp_path):
    path = tmp_path / "ledger.db"
    for _ in range(5):
        path.unlink(missing_ok=True)
        _old(path)
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(8)
        workers = [context.Process(target=_opens, args=(path, barrier)) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 8
        assert len(SqliteLedger(path).runs()) == 9


def test_an_older_ledger_stays_as_it_is_where_bringing_it_up_fails(tmp_path):
    path = tmp_path / "ledger.db"
    _old(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE pipelines (x)")  # the last of the steps can't be made
    with pytest.raises(LedgerError, match="pipelines"):
        SqliteLedger(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert len(db.execute("PRAGMA table_info(runs)").fetchall()) == 18


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteLedger(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(BadInput, match=r"version 99.*expected version 2; update geolab"):
        SqliteLedger(path)


# ---------------------------------------------------------------- a file that is not as it should be


def test_what_is_no_ledger_is_refused_in_one_line(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerError, match="not a sound SQLite file") as caught:
        SqliteLedger(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_ledger_that_was_removed_does_not_come_back_empty(tmp_path):
    settings = Settings(tmp_path, ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger = open_ledger(settings)
    run = ledger.enqueue(_waiting("k"))
    (tmp_path / "ledger.db").unlink()
    for ask in (lambda: ledger.get(run.id), lambda: ledger.enqueue(run), ledger.runs):
        with pytest.raises(LedgerError, match="can't be opened or written"):
            ask()
    assert not (tmp_path / "ledger.db").exists()
    assert open_ledger(settings).runs() == []  # but a new one may be made, without the pages of the old
    assert ledger.runs() == []
    open_ledger(settings).enqueue(_waiting("j"))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_log_that_a_killed_process_left_of_a_removed_ledger_is_not_replayed(tmp_path):
    path = tmp_path / "ledger.db"
    child = os.fork()
    if child == 0:
        ledger = SqliteLedger(path)
        for number in range(50):
            ledger.enqueue(_waiting(str(number)))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert path.with_name("ledger.db-wal").exists()
    path.unlink()
    assert SqliteLedger(path).runs() == []


def test_the_log_that_a_killed_process_left_is_read(tmp_path):
    path = tmp_path / "ledger.db"
    child = os.fork()
    if child == 0:
        ledger = SqliteLedger(path)
        for number in range(50):
            ledger.enqueue(_waiting(str(number)))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert len(SqliteLedger(path).runs()) == 50


# ---------------------------------------------------------------- disks


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 400 kB; skips aloud where it can't be made."""
    yield from _disk(tmp_path / "disk", "size=400k")


def _disk(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip("a small disk can be mounted by root only; to run this test: sudo .venv/bin/pytest")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_line_and_the_ledger_stays_true(small_disk):
    ledger = SqliteLedger(small_disk / "ledger.db")
    first = ledger.enqueue(_waiting("first"))
    done = []
    with pytest.raises(LedgerError) as caught:
        for number in range(10_000):
            run = replace(_waiting(str(number), folder="x" * 500), state="succeeded")
            ledger.put(run)
            done.append(run.id)
    assert "full" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {run.id for run in ledger.runs()} == {first.id, *done}  # reading goes on
    with pytest.raises(LedgerError):
        ledger.update(first.id, lambda run: replace(run, folder="y" * 100_000))
    assert ledger.get(first.id) == first
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    claimed = ledger.claim(first.id, owner=processes.owner(), lease_s=30)  # and writing, once there is space
    assert claimed is not None
    assert ledger.get(first.id) == claimed


def test_no_ledger_is_made_on_a_full_disk(small_disk):
    (small_disk / "rest").write_bytes(b"x" * 380 * 1024)
    with pytest.raises(LedgerError) as caught:
        SqliteLedger(small_disk / "deep" / "ledger.db")
    assert "\n" not in str(caught.value)
    assert not (small_disk / "deep" / "ledger.db").exists()
    (small_disk / "rest").unlink()
    assert SqliteLedger(small_disk / "deep" / "ledger.db").runs() == []


def test_a_read_only_workspace_is_one_line(small_disk):
    path = small_disk / "ledger.db"
    run = SqliteLedger(path).enqueue(_waiting("k"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(LedgerError, match="check the folder's permissions") as caught:
        SqliteLedger(path).update(run.id, record.ask_to_cancel)
    assert "\n" not in str(caught.value)
    with pytest.raises(LedgerError, match="can't be made or written"):
        SqliteLedger(small_disk / "new" / "ledger.db")


def test_a_workspace_where_a_file_stands_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="can't be made or written"):
        SqliteLedger(tmp_path / "file" / "ledger.db")


# ---------------------------------------------------------------- size


def test_a_claim_is_quick_behind_many_runs_that_may_not_start(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.set_control(Control("held", "paused"))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        ledger.enqueue(_waiting("model", pipeline="held", priority=1, folder="x" * 300))
        columns = [row[1] for row in db.execute("PRAGMA table_info(runs)")][3:]
        db.execute(
            f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO runs (id, notebook, key, {", ".join(columns)})
            SELECT 'z' || i, 'tiny', 'many' || i, {", ".join(columns)} FROM n, runs WHERE key = 'model'"""
        )
    me = processes.owner()
    free = ledger.enqueue(_waiting("free"))
    began = time.process_time()
    ledger.runs(states=("queued",))
    all_read = time.process_time() - began
    assert (run := ledger.claim_next(owner=me, lease_s=30)) is not None
    assert time.process_time() - began - all_read < all_read / 2
    assert run.id == free.id
