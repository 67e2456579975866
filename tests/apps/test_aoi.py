"""An area on a map: drawn, typed or set; and only areas on Earth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geolab import catalog, jobs
from geolab.apps import faults
from geolab.apps.aoi import AoiPicker
from geolab.apps.form import Form
from geolab.apps.shell import Page
from geolab.catalog import items


@pytest.fixture
def page(workspace, monkeypatch) -> Page:
    made = Page("training", workspace, {})
    monkeypatch.setattr(faults, "handler", None)
    return made


@pytest.fixture
def two_places(workspace) -> list[dict[str, Any]]:
    made = []
    for name, west in (("a", 11.0), ("b", 12.0)):
        ring = [[west, 48], [west + 0.1, 48], [west + 0.1, 48.1], [west, 48.1], [west, 48]]
        made.append(
            items.item(
                name,
                collection=name,
                geometry={"type": "Polygon", "coordinates": [ring]},
                datetime="2024-08-15T00:00:00Z",
                properties={},
                assets={"data": {"href": "file:///x.tif", "type": "image/tiff", "roles": ["data"]}},
            )
        )
    with catalog.open_catalog(workspace) as opened:
        opened.put(made)
    return made


def _box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_what_is_drawn_is_the_value(page):
    picker = AoiPicker(page)
    assert (picker.value, picker.geometry) == ("", {})
    heard: list[str] = []
    picker.observe(lambda change: heard.append(change["new"]), "value")
    picker.chart.set_state({"aoi": _box(11.25, 48, 11.5, 48.125)})
    assert heard == ["11.25,48,11.5,48.125"]
    assert picker.geometry["type"] == "Polygon"
    picker.chart.set_state({"aoi": {}})
    assert heard == ["11.25,48,11.5,48.125", ""]


@pytest.mark.parametrize("text", ["11.25,48,11.5,48.125", "179.5,-1,-179.5,1", "-180,-90,180,90"])
def test_a_value_is_drawn_and_comes_back(page, text):
    picker = AoiPicker(page, value=text)
    assert picker.value == text
    assert picker.chart.aoi["type"] in ("Polygon", "MultiPolygon")
    other = AoiPicker(page)
    other.value = text
    assert other.value == text
    other.value = ""
    assert other.chart.aoi == {}


@pytest.mark.parametrize("text", ["nonsense", "1,2,3", "1,2,3,4,5"])
def test_a_text_that_is_no_area_draws_nothing(page, text):
    assert AoiPicker(page, value=text).chart.aoi == {}


def test_what_a_browser_draws_beside_the_earth_is_not_taken(page):
    picker = AoiPicker(page)
    for nonsense in ({"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon"}, {"a": "<script>"}):
        picker.chart.set_state({"aoi": nonsense})
        assert picker.value == ""


def test_the_images_of_the_chosen_collection_lie_below(page, two_places):
    every, one = AoiPicker(page), AoiPicker(page, collections=("b",))
    assert len(every.chart.layers) == 2
    assert [layer["key"] for layer in one.chart.layers] == ["b/b"]
    assert one.chart.aim["bounds"][0][1] == 12.0
    given = AoiPicker(page, items=two_places[:1])
    assert [layer["key"] for layer in given.chart.layers] == ["a/a"]
    assert AoiPicker(page, collections=("nosuch",)).chart.layers


def test_a_form_opens_the_map_for_its_area_and_takes_what_is_drawn(page, two_places, make_notebook):
    cell = 'collection: str = "b"  # what\nbbox: str = ""  # where {bbox}'
    form = Form(page, make_notebook(cell))
    sheet = form.filling.sheets[0]
    sheet._hear(None, {"kind": "ask", "name": "bbox", "what": "map"}, [])
    picker = next(one for one in _all(form) if isinstance(one, AoiPicker))
    assert [layer["key"] for layer in picker.chart.layers] == ["b/b"]
    picker.chart.set_state({"aoi": _box(12, 48, 12.05, 48.1)})
    assert sheet.said["bbox"] == "12,48,12.05,48.1"
    assert form.values == {"collection": "b", "bbox": "12,48,12.05,48.1"}
    assert jobs.parse(form.contract, form.values)
    sheet._hear(None, {"kind": "ask", "name": "bbox", "what": "map"}, [])
    assert not [one for one in _all(form) if isinstance(one, AoiPicker)]


def test_an_area_that_a_notebook_reads_from_a_file_is_drawn_too(page, two_places, workspace):
    form = Form(page, "06_render_splats", hidden=("splats",))
    sheet = form.filling.sheet_of("footprint")
    assert sheet is not None
    sheet._hear(None, {"kind": "ask", "name": "footprint", "what": "map"}, [])
    picker = next(one for one in _all(form) if isinstance(one, AoiPicker))
    picker.chart.set_state({"aoi": _box(12, 48, 12.05, 48.1)})
    assert sheet.said["footprint"] == ""  # not before it is done
    next(one for one in _all(form) if getattr(one, "description", "") == "Done").click()
    path = Path(str(sheet.said["footprint"]))
    assert path.parent == workspace.home / "areas"
    assert json.loads(path.read_text())["geometry"] == _box(12, 48, 12.05, 48.1)
    assert "footprint" not in form.problems


def _all(widget: Any) -> list[Any]:
    return [widget, *(one for child in getattr(widget, "children", ()) for one in _all(child))]
