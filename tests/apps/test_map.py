"""The Map page: what it finds, draws, remembers and offers to jobs; hostile names are text."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import rasterio
from ipywidgets import HTML, Widget
from rasterio.transform import from_origin

from geolab import catalog, maps
from geolab.apps import query
from geolab.apps.map import build
from geolab.apps.map import offers as offering
from geolab.apps.map.atlas import HERE, JOB, SWIPE, Atlas
from geolab.apps.map.found import Filters, Found
from geolab.apps.map.sides import LEFT, RIGHT
from geolab.apps.map.timebar import CHANGE
from geolab.apps.shell import Page
from geolab.catalog import items
from geolab.errors import BadInput
from geolab.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
EAST, NORTH, PX = 691_000.0, 5_336_000.0, 200  # of the images, EPSG:32632, 1 m pixels
BOX = {
    "south": 48.146,
    "west": 11.565,
    "north": 48.153,
    "east": 11.577,
    "zoom": 17,
    "width": 900,
    "height": 700,
}
MIDDLE = (48.14764, 11.56922)


def box_of(path: str) -> list[float]:
    with rasterio.open(path) as file:
        return list(rasterio.warp.transform_bounds(file.crs, "EPSG:4326", *file.bounds))


def raster_item(folder: Any, name: str, pixels: np.ndarray, *, east: float = EAST, **properties: Any) -> dict:
    path = folder / f"{abs(hash(name))}.tif"
    profile = {"driver": "GTiff", "count": len(pixels), "height": PX, "width": PX, "dtype": pixels.dtype}
    with rasterio.open(
        path, "w", crs="EPSG:32632", transform=from_origin(east, NORTH, 1, 1), **profile
    ) as file:
        file.write(pixels)
    west, south, e, north = box_of(str(path))
    ring = [[west, south], [e, south], [e, north], [west, north], [west, south]]
    moment = properties.pop("datetime", None)
    links = properties.pop("links", [])
    return items.item(
        name, collection=properties.pop("collection", "town"), datetime=moment,
        geometry={"type": "Polygon", "coordinates": [ring]},
        properties={"gsd": 1.0, "geolab:role": "image"} | properties, links=links,
        assets={"data": {"href": path.as_uri(), "type": "image/tiff", "roles": ["data"]}},
    )  # fmt: skip


def photo_item(
    name: str,
    lon: float,
    lat: float,
    *,
    collection: str = "flight",
    href: str = "file:///gone.jpg",
    **more: Any,
) -> dict:
    asset = {"href": href, "type": "image/jpeg", "roles": ["data"]}
    return items.item(
        name, collection=collection, geometry={"type": "Point", "coordinates": [lon, lat]},
        datetime="2024-08-15T10:00:00Z", assets={"data": asset},
        properties={"geolab:role": "photo", "title": name} | more,
    )  # fmt: skip


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 4000, (3, PX, PX), np.uint16)


@pytest.fixture
def filled(workspace: Settings, tmp_path, values: np.ndarray) -> Settings:
    """Two dates of a place, one with a hostile title, what changed, and nine photos in two places."""
    mask = (values[:1] > 2000).astype(np.uint8)
    told = {
        "geolab:role": "product", "collection": "results", "start_datetime": "2021-06-10T10:00:00Z",
        "end_datetime": "2024-08-15T10:00:00Z", "geolab:run": "0123456789abcd",
        "geolab:notebook": "04_detect_change",
        "links": [{"rel": "derived_from", "href": "#", "title": name} for name in ("before", "gone<b>")],
    }  # fmt: skip
    other = {"collection": "else"}
    names = [f"p{k}{HOSTILE if k == 4 else ''}" for k in range(9)]
    offset = [(k % 3 * 3e-4 - 3e-4, k // 3 * 3e-4 - 3e-4) for k in range(9)]
    catalog.open_catalog(workspace).put(
        [
            raster_item(tmp_path, "before", values // 2, datetime="2021-06-10T10:00:00Z"),
            raster_item(tmp_path, "after", values, datetime="2024-08-15T10:00:00Z", title=HOSTILE),
            raster_item(tmp_path, "far", values, east=EAST + 5e4, datetime="2024-01-01T10:00:00Z", **other),
            raster_item(tmp_path, "mask", mask, **{"geolab:result": "mask"}, **told),
            raster_item(tmp_path, "probability", mask * 127, **{"geolab:result": "probability"}, **told),
            *(photo_item(n, MIDDLE[1] + x, MIDDLE[0] + y) for n, (x, y) in zip(names, offset, strict=True)),
        ]
    )  # fmt: skip
    return workspace


Open = Callable[..., Atlas]


@pytest.fixture
def open_map(filled: Settings, make_page: Callable[..., Page]) -> Open:
    def opened(seen: bool = True, **asked: Any) -> Atlas:
        values, problem = query.asked("map", asked, "", filled)
        assert problem == ""
        atlas = Atlas(make_page(filled, "map", **values))
        if seen:
            atlas.chart.view = dict(BOX)
        return atlas

    return opened


class Tags(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]


def texts_of(widget: Widget) -> str:
    """All HTML below a widget."""
    found = [widget.value] if isinstance(widget, HTML) else []
    return "".join([*found, *(texts_of(child) for child in getattr(widget, "children", ()))])


def keys(atlas: Atlas) -> list[str]:
    return [spec["key"] for spec in atlas.layers]


def notice(atlas: Atlas) -> str:
    return str(atlas.page.frame.notice.get("text", ""))


# ---------------------------------------------------------------- what is found and drawn


def test_an_empty_workspace_says_what_to_do(workspace, make_page):
    values, _ = query.asked("map", {}, "", workspace)
    page = make_page(workspace, "map", **values)
    shown = build(page)
    assert "Nothing to show yet" in texts_of(shown)
    assert "voila/render/data.ipynb" in texts_of(shown)
    assert page.frame.notice == {}


def test_it_begins_at_the_newest_image_with_its_pixels(open_map):
    atlas = open_map(seen=False)
    (south, west), (north, east) = atlas.chart.aim["bounds"]
    assert west < MIDDLE[1] < east
    assert south < MIDDLE[0] < north
    assert east - west < 0.1, "the image far away is left out"
    assert keys(atlas) == ["town/after"]
    assert "rescale" not in atlas.chart.layers[0]["url"]


def test_an_image_older_than_very_many_photos_is_what_is_shown_first(open_map, monkeypatch):
    monkeypatch.setattr("geolab.apps.map.found.FIRST", 5)
    monkeypatch.setattr(Found, "ask", lambda self, **_: None)
    atlas = open_map(seen=False)
    assert set(atlas.found.places.roles) == {"photo"}
    (south, _), (north, _) = atlas.chart.aim["bounds"]
    assert south < MIDDLE[0] < north


def test_what_is_in_view_is_listed_and_counted(open_map):
    atlas = open_map()
    assert "1-13 of 13 in view, 14 in all" in atlas.finder._count.value
    assert {row["id"] for row in atlas.finder.table.rows} >= {"town/after", "results/mask", "flight/p0"}
    assert sum(dot[2] for dot in atlas.chart.dots) == 9
    assert len(atlas.chart.shapes["outlines"]["data"]["features"]) == 4
    atlas.chart.view = BOX | {"west": -50.0, "east": -49.0}
    assert atlas.finder.table.rows == []
    assert "None of 0 in view" in atlas.finder._count.value


def test_areas_too_small_to_be_seen_become_dots_that_are_counted(open_map):
    atlas = open_map()
    atlas.chart.view = {
        "south": 40,
        "west": 0,
        "north": 55,
        "east": 25,
        "zoom": 5,
        "width": 900,
        "height": 700,
    }
    assert sum(dot[2] for dot in atlas.chart.dots) == 14
    assert len(atlas.chart.dots) < 4
    assert atlas.chart.shapes["outlines"]["data"]["features"] == []
    atlas.chart.on_dot(atlas.chart.dots[0][3])
    assert atlas.chart.aim["number"] == 2, "a cluster is gone nearer to"


def test_many_photos_make_few_dots_and_page_by_page(open_map, filled):
    rng = np.random.default_rng(0)
    places = rng.uniform([11.565, 48.146], [11.577, 48.153], (3000, 2))
    catalog.open_catalog(filled).put(
        [photo_item(f"m{k}", *p, collection="many") for k, p in enumerate(places.tolist())]
    )
    atlas = open_map()
    assert sum(dot[2] for dot in atlas.chart.dots) == 3009
    assert len(atlas.chart.dots) < 350
    assert len(atlas.finder.table.rows) == 25
    first = {row["id"] for row in atlas.finder.table.rows}
    atlas.finder._turn(1)
    assert "26-50 of 3,013 in view" in atlas.finder._count.value
    assert not first & {row["id"] for row in atlas.finder.table.rows}


@pytest.mark.parametrize(
    "field, value, count",
    [("collection", "flight", 9), ("role", "photo", 9), ("text", "IMG SRC", 2), ("text", "100%", 0),
     ("text", "_", 0),     ("since", "2024-08", 12), ("until", "2021-12-31", 3), ("text", "\" OR 1=1", 0)],
)  # fmt: skip
def test_filters_ask_the_catalogue(open_map, field, value, count):
    atlas = open_map()
    widget = atlas.finder.filters[field]
    if field == "collection":
        assert value in [v for _, v in widget.options]
    widget.value = value
    assert notice(atlas) == ""
    assert len(atlas.found.places) == count
    atlas.finder._cleared()
    assert len(atlas.found.places) == 14


def test_a_day_that_is_none_is_refused_in_words(open_map):
    atlas = open_map()
    atlas.finder.filters["since"].value = "last summer"
    assert "a day such as 2024-08-15" in notice(atlas)
    assert len(atlas.found.places) == 14


# ---------------------------------------------------------------- layers and dates


def test_the_slider_changes_the_images_and_leaves_what_was_put_by_hand(open_map):
    atlas = open_map()
    atlas.open("results/mask")
    assert keys(atlas) == ["town/after", "results/mask"]
    atlas.time._step(-1)
    assert atlas.time.chosen == "2021-06-10"
    assert keys(atlas) == ["town/before", "results/mask"]
    atlas.layers._hear(None, {"kind": "remove", "key": "town/before"}, None)
    atlas.chart.view = BOX | {"west": 11.566}
    assert keys(atlas) == ["results/mask"], "what was taken away stays away"
    atlas.time._step(1)
    assert keys(atlas) == ["town/after", "results/mask"]


def test_change_is_stepped_through_by_its_years_over_the_image_before_its_end(open_map):
    atlas = open_map()
    atlas.time._kind.value = CHANGE
    assert atlas.time.chosen == "2021-06-10 to 2024-08-15"
    assert keys(atlas) == ["town/after", "results/mask"]
    atlas.time._kind.value = "Images"
    assert keys(atlas) == ["town/after"]


def test_change_by_year_adds_every_mask_by_its_name(open_map):
    atlas = open_map()
    atlas._change_by_year()
    assert atlas.layers.rows[0]["name"] == "Change 2021-06-10 to 2024-08-15"
    assert atlas.chart.legends == [{"title": "Changed", "low": "", "high": "", "colours": ["#e8590c"]}]


def test_the_probability_comes_with_its_legend_when_it_is_switched_on(open_map):
    atlas = open_map()
    atlas.open("results/probability")
    assert atlas.chart.legends == []
    atlas.layers._hear(None, {"kind": "visible", "key": "results/probability", "value": True}, None)
    assert [told["title"] for told in atlas.chart.legends] == ["Probability of change"]


def test_a_swipe_shows_two_dates_in_one_stretch_by_their_names(open_map, values):
    atlas = open_map()
    atlas._action("swipe", ["town/after", "town/before"])
    assert atlas.tabs.chosen == SWIPE
    assert atlas.chart.swipe == {"left": LEFT, "right": RIGHT, "names": ["2021-06-10", "2024-08-15"]}
    left, right = atlas.chart.layers[-2:]
    assert (left["key"], right["key"]) == (LEFT, RIGHT)
    assert left["url"].split("?")[1] == right["url"].split("?")[1]
    low, high = (float(v) for v in left["url"].split("rescale=")[1].split("&")[0].split("%2C"))
    both = np.concatenate([values[0].ravel() // 2, values[0].ravel()])
    assert (low, high) == pytest.approx(tuple(np.percentile(both, [2, 98])), rel=0.03)
    atlas.layers._hear(None, {"kind": "remove", "key": LEFT}, None)
    assert atlas.chart.swipe == {}
    assert not {LEFT, RIGHT} & set(keys(atlas))


def test_a_swipe_of_an_image_and_a_mask_keeps_their_own_colours(open_map):
    atlas = open_map()
    atlas.sides.start("town/after", "results/mask")
    assert "colormap=change" in atlas.chart.layers[-1]["url"]
    assert "own colours" in atlas.sides._note.value


def test_a_swipe_of_one_item_is_refused(open_map):
    atlas = open_map()
    atlas._action("swipe", ["town/after"])
    assert "two items" in notice(atlas)
    with pytest.raises(BadInput, match="two different items"):
        atlas.sides.start("town/after", "town/after")
    with pytest.raises(BadInput, match="two items with pixels"):
        atlas.sides.start("town/after", "flight/p0")


def test_a_splat_model_comes_with_its_products_its_cameras_and_the_way_to_its_page(
    open_map, filled, tmp_path
):
    opened = catalog.open_catalog(filled)
    (outline,) = (opened.get("after", "town")["geometry"],)
    links = [{"rel": "derived_from", "href": "#", "title": name} for name in ("p1", "p2")]
    facts = {"geolab:role": "product", "geolab:product": "splats", "title": "Roof"}
    photo = opened.get("p1", "flight")
    photo["properties"]["geolab:position"] = [11.57, 48.147, 600]
    ply = {"data": {"href": "file:///m.ply", "type": "application/x-ply", "roles": ["data"]}}
    model = items.item(
        "model", collection="results", geometry=outline, datetime="2024-08-20T10:00:00Z", properties=facts,
        assets=ply, links=links,
    )  # fmt: skip
    told = {"collection": "results", "links": [{"rel": "derived_from", "href": "#", "title": "model"}]}
    made = [
        raster_item(tmp_path, name, np.ones((1, PX, PX), np.uint8), datetime="2024-08-20T10:00:00Z",
                    **{"geolab:role": "product", "geolab:result": name}, **told)
        for name in ("dsm", "orthophoto")
    ]  # fmt: skip
    opened.put([photo, model, *made])
    atlas = open_map()
    atlas.open("results/model")
    assert keys(atlas)[-2:] == ["results/dsm", "results/orthophoto"]
    assert "colormap=hillshade" in atlas.chart.layers[-2]["url"]
    assert atlas.chart.shapes["cameras"]["data"]["coordinates"] == [[11.57, 48.147]]
    assert len(atlas.chart.shapes["model"]["data"]["features"]) == 1
    three = next(link for link in atlas.chart.card["links"] if link["text"] == "Open in 3-D")
    assert three["href"].endswith("voila/render/splats.ipynb?item=model")
    atlas.chart.on_click(*MIDDLE)
    assert "A model in 3-D" in texts_of(atlas.here.widget)
    found = {offer.notebook: offer.values for offer in offering.offers(atlas.scene())}
    assert found["06_render_splats"] == {"splats": "model"}


# ---------------------------------------------------------------- reading


def test_a_click_reads_every_item_there_and_says_which_run_made_it(open_map, filled, values):
    atlas = open_map()
    item = catalog.open_catalog(filled).get("after", "town")
    with rasterio.open(item["assets"]["data"]["href"]) as file:
        xs, ys = rasterio.warp.transform("EPSG:4326", file.crs, [MIDDLE[1]], [MIDDLE[0]])
        row, column = file.index(xs[0], ys[0])
        expected = [int(v[0]) for v in file.read(window=((row, row + 1), (column, column + 1))).reshape(3, 1)]
    atlas.chart.on_click(*MIDDLE)
    assert atlas.tabs.chosen == HERE
    assert atlas.chart.pin == {"lat": MIDDLE[0], "lon": MIDDLE[1]}
    html = texts_of(atlas.here.widget)
    for value in expected:
        assert f"<dd>{value}</dd>" in html
    assert f"column {column}, row {row}" in html
    assert "geolab/runs/0123456789abcd/notebook.ipynb" in html
    assert "Made by 04_detect_change 012345" in html
    links = Tags(html).links
    assert any(link.endswith("data.ipynb?item=before") for link in links), "the inputs are linked"
    assert html.index("&lt;img src=x") < html.index("mask"), "what is shown comes first"


def test_a_place_without_items_says_so(open_map):
    atlas = open_map()
    atlas.chart.on_click(10.0, -30.0)
    assert "No item has a pixel here" in texts_of(atlas.here.widget)


def test_an_item_whose_file_is_gone_says_so_beside_the_others(open_map, filled):
    opened = catalog.open_catalog(filled)
    item = opened.get("before", "town")
    item["assets"]["data"]["href"] = "file:///gone.tif"
    opened.put([item])
    atlas = open_map()
    atlas.chart.on_click(*MIDDLE)
    html = texts_of(atlas.here.widget)
    assert "gone.tif" in html
    assert "column" in html


def test_hostile_names_are_text_everywhere(open_map):
    atlas = open_map()
    atlas.open("town/after")
    atlas.open(f"flight/p4{HOSTILE}")
    atlas.chart.on_click(*MIDDLE)
    atlas.sides.offer(atlas._pixels_in_view())
    atlas.tabs.chosen = JOB
    html = texts_of(atlas.widget) + texts_of(atlas.here.widget) + texts_of(atlas.send.widget)
    assert "&lt;script&gt;" in html
    assert not {"script", "img"} & set(Tags(html).seen)
    assert atlas.chart.card["title"] == f"p4{HOSTILE}", "data, which the script shows as text"
    assert "<" not in atlas.chart.card["thumb"] + atlas.chart.card["links"][0]["href"]


# ---------------------------------------------------------------- areas and jobs


def test_an_area_is_measured_and_may_be_typed(open_map):
    atlas = open_map()
    atlas.area._typed.value = "11.57,48.148,11.572,48.149"
    assert atlas.chart.aoi["type"] == "Polygon"
    m2 = 0.002 * 111_320 * np.cos(np.radians(48.1485)) * 0.001 * 111_200
    assert f"{m2 / 1e4:.1f} ha" in atlas.area._size.value
    atlas.chart.aoi = {"type": "Polygon", "coordinates": [[[11, 48], [12, 48], [12, 49], [11, 48]]]}
    assert atlas.area._typed.value == "11,48,12,49"
    atlas.area._typed.value = "1,2,3"
    assert "four numbers" in notice(atlas)
    atlas.area.clear()
    assert "No area yet" in atlas.area._size.value


def test_what_is_in_view_is_offered_to_jobs(open_map):
    atlas = open_map()
    found = {offer.notebook: offer for offer in offering.offers(atlas.scene())}
    assert found["04_detect_change"].values == {"before": "before", "after": "after"}
    assert found["05_train_splats"].values == {"scene": "flight"}
    assert found["10_acquire"].values is None
    assert found["06_render_splats"].values is None
    assert found["11_summarise"].values is not None
    assert found["02_explore"].values is not None
    atlas.chart.view = BOX | {"west": -50.0, "east": -49.0}
    nothing = {offer.notebook: offer.values for offer in offering.offers(atlas.scene())}
    assert set(nothing.values()) == {None}


def test_the_two_that_were_chosen_are_the_pair(open_map):
    atlas = open_map()
    atlas._action("job", ["town/after", "town/before"])
    before, after = offering.pair(atlas.scene()) or ({}, {})
    assert (before["id"], after["id"]) == ("before", "after")


def test_the_area_decides_which_photos_a_job_gets(open_map, filled, tmp_path):
    jpeg = tmp_path / "x.jpg"
    jpeg.write_bytes(b"\xff\xd8\xff")
    opened = catalog.open_catalog(filled)
    for name in ("p0", "p1", "p3", f"p4{HOSTILE}"):
        item = opened.get(name, "flight")
        item["assets"]["data"]["href"] = jpeg.as_uri()
        opened.put([item])
    atlas = open_map()
    lat, lon = MIDDLE
    atlas.area.set_box((lon - 4e-4, lat - 4e-4, lon + 1e-4, lat + 1e-4))
    scene = atlas.scene()
    offer = next(o for o in offering.offers(scene) if o.notebook == "05_train_splats")
    assert "The 4 photos in view" in offer.why
    values = offering.prepared(offer, scene, filled, atlas.found.items)
    folder = filled.home / "selections"
    made = sorted(folder.glob("*/*"))
    assert str(made[0].parent) == values["scene"]
    assert len(made) == 4
    assert all(path.parent.parent == folder and path.read_bytes() == b"\xff\xd8\xff" for path in made)
    assert offering.prepared(offer, scene, filled, atlas.found.items) == values
    assert len(list(folder.iterdir())) == 1


def test_photos_that_are_not_here_are_refused_in_words(open_map, filled):
    atlas = open_map()
    scene = atlas.scene()
    offer = offering.Offer("05_train_splats", "", "", {"scene": ""})
    with pytest.raises(BadInput, match="not on this machine"):
        offering.prepared(offer, scene, filled, atlas.found.items)
    assert list((filled.home / "selections").iterdir()) == []


def test_an_area_becomes_a_grid_of_cells(open_map, filled):
    from geolab.raster import cells

    atlas = open_map()
    atlas.area.set_box((11.5, 48.1, 11.6, 48.2))
    scene = atlas.scene()
    offer = next(o for o in offering.offers(scene) if o.notebook == "10_acquire")
    values = offering.prepared(offer, scene, filled, atlas.found.items)
    found = cells.read(values["grid"])
    assert len(found) > 10
    assert {cell.epsg for cell in found} == {32632}


def test_a_form_opens_with_the_values_and_results_become_layers(open_map, filled):
    atlas = open_map()
    atlas.tabs.chosen = JOB
    button = atlas.send._list.children[0].children[0]
    assert button.description == "Detect change between two dates"
    button.click()
    assert notice(atlas) == ""
    assert atlas.send.form.values["before"] == "before"
    assert atlas.send.form.values["after"] == "after"
    atlas.layers.drop("results/mask")
    outputs = [catalog.open_catalog(filled).get("mask", "results")]
    atlas.show_results("0123456789abcd", outputs)
    assert "results/mask" in keys(atlas)


# ---------------------------------------------------------------- addresses


def test_the_address_holds_the_view_and_a_link_shows_it_again(open_map):
    atlas = open_map()
    atlas.finder.filters["role"].value = "image"
    atlas.open("results/mask")
    atlas.time.choose("2021-06-10")
    told = {name: value for name, value in atlas.page.frame.address.items() if value}
    assert told["role"] == "image"
    assert told["day"] == "2021-06-10"
    assert catalog.parse_bbox(told["bbox"])
    asked, problem = query.asked("map", told, "", atlas.page.settings)
    assert problem == ""
    again = Atlas(Page("map", atlas.page.settings, asked))
    again.chart.view = dict(BOX)
    assert again.found.filters == Filters(role="image")
    assert keys(again) == ["town/before", "results/mask"]
    assert again.chart.aim["exact"]


@pytest.mark.parametrize(
    "asked, words",
    [({"item": "no such"}, "no such"), ({"bbox": "1,2"}, "four numbers"), ({"bbox": "a,b,c,d"}, "bbox"),
     ({"run": "zzzzzz"}, "zzzzzz"), ({"datetime": "yesterday"}, "yesterday"),
     ({"items": [HOSTILE, 3, None]}, "script")],
)  # fmt: skip
def test_an_address_that_asks_for_nonsense_shows_the_map_and_one_line(open_map, asked, words):
    atlas = open_map(**asked)
    assert words in notice(atlas)
    assert len(atlas.found.places) == 14


def test_an_item_that_is_asked_for_is_shown_whole(open_map):
    atlas = open_map(item="far", collection="else")
    assert "else/far" in keys(atlas)
    (_, west), (_, east) = atlas.chart.aim["bounds"]
    assert west > 12
    assert maps.bounds([atlas.found.item("else/far")]) is not None
    assert east - west < 0.01
