"""Pickers: what may be chosen, page by page, with hostile titles as text and pictures of this origin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geolab import catalog, track
from geolab.apps import faults, finders, pickers
from geolab.apps.shell import Page
from geolab.catalog import items
from geolab.errors import GeolabError

HOSTILE = "<img src=x onerror=alert(1)> \u202e %_\\ 50%"


@pytest.fixture
def page(workspace, monkeypatch) -> Page:
    made = Page("training", workspace, {})
    monkeypatch.setattr(faults, "handler", None)
    return made


@pytest.fixture
def put(workspace):
    def put(item_id: str, collection: str = "c", day: str = "2024-08-15", **properties: Any) -> None:
        made = items.item(
            item_id,
            collection=collection,
            geometry={"type": "Point", "coordinates": [11.5, 48.1]},
            datetime=f"{day}T10:00:00Z",
            properties=properties,
            assets={},
        )
        with catalog.open_catalog(workspace) as opened:
            opened.put([made])

    return put


def names(answer: finders.Answer) -> list[str]:
    return [row["value"] for row in answer["rows"]]


def test_images_come_newest_first_page_by_page(put, workspace):
    for number in range(30):
        put(f"i{number:02}", day=f"2024-01-{number + 1:02}")
    put("photo", **{"geolab:role": "photo"})
    first, last = (finders.find("item", workspace, "", page) for page in (0, 2))
    assert names(first) == [f"i{number:02}" for number in range(29, 17, -1)]
    assert (first["words"], first["more"]) == ("1 to 12 of 30", True)
    assert (names(last), last["more"]) == ([f"i{number:02}" for number in range(5, -1, -1)], False)
    assert finders.find("item", workspace, "", 9)["rows"] == []
    assert names(finders.find("item", workspace, "", 0, roles=("photo",))) == ["photo"]


def test_words_find_titles_ids_collections_and_dates(put, workspace):
    put("abc", day="2021-06-10", title="Harbour North")
    put("def", day="2024-08-15", title=HOSTILE, collection="survey")
    for text, expected in {
        "harbour": ["abc"], "NORTH harb": ["abc"], "ABC": ["abc"], "survey": ["def"], "2021": ["abc"],
        "2021-06": ["abc"], "2021-06-10 harbour": ["abc"], "2024 harbour": [], "onerror=alert": ["def"],
        "%": ["def"], "_": ["def"], "\\": ["def"], "50%": ["def"], "'; --": [], "": ["def", "abc"],
    }.items():  # fmt: skip
        assert names(finders.find("item", workspace, text, 0)) == expected, text


def test_an_id_in_two_collections_is_named_with_its_collection(put, workspace):
    put("same", collection="a")
    put("same", collection="b c")
    found = finders.find("item", workspace, "", 0)["rows"]
    assert sorted(row["value"] for row in found) == ["a/same", "b c/same"]
    assert all(catalog.find(row["value"], workspace)["id"] == "same" for row in found)
    assert "/geolab/preview/b%20c/same" in [row["thumb"] for row in found]


def test_a_hostile_title_is_a_text_and_its_picture_on_this_origin(put, workspace):
    put("../../x?y#z", title=HOSTILE)
    row = finders.find("item", workspace, "", 0)["rows"][0]
    assert row["title"] == HOSTILE
    assert row["thumb"] == "/geolab/preview/c/..%2F..%2Fx%3Fy%23z"
    assert catalog.find(row["value"], workspace)["properties"]["title"] == HOSTILE


def test_collections_say_how_much_they_hold(put, workspace):
    put("a", collection="town")
    put("b", collection="town", **{"geolab:role": "photo"})
    assert finders.find("collection", workspace, "tow", 0)["rows"] == [
        {
            "value": "town",
            "title": "town",
            "note": "1 image · 2 items in all",
            "thumb": "/geolab/preview/town/a",
        }
    ]
    assert "1 photo " in finders.find("scene", workspace, "", 0)["rows"][0]["note"]
    assert finders.find("collection", workspace, "zzz", 0)["rows"] == []


def test_splats_are_found_by_their_kind(put, workspace):
    put("image")
    put("hills", **{"geolab:role": "product", "geolab:product": "splats"})
    assert names(finders.find("splats", workspace, "", 0)) == ["hills"]


def test_models_are_offered_by_alias_and_version(workspace, monkeypatch):
    refs = [
        track.ModelRef("change", 2, ("champion", "latest"), metrics={"iou": 0.71234}),
        track.ModelRef("change", 1),
        track.ModelRef("other", 1),
    ]
    monkeypatch.setattr(track, "models", lambda settings: refs)
    found = finders.find("model", workspace, "", 0)
    assert names(found) == [
        "change@latest", "change@champion", "change/2", "change/1", "other@latest", "other/1"
    ]  # fmt: skip
    assert found["rows"][0]["note"] == "version 2 · iou 0.712"
    assert names(finders.find("model", workspace, "CHAMP", 0)) == ["change@champion"]


@pytest.mark.parametrize(
    "reference, value, title, missing",
    [
        ("item", "nosuch", "nosuch", True),
        ("item", "/data/ü b.tif", "ü b.tif", False),
        ("item", "s3://bucket/x.tif", "x.tif", False),
        ("source", "/data/folder/", "folder", False),
        ("collection", "nosuch", "nosuch", True),
        ("scene", "/data/photos", "photos", False),
    ],
)
def test_what_a_value_stands_for(workspace, reference, value, title, missing):
    card = finders.card(reference, workspace, value)
    assert card is not None
    assert (card["value"], card["title"], "missing" in card) == (value, title, missing)


def test_nothing_is_said_of_nothing(workspace):
    assert finders.card("item", workspace, "") is None
    assert finders.card("splats", workspace, "latest") is None
    assert finders.card("model", workspace, "change@latest") is None  # mlflow is not loaded for it


# ---------------------------------------------------------------- widgets


def test_a_picker_tells_what_was_chosen_and_takes_what_is_set(page, put):
    put("a", title="Town A")
    picker = pickers.ItemPicker(page, label="Before")
    heard: list[str] = []
    picker.observe(lambda change: heard.append(change["new"]), "value")
    picker._sheet.set_state({"said": {"value": "a"}})
    assert (picker.value, heard) == ("a", ["a"])
    assert picker._sheet.cards["value"]["title"] == "Town A"
    picker.value = "b"
    assert picker._sheet.said == {"value": "b"}
    assert picker._sheet.cards["value"]["missing"]
    picker.value = ""
    assert picker._sheet.cards == {}
    assert heard == ["a", "b", ""]


def test_a_picker_answers_searches_with_its_roles(page, put, monkeypatch):
    put("image")
    put("photo", **{"geolab:role": "photo"})
    picker = pickers.ItemPicker(page, roles=("photo",))
    sent: list[Any] = []
    monkeypatch.setattr(picker._sheet, "send", sent.append)
    ask = {"kind": "find", "name": "value", "text": "", "page": 0, "number": 1}
    picker._sheet._hear(None, ask, [])
    assert [row["value"] for row in sent[0]["rows"]] == ["photo"]

    def fails(*_: Any, **__: Any) -> finders.Answer:
        raise GeolabError("the catalogue is away")

    monkeypatch.setattr(finders, "find", fails)
    picker._sheet._hear(None, ask, [])
    assert (sent[1]["rows"], sent[1]["problem"]) == ([], "the catalogue is away")


def test_several_items_are_kept_in_order_across_pages(page, put):
    for number in range(15):
        put(f"i{number:02}", day=f"2024-01-{number + 1:02}")
    picker = pickers.ItemPicker(page, many=True)
    picker._cards.selected = ["i14"]
    picker._more.click()
    assert picker._cards.selected == []
    picker._cards.selected = ["i00"]
    picker._back.click()
    assert (picker.value, picker._cards.selected) == (["i14", "i00"], ["i14"])
    picker._cards.selected = []
    assert picker.value == ["i00"]
    assert "1 chosen" in picker._words.value


def test_the_other_pickers_have_their_reference(page):
    made = [pickers.CollectionPicker(page), pickers.ModelPicker(page), pickers.SplatsPicker(page)]
    fields = [one._sheet.shown["value"] for one in made]
    assert [field.reference for field in fields] == ["collection", "model", "splats"]
    assert SimpleNamespace(**vars(fields[2])).words == ("latest",)
