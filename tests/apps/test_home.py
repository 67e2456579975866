"""Home: an empty workspace says what to do, one in use what is there."""

from __future__ import annotations

import pytest
from ipywidgets import HTML

from geolab import catalog, jobs
from geolab.apps import home
from geolab.apps.home import inventory, todo
from geolab.apps.parts import Cards
from geolab.catalog import items


@pytest.fixture
def built(make_page, beat):
    def show(workspace):
        page = make_page(workspace, "home", run="", listed=6)
        made = home.build(page)
        beat(page)
        return made

    return show


def put(workspace, hostile, roles):
    """Items of these roles, everything in them hostile that can be."""
    made = [
        items.item(
            f"i{number}",
            collection="town",
            geometry={"type": "Point", "coordinates": [11, 48]},
            datetime=f"202{number}-05-01T00:00:00Z",
            properties={"title": hostile, "geolab:role": role},
            assets={"data": {"href": "file:///x.tif", "roles": ["data"]}},
        )
        for number, role in enumerate(roles)
    ]
    with catalog.open_catalog(workspace) as opened:
        opened.put(made)
        opened.put_collection({"id": "town", "title": hostile, "license": hostile})


def test_an_empty_workspace_says_what_to_do_and_offers_it(built, workspace, words, within):
    made = built(workspace)
    shown = words(made)
    assert "The workspace is empty." in shown
    assert "Make the sample world" in shown
    assert "/voila/render/data.ipynb?tab=add" in shown
    assert "No run yet" in next(one.empty for one in within(made) if one.has_trait("empty"))
    assert not workspace.ledger_path.exists()
    assert not workspace.catalog_path.exists()


def test_the_button_of_an_empty_workspace_asks_for_the_sample_world(built, workspace, within, monkeypatch):
    asked = []
    made = built(workspace)
    monkeypatch.setattr(made, "start", lambda name, **given: asked.append((name, given)))
    made._show(inventory.look(workspace))  # nothing new: the button stays
    made.found = None
    made._show(inventory.look(workspace))
    next(one for one in within(made) if getattr(one, "description", "") == "Make the sample world").click()
    assert asked == [("01_ingest", {"source": "town", "collection": "town"})]
    assert set(asked[0][1]) <= {p.name for p in jobs.contract(jobs.find_notebook("01_ingest")).parameters}


def test_what_is_started_is_shown_and_remembered(built, workspace, make_notebook):
    made = built(workspace)
    made.start(str(make_notebook("n: int = 1  # a number", "print(n)", name="quick")), n=2)
    assert made.page.asked["run"] == made.panel.run_id
    assert jobs.wait(made.panel.run_id, settings=workspace).state == "succeeded"


def test_what_is_there_is_shown_by_collection_with_hostile_titles_as_text(
    built, workspace, hostile, words, within
):
    put(workspace, hostile, ("image", "image", "label"))
    made = built(workspace)
    shown = words(made)
    assert "3 items in 1 collection" in shown
    cards = next(one for one in within(made) if isinstance(one, Cards) and one.label == "Collections")
    (card,) = cards.rows
    assert card["title"] == hostile  # as data; the page writes it as text
    assert card["note"] == "3 items, 2020-05-01 to 2022-05-01"
    assert card["thumb"] == "/geolab/preview/town/i1"
    assert card["href"] == "/voila/render/data.ipynb?collection=town"
    assert "Find what changed between two dates" in shown
    assert "Train a network on the labels" in shown
    assert not [one for one in within(made) if isinstance(one, HTML) and "<script" in one.value]


def test_the_next_steps_follow_what_is_there(workspace, make_page, words):
    page = make_page(workspace)
    empty = inventory.look(workspace)

    def told(**facts):
        found = inventory.Inventory(
            9, facts.pop("collections", ()), facts, models=False, bytes=1, all_counted=True
        )
        return [words(one) for one in todo.steps(page, found, lambda *a, **k: None)]

    assert "sample world" in "".join(words(one) for one in todo.steps(page, empty, lambda *a, **k: None))
    assert "3-D model" in told(photo=3)[0]
    assert "two dates" in told(image=2)[0]
    assert "map" in told(image=1)[0]


def test_services_and_runs_are_shown(built, ran, words):
    made = built(ran.workspace)
    shown = words(made)
    assert "1 succeeded, 1 failed, 1 cancelled" in shown
    assert {row["id"] for row in made._table.rows} == {ran.drawn, ran.failed, ran.cancelled}
    made.show_run(ran.failed)
    assert made.page.asked["run"] == ran.failed
    made.close_run()
    assert made.page.frame.address["run"] == ""
    assert made.panel is None


def test_every_page_of_the_gallery_has_a_sentence_of_its_own(workspace, make_page, within):
    cards = next(one for one in within(home.gallery.pages(make_page(workspace))) if isinstance(one, Cards))
    assert {"data", "monitor"} <= {row["id"] for row in cards.rows}
    assert all(row["note"].endswith(".") for row in cards.rows)
