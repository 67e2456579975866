"""The board: which state every node is in, what can run now, and what it takes.

Runs are real records and real published folders here, but made by hand: tests of the driver make
them with kernels.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from geolab.errors import BadInput
from geolab.jobs import ids
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.record import NOBODY, Record
from geolab.jobs.submission import enqueue, key_of
from geolab.pipeline import resolve, spec
from geolab.pipeline.board import MOST_INTERRUPTIONS, Board
from geolab.pipeline.model import Pipeline
from geolab.pipeline.nodes import find
from geolab.settings import Settings

FILE = """
name: small
parameters: {kind: x}
axes: {cell: [a, b], year: {years: 2021-2023}}
stages:
  draw:
    notebook: draw.ipynb
    each: [cell, year]
    parameters: {cell: "${cell}", year: "${year}", kind: "${kind}"}
    retries: 1
  change:
    notebook: change.ipynb
    each: [cell, year]
    needs: {before: "draw[cell, year-1]", after: "draw[cell, year]"}
    parameters: {before: "${before.scene}", after: "${after.facts.scene}"}
  total: {notebook: total.ipynb, needs: {all: "change[*, *]"}, parameters: {changes: "${all.mask}"}}
"""


def _notebook(path: Path, parameters: str, code: str = "pass") -> None:
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(code)]
    nbformat.write(new_notebook(cells=cells), path)


@dataclass
class World:
    """A pipeline with a workspace, and runs made by hand."""

    folder: Path
    settings: Settings
    ledger: Ledger
    pipeline: Pipeline
    results: dict[str, Any]

    def board(self, **more: bool) -> Board:
        made = Board(self.pipeline, self.settings, self.ledger, **more)
        made.refresh()
        return made

    def key(self, board: Board, slot: str) -> str:
        node = find(self.pipeline, slot)
        assert node is not None
        return resolve.key(node, board.resolve(node), self.settings)

    def run(
        self, board: Board, slot: str, state: str = "succeeded", cause: str = "", key: str = ""
    ) -> Record:
        """A run of the node with its present key, ended in this state (or not yet)."""
        node = find(self.pipeline, slot)
        assert node is not None
        key, notebook = key or self.key(board, slot), node.stage.notebook.stem
        new = Record(ids.new(), notebook, key, pipeline="small", slot=slot, created=1.0)
        self.ledger.enqueue(new)
        if state == "queued":
            return new
        folder = self.settings.runs / notebook / key[:16]
        if state == "succeeded":
            self.publish(folder, key, new.id)
        return self.end(new, state, cause, folder)

    def end(self, run: Record, state: str, cause: str = "", folder: Path = Path()) -> Record:
        def change(found: Record) -> Record:
            return replace(
                found, state=state, cause=cause, started=2.0, finished=3.0, folder=str(folder),
                error=f"it is {state}\nbelow" if state != "succeeded" else "",
            )  # fmt: skip

        changed = self.ledger.update(run.id, change)
        assert changed is not None
        return changed

    def publish(self, folder: Path, key: str, run_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"key": key, "run_id": run_id, "results": self.results})
        (folder / "report.json").write_text(text)

    def finish(self, *slots: str) -> None:
        for slot in slots:
            self.run(self.board(), slot)

    def finish_all(self) -> None:
        while ready := [node.slot for node in self.board().ready()]:
            self.finish(*ready)


@pytest.fixture
def world(tmp_path: Path, workspace: Settings) -> World:
    folder = tmp_path / "p"
    folder.mkdir()
    _notebook(folder / "draw.ipynb", 'cell: str = "a"  # id\nyear: int = 1  # when\nkind: str = "x"  # what')
    _notebook(folder / "change.ipynb", 'before: str = ""  # scene\nafter: str = ""  # scene')
    _notebook(folder / "total.ipynb", "changes: list = []  # masks")
    (folder / "p.yaml").write_text(FILE)
    results = {"scene": "s.tif", "facts": {"scene": "s2.tif"}, "mask": "m.tif"}
    pipeline = spec.load(folder / "p.yaml", settings=workspace)
    return World(folder, workspace, open_ledger(workspace), pipeline, results)


def states(board: Board) -> dict[str, str]:
    return {f"{row.stage}/{row.cell}".rstrip("/"): row.state for row in board.rows()}


def ready(board: Board) -> list[str]:
    return [node.slot for node in board.ready()]


DRAWS = [f"draw/{cell}/{year}" for cell in "ab" for year in (2021, 2022, 2023)]
CHANGES = [f"change/{cell}/{year}" for cell in "ab" for year in (2022, 2023)]


def test_at_first_what_needs_nothing_is_ready_and_the_rest_waits(world):
    board = world.board()
    assert board.counts() == {"ready": 6, "waiting": 5}
    assert ready(board) == DRAWS
    assert board.executions == 0
    assert {(row.run_id, row.attempts, row.error) for row in board.rows()} == {("", 0, "")}


def test_what_is_done_makes_ready_what_needs_it_and_gives_its_results(world):
    first = world.board()
    world.finish("draw/a/2021", "draw/a/2022")
    first.refresh()
    for board in (first, world.board()):
        assert board.counts() == {"ready": 5, "succeeded": 2, "waiting": 4}
        assert ready(board) == ["draw/a/2023", "draw/b/2021", "draw/b/2022", "draw/b/2023", "change/a/2022"]
        node = find(world.pipeline, "change/a/2022")
        resolved = board.resolve(node)
        assert resolved.values == {"before": "s.tif", "after": "s2.tif"}
        assert list(resolved.needs) == [world.key(board, f"draw/a/{year}") for year in (2021, 2022)]
    world.finish_all()
    last = world.board()
    assert (last.counts(), last.executions, ready(last)) == ({"succeeded": 11}, 11, [])
    assert last.resolve(find(world.pipeline, "total")).values == {"changes": ["m.tif"] * 4}
    assert all(row.run_id and row.attempts == 1 for row in last.rows())


def test_the_key_is_that_of_the_run_that_is_asked_for(world):
    world.finish("draw/a/2021", "draw/a/2022")
    board = world.board()
    node = find(world.pipeline, "change/a/2022")
    resolved = board.resolve(node)
    asked = enqueue(
        node.stage.notebook, resolved.values, settings=world.settings, needs=resolved.needs,
        pipeline="small", slot=node.slot,
    )  # fmt: skip
    run = world.ledger.get(asked.run_id)
    assert run.key == world.key(board, node.slot)
    assert (
        run.key
        == key_of(node.stage.notebook, resolved.values, settings=world.settings, needs=resolved.needs)[0]
    )
    assert run.key != key_of(node.stage.notebook, resolved.values, settings=world.settings)[0]
    board.refresh()
    assert states(board)[node.slot] == "queued"
    assert board.counts()["queued"] == 1


def test_a_failed_run_is_tried_as_often_as_the_stage_says_then_blocks_what_hangs_on_it(world):
    board = world.board()
    world.run(board, "draw/a/2022", "failed")
    board.refresh()
    assert states(board)["draw/a/2022"] == "ready"  # retries: 1
    last = world.run(board, "draw/a/2022", "failed", "time-out")
    board.refresh()
    for one in (board, world.board(), world.board(keep_outdated=True)):
        assert one.counts() == {"ready": 5, "failed": 1, "blocked": 3, "waiting": 2}
        assert states(one)["change/b/2022"] == "waiting"
        assert {slot for slot, state in states(one).items() if state == "blocked"} == {
            "change/a/2022", "change/a/2023", "total",
        }  # fmt: skip
        assert "draw/a/2022" not in ready(one)
        row = one.failures(5)[0]
        assert (row.run_id, row.attempts, row.error) == (last.id, 2, "it is failed")
        assert row in list(one.rows())


def test_retrying_takes_up_what_failed_before_and_nothing_that_fails_since(world):
    for _ in range(2):
        world.run(world.board(), "draw/a/2022", "failed")
    world.finish(*(slot for slot in DRAWS if slot != "draw/a/2022"))
    board = world.board(retry_failed=True, keep_outdated=True)
    assert ready(board)[0] == "draw/a/2022"
    assert states(board)["draw/a/2022"] == "ready"
    assert states(board)["change/a/2022"] == "waiting"
    world.run(board, "draw/a/2022", "failed")
    board.refresh()
    assert states(board)["draw/a/2022"] == "failed"
    assert states(board)["total"] == "blocked"


def test_a_failed_run_whose_notebook_was_mended_is_other_work(world):
    for _ in range(2):
        world.run(world.board(), "draw/a/2022", "failed")
    assert states(world.board())["draw/a/2022"] == "failed"
    _notebook(world.folder / "draw.ipynb", 'cell: str = "a"\nyear: int = 1\nkind: str = "x"', "mended = 1")
    assert states(world.board())["draw/a/2022"] == "ready"


@pytest.mark.parametrize("state, cause", [("lost", ""), ("failed", "kernel died")])
def test_an_interruption_does_not_count_as_a_failure_but_five_in_a_row_end_it(world, state, cause):
    world.run(world.board(), "draw/a/2022", "failed")
    for _ in range(MOST_INTERRUPTIONS - 1):
        world.run(world.board(), "draw/a/2022", state, cause)
    board = world.board()
    assert states(board)["draw/a/2022"] == "lost"
    assert "draw/a/2022" in ready(board)
    world.run(board, "draw/a/2022", state, cause)
    assert states(world.board())["draw/a/2022"] == "failed"
    assert states(world.board(retry_failed=True))["draw/a/2022"] == "lost"
    world.run(board, "draw/a/2022")
    assert states(world.board())["draw/a/2022"] == "succeeded"


def test_what_was_cancelled_is_done_again_by_the_next_driver_only(world):
    board = world.board()
    world.run(board, "draw/a/2022", "cancelled")
    board.refresh()
    assert states(board)["draw/a/2022"] == "cancelled"
    assert states(board)["total"] == "blocked"
    assert "draw/a/2022" not in ready(board)
    later = world.board()
    assert states(later)["draw/a/2022"] == "cancelled"
    assert states(later)["total"] == "waiting"
    assert "draw/a/2022" in ready(later)


def test_finished_work_whose_notebook_changed_is_outdated_and_may_be_kept(world):
    world.finish_all()
    _notebook(world.folder / "draw.ipynb", 'cell: str = "a"\nyear: int = 1\nkind: str = "x"', "changed = 1")
    plain, keeping = world.board(), world.board(keep_outdated=True)
    assert plain.counts() == {"outdated": 11}
    assert ready(plain) == DRAWS
    assert (keeping.counts(), ready(keeping)) == ({"succeeded": 11}, [])
    old = find(world.pipeline, "change/a/2022")
    assert keeping.resolve(old).needs == tuple(
        world.ledger.runs(slot=f"draw/a/{year}")[0].key for year in (2021, 2022)
    )
    world.finish("draw/a/2021", "draw/a/2022")
    plain.refresh()
    assert plain.counts() == {"succeeded": 2, "outdated": 9}
    assert ready(plain) == [
        *(slot for slot in DRAWS if slot not in ("draw/a/2021", "draw/a/2022")),
        "change/a/2022",
    ]


def test_what_took_from_a_run_that_was_done_anew_is_outdated_at_the_next_look(world):
    world.finish_all()
    board = world.board()
    _notebook(world.folder / "draw.ipynb", 'cell: str = "a"\nyear: int = 1\nkind: str = "x"', "changed = 1")
    world.run(world.board(), "draw/a/2021")  # begun and ended between two looks
    board.refresh()
    found = states(board)
    assert found["draw/a/2021"] == "succeeded"
    assert [slot for slot, state in found.items() if state == "outdated"] == ["change/a/2022", "total"]


def test_other_parameters_make_other_work_and_old_ones_find_their_results_again(world):
    world.finish_all()
    other = spec.load(world.folder / "p.yaml", {"kind": "y"}, world.settings)
    changed = Board(other, world.settings, world.ledger)
    changed.refresh()
    assert changed.counts() == {"outdated": 11}
    assert world.board().counts() == {"succeeded": 11}


def test_a_wider_matrix_goes_on_where_the_narrow_one_ended(world):
    world.finish_all()
    (world.folder / "p.yaml").write_text(
        FILE.replace("2021-2023", "2020-2024").replace("[a, b]", "[c, b, a]")
    )
    wide = Board(spec.load(world.folder / "p.yaml"), world.settings, world.ledger)
    wide.refresh()
    assert wide.counts() == {"succeeded": 10, "ready": 9, "waiting": 8, "outdated": 1}
    assert wide.executions == 11


def test_results_are_found_by_their_folders_when_the_ledger_is_lost_or_another_did_the_work(world):
    world.finish_all()
    for run in world.ledger.runs():
        world.ledger.put(replace(run, pipeline="", slot=""))
    board = world.board()
    assert (board.counts(), ready(board)) == ({"succeeded": 11}, [])
    assert {row.run_id for row in board.rows()} == {run.id for run in world.ledger.runs()}
    world.settings.ledger_path.unlink()
    fresh = Board(world.pipeline, world.settings, open_ledger(world.settings))
    fresh.refresh()
    assert (fresh.counts(), fresh.executions) == ({"succeeded": 11}, 0)


def test_a_folder_that_was_removed_is_made_again(world):
    world.finish_all()
    run = world.ledger.runs(slot="draw/a/2022")[0]
    shutil.rmtree(run.folder)
    board = world.board()
    assert ready(board) == ["draw/a/2022"]
    assert states(board)["change/a/2022"] == "outdated"
    world.finish("draw/a/2022")
    assert world.board().counts() == {"succeeded": 11}


FORGED = {
    "nothing": b"",
    "half": b'{"key": "',
    "no object": b"[]",
    "deep": b"[" * 100_000,
    "binary": b"\xff\x00\xfe",
    "another key": b'{"key": "00", "run_id": "x", "results": {}}',
    "no results": None,
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED.keys())
def test_a_forged_or_damaged_report_is_no_result(world, content):
    world.finish("draw/a/2021", "draw/a/2022")
    board = world.board()
    run = world.ledger.runs(slot="draw/a/2022")[0]
    forged = json.dumps({"key": run.key, "run_id": run.id, "results": [1]}).encode()
    (Path(run.folder) / "report.json").write_bytes(forged if content is None else content)
    again = world.board()
    assert states(again)["draw/a/2022"] == "ready"
    assert states(again)["change/a/2022"] == "waiting"
    with pytest.raises(BadInput, match=r"report of draw/a/2022: found a damaged file, .*remove /"):
        board.resolve(find(world.pipeline, "change/a/2022"))


def test_a_result_that_is_missing_fails_what_asks_for_it_and_only_that(world):
    world.results = {"facts": {"scene": "s2.tif"}, "mask": "m.tif"}
    world.finish(*DRAWS[:3])
    board = world.board()
    assert {s for s, state in states(board).items() if state == "failed"} == {
        "change/a/2022",
        "change/a/2023",
    }
    assert states(board)["total"] == "blocked"
    error = board.failures(1)[0].error
    assert error == "no result of draw/a/2021 'scene'; known: facts, mask"
    assert "change/a/2022" not in ready(board)


def test_a_value_that_the_notebook_refuses_is_told(world):
    world.results = {"scene": 5, "facts": {"scene": ["a list"]}}
    world.finish("draw/a/2021", "draw/a/2022")
    row = next(row for row in world.board().rows() if row.state == "failed")
    assert (row.stage, row.cell, row.attempts) == ("change", "a/2022", 0)
    assert row.error == "after: found ['a list'], expected a text"


def test_forged_records_do_no_harm(world):
    world.finish("draw/a/2021")
    for number, slot in enumerate(["draw/a/2022", "draw/zz/1", "nothing", "", "draw/a/2022/x", "é/\x1b"]):
        for key in ("", "xyz", "0" * 63, "ß" * 64):
            record = Record(f"{number:014}", "draw", key, state="failed", pipeline="small", slot=slot)
            world.ledger.put(replace(record, id=ids.new(), error="\x1b[31m<script>"))
    board = world.board()
    assert board.counts() == {"succeeded": 1, "ready": 5, "waiting": 5}


def test_a_run_that_could_not_be_asked_for_shows_why(world):
    """The driver writes such a run down under a key that is none."""
    world.results = {"scene": 5, "facts": {"scene": ["a list"]}}
    world.finish("draw/a/2021", "draw/a/2022")
    refused = Record(ids.new(), "change", "refused change/a/2022", state="failed", pipeline="small")
    world.ledger.put(replace(refused, slot="change/a/2022", error="no"))
    board = world.board()
    assert states(board)["change/a/2022"] == "failed"
    assert "change/a/2022" not in ready(board)
    world.results = {"scene": "s.tif", "facts": {"scene": "s2.tif"}}
    for slot in ("draw/a/2021", "draw/a/2022"):
        run = world.ledger.runs(slot=slot)[0]
        world.publish(Path(run.folder), run.key, run.id)
    mended = world.board()
    assert states(mended)["change/a/2022"] == "ready"


def test_two_nodes_with_the_same_work_share_its_run(tmp_path, workspace):
    """A sweep over a value that the notebook does not take."""
    _notebook(tmp_path / "n.ipynb", "n: int = 1")
    (tmp_path / "p.yaml").write_text("name: p\naxes: {x: [1, 2]}\nstages: {s: {notebook: n.ipynb, each: x}}")
    pipeline, ledger = spec.load(tmp_path / "p.yaml"), open_ledger(workspace)
    board = Board(pipeline, workspace, ledger)
    board.refresh()
    nodes = list(board.ready())
    asked = [
        enqueue(n.stage.notebook, board.resolve(n).values, settings=workspace, pipeline="p", slot=n.slot)
        for n in nodes
    ]
    assert asked[0].run_id == asked[1].run_id
    run = ledger.get(asked[0].run_id)
    world = World(tmp_path, workspace, ledger, pipeline, {})
    folder = workspace.runs / "n" / run.key[:16]
    world.publish(folder, run.key, run.id)
    world.end(run, "succeeded", folder=folder)
    board.refresh()
    assert board.counts() == {"succeeded": 2}
    assert {row.run_id for row in board.rows()} == {run.id}


ENDS = [("succeeded", ""), ("failed", ""), ("failed", "kernel died"), ("lost", ""), ("cancelled", "")]


def test_a_board_kept_up_with_changes_is_that_of_a_fresh_look(world):
    """Random lives of runs, seen as they happen by one board, and afterwards by others."""
    chance = random.Random(5)
    watching = world.board()
    active: list[Record] = []
    for _ in range(80):
        if active and chance.random() < 0.55:
            run = active.pop(chance.randrange(len(active)))
            state, cause = chance.choices(ENDS, weights=[8, 2, 2, 2, 1])[0]
            folder = world.settings.runs / run.notebook / run.key[:16]
            if state == "succeeded":
                world.publish(folder, run.key, run.id)
            world.end(run, state, cause, folder)
        else:
            slots = [slot for slot in ready(watching) if slot not in {run.slot for run in active}]
            if slots:
                active.append(world.run(watching, chance.choice(slots), "queued"))
        watching.refresh()
        fresh = world.board()
        one, two = states(watching), states(fresh)
        gone = {"blocked": "waiting"}  # cancelled in its time, which a fresh board forgives
        if "cancelled" in one.values():
            assert {s: gone.get(v, v) for s, v in one.items()} == {s: gone.get(v, v) for s, v in two.items()}
        else:
            assert one == two
        assert [(r.stage, r.cell, r.run_id, r.attempts) for r in watching.rows()] == [
            (r.stage, r.cell, r.run_id, r.attempts) for r in fresh.rows()
        ]
    tally = Counter(state for _, _, state, _, _ in world.ledger.history("small"))
    assert len(tally) == 4


def test_a_full_look_from_time_to_time_changes_nothing(world, monkeypatch):
    world.finish(*DRAWS[:4])
    board = world.board()
    before = list(board.rows())
    queued = world.run(board, "draw/b/2022", "queued")
    board.refresh()
    board._full_at = -1e9
    board.refresh()
    assert states(board)["draw/b/2022"] == "queued"
    world.end(queued, "cancelled")
    board._full_at = -1e9
    board.refresh()
    assert states(board)["draw/b/2022"] == "cancelled"
    assert "draw/b/2022" not in ready(board)
    assert [row for row in board.rows() if row.state == "succeeded"] == [
        r for r in before if r.state == "succeeded"
    ]


def test_a_waiting_run_is_queued_and_an_owned_one_runs(world):
    board = world.board()
    run = world.run(board, "draw/a/2021", "queued")
    assert run.owner == NOBODY
    board.refresh()
    assert next(row for row in board.rows() if row.state == "queued").attempts == 0
    world.ledger.claim(run.id, owner=replace(NOBODY, pid=1), lease_s=60)
    board.refresh()
    row = next(row for row in board.rows() if row.state == "running")
    assert (row.run_id, row.attempts) == (run.id, 1)
    assert board.executions == 1
    assert np.count_nonzero([s == "running" for s in states(board).values()]) == 1
