"""The chart and its list of layers: what they send to a page, and what they take from one."""

from __future__ import annotations

import json
import math

import pytest

from geolab.maps import specs
from geolab.maps.chart import Chart
from geolab.maps.layerlist import LayerList
from geolab.maps.layers import point

HOSTILE = "\"><script>alert(1)</script>{z}/../'"


def item(name="one", **properties) -> dict:
    ring = [[11, 48], [11.02, 48], [11.02, 48.01], [11, 48.01], [11, 48]]
    return {
        "type": "Feature", "id": name, "collection": "c", "bbox": [11, 48, 11.02, 48.01],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2024-08-15T10:00:00Z", "gsd": 0.5} | properties,
        "assets": {"data": {"href": "/nowhere.tif"}},
    }  # fmt: skip


@pytest.fixture
def listed() -> LayerList:
    return LayerList(Chart(), on_change=lambda: None, on_zoom=lambda _: None)


@pytest.mark.parametrize(
    "properties, kind, colormap",
    [
        ({}, "image", ""),
        ({"geolab:role": "dsm"}, "height", "hillshade"),
        ({"geolab:role": "label"}, "change", "change"),
        ({"geolab:role": "product", "geolab:result": "mask"}, "change", "change"),
        ({"geolab:role": "product", "geolab:result": "probability"}, "probability", "cividis"),
        ({"geolab:role": "product", "geolab:result": "orthophoto"}, "image", ""),
        ({"geolab:role": "photo"}, "", None),
    ],
)
def test_each_kind_of_item_has_its_look(properties, kind, colormap):
    assert specs.kind(item(**properties)) == kind
    if colormap is not None:
        url = specs.tiles(item(**properties))["url"]
        assert (f"colormap={colormap}" in url) == bool(colormap)


def test_a_probability_is_drawn_over_its_whole_range_and_has_a_legend():
    product = item(**{"geolab:role": "product", "geolab:result": "probability"})
    assert "rescale=0%2C254" in specs.tiles(product)["url"]
    told = specs.legend(product)
    assert told is not None
    assert (told["low"], told["high"]) == ("0", "1")


def test_a_hostile_id_stays_in_its_place_of_the_address():
    url = specs.tiles(item(HOSTILE))["url"]
    assert url.count("{z}") == url.count("{x}") == 1
    assert "<" not in url
    assert url.split("/tiles/")[1].count("/") == 5


@pytest.mark.parametrize("gsd", [0, -1, math.nan, "fine", None, 1e12])
def test_an_odd_resolution_does_not_break_a_layer(gsd):
    assert 1 <= specs.tiles(item(gsd=gsd))["native"] <= 24


def test_layers_keep_order_opacity_and_whether_they_show(listed):
    listed.put(*(specs.tiles(item(name)) for name in "abc"))
    assert [row["key"] for row in listed.rows] == ["c/c", "c/b", "c/a"], "the uppermost first"
    listed._hear(None, {"kind": "opacity", "key": "c/b", "value": 0.3}, None)
    listed._hear(None, {"kind": "visible", "key": "c/a", "value": False}, None)
    listed._hear(None, {"kind": "move", "key": "c/a", "value": 1}, None)
    assert [(s["key"], s["opacity"], s["visible"]) for s in listed.chart.layers] == [
        ("c/b", 0.3, True), ("c/a", 1.0, False), ("c/c", 1.0, True),
    ]  # fmt: skip
    listed.put(specs.tiles(item("b")))
    assert listed.chart.layers[-1]["key"] == "c/b"
    listed._hear(None, {"kind": "remove", "key": "c/b", "value": None}, None)
    assert [s["key"] for s in listed.chart.layers] == ["c/a", "c/c"]


@pytest.mark.parametrize(
    "message",
    [None, "x", [], {}, {"kind": "move"}, {"kind": "opacity", "key": "c/a", "value": "1"},
     {"kind": "opacity", "key": "c/a", "value": math.nan}, {"kind": "visible", "key": "nobody", "value": 1},
     {"kind": "__class__", "key": "c/a"}],
)  # fmt: skip
def test_a_page_may_send_anything(listed, message):
    listed.put(specs.tiles(item("a")))
    before = list(listed.chart.layers)
    listed._hear(None, message, None)
    assert listed.chart.layers == before


def test_a_legend_is_shown_once_and_only_for_what_is_seen(listed):
    told = {"title": "Change", "low": "", "high": "", "colours": ["#e8590c"]}
    listed.put(*({**specs.tiles(item(name)), "legend": told} for name in "ab"))
    assert listed.chart.legends == [told]
    for key in ("c/a", "c/b"):
        listed._hear(None, {"kind": "visible", "key": key, "value": False}, None)
    assert listed.chart.legends == []


# ---------------------------------------------------------------- what comes from the page


def test_a_view_is_what_the_page_says_if_it_can_be_one():
    chart = Chart()
    assert chart.seen is None
    good = {"west": 11, "south": 48, "east": 12, "north": 49, "zoom": 9, "width": 800, "height": 600}
    chart.view = good
    assert chart.seen is not None
    assert chart.seen.box == (11, 48, 12, 49)
    for change in (
        {"zoom": "x"},
        {"west": None},
        {"north": math.inf},
        {"east": 10},
        {"more": 1},
        {"zoom": 900},
    ):
        chart.view = good | change
        assert chart.seen is None, change


@pytest.mark.parametrize(
    "area",
    [{"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": "x"}, {"type": HOSTILE},
     {"type": "Polygon", "coordinates": [[[0, 0], [1e9, 0], [1, 1], [0, 0]]]}, {"coordinates": []},
     {"type": "Polygon", "coordinates": []}],
)  # fmt: skip
def test_what_is_no_area_is_not_taken(area):
    chart = Chart()
    chart.aoi = area
    assert chart.aoi == {}


def test_an_area_is_taken_as_plain_numbers():
    chart = Chart()
    ring = [[11, 48], [12, 48], [12, 49], [11, 49], [11, 48]]
    chart.aoi = {"type": "Polygon", "coordinates": [ring], "properties": {"x": HOSTILE}}
    assert set(chart.aoi) == {"type", "coordinates"}
    assert json.loads(json.dumps(chart.aoi)) == chart.aoi


def test_a_bow_tie_becomes_two_areas():
    chart = Chart()
    chart.aoi = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    assert chart.aoi["type"] == "MultiPolygon"
    assert len(chart.aoi["coordinates"]) == 2


def test_clicks_are_numbers_on_earth():
    chart, seen, keys = Chart(), [], []
    chart.on_click, chart.on_dot = lambda *place: seen.append(place), keys.append
    for content in (
        {"lat": 48, "lon": 11.5},
        {"lat": "48", "lon": 11},
        {"lat": 91, "lon": 0},
        {"lat": math.nan, "lon": 0},
        {},
    ):
        chart._hear(None, {"kind": "click", **content}, None)
    for content in ({"key": "a"}, {"key": 1}, {}):
        chart._hear(None, {"kind": "dot", **content}, None)
    chart._hear(None, "click", None)
    assert seen == [(48.0, 11.5)]
    assert keys == ["a"]


def test_the_scripts_hold_no_markup_sink_and_ask_nobody():
    script = Chart()._esm + LayerList(Chart(), on_change=lambda: None, on_zoom=lambda _: None)._esm  # type: ignore[attr-defined]
    for sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        "http:",
        "https:",
    ):
        assert sink not in script


@pytest.mark.parametrize(
    "camera", [["x", None], "11,48", {"lon": 11}, [1], [math.nan, 1], [0, 500], [True, False], 7]
)
def test_a_position_that_is_none_leaves_the_photo_where_its_geometry_is(camera):
    photo = item(**{"geolab:role": "photo", "geolab:position": camera})
    photo["geometry"] = {"type": "Point", "coordinates": [11.01, 48.005]}
    assert point(photo) == (48.005, 11.01)
    photo["geometry"] = None
    assert point(photo) == pytest.approx((48.005, 11.01)), "the middle of its box"
