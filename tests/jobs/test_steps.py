"""Steps: what was done is found again, exactly, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from geolab import jobs
from geolab.errors import BadInput, GeolabError, NotFound
from geolab.jobs import events, progress, stepfiles

KEY = "0" * 64


@pytest.fixture
def attempt(workspace, tmp_path) -> Callable[..., jobs.Run]:
    """A function that gives a new attempt at the same work: another folder, the same checkpoints."""
    numbers: Iterator[int] = iter(range(1, 99))

    def begin(key: str = KEY) -> jobs.Run:
        number = next(numbers)
        folder = tmp_path / f"attempt-{number}"
        folder.mkdir()
        return jobs.Run(folder, workspace, "steps", {}, f"1m7xxaq7p14nx{number}", key, number)

    return begin


def _do(run: jobs.Run, name: str = "a", depends=None, **outputs) -> jobs.Run:
    with run.step(name, depends=depends) as step:
        if step.due:
            step.keep(**outputs)
    return run


def _states(run: jobs.Run) -> list[str]:
    return [e["state"] for e in events.read(run.folder) if e["event"] == "step"]


def test_a_step_is_done_once_and_found_by_the_next_attempt(attempt, capsys):
    done = []
    for run in (attempt(), attempt()):
        with run.step("first") as step:
            if step.due:
                done.append(run.id)
                step.keep(answer=42, text="tëxt", nothing=None)
        assert (step["answer"], step["text"], step["nothing"]) == (42, "tëxt", None)
    assert len(done) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("step first: done in 0.")
    assert second.startswith("step first: found, done 20")
    assert second.endswith(" s by attempt 1")


def test_events_tell_of_steps(attempt):
    first, second = _do(attempt()), _do(attempt())
    assert _states(first) == ["running", "done"]
    assert _states(second) == ["found"]


def test_the_step_in_progress_is_what_a_run_is_doing(attempt):
    run = attempt()
    events.append(run.folder, "cell", number=3, done=1, total=4)
    with run.step("composite") as step:
        assert progress.of(run.folder) == progress.Progress(0.25, "step composite")
        assert step.due
    assert progress.of(run.folder) == progress.Progress(0.25, "cell 3")


def test_a_step_that_failed_is_due_again(attempt):
    run = attempt()
    with pytest.raises(ZeroDivisionError), run.step("first") as step:
        step.keep(a=1) if step.due else None
        1 / 0  # noqa: B018
    assert _states(run) == ["running", "failed"]
    with pytest.raises(BadInput, match=r"step first: found keep\(\) of a step that is failed"):
        step.keep(b=2)
    with attempt().step("first") as step:
        assert step.due


# ---------------------------------------------------------------- what decides


@pytest.mark.parametrize(
    "before, after",
    [
        ({"ids": ["a", "b"]}, {"ids": ["b", "a"]}),
        ({"n": 1}, {"n": 2}),
        ({"n": 1}, {"n": 1.0}),
        ({"n": 1}, {"n": True}),
        ({"n": 1}, {"m": 1}),
        (np.arange(3), np.arange(3.0)),
        (np.arange(3), np.arange(1, 4)),
        ({"a": {"b": [1, None]}}, {"a": {"b": [1, "None"]}}),
    ],
)
def test_a_step_with_other_inputs_is_done_again(attempt, before, after, capsys):
    _do(attempt(), depends=before)
    assert _states(_do(attempt(), depends=before)) == ["found"]
    assert _states(_do(attempt(), depends=after))[-1] == "done"
    assert "its inputs have changed (" in capsys.readouterr().out
    assert _states(_do(attempt(), depends=after)) == ["found"]


def test_other_code_or_parameters_are_other_work(attempt):
    _do(attempt())
    assert _states(_do(attempt("1" * 64)))[-1] == "done"
    assert _states(_do(attempt(KEY[:16] + "1" * 48)))[-1] == "done"  # the same folder of checkpoints


def test_files_are_inputs_by_their_content(attempt, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"1")
    _do(attempt(), depends=folder)
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    assert _states(_do(attempt(), depends=folder)) == ["found"]
    (folder / "a.bin").write_bytes(b"2")
    assert _states(_do(attempt(), depends=folder))[-1] == "done"
    (folder / "b.bin").write_bytes(b"")
    assert _states(_do(attempt(), depends=folder))[-1] == "done"
    assert _states(_do(attempt(), depends=[folder / "a.bin"]))[-1] == "done"
    with pytest.raises(BadInput, match=r"step a, depends file: found .*gone, which is not there"):
        _do(attempt(), depends={"file": tmp_path / "gone"})


def _three(run: jobs.Run, *, of_first: int, of_second: int = 0, value: int = 0) -> list[str]:
    """Three steps: the second depends on the first, the third says nothing, the fourth on a value."""
    with run.step("first", depends={"n": of_first}) as first:
        first.keep(value=value) if first.due else None
    with run.step("second", depends={"first": first, "n": of_second}) as second:
        second.keep(value=value) if second.due else None
    _do(run, "third")
    _do(run, "fourth", depends=0)
    return [e["state"] for e in events.read(run.folder) if e["event"] == "step" and e["state"] != "running"]


def test_what_depends_on_a_step_is_done_again_with_it_and_no_more(attempt):
    _three(attempt(), of_first=1)
    assert _three(attempt(), of_first=1) == ["found"] * 4
    again = _three(attempt(), of_first=1, of_second=1)
    assert [s for s in again if s in ("done", "found")] == ["found", "done", "done", "found"]
    again = _three(attempt(), of_first=2, of_second=1)
    assert [s for s in again if s in ("done", "found")] == ["done", "done", "done", "found"]


def test_the_order_of_steps_decides(attempt, capsys):
    run = attempt()
    _do(_do(run, "a", 0), "b", 0)
    run = attempt()
    _do(_do(run, "b", 0), "a", 0)
    assert "found" not in _states(run)
    assert "step b: it has another place among the steps: done again" in capsys.readouterr().out


# ---------------------------------------------------------------- damage


def _stored(run: jobs.Run) -> list[Path]:
    return sorted(p for p in run.checkpoints().rglob("*") if p.is_file())


def _steps(run: jobs.Run) -> None:
    with run.step("a") as step:
        if step.due:
            run.path("out/a.txt").write_text("a")
            step.keep(array=np.arange(5), path=run.path("out/a.txt"))
    assert np.array_equal(step["array"], np.arange(5))
    assert step["path"].read_text() == "a"


def test_any_damaged_byte_of_any_file_is_noticed(attempt, capsys):
    _steps(attempt())
    count = len(_stored(attempt()))
    assert count == 3
    for number in range(count):
        path = _stored(attempt())[number]
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        run = attempt()
        _steps(run)
        assert _states(run)[-1] == "done"
        assert "damaged" in capsys.readouterr().out
        _steps(run := attempt())
        assert _states(run) == ["found"]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_file_that_is_cut_off_gone_or_too_many_is_noticed(attempt, part):
    for harm in (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
        lambda path: (path.parent / "more").write_bytes(b"") if path.suffix != ".json" else path.unlink(),
    ):
        _steps(attempt())
        harm(_stored(attempt())[part])
        run = attempt()
        _steps(run)
        assert _states(run)[-1] == "done"


def test_a_manifest_that_tells_another_number_is_noticed(attempt, capsys):
    run = _do(attempt(), n=12345678)
    path = run.checkpoints() / "steps" / "a.json"
    path.write_text(path.read_text().replace("12345678", "12345679"))
    assert _states(_do(attempt(), n=12345678))[-1] == "done"
    assert "step a: its manifest is damaged: done again" in capsys.readouterr().out


def test_what_a_killed_attempt_was_storing_is_removed(attempt):
    run = attempt()
    _do(run, value=1)
    half = run.checkpoints() / "steps" / "b-1m7xxaq7p14nxr"
    half.mkdir()
    (half / "half.npy").write_bytes(b"x")
    assert _states(_do(attempt())) == ["found"]
    assert not half.exists()


# ---------------------------------------------------------------- the run's folder


def test_what_a_step_left_in_the_runs_folder_is_there_again(attempt):
    def work(run: jobs.Run) -> None:
        run.path("before.txt").write_text("before")
        run.path("gone.txt").write_text("gone")
        with run.step("a") as step:
            if step.due:
                run.path("maps/mask.tif").write_bytes(b"mask")
                run.path("before.txt").write_text("changed")
                run.path("gone.txt").unlink()
                run.path("empty/x").parent.mkdir(exist_ok=True)
                run.path("tool.sh").write_text("echo")
                run.path("tool.sh").chmod(0o755)
                run.metric("loss", 0.5, step=3)
                run.log("not repeated")
        run.path("after.txt").write_text("after")

    folders = []
    for run in (attempt(), attempt(), attempt()):
        work(run)
        own = (events.FILE,)
        folders.append({
            str(p.relative_to(run.folder)): (p.read_bytes(), p.stat().st_mode) if p.is_file() else None
            for p in run.folder.rglob("*") if p.name not in own
        })  # fmt: skip
        found = [e for e in events.read(run.folder) if e["event"] == "metric"]
        assert [(e["name"], e["value"], e["step"]) for e in found] == [("loss", 0.5, 3)]
    assert _states(run) == ["found"]
    assert folders[0] == folders[1] == folders[2]
    assert folders[0].keys() == {"maps", "maps/mask.tif", "before.txt", "empty", "tool.sh", "after.txt"}


def test_steps_that_write_one_file_in_turn_leave_its_last_state(attempt):
    def work(run: jobs.Run) -> None:
        for number in range(5):  # faster than the clock of the file system: same size, maybe same time
            with run.step(f"s{number}") as step:
                if step.due:
                    run.path("n.txt").write_text(str(number))
            assert run.path("n.txt").read_text() == str(number)

    work(attempt())
    work(run := attempt())
    assert _states(run) == ["found"] * 5


def test_a_file_that_may_have_been_written_twice_within_one_tick_counts_as_changed():
    same = {"young": (1, 1_000_000_000, 7), "old": (1, 900_000_000, 8), "folder": ()}
    assert stepfiles.changed(same, same, began_ns=1_000_000_000 + stepfiles.RACY_NS) == {"young"}


def test_files_of_the_runner_are_no_outputs(attempt):
    run = attempt()
    with run.step("a") as step:
        if step.due:
            for name in ("log.txt", "notebook.ipynb", "run.json", "results.json"):
                (run.folder / name).write_text("the first")
    run = attempt()
    (run.folder / "log.txt").write_text("the second")
    _do(run)
    assert (run.folder / "log.txt").read_text() == "the second"
    assert not (run.folder / "results.json").exists()


def test_a_link_in_an_output_is_refused_and_nothing_is_kept(attempt, tmp_path):
    run = attempt()
    with pytest.raises(BadInput, match=r"a step's files: found x, a link"), run.step("a") as step:
        if step.due:
            run.path("x").symlink_to(tmp_path)
    assert _states(run)[-1] == "failed"
    assert _stored(run) == []


# ---------------------------------------------------------------- words


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\nb", "ä", "x" * 101, "a:b", None, " a"])
def test_names_that_could_be_paths_are_refused(attempt, name):
    with pytest.raises(BadInput, match=r"step: found .* expected 1 to 100 letters"):
        attempt().step(name)


def test_mistakes_are_told_in_one_line(attempt):
    run = attempt()
    step = run.step("a")
    with pytest.raises(BadInput, match=r"step a: found step.due of a step that was not entered"):
        _ = step.due
    with pytest.raises(BadInput, match=r"step a: found keep\(\) of a step that was not entered"):
        step.keep(x=1)
    with step:
        with pytest.raises(BadInput, match=r"step a: found keep\(\) without a look at step.due"):
            step.keep(x=1)
        assert step.due
        step.keep(x=1)
        with pytest.raises(BadInput, match=r"step a, x: found a second value"):
            step.keep(x=2)
        with pytest.raises(BadInput, match=r"step b: found a step inside step a"), run.step("b"):
            pass
        with pytest.raises(BadInput, match=r"jobs.report: found a call inside step a, expected one after it"):
            _report(run)
    with pytest.raises(BadInput, match=r"step a: found keep\(\) of a step that is done"):
        step.keep(y=1)
    with pytest.raises(BadInput, match=r"step a: found a step that was entered before"), step:
        pass
    with pytest.raises(BadInput, match=r"step a: found a second step of that name"):
        run.step("a")
    with pytest.raises(NotFound, match=r"no output of step a 'X'; known: x"):
        step["X"]
    with pytest.raises(BadInput, match=r"step c: found a step that is new, as an input"):
        _do(run, "d", depends=run.step("c"))


def _report(run: jobs.Run) -> None:
    from geolab.jobs import session

    session._current, before = run, session._current
    try:
        jobs.report(n=1)
    finally:
        session._current = before


def test_a_path_among_checkpoints_is_no_result(attempt, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"x")
    run = attempt()
    with run.step("a") as step:
        step.keep(file=tmp_path / "x.bin") if step.due else None
    assert step["file"].read_bytes() == b"x"
    from geolab.jobs import session

    plain = session.plain_value("files", {"list": [step["file"]]}, run.folder)
    with pytest.raises(BadInput, match=r"removed when the run has succeeded.*run.path"):
        session._refuse_checkpoints(plain, run)


# ---------------------------------------------------------------- without a runner


def test_without_a_runner_every_step_is_done_and_may_be_repeated_cell_by_cell(workspace, monkeypatch):
    run = jobs.context()
    shell = type("Shell", (), {"execution_count": 1})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    for count in (1, 2):
        shell.execution_count = count
        with run.step("a") as step:
            assert step.due
            step.keep(n=count, path=run.path("a.txt"), array=np.zeros(2)) if run.path(
                "a.txt"
            ).touch() is None else 0
        assert (step["n"], step["path"]) == (count, run.path("a.txt"))
    with pytest.raises(BadInput, match=r"a second step of that name"):  # a loop within one cell
        run.step("a")


def test_the_order_of_a_scratch_run_may_be_any(workspace):
    run = jobs.context()
    _do(_do(run, "a"), "b")
    assert _states(run) == ["running", "done"] * 2
    assert json.loads((run.folder / events.FILE).read_text().splitlines()[0])["name"] == "a"


def test_errors_of_steps_are_geolabs(attempt):
    with pytest.raises(GeolabError):
        attempt().step("a/b")
