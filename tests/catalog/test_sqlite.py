"""What is particular to the SQLite file: processes, crashes, foreign and damaged files."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from geolab.catalog import Catalog, Search, file, open_catalog
from geolab.errors import BadInput, CatalogError
from geolab.settings import Settings

from .conftest import make_item

PROGRAM = """
import sys
from geolab import catalog, settings
from geolab.catalog import Search
c = catalog.open_catalog(settings.load())
me = int(sys.argv[1])

def item(item_id, **properties):
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": item_id, "collection": "c",
        "geometry": {"type": "Point", "coordinates": [me, 1]},
        "properties": {"datetime": "2024-01-01T00:00:00Z", **properties}, "links": [], "assets": {},
    }
"""

WORKER = (
    PROGRAM
    + """
def count(found):
    found = found or item("shared", sources=[], n=0)
    found["properties"]["n"] += 1
    found["properties"]["sources"] = sorted({*found["properties"]["sources"], f"{me}-{turn}"})
    return found

print("ready", flush=True)
sys.stdin.readline()
for turn in range(25):
    c.put([item(f"own-{me}-{turn}", turn=turn), item("same", turn=turn)])
    c.update("shared", "c", count)
    c.update(f"own-{me}-{turn}", "c", lambda found: {**found, "properties": {**found["properties"], "m": me}})
    if turn % 5 == 4:
        c.delete(f"own-{me}-{turn}", "c")
    c.search(Search(bbox=(me, 0, me, 2)))
"""
)

ENDLESS = (
    PROGRAM
    + """
print("ready", flush=True)
turn = 0
while True:
    c.put([item(f"batch-{turn}-{n}", turn=turn, pad="x" * 500) for n in range(50)])
    c.update("counter", "c", lambda found: item("counter", turn=turn))
    turn += 1
"""
)


def start(program: str, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, str(number)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


@pytest.mark.slow
def test_eight_processes_writing_at_once_lose_nothing(workspace: Settings) -> None:
    workers = [start(WORKER, number) for number in range(8)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    catalog = open_catalog(workspace)
    shared = catalog.get("shared")["properties"]
    assert shared["n"] == 8 * 25
    assert shared["sources"] == sorted(f"{me}-{turn}" for me in range(8) for turn in range(25))
    own = catalog.search(Search(filter="id like 'own-%'", limit=1000)).items
    expected = {(f"own-{me}-{turn}", me, turn) for me in range(8) for turn in range(25) if turn % 5 != 4}
    assert {(i["id"], i["properties"]["m"], i["properties"]["turn"]) for i in own} == expected
    assert catalog.get("same")["properties"]["turn"] == 24
    sound(workspace.catalog_path)


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_batches(workspace: Settings) -> None:
    for pause in (0.0, 0.03, 0.1, 0.25):
        writer = start(ENDLESS, 1)
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        catalog = open_catalog(workspace)
        found = catalog.search(Search(filter="id like 'batch-%'", limit=10_000))
        assert found.matched % 50 == 0
        catalog.put([make_item()])
        assert catalog.get("a1") == make_item()
        catalog.close()
        if workspace.catalog_path.exists():
            sound(workspace.catalog_path)


def sound(path: Path) -> None:
    """Nothing of the file is damaged, and the R*Tree holds what the items say."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT rtreecheck('boxes')").fetchall() == [("ok",)]
    boxed = connection.execute("SELECT DISTINCT id / 2 FROM boxes ORDER BY 1").fetchall()
    placed = connection.execute("SELECT key FROM items WHERE shape IS NOT NULL ORDER BY 1").fetchall()
    assert boxed == placed
    connection.close()


def test_threads_share_one_catalogue(workspace: Settings) -> None:
    catalog = open_catalog(workspace)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                catalog.put([make_item(f"{number}-{turn}")])
                assert catalog.search(Search(bbox=(6, 50, 7, 51), limit=1)).items
                catalog.update(
                    "sum", "c", lambda i: make_item("sum", n=(i["properties"]["n"] if i else 0) + 1)
                )
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert catalog.search(Search()).matched == 121
    assert catalog.get("sum")["properties"]["n"] == 120
    catalog.close()


def test_a_forked_process_opens_the_file_anew(workspace: Settings) -> None:
    catalog = open_catalog(workspace)
    catalog.put([make_item("parent")])
    child = os.fork()
    if child == 0:
        try:
            catalog.put([make_item("child")])
            os._exit(0 if catalog.search(Search()).matched == 2 else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert catalog.search(Search()).matched == 2
    catalog.close()
    sound(workspace.catalog_path)


def test_a_file_that_is_removed_or_replaced_is_not_served_from_memory(workspace: Settings) -> None:
    catalog = open_catalog(workspace)
    catalog.put([make_item("before")])
    for path in workspace.home.iterdir():
        path.unlink()
    assert catalog.search(Search()).matched == 0
    catalog.put([make_item("after")])
    with open_catalog(workspace) as other:
        assert [item["id"] for item in other.search(Search()).items] == ["after"]
    catalog.close()


def test_writing_within_an_update_is_refused_at_once(workspace: Settings) -> None:
    catalog = open_catalog(workspace)

    def both(item: object) -> None:
        catalog.put([make_item("inner")])

    with pytest.raises(RuntimeError, match="must not write"):
        catalog.update("a1", "c", both)
    catalog.put([make_item()])
    assert catalog.search(Search()).matched == 1
    catalog.close()


def test_a_name_that_is_no_text_is_refused(workspace: Settings) -> None:
    with open_catalog(workspace) as catalog:
        catalog.put([make_item()])
        for read in (
            lambda: catalog.get("\udcff"),
            lambda: catalog.delete("\udcff", "c"),
            lambda: catalog.search(Search(filter="name = '\udcff'")),
        ):
            with pytest.raises(BadInput):
                read()
        assert catalog.search(Search(ids=["\udcff"])).matched == 0


def refusal(catalog: Catalog) -> str:
    """The one line with which both reading and writing are refused."""
    with pytest.raises(CatalogError) as reading:
        catalog.search(Search())
    with pytest.raises(CatalogError) as writing:
        catalog.put([make_item()])
    assert "\n" not in str(reading.value)
    assert str(reading.value) == str(writing.value)
    return str(reading.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(workspace: Settings) -> None:
    workspace.home.mkdir()
    text = b"these are holiday notes, not a database\n" * 100
    workspace.catalog_path.write_bytes(text)
    assert "not a sound SQLite file" in refusal(open_catalog(workspace))
    assert workspace.catalog_path.read_bytes() == text


def test_a_damaged_file_is_refused_in_one_line(workspace: Settings) -> None:
    with open_catalog(workspace) as catalog:
        catalog.put(make_item(f"i{n}", pad="x" * 300) for n in range(300))
    data = bytearray(workspace.catalog_path.read_bytes())
    data[2000:-100] = b"\xff" * (len(data) - 2100)
    workspace.catalog_path.write_bytes(data)
    with pytest.raises(CatalogError, match="not a sound SQLite file"):
        open_catalog(workspace).search(Search(bbox=(0, 0, 60, 60)))


def test_another_programs_database_is_refused(workspace: Settings) -> None:
    workspace.home.mkdir()
    connection = sqlite3.connect(workspace.catalog_path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    assert "another program's SQLite file" in refusal(open_catalog(workspace))


def test_a_newer_catalogue_is_refused_in_words(workspace: Settings) -> None:
    with open_catalog(workspace) as catalog:
        catalog.put([make_item()])
    connection = sqlite3.connect(workspace.catalog_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    words = refusal(open_catalog(workspace))
    assert "version 99 of the catalogue, but this geolab knows version 1; update geolab" in words


def test_a_file_that_was_only_begun_is_an_empty_catalogue(workspace: Settings) -> None:
    workspace.home.mkdir()
    workspace.catalog_path.touch()
    catalog = open_catalog(workspace)
    assert catalog.search(Search()).items == []
    catalog.put([make_item()])
    assert catalog.get("a1") == make_item()
    catalog.close()


class Overtaken(sqlite3.Connection):
    """A connection after whose n-th statement another one makes the file a catalogue."""

    statements = 0
    creates_after = 0

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        cursor = super().execute(sql, *values)
        self.statements += 1
        if self.statements == self.creates_after:
            path = Path(super().execute("PRAGMA database_list").fetchone()[2])
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                file.create_tables(other)
                other.execute("COMMIT")
        return cursor


@pytest.mark.parametrize("moment", range(4))
def test_a_catalogue_that_is_created_while_it_is_looked_at_is_no_other_version(
    tmp_path: Path, moment: int
) -> None:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as first:
        first.execute("PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None, factory=Overtaken)) as connection:
        connection.creates_after = moment
        assert file.version(connection, path) in (0, file.VERSION)


CREATOR = PROGRAM + "print('ready', flush=True); sys.stdin.readline(); c.put([item(f'a{me}')])"
READER = PROGRAM + "print('ready', flush=True); sys.stdin.readline(); [c.search(Search()) for _ in 'x' * 99]"


@pytest.mark.slow
def test_processes_that_create_and_read_a_catalogue_at_once_all_succeed(workspace: Settings) -> None:
    for _ in range(5):
        shutil.rmtree(workspace.home, ignore_errors=True)
        processes = [start(READER if n % 2 else CREATOR, n) for n in range(4)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        with open_catalog(workspace) as catalog:
            assert catalog.search(Search()).matched == 2


def test_a_folder_in_place_of_the_file_is_refused(workspace: Settings) -> None:
    workspace.catalog_path.mkdir(parents=True)
    assert "can't be opened" in refusal(open_catalog(workspace))


def test_a_file_where_the_workspace_should_be_is_refused(workspace: Settings) -> None:
    workspace.home.write_text("not a folder")
    with pytest.raises(CatalogError, match="can't be opened"):
        open_catalog(workspace).put([make_item()])


def test_what_a_filter_raises_is_not_hidden_by_sqlite(
    workspace: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shapely

    catalog = open_catalog(workspace)
    catalog.put([make_item()])

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shapely, "from_wkb", broken)
    with pytest.raises(KeyboardInterrupt):
        catalog.search(Search(bbox=(6, 50.2, 7, 50.8)))
    monkeypatch.undo()
    assert catalog.search(Search(bbox=(6, 50.2, 7, 50.8))).matched == 1
    catalog.close()


def test_a_search_goes_on_while_another_process_writes(workspace: Settings) -> None:
    reader, writer = open_catalog(workspace), open_catalog(workspace)
    writer.put([make_item()])

    def look(item: object) -> None:
        assert reader.search(Search()).matched == 1

    writer.update("a1", "c", look)
    reader.close()
    writer.close()


def test_bad_input_in_an_update_keeps_the_catalogue_open(workspace: Settings) -> None:
    catalog = open_catalog(workspace)
    with pytest.raises(BadInput):
        catalog.update("a1", "c", lambda _: make_item(datetime="never"))
    assert not workspace.catalog_path.exists() or catalog.search(Search()).matched == 0
    catalog.put([make_item()])
    catalog.close()
