"""The page Models on a real MLflow: runs compared, models promoted, hostile names that stay text."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from geolab import jobs, settings, track
from geolab.apps import models, query
from geolab.apps.models import addresses, card, compare, registry, runs
from geolab.apps.shell import Page
from geolab.errors import BadInput, FileRejected
from geolab.settings import Settings
from geolab.track import Summary

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)'
DESCRIPTION = {
    "schema": 1,
    "geolab": "0.1.0",
    "architecture": {"kind": "siamese-difference", "size": "small", "bands": 2},
    "preprocessing": {"bands": ["red", "nir"], "mean": [10.5, 20.25], "std": [1.5, 2.0]},
    "threshold": 0.62,
    "facts": {"pairs": 3, "train": {"pixels": 100, "deep": {"a": 1}}, "seeds": list(range(40))},
    "weights_sha256": "ab" * 32,
}


def widgets_of(widget: Any) -> list[Any]:
    """A widget and everything in it."""
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in widgets_of(child))]


def markup_of(widget: Any) -> str:
    """All HTML that a widget shows."""
    return "".join(w.value for w in widgets_of(widget) if type(w).__name__ == "HTML")


def button(widget: Any, label: str) -> Any:
    return next(w for w in widgets_of(widget) if getattr(w, "description", "") == label)


def beat(page: Page) -> None:
    """What a pulse of the browser does; without a kernel's loop all work is done at once."""
    page.clock.beat()


def open_models(home: Settings, **asked: Any) -> tuple[Page, models.Models]:
    values = jobs.parse(jobs.contract(query.notebook_of("models")), asked)
    page = Page("models", home, values)
    made = models.Models(page)
    beat(page)
    return page, made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three runs and two models, one of them with hostile texts wherever MLflow takes them."""
    from matplotlib.figure import Figure

    made = settings.load(tmp_path_factory.mktemp("models") / "workspace", environ={})
    folder = tmp_path_factory.mktemp("model")
    for number, rate in enumerate((0.1, 0.01)):
        told = {"lr": rate, "size": "small"}
        with track.start(made, "change", f"try {number}", parameters=told) as run:
            for step in range(5):
                run.metrics(
                    {"val_iou": 0.1 * step + 0.05 * number, "train_loss": 1 / (step + 1 + number)}, step
                )
            run.figure(Figure(), "curves")
        (folder / "model.json").write_text(json.dumps(DESCRIPTION | {"threshold": 0.5 + number / 10}))
        (folder / "model.safetensors").write_bytes(b"weights")
        track.register(made, "fields", folder, run_id=run.run_id, metrics={"iou": 0.4 + number / 10})
        time.sleep(0.002)
    with track.start(made, "hostile", HOSTILE, parameters={"size": HOSTILE}, tags={"note": HOSTILE}) as run:
        run.metrics({"val_iou": 0.9})
    described = {"architecture": {"kind": HOSTILE}, "preprocessing": {"bands": [HOSTILE]}, "geolab": HOSTILE}
    (folder / "model.json").write_text(json.dumps(described | {"facts": {HOSTILE: HOSTILE}}))
    track.register(made, "hostile", folder, run_id=run.run_id)
    return made


# ---------------------------------------------------------------- how runs are compared


def summary(run_id: str, parameters: dict[str, str], metrics: dict[str, float], **more: Any) -> Summary:
    return Summary(run_id, run_id, "e", "1", "FINISHED", parameters=parameters, metrics=metrics, **more)


def test_what_differs_is_told_apart_from_what_is_the_same() -> None:
    listed = [
        summary("a", {"lr": "1", "size": "s"}, {}),
        summary("b", {"lr": "2", "size": "s", "new": "x"}, {}),
    ]
    assert compare.differing(listed) == ["lr", "new"]
    assert compare.shared(listed) == {"size": "s"}
    assert (compare.differing([]), compare.shared([])) == ([], {})


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("val_iou", 1), ("psnr", 1), ("train_loss", -1), ("lpips", -1), ("rmse", -1), ("system/gpu_mb", 0),
        ("lr", 0), ("epoch", 0), ("glossary", 1),
    ],
)  # fmt: skip
def test_more_is_better_but_for_losses_and_errors(name: str, sign: int) -> None:
    assert compare.better(name) == sign


def test_the_best_values_bear_a_star_and_a_lone_one_does_not() -> None:
    listed = [summary("a", {}, {"loss": 0.5, "iou": 0.3}), summary("b", {}, {"loss": 0.25, "lr": 1.0})]
    listed.append(summary("c", {}, {"loss": 0.25}))
    assert compare.best(listed, "loss") == {"b", "c"}
    assert compare.best(listed, "iou") == set(), "there is nothing to compare it with"
    assert compare.best(listed, "lr") == set()
    assert compare.marked(listed, "loss") == {"a": "0.5", "b": "0.25 ★", "c": "0.25 ★"}
    rows = compare.rows(listed, [], ["iou", "loss"])
    assert [row["m.iou"] for row in rows] == [0.3, None, None]
    assert [row["best"] for row in rows] == ["", "Loss", "Loss"]


def test_times_and_metrics_are_in_words() -> None:
    assert compare.duration(summary("a", {}, {}, started=1000.0, ended=1042.4)) == "42 s"
    assert compare.duration(summary("a", {}, {}, started=1000.0, ended=1600.0)) == "10.0 min"
    assert compare.duration(summary("a", {}, {}, started=1000.0)) == ""
    assert compare.when(0) == ""
    assert compare.when(1_700_000_000) == "2023-11-14T22:13:20+00:00"
    assert [compare.value(v) for v in (None, 0.123456, 12345.0, 1e-7)] == ["", "0.1235", "12,345", "1e-07"]
    assert (compare.label("val_iou"), compare.label("lr")) == ("Validation IoU", "Learning rate")


# ---------------------------------------------------------------- the runs


def test_an_empty_workspace_says_what_to_do_and_makes_no_file(workspace: Settings) -> None:
    for tab in ("registry", "runs"):
        page, shown = open_models(workspace, tab=tab)
        assert "Train a model" in markup_of(shown.widget)
        assert "training.ipynb" in markup_of(shown.widget)
        assert page.frame.notice == {}
    assert not Path(workspace.home, "mlflow.db").exists()


def test_runs_are_listed_with_what_differs_and_the_best_marked(home: Settings) -> None:
    page, shown = open_models(home, experiment="change")
    made = shown.made["runs"]
    assert isinstance(made, runs.Runs)
    second, first = made.table.rows
    assert (first["name"], second["name"]) == ("try 0", "try 1")
    assert (first["p.lr"], second["p.lr"]) == ("0.1", "0.01")
    assert (first["m.val_iou"], second["m.val_iou"]) == (0.4, 0.45)
    assert (first["m.train_loss"], first["best"]) == (0.2, "")
    assert second["best"] == "Validation IoU, Training loss", "less of a loss is better"
    assert [c["key"] for c in made.table.columns].count("p.size") == 0
    made.choice.value = ""
    beat(page)
    assert len(made.table.rows) == 3
    assert page.frame.address["experiment"] == ""


def test_chosen_runs_show_curves_figures_and_differences(home: Settings) -> None:
    ids = [run.run_id for run in track.runs(home, "change")]
    page, shown = open_models(home, run=",".join(ids))
    made = shown.made["runs"]
    assert isinstance(made, runs.Runs)
    inside = widgets_of(made.detail)
    curves = [w for w in inside if hasattr(w, "series")]
    assert len(curves) == 2
    assert {name: len(points) for name, points in curves[0].series.items()} == {"try 0": 5, "try 1": 5}
    assert [w.format for w in inside if type(w).__name__ == "Image"] == ["png", "png"]
    table = next(w for w in inside if hasattr(w, "rows"))
    told = {row["what"]: {ids.index(k): v for k, v in row.items() if k in ids} for row in table.rows}
    assert told["lr"] == {0: "0.01", 1: "0.1"}
    assert told["Validation IoU"] == {0: "0.45 ★", 1: "0.4"}
    markup = markup_of(made.detail)
    assert f"/mlflow/#/experiments/{made.known['change']}/runs/{ids[0]}" in markup
    assert "Compare in MLflow" in markup
    made.compare([ids[0]])
    assert page.frame.address["run"] == ids[0]
    made.compare(["nothing"])
    assert page.frame.notice["kind"] == "warn"


def test_two_runs_of_one_name_keep_two_curves() -> None:
    same = [summary("aaaaaaaa", {}, {}), summary("bbbbbbbb", {}, {})]
    same = [Summary(**{**vars(run), "name": "x"}) for run in same]
    assert runs._labels(same) == {"aaaaaaaa": "x aaaaaa", "bbbbbbbb": "x bbbbbb"}


def test_hostile_names_of_runs_and_models_are_shown_as_text(home: Settings) -> None:
    hostile = track.runs(home, "hostile")[0]
    _, shown = open_models(home, run=hostile.run_id)
    _, other = open_models(home, model="hostile/1")
    for widget in (shown.widget, other.widget):
        for fold in [w for w in widgets_of(widget) if hasattr(w, "opened")]:
            fold.opened = True
        markup = markup_of(widget)
        assert "<script" not in markup
        assert "<img" not in markup
        assert "&lt;script&gt;alert(1)" in markup
        assert 'onmouseover="' not in markup


# ---------------------------------------------------------------- the registry


def test_a_version_tells_its_signature_with_the_normalisation(home: Settings) -> None:
    page, shown = open_models(home, model="fields/2")
    made = shown.made["registry"]
    assert isinstance(made, registry.Registry)
    assert [row["id"] for row in made.table.rows] == ["fields/2", "fields/1", "hostile/1"]
    assert made.table.rows[0]["iou"] == 0.5
    markup = markup_of(made.detail)
    for words in (
        "red 10.5, nir 20.25",
        "red 1.5, nir 2",
        "two dates of 2 bands",
        "0.6",
        "siamese-difference small",
    ):
        assert words in markup
    assert "change.ipynb?method=model&amp;model=fields%2F2" in markup
    assert "/mlflow/#/models/fields/versions/2" in markup
    assert page.asked["model"] == "fields/2"
    made.open("nowhere/7")
    assert page.frame.notice["kind"] == "warn"


def test_an_alias_is_moved_and_removed_after_a_second_word(home: Settings) -> None:
    page, shown = open_models(home, model="fields/1")
    made = shown.made["registry"]
    assert isinstance(made, registry.Registry)
    with pytest.raises(BadInput, match="alias"):
        registry.Aliases(page, track.models(home)[0], lambda _: None).promote()
    next(w for w in widgets_of(made.detail) if type(w).__name__ == "Combobox").value = "production"
    button(made.detail, "Promote").click()
    assert "Move &#x27;production&#x27; to fields/1?" in markup_of(made.detail)
    assert {ref.aliases for ref in track.models(home)} == {()}, "nothing before the second word"
    button(made.detail, "Keep it as it is").click()
    button(made.detail, "Promote").click()
    button(made.detail, "Move it").click()
    assert {ref.ref: ref.aliases for ref in track.models(home)}["fields/1"] == ("production",)
    assert {row["id"]: row["aliases"] for row in made.table.rows}["fields/1"] == "production"
    button(made.detail, "Remove production").click()
    button(made.detail, "Remove it").click()
    assert {ref.aliases for ref in track.models(home)} == {()}
    next(w for w in widgets_of(made.detail) if type(w).__name__ == "Combobox").value = "latest"
    button(made.detail, "Promote").click()
    button(made.detail, "Move it").click()
    assert page.frame.notice["kind"] == "fail"
    assert "MLflow keeps 'latest'" in page.frame.notice["text"]


def test_a_model_whose_folder_is_gone_says_so(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    gone = track.register(home, "gone", tmp_path)
    Path(track.model_folder(gone.ref, home), "model.json").unlink()
    _, shown = open_models(home, model=gone.ref)
    assert "its folder is gone" in markup_of(shown.widget)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '"x"'])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(FileRejected, match="not a model's description"):
        card.read(tmp_path)


def test_a_description_of_wrong_types_tells_what_it_can() -> None:
    told = {
        "architecture": 3,
        "preprocessing": {"bands": "x", "mean": [None]},
        "threshold": True,
        "facts": [],
    }
    assert card.signature(told) == {"Gives": "probability of change, 0 to 1, at every pixel"}
    assert card.facts(told) == {}
    assert card.facts(DESCRIPTION) == {"pairs": "3", "train": "pixels 100", "seeds": "40 entries"}


def test_addresses_of_mlflow_are_quoted() -> None:
    assert addresses.version("a/b?c", 3) == "/mlflow/#/models/a%2Fb%3Fc/versions/3"
    assert addresses.compared("7", ["a", "b"]).endswith(
        "runs=%5B%22a%22%2C%20%22b%22%5D&experiments=%5B%227%22%5D"
    )
