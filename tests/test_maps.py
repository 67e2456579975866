"""Maps: what is put on them, that addresses stay at home, that no text becomes markup."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from ipyleaflet import GeoJSON, MarkerCluster, Popup, SplitMapControl, TileLayer
from ipywidgets import Widget
from rasterio.transform import from_origin

from geolab import display, maps
from geolab.errors import BadInput
from geolab.maps import furniture, layers, origin

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}'</style>"


def item(name="one", *, role="image", date="2024-08-15", west=11.0, title="", **properties) -> dict:
    box = [west, 48.0, west + 0.02, 48.01]
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    facts = {"datetime": f"{date}T10:00:00Z", "title": title or name, "geolab:role": role, "gsd": 0.5}
    return {
        "type": "Feature", "id": name, "collection": "town", "bbox": box,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": facts | properties, "assets": {"data": {"href": "/nowhere.tif"}},
    }  # fmt: skip


def photo(name="p", longitude=11.01, latitude=48.005, **facts) -> dict:
    found = item(name, role="photo", **facts)
    found["geometry"] = {"type": "Point", "coordinates": [longitude, latitude]}
    return found


def kinds(chart, kind) -> list:
    return [layer for layer in chart.layers if isinstance(layer, kind)]


class Markup(HTMLParser):
    """The tags, attributes and text of an HTML text, as a browser would see them."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, "/"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}, "/user/ann/"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/", "GEOLAB_BASE_URL": "/lab"}, "/lab/"),
        ({"GEOLAB_BASE_URL": "/lab/", "VOILA_BASE_URL": "/pages/"}, "/pages/"),
        ({"VOILA_BASE_URL": "//evil.test/", "GEOLAB_BASE_URL": "https://evil.test/"}, "/"),
    ],
)
def test_the_base_url_is_a_path_of_this_server(monkeypatch, environment, expected):
    for name in ("VOILA_BASE_URL", "GEOLAB_BASE_URL", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert maps.base_url() == expected


def test_a_tile_address_carries_stretch_and_colours(monkeypatch):
    monkeypatch.setenv("VOILA_BASE_URL", "/user/ann/")
    url = maps.tile_url(item(), "mask", limits=((0.0, 254.0),), colormap="cividis")
    assert url == ("/user/ann/geolab/tiles/town/one/mask/{z}/{x}/{y}.webp?rescale=0%2C254&colormap=cividis")


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_id_stays_in_its_place_in_the_address(collection, name):
    thing = item(name) | {"collection": collection}
    path = maps.tile_url(thing).removeprefix(maps.base_url())
    parts = path.split("/")
    assert len(parts) == 8
    assert parts[:2] == ["geolab", "tiles"]
    assert parts[4:] == ["data", "{z}", "{x}", "{y}.webp"]
    assert not set("{}?#\"'<> ") & set(parts[2] + parts[3])


# ---------------------------------------------------------------- text is text


@pytest.mark.parametrize("thing", [item, photo])
def test_a_hostile_title_in_a_card_is_shown_as_it_is(thing):
    card = Markup(maps.card(thing("x", title=HOSTILE, **{"geolab:relative_altitude_m": "<b>"})))
    assert card.tags <= {"figure", "figcaption", "img", "b", "br", "span", "a"}
    assert not [name for name, _ in card.attributes if name.startswith("on") or name == "style"]
    assert HOSTILE in card.text
    addresses = [value for name, value in card.attributes if name in ("src", "href")]
    assert all(address.startswith("/geolab/") for address in addresses)


def test_hostile_ids_roles_and_dates_in_a_card_are_text():
    thing = item(HOSTILE, role=HOSTILE, date=HOSTILE)
    card = Markup(maps.card(thing))
    assert "script" not in card.tags
    assert len([value for name, value in card.attributes if name == "src"]) == 1


def test_layer_names_are_escaped_because_leaflet_writes_them_as_html():
    assert "<" not in maps.pixels(item(title=HOSTILE)).name
    assert "&lt;script&gt;" in maps.pixels(item(title=HOSTILE)).name


def test_the_list_of_layers_shows_names_as_text():
    chart = maps.explore([item(title=HOSTILE)])
    boxes = [w for w in _widgets(chart) if type(w).__name__ == "Checkbox"]
    assert any(HOSTILE in box.description for box in boxes)
    assert not any(box.description_allow_html for box in boxes)


@given(st.text(max_size=60))
def test_no_text_breaks_out_of_a_style(text):
    assert not set("\"'\\<>{};\n") & set(furniture._css(text))


def test_footprints_carry_no_property_but_the_id():
    data = maps.footprints([item(title=HOSTILE)]).data
    assert set(data["features"][0]["properties"]) == {"id", "style"}


# ---------------------------------------------------------------- what is on a map


def _widgets(root) -> list[Widget]:
    """Every widget that a widget refers to, itself included."""
    found: dict[str, Widget] = {}
    todo = [root]
    while todo:
        thing = todo.pop()
        if isinstance(thing, (list, tuple)):
            todo += thing
        elif isinstance(thing, Widget) and thing.model_id not in found:
            found[thing.model_id] = thing
            todo += [getattr(thing, name) for name in thing.keys]
    return list(found.values())


def test_a_map_asks_nothing_of_other_servers():
    chart = maps.explore([item(), item("two", date="2021-05-03"), photo(), item("c", role="label")])
    for widget in _widgets(chart):
        state = json.dumps(widget.get_state(), default=lambda _: "")
        assert "http" not in state, type(widget).__name__
    assert chart.layers[0].name != "OpenStreetMap.Mapnik"


def test_explore_shows_pixels_outlines_and_photos_and_the_newest_date_at_first():
    chart = maps.explore([item("new"), item("old", date="2021-05-03"), photo(), item("c", role="label")])
    tiles = {layer.name: layer.visible for layer in kinds(chart, TileLayer)}
    assert tiles == {"2021-05-03 old": False, "2024-08-15 new": True, "2024-08-15 c": False}
    assert len(kinds(chart, MarkerCluster)[0].markers) == 1
    assert len(kinds(chart, GeoJSON)[0].data["features"]) == 3


def test_the_date_slider_shows_the_pixels_of_its_date_only():
    chart = maps.explore([item("new"), item("old", date="2021-05-03")])
    slider = next(w for w in _widgets(chart) if type(w).__name__ == "SelectionSlider")
    assert slider.options == ("2021-05-03", "2024-08-15")
    slider.value = "2021-05-03"
    assert {layer.name: layer.visible for layer in kinds(chart, TileLayer)} == {
        "2021-05-03 old": True,
        "2024-08-15 new": False,
    }


def test_ticking_a_layer_off_hides_it_also_a_cluster_of_photos():
    chart = maps.explore([item(), photo()])
    boxes = {w.description: w for w in _widgets(chart) if type(w).__name__ == "Checkbox"}
    boxes["2024-08-15 one"].value = False
    assert [layer.visible for layer in kinds(chart, TileLayer)] == [False]
    boxes["Photos (1)"].value = False
    assert kinds(chart, MarkerCluster) == []
    boxes["Photos (1)"].value = True
    assert len(kinds(chart, MarkerCluster)) == 1


def test_a_click_on_a_photo_opens_its_card_and_the_next_moves_it():
    chart = maps.explore([item(), photo("a"), photo("b", latitude=48.002)])
    first, second = kinds(chart, MarkerCluster)[0].markers
    first._click_callbacks(coordinates=[48, 11])
    second._click_callbacks(coordinates=[48, 11])
    (popup,) = kinds(chart, Popup)
    assert popup.location == [48.002, 11.01]
    assert "geolab/preview/town/b" in popup.child.value


def test_a_click_on_an_outline_opens_its_card_and_a_strange_id_opens_nothing():
    chart = maps.explore([item("one")])
    outline = kinds(chart, GeoJSON)[0]
    outline._click_callbacks(event="click", properties={"id": "other"})
    outline._click_callbacks(event="click")
    assert kinds(chart, Popup) == []
    outline._click_callbacks(event="click", properties={"id": "one"})
    assert kinds(chart, Popup)[0].location == pytest.approx([48.005, 11.01])


def test_coordinates_follow_the_pointer():
    chart = maps.explore([item()])
    shown = next(w for w in _widgets(chart) if "48.00500° N" in str(getattr(w, "value", "")))
    chart._interaction_callbacks(type="mousemove", coordinates=[-1.5, -70.25])
    assert "1.50000° S  70.25000° W" in shown.value


def test_a_map_of_nothing_says_what_to_do():
    chart = maps.explore([])
    assert any("Nothing here yet" in str(getattr(w, "value", "")) for w in _widgets(chart))


def test_more_images_than_a_map_carries_are_outlines_and_that_is_said():
    things = [item(f"i{n:03}", date=f"20{n:02}-01-01") for n in range(45)]
    chart = maps.explore(things)
    assert len(kinds(chart, TileLayer)) == maps.MOST_IMAGES
    assert len(kinds(chart, GeoJSON)[0].data["features"]) == 45
    assert any("newest 40 of 45" in str(getattr(w, "value", "")) for w in _widgets(chart))


def test_an_item_without_a_place_does_not_break_the_map():
    lost = item("lost") | {"geometry": None}
    del lost["bbox"]
    chart = maps.explore([lost, item()])
    assert len(kinds(chart, TileLayer)) == 2


# ---------------------------------------------------------------- where a map looks


@given(st.floats(-170, 170), st.floats(-70, 70), st.floats(1e-4, 5), st.floats(1e-4, 5))
def test_a_map_shows_its_box_whole_and_no_smaller_than_needed(west, south, width, height):
    (latitude, longitude), zoom = furniture.view(((south, west), (south + height, west + width)))
    assert south < latitude < south + height
    assert west < longitude < west + width

    def size_px(level):
        scale = 256 * 2**level
        north_y, south_y = (
            math.log(math.tan(math.pi / 4 + math.radians(v) / 2)) / (2 * math.pi)
            for v in (south + height, south)
        )
        return width / 360 * scale, (north_y - south_y) * scale

    columns, rows = size_px(zoom)
    assert (columns <= 861 and rows <= 521) or zoom == 1
    if zoom < 19:
        columns, rows = size_px(zoom + 1)
        assert columns > 860 or rows > 520


def test_bounds_are_around_all_items_and_go_on_across_the_date_line():
    near = item("near")
    far = item("far") | {"bbox": [179.5, -10.0, 0.0, -179.5, -9.0, 400.0]}
    assert layers.bounds([near]) == ((48.0, 11.0), (48.01, 11.02))
    assert layers.bounds([far]) == ((-10.0, 179.5), (-9.0, 180.5))
    assert layers.bounds([near, far]) == ((-10.0, 11.0), (48.01, 180.5))
    assert layers.bounds([]) is None
    point = item("point") | {"bbox": [11.000000000000002, 48.0, 11.0, 48.0]}
    assert layers.bounds([point]) == ((48.0, pytest.approx(11)), (48.0, pytest.approx(11)))


@pytest.mark.parametrize("gsd_m, zoom", [(30, 12), (0.5, 18), (0.02, 23), (1e-4, 24), (None, 24)])
def test_tiles_are_asked_for_down_to_the_size_of_the_pixels(gsd_m, zoom):
    assert maps.pixels(item(gsd=gsd_m)).max_native_zoom == zoom


# ---------------------------------------------------------------- two dates and change


def written(path: Path, low: int, high: int, count: int = 3) -> str:
    random = np.random.default_rng(low)
    with rasterio.open(
        path, "w", driver="GTiff", width=50, height=30, count=count, dtype="uint16", crs="EPSG:32632",
        transform=from_origin(500000, 5300000, 1, 1),
    ) as dataset:  # fmt: skip
        dataset.write(random.integers(low, high, (count, 30, 50)).astype("uint16"))
    return str(path)


def test_a_swipe_has_both_dates_in_one_stretch_and_names_its_sides(tmp_path):
    before, after = item("b", date="2021-05-03"), item("a", date="2024-08-15")
    before["assets"]["data"]["href"] = written(tmp_path / "b.tif", 100, 200)
    after["assets"]["data"]["href"] = written(tmp_path / "a.tif", 300, 900)
    chart = maps.swipe(before, after)
    (control,) = [c for c in chart.controls if isinstance(c, SplitMapControl)]
    left, right = control.left_layer.url, control.right_layer.url
    assert left.split("?")[1] == right.split("?")[1]
    with rasterio.open(tmp_path / "b.tif") as one, rasterio.open(tmp_path / "a.tif") as two:
        low, high = display.limits(one.read(), two.read())[0]
    assert f"rescale={low:.6g}%2C{high:.6g}" in left
    look = next(w.value for w in _widgets(chart) if "sbs-divider::before" in str(getattr(w, "value", "")))
    assert '::before{content:"◂ 2021-05-03"' in look
    assert '::after{content:"2024-08-15 ▸"' in look


def test_a_swipe_of_different_bands_or_without_pixels_is_refused(tmp_path):
    before, after = item("b"), item("a")
    before["assets"]["data"]["href"] = written(tmp_path / "b.tif", 100, 200)
    after["assets"]["data"]["href"] = written(tmp_path / "a.tif", 300, 900, count=1)
    with pytest.raises(BadInput, match="bands"):
        maps.swipe(before, after)
    del after["assets"]["data"]
    with pytest.raises(BadInput, match="no asset 'data'"):
        maps.swipe(before, after)


def test_pairs_are_the_oldest_and_newest_image_of_each_place():
    here = [item("b", date="2022-01-01"), item("a", date="2020-01-01"), item("c", date="2024-01-01")]
    there = [item("d", west=20.0), item("e", west=30.0, date="2021-01-01"), item("f", west=30.001)]
    found = maps.pairs([*there, *here, photo(), item("l", role="label", date="2019-01-01")])
    assert [(one["id"], other["id"]) for one, other in found] == [("a", "c"), ("e", "f")]


def test_change_has_one_colour_in_every_form():
    thing = item()
    thing["assets"] = {"mask": {"href": "m"}, "probability": {"href": "p"}}
    mask, probability = maps.change_layer(thing), maps.change_layer(thing, asset="probability")
    assert mask.opacity == 0.6
    assert "colormap=change" in mask.url
    assert "rescale=0%2C254&colormap=cividis" in probability.url
    polygon = {"type": "Feature", "geometry": thing["geometry"], "properties": {"style": {"color": "red"}}}
    outlines = maps.change_layer({"type": "FeatureCollection", "features": [polygon]})
    style = outlines.data["features"][0]["properties"]["style"]
    assert (style["color"], style["opacity"], style["fillOpacity"]) == ("#e8590c", 1.0, 0.6)
    with pytest.raises(BadInput, match="mask, probability"):
        maps.change_layer(thing, asset="polygons")


def test_analysts_pages_do_not_load_leafmap():
    import subprocess
    import sys

    code = "import sys, geolab.maps; sys.exit('leafmap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # leafmap 0.63 and what it imports warn of their own
def test_the_toolbox_is_leafmaps_map_with_our_layers():
    import leafmap.leafmap as leafmap

    chart = maps.toolbox([item(), photo()])
    assert isinstance(chart, leafmap.Map)
    names = [layer.name for layer in chart.layers]
    assert "2024-08-15 one" in names
    assert "Footprints" in names
    assert not [layer for layer in kinds(chart, TileLayer) if layer.url.startswith("http")]


def test_day_and_name_never_hold_markup():
    assert origin.day(item(date="<b>")) == ""
    span = item("c", role="label")
    span["properties"] |= {"datetime": None, "start_datetime": "2021-05-03T", "end_datetime": "2024-08-15T"}
    assert origin.name(span) == "2021-05-03 to 2024-08-15 c"


def test_the_mask_that_a_run_found_is_drawn_and_its_probability_is_listed():
    found = [item(n, role="product", **{"geolab:result": n}) for n in ("mask", "probability", "curve")]
    layers_by_name = {layer.name: layer for layer in kinds(maps.explore(found), TileLayer)}
    shown = {next(n for n in ("mask", "probability") if n in name): v for name, v in layers_by_name.items()}
    assert set(shown) == {"mask", "probability"}
    assert (shown["mask"].visible, shown["probability"].visible) == (True, False)
    assert "colormap=change" in shown["mask"].url
    assert "colormap=cividis" in shown["probability"].url
