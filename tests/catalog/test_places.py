"""Where very many items lie: the same items as a search finds, as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.catalog import Search

HOSTILE = "<img src=x onerror=alert(1)>"


def item(name: str, lon: float, lat: float, *, size: float = 0.0, day: int = 1, **properties) -> dict:
    ring = [[lon, lat], [lon + size, lat], [lon + size, lat + size], [lon, lat + size], [lon, lat]]
    shape = (
        {"type": "Polygon", "coordinates": [ring]} if size else {"type": "Point", "coordinates": [lon, lat]}
    )
    facts = {"datetime": f"2024-08-{day:02d}T10:00:00Z"} | properties
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": "c", "geometry": shape,
        "properties": facts, "links": [], "assets": {},
    }  # fmt: skip


@pytest.fixture
def filled(catalog):
    catalog.put(
        [
            item("image", 11, 48, size=0.5, day=3, title=HOSTILE),
            item(
                "photo", 11.2, 48.2, day=2, **{"geolab:role": "photo", "geolab:position": [11.25, 48.25, 600]}
            ),
            item("mask", 11, 48, size=0.25, day=1, **{"geolab:role": "product", "geolab:result": "mask"}),
            item("far", -70, -30, day=4, **{"geolab:position": ["x", None]}),
            {**item("nowhere", 0, 0), "geometry": None},
        ]
    )
    return catalog


def test_the_newest_come_first_and_what_lies_nowhere_is_left_out(filled):
    found = filled.places(Search())
    assert found.names == (("c", "far"), ("c", "image"), ("c", "photo"), ("c", "mask"))
    assert found.roles.tolist() == ["image", "image", "photo", "product"]
    assert found.kinds == ("", "", "", "mask")
    assert found.titles == ("far", HOSTILE, "photo", "mask")


def test_a_photo_lies_where_its_camera_was_and_an_area_in_its_middle(filled):
    found = filled.places(Search())
    np.testing.assert_allclose(found.points, [[-70, -30], [11.25, 48.25], [11.25, 48.25], [11.125, 48.125]])
    np.testing.assert_allclose(found.boxes[1], [11, 48, 11.5, 48.5])


def test_the_filters_are_those_of_a_search(filled):
    photos = {"op": "=", "args": [{"property": "geolab:role"}, "photo"]}
    searches = [
        Search(collections=("c",)), Search(collections=("none",)), Search(filter=photos),
        Search(ids=("mask",)), Search(datetime="2024-08-02/.."), Search(bbox=(10, 47, 12, 49)),
    ]  # fmt: skip
    for search in searches:
        names = {("c", i["id"]) for i in filled.search(search).items if i["geometry"]}
        assert set(filled.places(search).names) == names


def test_a_cut_says_how_many_there_are(filled):
    found = filled.places(Search(), limit=2)
    assert len(found) == 2
    assert found.matched == filled.search(Search(limit=1)).matched


def test_rows_in_a_box_are_those_whose_box_touches_it(filled):
    found = filled.places(Search())
    assert [found.names[row][1] for row in found.within(11.4, 48.4, 12, 49)] == ["image"]
    assert [found.names[row][1] for row in found.within(10, 47, 11.1, 48.1)] == ["image", "mask"]
    assert len(found.within(20, 20, 30, 30)) == 0


def test_the_date_line_is_no_edge(catalog):
    fiji = item("fiji", 179.5, -17, size=1.0)
    catalog.put([fiji])
    found = catalog.places(Search())
    assert found.boxes[0, 2] > found.boxes[0, 0]
    for west, east in ((179, 180), (-180, -179), (-181, -179.6), (180.2, 181), (539, 541)):
        assert len(found.within(west, -18, east, -16)) == 1, (west, east)
    assert len(found.within(0, -18, 170, -16)) == 0


def test_an_empty_catalogue_has_no_places(catalog):
    found = catalog.places(Search())
    assert len(found) == found.matched == 0
    assert len(found.within(-180, -90, 180, 90)) == 0
