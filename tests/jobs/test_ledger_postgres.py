"""What is particular to the ledger on a server: its clock, its absence, its password, cut-off clients."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from geolab.errors import BadInput, GeolabError, LedgerError, SettingsError
from geolab.jobs import ids, processes, record
from geolab.jobs.ledger import Ledger, open_ledger, postgres
from geolab.jobs.ledger.postgres import PostgresLedger
from geolab.jobs.record import Record
from geolab.settings import Settings

SECRET = "s3cret-of-the-tests"


@pytest.fixture
def ledger(postgres_url) -> PostgresLedger:
    return PostgresLedger(postgres_url)


def _waiting(key: str, **facts) -> Record:
    return Record(ids.new(), "tiny", key, created=time.time(), **facts)


def _execute(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as db:
        cursor = db.execute(statement)  # pyright: ignore
        return cursor.fetchall() if cursor.description else []


# ---------------------------------------------------------------- what it holds


def test_leases_are_counted_by_the_server_s_clock(ledger, monkeypatch):
    ledger.enqueue(_waiting("k"))
    true = ledger.now()
    monkeypatch.setattr(time, "time", lambda: true - 1e6)  # this machine's clock is wrong
    run = ledger.claim_next(owner=processes.owner(), lease_s=30)
    assert run.started == pytest.approx(true, abs=5)
    assert run.lease_until == pytest.approx(true + 30, abs=5)
    assert ledger.renew(run.id, owner=run.owner, lease_s=60).lease_until == pytest.approx(true + 60, abs=5)


def test_tables_of_a_newer_geolab_are_refused(postgres_url, ledger):
    _execute(postgres_url, "UPDATE geolab.version SET number = 99")
    with pytest.raises(BadInput, match=r"version 99.*expected version 2; update geolab") as caught:
        PostgresLedger(postgres_url)
    assert SECRET not in str(caught.value)


def test_the_ledger_lies_in_a_schema_of_its_own(postgres_url, ledger):
    _execute(postgres_url, "CREATE TABLE public.runs (other INTEGER)")
    ledger.enqueue(_waiting("k"))
    assert _execute(postgres_url, "SELECT count(*) FROM public.runs") == [(0,)]
    assert _execute(postgres_url, "SELECT count(*) FROM geolab.runs") == [(1,)]


def test_text_has_one_order_whatever_the_language_of_the_database(postgres_url, ledger):
    for slot in ("a-b", "a b", "aa", "B", "é"):
        ledger.put(_waiting(slot, pipeline="p", slot=slot))
    found = [run.slot for run in ledger.newest("p")]
    assert found == sorted(found)
    columns = _execute(
        postgres_url,
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'geolab'"
        " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'",
    )
    assert columns == [(0,)]


def test_it_works_on_a_socket_too(postgres):
    ledger = PostgresLedger(postgres.url(postgres.new(), socket=True))
    assert ledger.enqueue(_waiting("k")).attempt == 1


# ---------------------------------------------------------------- passwords


def test_a_password_is_shown_nowhere(postgres, postgres_url):
    wrong = {
        "password": postgres_url.replace(SECRET, "wrong-" + SECRET),
        "database": postgres_url + "-nosuch",
        "port": postgres_url.replace(f":{postgres.port}/", f":{_closed_port()}/"),
        "escape": postgres_url.replace(SECRET, SECRET + "%zz"),
        "option": postgres_url + "?nosuch=1&password=" + SECRET,
        "slash": postgres_url.replace(SECRET, SECRET + "/x@y"),
    }
    for what, url in wrong.items():
        with pytest.raises((LedgerError, SettingsError)) as caught:
            PostgresLedger(url)
        error: BaseException | None = caught.value
        assert "\n" not in str(error), what
        assert "geolab:***@" in str(error), what
        assert ("with %-escapes" in str(error)) == (what in ("escape", "option", "slash")), what
        while error:
            assert SECRET not in str(error) + repr(error), what
            error = error.__cause__
    ledger = PostgresLedger(postgres_url)
    settings = Settings(Path("/nowhere"), ledger_url=postgres_url)
    assert SECRET not in repr(ledger) + repr(settings) + str(settings)
    with pytest.raises(SettingsError) as refused:
        _ = settings.ledger_path
    assert SECRET not in str(refused.value)


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# ---------------------------------------------------------------- a server that goes away


@pytest.fixture
def own_server(postgres) -> Iterator[Any]:
    """A server for one test alone, which may stop and start it."""
    server = type(postgres)()
    yield server
    server.remove()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_away_is_one_line_and_its_return_is_noticed(own_server, how):
    ledger = PostgresLedger(own_server.url(own_server.new()))
    run = ledger.enqueue(_waiting("k"))
    own_server.stop(how)
    began = time.monotonic()
    for ask in (ledger.now, lambda: ledger.update(run.id, record.ask_to_cancel), ledger.runs):
        with pytest.raises(LedgerError, match="the server can't be reached") as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)
    assert time.monotonic() - began < 20
    own_server.start()
    assert ledger.get(run.id) == run
    own_server.stop(how)
    own_server.start()
    # a connection that was kept is dead, which the next call must not even notice
    assert ledger.update(run.id, record.ask_to_cancel) is not None
    own_server.stop(how)
    own_server.start()
    assert ledger.get(run.id).cancel


def _works(url: str, folder: Path) -> None:
    """Claim and finish until all is done, through every loss of the server."""
    ledger: Ledger = _patiently(lambda: open_ledger(Settings(Path("/nowhere"), ledger_url=url)))
    me = processes.owner()
    while _patiently(lambda: ledger.runs(states=record.ACTIVE, limit=1)):
        run = _patiently(lambda: ledger.claim_next(owner=me, lease_s=600))
        if run is not None:
            _finishes(ledger, run, folder)
    os._exit(0)


def _finishes(ledger: Ledger, run: Record, folder: Path) -> None:
    (folder / run.key).touch(exist_ok=False)  # fails if it was done before
    finish = partial(record.finish, owner=run.owner, state="succeeded", now=1.0, folder="f")
    if _patiently(lambda: ledger.update(run.id, finish)) is None:
        assert ledger.get(run.id).state == "succeeded"


def _patiently(ask: Any) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except LedgerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_a_server_that_is_restarted_in_the_middle_loses_nothing(own_server, tmp_path):
    url = own_server.url(own_server.new())
    ledger = PostgresLedger(url)
    for number in range(600):
        ledger.enqueue(_waiting(str(number)))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_works, args=(url, tmp_path)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number, how in enumerate((signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT)):
        while len(list(tmp_path.iterdir())) < 20 + 50 * number:
            time.sleep(0.01)
        own_server.stop(how)
        own_server.start()
    assert ledger.runs(states=("queued",), limit=1), "it was over too early: nothing was tested"
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(ledger.runs(states=("succeeded",))) == 600
    assert len(list(tmp_path.iterdir())) == 600


def test_a_claim_whose_answer_was_lost_is_given_back(ledger, monkeypatch):
    """The server commits, but the answer does not arrive: nobody would work on that run."""
    lost = ledger.enqueue(_waiting("lost"))
    execute = psycopg.Connection.execute

    def cut(db: Any, query: Any, *values: Any) -> Any:
        found = execute(db, query, *values)
        if query == "COMMIT":
            db.close()
            raise psycopg.OperationalError("the connection was cut")
        return found

    monkeypatch.setattr(psycopg.Connection, "execute", cut)
    with pytest.raises(LedgerError, match="the connection was cut"):
        ledger.claim_next(owner=processes.owner(), lease_s=600)
    monkeypatch.undo()
    assert ledger.get(lost.id).state == "running"
    run = ledger.claim_next(owner=processes.owner(), lease_s=600)
    assert run is not None
    assert run.id == lost.id
    assert ledger.claim_next(owner=processes.owner(), lease_s=600) is None


# ---------------------------------------------------------------- clients that are cut off


def test_a_client_that_stops_in_the_middle_holds_nobody_for_long(postgres_url, monkeypatch):
    monkeypatch.setattr(
        postgres,
        "_SESSION",
        postgres._SESSION.replace(
            "transaction_session_timeout = '30s'", "transaction_session_timeout = '500ms'"
        ),
    )
    slow = PostgresLedger(postgres_url)
    monkeypatch.undo()
    run = slow.enqueue(_waiting("k"))
    began, ended, caught = threading.Event(), threading.Event(), []

    def sleeps(found: Record) -> Record:
        began.set()
        ended.wait(60)
        return Record(**{**vars(found), "folder": "late"})

    def late() -> None:
        try:
            slow.update(run.id, sleeps)
        except GeolabError as error:
            caught.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    began.wait()
    other = PostgresLedger(postgres_url)
    assert (
        other.claim_next(owner=processes.owner(), lease_s=30) is None
    )  # locked: passed over, not waited for
    try:  # a lock that is held for longer than 20 s is a LedgerError
        assert other.update(run.id, record.ask_to_cancel) is not None
    finally:
        ended.set()
        thread.join()
    assert isinstance(caught[0], LedgerError)
    assert (other.get(run.id).folder, other.get(run.id).cancel) == ("", True)


def test_runs_that_others_claim_at_this_moment_are_passed_over(ledger):
    first, second = sorted((_waiting("1"), _waiting("2")), key=lambda run: run.id)
    for run in (first, second):
        ledger.enqueue(run)
    taken = []

    def meanwhile(found: Record) -> None:
        taken.append(ledger.claim_next(owner=processes.owner(), lease_s=30))

    ledger.update(first.id, meanwhile)
    assert [run.id for run in taken] == [second.id]


def test_connections_are_kept_but_few(postgres_url, ledger):
    for _ in range(20):
        ledger.now()
    mine = "application_name = 'geolab' AND datname = current_database()"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {mine}"
    assert _execute(postgres_url, query) == [(1,)]
    ledger.close()
    deadline = time.monotonic() + 5
    while _execute(postgres_url, query) != [(0,)]:
        assert time.monotonic() < deadline
    assert ledger.runs() == []


def test_a_workspace_on_sqlite_does_not_load_psycopg(tmp_path):
    code = (
        "import sys; from geolab import settings; from geolab.jobs.ledger import open_ledger;"
        f"open_ledger(settings.load({str(tmp_path)!r})).runs(); sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_keeps_it_away_is_said_in_words():
    with pytest.raises(LedgerError, match=r"server can't be reached \(.*No such file"):
        PostgresLedger("postgresql://u:secret@/db?host=/nosuch")
