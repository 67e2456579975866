"""The Training page: which collection fits, the form of each kind, the run that is found again."""

from __future__ import annotations

from typing import Any

import pytest

from geolab import catalog, jobs
from geolab.apps import faults, query, training
from geolab.apps.shell import Page
from geolab.apps.training import KINDS, Training
from geolab.catalog import items


@pytest.fixture
def open_training(workspace, monkeypatch):
    def opened(**asked: Any) -> tuple[Page, Training]:
        values = jobs.parse(jobs.contract(query.notebook_of("training")), asked)
        page = Page("training", workspace, values)
        monkeypatch.setattr(faults, "handler", None)
        made = training.build(page)
        assert isinstance(made, Training)
        return page, made

    return opened


@pytest.fixture
def put(workspace):
    def put(collection: str, role: str, count: int) -> None:
        made = [
            items.item(
                f"{collection}-{role}-{number}",
                collection=collection,
                geometry={"type": "Point", "coordinates": [11.5, 48.1]},
                datetime="2024-08-15T00:00:00Z",
                properties={"geolab:role": role},
                assets={},
            )
            for number in range(count)
        ]
        with catalog.open_catalog(workspace) as opened:
            opened.put(made)

    return put


def all_of(widget: Any) -> list[Any]:
    return [widget, *(one for child in getattr(widget, "children", ()) for one in all_of(child))]


def words(widget: Any) -> str:
    return " ".join(str(getattr(one, "value", "")) for one in all_of(widget))


def test_an_empty_workspace_is_told_what_is_needed(open_training):
    page, shown = open_training()
    assert "labels of what changed is needed; none is here yet." in words(shown)
    assert f'href="{page.link("data", tab="add")}"'.replace("&", "&amp;") in words(shown)
    assert page.frame.notice == {}


def test_a_collection_that_fits_is_filled_in(open_training, put, workspace):
    put("few", "label", 1)
    put("many", "label", 3)
    put("flight", "photo", 5)
    assert training.fitting(workspace, KINDS["change"]) == ["many", "few"]
    _, shown = open_training()
    assert shown.form is not None
    assert shown.form.filling.text("pairs") == "many"
    assert "is needed" not in words(shown)
    _, shown = open_training(kind="splats")
    assert shown.form is not None
    assert shown.form.contract.name == "05_train_splats"
    assert shown.form.filling.text("scene") == "flight"
    _, shown = open_training(pairs="few")
    assert shown.form is not None
    assert shown.form.filling.text("pairs") == "few"


def test_turning_to_the_other_kind_is_remembered(open_training):
    page, shown = open_training()
    tabs = next(one for one in all_of(shown) if hasattr(one, "chosen"))
    tabs.chosen = KINDS["splats"].title
    assert shown.form is not None
    assert shown.form.contract.name == "05_train_splats"
    assert page.frame.address["kind"] == "splats"


def test_a_run_is_shown_and_its_values_are_the_next_ones(open_training, put, workspace):
    put("many", "label", 3)
    page, shown = open_training()
    assert shown.form is not None
    run_id = jobs.enqueue("03_train_change", {"pairs": "many", "epochs": 7}, settings=workspace).run_id
    shown.show_run(run_id)
    assert page.frame.address["run"] == run_id
    assert shown.panel is not None
    page.clock.beat()
    assert shown.panel.view is not None
    again = next(one for one in all_of(shown) if getattr(one, "description", "") == "New training")
    again.click()
    assert page.frame.address["run"] == ""
    assert shown.panel is None
    assert shown.form.values["epochs"] == 7
    _, later = open_training(run=run_id)
    assert later.panel is not None
    assert later.panel.run_id == run_id


def test_a_run_that_is_not_there_is_told(open_training):
    page, shown = open_training(run="nosuchrun123")
    page.clock.beat()
    assert "no run" in words(shown)


def test_what_a_training_is_good_for_is_offered(open_training):
    page, _ = open_training()
    model = training._uses(page, _view("03_train_change"), {"model": "a b&c/3"})
    assert [href for _, href in model] == [
        "/voila/render/change.ipynb?method=model&model=a+b%26c%2F3",
        "/voila/render/models.ipynb?model=a+b%26c%2F3",
    ]
    assert training._uses(page, _view("05_train_splats"), {"splats": "/x.ply"})[0][1].endswith("=%2Fx.ply")
    assert training._uses(page, _view("03_train_change"), {"model": 3}) == []
    assert training._uses(page, _view("03_train_change", "failed"), {"model": "a/1"}) == []


def _view(notebook: str, state: str = "succeeded") -> Any:
    class Seen:
        pass

    seen = Seen()
    seen.notebook, seen.state = notebook, state  # type: ignore[attr-defined]
    return seen


def test_the_advanced_parameters_are_those_of_the_notebooks():
    for kind in KINDS.values():
        names = {p.name for p in jobs.contract(jobs.find_notebook(kind.notebook)).parameters}
        assert names >= {kind.data, *kind.advanced}
