"""The products of a flight on one map: what is drawn, in which order, and what a click does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from ipyleaflet import GeoJSON, ImageOverlay, Marker, TileLayer, WidgetControl
from rasterio.transform import from_origin

from geolab import maps

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
SQUARE = {"type": "Polygon", "coordinates": [[[11, 48], [11.02, 48], [11.02, 48.01], [11, 48.01], [11, 48]]]}


@pytest.fixture
def dsm(tmp_path: Path) -> Path:
    path = tmp_path / "dsm.tif"
    grid = {"crs": "EPSG:4326", "transform": from_origin(11, 48.01, 1e-4, 1e-4), "nodata": -9999}
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=100, width=200, dtype="float32", **grid
    ) as out:
        out.write(np.random.default_rng(0).normal(500, 1, (1, 100, 200)).astype(np.float32))
    return path


def item(title: str = "flight") -> dict:
    return {
        "id": "o", "collection": "results", "bbox": [11, 48, 11.02, 48.01], "geometry": SQUARE,
        "properties": {"title": title, "geolab:role": "product", "gsd": 0.1},
        "assets": {"data": {"href": "/o.tif"}},
    }  # fmt: skip


def test_the_orthophoto_lies_over_the_relief_and_photos_over_both(dsm):
    chart = maps.survey(orthophoto=item(), dsm=dsm, photos=[[11.01, 48.004, 90], [11.011, 48.005, 91]])
    assert [layer.name for layer in chart.layers] == [
        "Relief of the surface", "Orthophoto", "Footprint", "Photos (2)",
    ]  # fmt: skip
    relief, image, outline, photos = chart.layers
    assert isinstance(relief, ImageOverlay)
    assert isinstance(image, TileLayer)
    assert isinstance(outline, GeoJSON)
    assert [f["geometry"]["coordinates"] for f in photos.data["features"]] == [
        [11.01, 48.004],
        [11.011, 48.005],
    ]
    assert chart.center == pytest.approx([48.005, 11.01])


def test_an_item_is_drawn_by_the_servers_tiles_a_height_model_as_relief():
    (layer,) = [one for one in maps.survey(dsm=item()).layers if isinstance(one, TileLayer)]
    assert layer.url.endswith("geolab/tiles/results/o/data/{z}/{x}/{y}.webp?colormap=hillshade")


def test_a_file_is_framed_by_its_own_outline(dsm):
    chart = maps.survey(dsm=dsm)
    assert chart.center == pytest.approx([48.005, 11.01], abs=1e-6)
    assert chart.zoom >= 15


def test_a_click_on_a_photo_tells_its_number_and_strange_clicks_nothing():
    told: list[int] = []
    chart = maps.survey(photos=[[11, 48], [11.1, 48]], on_photo=told.append)
    photos = chart.layers[-1]
    for properties in ({"index": 1}, {"index": 7}, {"index": -1}, {"index": "0"}, {}, None):
        photos._click_callbacks(event="click", properties=properties)
    assert told == [1]


def test_one_pin_moves():
    chart = maps.survey(footprint=SQUARE)
    maps.mark(chart, 48.001, 11.001, HOSTILE)
    maps.mark(chart, 48.002, 11.002, "roof")
    (pin,) = [layer for layer in chart.layers if isinstance(layer, Marker)]
    assert pin.location == [48.002, 11.002]
    assert pin.title == "roof"


def test_no_text_of_a_product_becomes_markup(dsm):
    chart = maps.survey(orthophoto=item(HOSTILE), dsm=dsm, photos=[[11, 48]])
    assert not any("<" in layer.name for layer in chart.layers)


def test_a_map_of_nothing_says_what_to_do():
    controls = [c.widget for c in maps.survey().controls if isinstance(c, WidgetControl)]
    assert any("Nothing to show here yet" in str(getattr(w, "value", "")) for w in controls)
