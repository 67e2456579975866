"""Runs and models in MLflow's SQLite file, with real processes beside each other."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geolab import settings, track
from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.track.client import client
from geolab.track.reading import thinned

START = """
import sys
from geolab import settings, track
with track.start(settings.load(), "busy", sys.argv[1], parameters={"n": sys.argv[1]}) as run:
    for step in range(50):
        run.metrics({"loss": 1 / (step + 1)}, step)
print(run.run_id)
"""


def folder_of(tmp_path: Path, name: str, content: str = "{}") -> Path:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(content)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def history(shared: Settings, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client(shared).get_metric_history(run_id, metric)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One workspace for all tests: MLflow takes a second to make its tables. Names keep tests apart."""
    return settings.load(tmp_path_factory.mktemp("track") / "workspace", environ={})


def test_a_run_keeps_parameters_metrics_files_and_figures(shared: Settings, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    notebook = tmp_path / "notebook.ipynb"
    notebook.write_text("{}")
    with track.start(shared, "change", "first", parameters={"lr": 0.1, "size": "small"}) as run:
        for step in range(3):
            run.metrics({"loss": 1.0 / (step + 1), "iou": float("nan")}, step)
        run.file(notebook, "notebooks")
        run.figure(Figure(), "curves")
    told = client(shared).get_run(run.run_id)
    assert told.info.status == "FINISHED"
    assert told.data.params == {"lr": "0.1", "size": "small"}
    assert history(shared, run.run_id, "loss") == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    kept = shared.home / "mlartifacts" / "change" / run.run_id / "artifacts"
    assert (kept / "notebooks" / "notebook.ipynb").read_text() == "{}"
    assert (kept / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_off_says_how(shared: Settings, error: type, status: str) -> None:
    run = track.start(shared, "change", "broken")
    with pytest.raises(error), run:
        run.metrics({"loss": 1.0}, 1)
        raise error
    assert client(shared).get_run(run.run_id).info.status == status
    assert history(shared, run.run_id, "loss") == [(1, 1.0)], "metrics that waited are written all the same"


def test_a_run_can_be_taken_up_and_ended_from_outside(shared: Settings) -> None:
    run_id = track.start(shared, "change", "orphan").run_id
    track.attach(shared, run_id).end("KILLED")
    assert client(shared).get_run(run_id).info.status == "KILLED"
    with pytest.raises(NotFound, match="no run in MLflow 'nothing'"):
        track.attach(shared, "nothing")


def test_a_registered_model_is_found_by_alias_version_and_name(shared: Settings, tmp_path: Path) -> None:
    first = track.register(
        shared, "listed", folder_of(tmp_path, "a", '{"n": 1}'), metrics={"iou": 0.8}, alias="best"
    )
    second = track.register(shared, "listed", folder_of(tmp_path, "b", '{"n": 2}'))
    assert (first.ref, second.ref) == ("listed/1", "listed/2")

    def content(ref: str) -> int:
        return json.loads((track.model_folder(ref, shared) / "model.json").read_text())["n"]

    assert [content(r) for r in ("listed@best", "listed/1", "listed@latest", "listed/2", "listed")] == [
        1,
        1,
        2,
        2,
        2,
    ]
    found = [m for m in track.models(shared) if m.name == "listed"]
    assert [(m.ref, m.aliases, dict(m.metrics)) for m in found] == [
        ("listed/2", (), {}),
        ("listed/1", ("best",), {"iou": 0.8}),
    ]


def test_a_version_does_not_change_when_its_run_registers_another(shared: Settings, tmp_path: Path) -> None:
    with track.start(shared, "change", "run") as run:
        track.register(shared, "steady", folder_of(tmp_path, "a", "1"), run_id=run.run_id)
        track.register(shared, "steady", folder_of(tmp_path, "a", "2"), run_id=run.run_id)
    assert (track.model_folder("steady/1", shared) / "model.json").read_text() == "1"


def test_unknown_models_and_aliases_name_what_there_is(shared: Settings, tmp_path: Path) -> None:
    track.register(shared, "harbour", folder_of(tmp_path, "a"), alias="best")
    with pytest.raises(NotFound, match=r"no model 'harbuor@best'; did you mean 'harbour@latest'\?"):
        track.model_folder("harbuor@best", shared)
    with pytest.raises(NotFound, match=r"no model 'harbour@bets'; did you mean 'harbour@best'\?"):
        track.model_folder("harbour@bets", shared)
    with pytest.raises(NotFound, match=r"no model 'harbour/7'.*harbour/1"):
        track.model_folder("harbour/7", shared)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a'b", "a b", "x" * 200, "-a"])
def test_names_that_could_be_paths_or_queries_are_refused(
    shared: Settings, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInput):
        track.register(shared, name, folder_of(tmp_path, "a"))
    with pytest.raises(BadInput):
        track.model_folder(f"{name}@latest", shared)
    with pytest.raises(BadInput):
        track.start(shared, name, "run")


@pytest.mark.parametrize("alias", ["v1", "Latest", "a b"])
def test_aliases_that_mlflow_reserves_are_refused(shared: Settings, tmp_path: Path, alias: str) -> None:
    with pytest.raises(BadInput, match="alias"):
        track.register(shared, "town", folder_of(tmp_path, "a"), alias=alias)


@pytest.mark.slow
def test_four_processes_may_begin_in_an_empty_workspace_at_once(workspace: Settings) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in range(4)
    ]
    outcomes = [(*process.communicate(timeout=180), process.returncode) for process in started]
    assert [(err, code) for _, err, code in outcomes] == [("", 0)] * 4, "mlflow must neither fail nor talk"
    assert [len(history(workspace, out.strip(), "loss")) for out, _, _ in outcomes] == [50] * 4


# ---------------------------------------------------------------- reading what was recorded


@pytest.fixture(scope="module")
def compared(shared: Settings) -> list[str]:
    """Two runs of one experiment, the first failed; ids in the order they were started."""
    ids = []
    for number, rate in enumerate((0.1, 0.01)):
        run = track.start(shared, "compared", f"try {number}", parameters={"lr": rate, "size": "small"})
        for step in range(3):
            run.metrics({"iou": 0.2 * (step + number), "odd": float("nan") if step == 2 else 1.0}, step)
        run.tags({"note": "<b>bold</b>"})
        run.end("FAILED" if number == 0 else "FINISHED")
        ids.append(run.run_id)
        time.sleep(0.002)  # MLflow orders by milliseconds
    return ids


def test_runs_tell_what_was_asked_and_what_came_out(shared: Settings, compared: list[str]) -> None:
    second, first = track.runs(shared, "compared")
    assert [first.run_id, second.run_id] == compared, "the newest first"
    assert (first.status, second.status) == ("FAILED", "FINISHED")
    assert first.parameters == {"lr": "0.1", "size": "small"}
    assert second.metrics == {"iou": pytest.approx(0.6)}, "what is no number is left out"
    assert first.tags == {"note": "<b>bold</b>"}, "MLflow's own tags are left out"
    assert first.ended is not None
    assert 0 <= first.ended - first.started < 60
    assert track.run(shared, first.run_id) == first
    assert track.experiments(shared)["compared"] == first.experiment_id
    assert {r.run_id for r in track.runs(shared)} >= set(compared)
    assert [r.run_id for r in track.runs(shared, "compared", limit=1)] == compared[1:]


def test_a_history_has_its_steps_in_order_and_no_gaps_of_nan(shared: Settings, compared: list[str]) -> None:
    assert track.history(shared, compared[1], "iou") == [
        (0, pytest.approx(0.2)), (1, pytest.approx(0.4)), (2, pytest.approx(0.6)),
    ]  # fmt: skip
    assert track.history(shared, compared[0], "odd") == [(0, 1.0), (1, 1.0)]
    assert track.history(shared, compared[0], "never") == []


@pytest.mark.parametrize("count", [1, 499, 500, 501, 12_345])
def test_a_long_history_is_thinned_evenly_and_keeps_its_ends(count: int) -> None:
    points = thinned([(i, i * 0.5) for i in range(count)])
    assert len(points) == min(count, 500)
    assert (points[0], points[-1]) == ((0, 0.0), (count - 1, (count - 1) * 0.5))
    gaps = {b[0] - a[0] for a, b in itertools.pairwise(points)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_figures_come_back_as_they_were_kept_and_nothing_else_does(shared: Settings, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    with track.start(shared, "compared", "drawn") as run:
        run.figure(Figure(), "curves")
        fake = tmp_path / "fake.png"
        fake.write_text("<script>alert(1)</script>")
        run.file(fake, "figures")
        other = tmp_path / "notes.html"
        other.write_text("<script>alert(1)</script>")
        run.file(other, "figures")
    assert track.figures(shared, run.run_id) == ["figures/curves.png", "figures/fake.png"]
    assert track.figure(shared, run.run_id, "figures/curves.png").startswith(b"\x89PNG")
    with pytest.raises(BadInput, match=r"figures/fake\.png, expected a PNG"):
        track.figure(shared, run.run_id, "figures/fake.png")
    for path in ("figures/notes.html", "../../../mlflow.db", "figures/../../x.png"):
        with pytest.raises(NotFound, match="no figure"):
            track.figure(shared, run.run_id, path)


def test_what_does_not_exist_is_said(shared: Settings) -> None:
    with pytest.raises(NotFound, match="no experiment 'compard'; did you mean 'compared'"):
        track.runs(shared, "compard")
    with pytest.raises(NotFound, match="no run in MLflow 'nothing'"):
        track.run(shared, "nothing")
    with pytest.raises(NotFound, match="no run in MLflow 'nothing'"):
        track.figures(shared, "nothing")
    with pytest.raises(BadInput, match="limit: found 0"):
        track.runs(shared, limit=0)


def test_a_look_at_a_workspace_without_records_makes_no_file(tmp_path: Path) -> None:
    empty = settings.load(tmp_path / "empty", environ={})
    assert (track.runs(empty), track.models(empty), track.experiments(empty)) == ([], [], {})
    assert not empty.home.exists()


def test_an_alias_moves_and_is_taken_away(shared: Settings, tmp_path: Path) -> None:
    for content in ('{"n": 1}', '{"n": 2}'):
        track.register(shared, "promoted", folder_of(tmp_path, "promoted", content))
    assert track.promote(shared, "promoted/1", "production").aliases == ("production",)
    assert track.model_folder("promoted@production", shared).joinpath("model.json").read_text() == '{"n": 1}'
    assert track.promote(shared, "promoted@latest", "production").version == 2
    aliases = {ref.version: ref.aliases for ref in track.models(shared) if ref.name == "promoted"}
    assert aliases == {1: (), 2: ("production",)}
    track.demote(shared, "promoted", "production")
    assert {ref.aliases for ref in track.models(shared) if ref.name == "promoted"} == {()}
    with pytest.raises(NotFound, match="promoted@production"):
        track.demote(shared, "promoted", "production")


@pytest.mark.parametrize("alias", ["latest", "v3", "", "a b", "../x", "<b>", "x" * 101])
def test_an_alias_that_mlflow_or_an_address_could_not_bear_is_refused(shared: Settings, alias: str) -> None:
    with pytest.raises(BadInput, match="alias"):
        track.promote(shared, "promoted/1", alias)
    with pytest.raises(BadInput, match="alias"):
        track.demote(shared, "promoted", alias)
    with pytest.raises(NotFound, match="no model 'nowhere/1'"):
        track.promote(shared, "nowhere/1", "production")
