"""What every back end of the catalogue must do; `catalog` comes once for each of them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pystac
import pytest

from geolab import catalog as catalogs
from geolab.catalog import Catalog, Search
from geolab.errors import BadInput, NotFound
from geolab.settings import Settings

from .conftest import Opener, make_item, random_items


def ids(catalog: Catalog, **search: Any) -> list[str]:
    return [item["id"] for item in catalog.search(Search(**search)).items]


# ---------------------------------------------------------------- storing


def test_an_item_comes_back_equal(catalog: Catalog) -> None:
    item = make_item(title="Überflug", nested={"a": [1, 2.5, None, {"b": "\u2028"}]}, big=2**70, tiny=1e-300)
    catalog.put([item])
    assert catalog.get("a1") == item
    assert catalog.get("a1", "c") == item
    assert list(catalog.get("a1")) == list(item)


def test_put_twice_changes_nothing(catalog: Catalog) -> None:
    catalog.put([make_item()])
    catalog.put([make_item()])
    assert catalog.search(Search()).matched == 1


def test_put_replaces_the_item_of_the_same_collection_and_id(catalog: Catalog) -> None:
    catalog.put([make_item(n=1), make_item(collection="d", n=1)])
    moved = make_item(
        n=2, datetime="2020-01-01T00:00:00Z", geometry={"type": "Point", "coordinates": [-20, 4]}
    )
    catalog.put([moved])
    assert catalog.get("a1", "c") == moved
    assert catalog.get("a1", "d")["properties"]["n"] == 1
    assert ids(catalog, bbox=(-21, 3, -19, 5)) == ["a1"]
    assert ids(catalog, bbox=(5, 50, 8, 51), collections=["c"]) == []
    assert ids(catalog, datetime="2024-08-15", collections=["c"]) == []


def test_the_last_of_equal_items_in_one_put_wins(catalog: Catalog) -> None:
    catalog.put([make_item(n=1), make_item(n=2)])
    assert catalog.get("a1")["properties"]["n"] == 2


def test_a_put_with_one_bad_item_stores_none(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="datetime of item 'a2': found 'yesterday'"):
        catalog.put([make_item("a1"), make_item("a2", datetime="yesterday")])
    assert catalog.search(Search()).items == []


def test_a_put_whose_source_fails_stores_none(catalog: Catalog) -> None:
    def source():
        yield make_item()
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        catalog.put(source())
    assert catalog.search(Search()).matched == 0


def test_putting_nothing_is_fine(catalog: Catalog) -> None:
    catalog.put([])
    assert catalog.search(Search()).items == []


@pytest.mark.parametrize(
    "change, words",
    [
        ({"type": "Collection"}, "expected an object of type Feature"),
        ({"id": ""}, "id of a STAC item: found ''"),
        ({"id": 7}, "id of a STAC item: found 7"),
        ({"collection": 7}, "collection of item 'a1': found 7"),
        ({"properties": None}, "properties of item 'a1': found None"),
        ({"properties": {}}, "datetime of item 'a1': found None, expected a time"),
        ({"properties": {"datetime": None, "start_datetime": "2020-01-01T00:00:00Z"}}, "datetime of item"),
        ({"properties": {"datetime": "2020-02-30T00:00:00Z"}}, "2020-02-30"),
        ({"properties": {"datetime": 5}}, "found 5, expected an RFC 3339 time"),
        (
            {
                "properties": {
                    "datetime": None,
                    "start_datetime": "2020-01-02T00:00:00Z",
                    "end_datetime": "2020-01-01T00:00:00Z",
                }
            },
            "expected a time before the end",
        ),
        ({"geometry": {"type": "Point"}}, "expected a GeoJSON geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"]]]}}, "geometry of item 'a1'"),
        ({"geometry": {"type": "Blob", "coordinates": []}}, "found Blob"),
        ({"geometry": "POINT (1 2)"}, "expected a GeoJSON geometry"),
        ({"geometry": {"type": "Point", "coordinates": [500000, 5600000]}}, "longitudes and latitudes"),
        ({"extra": float("nan")}, "expected values that JSON can hold"),
        ({"extra": {1, 2}}, "expected values that JSON can hold"),
        ({"extra": "\ud800"}, "expected values that JSON can hold"),
    ],
)
def test_an_item_that_search_could_not_find_is_refused(
    catalog: Catalog, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput) as refused:
        catalog.put([make_item() | change])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_deep_nesting_is_refused_and_brackets_in_text_are_not_nesting(catalog: Catalog) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(BadInput, match="deep nesting"):
        catalog.put([make_item(deep=deep)])
    catalog.put([make_item(text='[{"\\' * 300)])
    assert catalog.get("a1")["properties"]["text"] == '[{"\\' * 300


def test_an_item_without_collection_is_kept_and_found(catalog: Catalog) -> None:
    item = make_item(collection=None)
    catalog.put([item])
    assert catalog.get("a1") == item
    assert ids(catalog, filter="collection IS NULL") == ["a1"]
    assert catalog.collections() == []
    catalog.delete("a1", None)
    assert catalog.search(Search()).matched == 0


def test_get_of_an_absent_item_says_so(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="no item 'a1'"):
        catalog.get("a1")
    catalog.put([make_item()])
    with pytest.raises(NotFound, match="no item 'a1'"):
        catalog.get("a1", "other")


def test_get_of_an_id_in_two_collections_asks_for_the_collection(catalog: Catalog) -> None:
    catalog.put([make_item(), make_item(collection="d")])
    with pytest.raises(BadInput, match="'a1' in c, d"):
        catalog.get("a1")


def test_delete_forgets_the_item_and_its_place(catalog: Catalog) -> None:
    catalog.put([make_item("a1"), make_item("a2")])
    catalog.delete("a1", "c")
    assert ids(catalog, bbox=(0, 0, 60, 60)) == ["a2"]
    with pytest.raises(NotFound, match="no item 'a1'"):
        catalog.delete("a1", "c")


def test_hostile_names_are_only_names(catalog: Catalog) -> None:
    for hostile in [
        "x'); DROP TABLE items; --",
        'q"uote',
        "back\\slash",
        "ünï",
        "a b",
        "%",
        "../../etc",
        "<b>",
    ]:
        item = make_item(hostile, hostile, **{hostile: hostile, "title": hostile})
        catalog.put([item])
        assert catalog.get(hostile, hostile) == item
        assert ids(catalog, ids=[hostile]) == [hostile]
        assert ids(catalog, collections=[hostile]) == [hostile]
        condition = {"op": "=", "args": [{"property": f"properties.{hostile}"}, hostile]}
        assert ids(catalog, filter=condition) == ([hostile] if "." not in hostile else [])
        assert ids(catalog, sortby=[f"+properties.{hostile}"], collections=[hostile]) == [hostile]
    assert len(catalog.collections()) == 8


# ---------------------------------------------------------------- update


def test_update_changes_an_item(catalog: Catalog) -> None:
    catalog.put([make_item(n=1)])

    def more(item: dict[str, Any] | None) -> dict[str, Any]:
        assert item is not None
        item["properties"]["n"] += 1
        return item

    assert catalog.update("a1", "c", more) == make_item(n=2)
    assert catalog.get("a1") == make_item(n=2)


def test_update_of_an_absent_item_gets_none_and_may_make_it(catalog: Catalog) -> None:
    seen = []
    assert catalog.update("a1", "c", lambda item: seen.append(item)) is None
    assert seen == [None]
    assert catalog.search(Search()).items == []
    assert catalog.update("a1", "c", lambda _: make_item()) == make_item()
    assert catalog.get("a1") == make_item()


def test_update_that_returns_none_leaves_the_item_as_it_is(catalog: Catalog) -> None:
    catalog.put([make_item(n=1)])

    def spoil(item: dict[str, Any] | None) -> None:
        assert item is not None
        item["properties"]["n"] = "spoilt"

    assert catalog.update("a1", "c", spoil) == make_item(n=1)
    assert catalog.get("a1") == make_item(n=1)


def test_update_that_raises_leaves_the_item_and_lets_others_write(catalog: Catalog) -> None:
    catalog.put([make_item(n=1)])

    def fail(item: dict[str, Any] | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        catalog.update("a1", "c", fail)
    catalog.put([make_item("a2")])
    assert catalog.get("a1") == make_item(n=1)


def test_update_may_not_change_the_identity(catalog: Catalog) -> None:
    catalog.put([make_item()])
    with pytest.raises(BadInput, match="found c/a2, expected c/a1"):
        catalog.update("a1", "c", lambda _: make_item("a2"))
    assert catalog.search(Search()).items == [make_item()]


# ---------------------------------------------------------------- space


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_bbox_means_the_footprint_not_its_bounding_box(catalog: Catalog) -> None:
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 6], [0, 0]]]}
    catalog.put([make_item(geometry=triangle, bbox=[0, 0, 10, 6])])
    assert ids(catalog, bbox=(8, 4, 9, 5)) == []
    assert ids(catalog, bbox=(1, 1, 2, 2)) == ["a1"]
    assert ids(catalog, bbox=(10, 0, 20, 1)) == ["a1"], "touching is intersecting"
    assert ids(catalog, bbox=(1, 1, 1, 1)) == ["a1"], "a box may be a point"
    assert ids(catalog, bbox=(1, 1, -500, 2, 2, 500)) == ["a1"], "heights are not used"


def test_a_bbox_across_the_antimeridian_finds_both_sides(catalog: Catalog) -> None:
    catalog.put(
        [
            make_item("fiji", geometry=square(177, -19, 180, -16)),
            make_item("samoa", geometry=square(-173, -15, -171, -13)),
            make_item("africa", geometry=square(10, -19, 20, -16)),
        ]
    )
    assert sorted(ids(catalog, bbox=(175, -20, -170, -10))) == ["fiji", "samoa"]
    assert ids(catalog, bbox=(-170, -20, 175, -10)) == ["africa"]


@pytest.mark.parametrize(
    "geometry, bbox",
    [
        (
            {
                "type": "MultiPolygon",
                "coordinates": [
                    square(179, 0, 180, 3)["coordinates"],
                    square(-180, 0, -178, 3)["coordinates"],
                ],
            },
            [179, 0, -178, 3],
        ),
        (square(179, 0, 182, 3), None),
        (square(-181, 0, -178, 3), None),
        (
            {"type": "Polygon", "coordinates": [[[179, 0], [-178, 0], [-178, 3], [179, 3], [179, 0]]]},
            [179, 0, -178, 3],
        ),
    ],
    ids=["cut", "beyond-180", "beyond-minus-180", "not-cut"],
)
def test_an_item_across_the_antimeridian_is_where_it_is(
    catalog: Catalog, geometry: dict[str, Any], bbox: list[float] | None
) -> None:
    item = make_item(geometry=geometry) | ({"bbox": bbox} if bbox else {})
    catalog.put([item])
    assert catalog.get("a1") == item
    for west, east in [(179.2, 179.8), (-179.8, -178.5), (179.5, -179.5)]:
        assert ids(catalog, bbox=(west, 1, east, 2)) == ["a1"]
    for west, east in [(-177, 178), (-100, 100), (0, 0)]:
        assert ids(catalog, bbox=(west, 1, east, 2)) == []
    assert catalog.collections()[0]["extent"]["spatial"]["bbox"] == [[179, 0, -178, 3]]


def test_intersects_takes_any_geojson_geometry(catalog: Catalog) -> None:
    catalog.put([make_item(geometry=square(0, 0, 4, 2))])
    assert ids(catalog, intersects={"type": "Point", "coordinates": [1, 1]}) == ["a1"]
    assert ids(catalog, intersects={"type": "LineString", "coordinates": [[-1, 3], [5, -1]]}) == ["a1"]
    assert ids(catalog, intersects={"type": "LineString", "coordinates": [[-1, 3], [5, 3]]}) == []
    assert ids(catalog, intersects={"type": "GeometryCollection", "geometries": []}) == []
    assert ids(catalog, intersects=square(3, 1, 9, 9), bbox=(0, 0, 1, 1)) == ["a1"], "both must hold"


def test_an_item_without_geometry_is_never_in_a_place(catalog: Catalog) -> None:
    catalog.put([make_item(geometry=None)])
    assert ids(catalog) == ["a1"]
    assert ids(catalog, bbox=(-180, -90, 180, 90)) == []
    assert ids(catalog, filter="s_disjoint(geometry, BBOX(0, 0, 1, 1))") == []
    assert catalog.collections()[0]["extent"]["spatial"] == {"bbox": [[-180.0, -90.0, 180.0, 90.0]]}


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    "text, found",
    [
        ("2024-08-15T10:30:00Z", ["instant", "range"]),
        ("2024-08-15T12:30:00+02:00", ["instant", "range"]),
        ("2024-08-15T10:30:00.000001Z", ["range"]),
        ("2024-08-15", ["instant", "range"]),
        ("2024-08", ["instant", "range"]),
        ("2024-09", ["range"]),
        ("2023", []),
        ("2024-08-16/..", ["range"]),
        ("2024-08-16/", ["range"]),
        ("../2024-08-15T10:30:00Z", ["instant", "range"]),
        ("../2024-08-15T10:29:59Z", ["range"]),
        ("2024-10-01/2024-12-31", ["range"]),
        ("2024-10-02/2024-12-31", []),
        ("../..", ["instant", "range"]),
    ],
)
def test_datetime_finds_instants_and_ranges(catalog: Catalog, text: str, found: list[str]) -> None:
    span = {"start_datetime": "2024-06-01T00:00:00Z", "end_datetime": "2024-10-01T23:00:00Z"}
    catalog.put([make_item("instant"), make_item("range", datetime=None, **span)])
    assert sorted(ids(catalog, datetime=text)) == found


def test_years_of_the_calendar_end_where_they_end(catalog: Catalog) -> None:
    catalog.put(
        [
            make_item("leap", datetime="2024-02-29T23:59:59Z"),
            make_item("end", datetime="9999-12-31T23:59:59Z"),
        ]
    )
    assert ids(catalog, datetime="2024-02") == ["leap"]
    assert ids(catalog, datetime="2024") == ["leap"]
    assert ids(catalog, datetime="9999") == ["end"]


# ---------------------------------------------------------------- what is refused

BAD_SEARCHES = [
    ({"bbox": (1, 2, 3)}, "bbox: found [1, 2, 3], expected four numbers"),
    ({"bbox": (0, 0, 1, float("nan"))}, "expected finite numbers"),
    ({"bbox": (0, -91, 1, 1)}, "latitudes -90..90"),
    ({"bbox": (0, 0, 190, 1)}, "west greater than east"),
    ({"bbox": (0, 10, 1, 5)}, "south that is not above north"),
    ({"bbox": (0, 0, "1", 1)}, "four numbers"),
    ({"bbox": (0, 0, True, 1)}, "four numbers"),
    ({"intersects": {"type": "Point", "coordinates": ["a", 1]}}, "intersects: found Point"),
    ({"intersects": {"type": "Point", "coordinates": [1, 1e9]}}, "degrees"),
    ({"intersects": {"type": "Point", "coordinates": [1, float("nan")]}}, "finite"),
    ({"intersects": "POINT(1 1)"}, "GeoJSON"),
    ({"datetime": "yesterday"}, "datetime: found 'yesterday'"),
    ({"datetime": "2024-13-01"}, "datetime: found '2024-13-01'"),
    ({"datetime": "2024-01-01/2023-01-01"}, "start that is not after the end"),
    ({"datetime": "2024/2025/2026"}, "datetime"),
    ({"datetime": ""}, "datetime"),
    ({"limit": 0}, "limit: found 0, expected a whole number from 1 to 10000"),
    ({"limit": 10_001}, "limit"),
    ({"limit": True}, "limit"),
    ({"ids": "abc"}, "ids: found 'abc', expected a list"),
    ({"collections": [1]}, "collections"),
    ({"sortby": ["+"]}, "sortby"),
    ({"sortby": [3]}, "sortby"),
    ({"filter": "gsd ="}, "filter: found 'gsd =', fault at character"),
    ({"filter": "gsd"}, "expected a CQL2 condition"),
    ({"filter": "upper(name) = 'A'"}, "upper"),
    ({"filter": "s_near(geometry, POINT(1 2))"}, "s_near"),
    ({"filter": "gsd = 1; DROP TABLE items"}, "expected CQL2"),
    ({"filter": "t_after(datetime, TIMESTAMP('nope'))"}, "RFC 3339"),
    ({"filter": "datetime > TIMESTAMP('2020-13-45T00:00:00Z')"}, "RFC 3339"),
    ({"filter": "datetime > DATE('2020-02-30')"}, "RFC 3339"),
    ({"filter": "t_during(datetime, INTERVAL('2020-02-02','2020-01-01'))"}, "end before it starts"),
    ({"filter": "gsd = 1e999"}, "finite"),
    ({"filter": "s_intersects(geometry, BBOX(0, 0, 1))"}, "bbox"),
    ({"filter": "s_intersects(geometry, BBOX(0, 5, 1, 2))"}, "south"),
    ({"filter": {"op": "=", "args": [{"property": "gsd"}]}}, "= with 2 arguments"),
    ({"filter": {"op": "and", "args": []}}, "and with 2 or more arguments"),
    ({"filter": {"op": "like", "args": [{"property": "name"}, 5]}}, "like with a text"),
    ({"filter": {"op": "in", "args": [{"property": "name"}, "abc"]}}, "in with a list"),
    ({"filter": {"op": "=", "args": [{"property": "name"}, None]}}, "expected a property"),
    ({"filter": {}}, "expected CQL2"),
    ({"filter": {"x": float("nan")}}, "CQL2"),
    ({"filter": ""}, "expected CQL2"),
    ({"filter": "(" * 3000 + "a = 1" + ")" * 3000}, "levels of brackets"),
    ({"filter": "not " * 5000 + "a = 1"}, "operators"),
    ({"filter": " or ".join(["a = 1"] * 1000)}, "parts"),
    ({"filter": "a = 1" + " " * 70_000}, "characters"),
    ({"token": "abc"}, "token: found 'abc'"),
    ({"token": "é"}, "token"),
    ({"token": ""}, "token"),
]


@pytest.mark.parametrize("search, words", BAD_SEARCHES, ids=[str(n) for n in range(len(BAD_SEARCHES))])
def test_a_search_that_can_not_be_understood_is_refused_in_one_line(
    catalog: Catalog, search: dict[str, Any], words: str
) -> None:
    catalog.put([make_item(gsd=1)])
    with pytest.raises(BadInput) as refused:
        catalog.search(Search(**search))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 300


def test_a_bad_search_of_an_empty_catalogue_is_refused_too(catalog: Catalog) -> None:
    for search in ({"bbox": (1, 2, 3)}, {"filter": "gsd ="}, {"token": "abc"}):
        with pytest.raises(BadInput):
            catalog.search(Search(**search))


# ---------------------------------------------------------------- CQL2


@pytest.mark.parametrize(
    "text, found",
    [
        ("gsd = 1", "a"),
        ("gsd <> 1", "b"),
        ("not (gsd = 1)", "b"),
        ("gsd = 1 or name = 'x'", "ac"),
        ("gsd in (1, 2, 'x')", "abc"),
        ("gsd not in (2)", "ac"),
        ("gsd in ('1')", ""),
        ("gsd between 0.5 and 1.5", "a"),
        ("gsd is null", "d"),
        ("gsd is not null", "abc"),
        ("gsd = '1'", ""),
        ("gsd = true", ""),
        ("name like 'X%'", "b"),
        ("casei(name) like casei('X%')", "abc"),
        ("name = 'it''s'", "d"),
        ("1 = gsd", "a"),
        ("gsd + 1 = 3", "b"),
        ("gsd = gsd", "abc"),
        ("accenti(name) = accenti('xé')", "a"),
        ("a_contains(tags, ('t'))", "a"),
        ("true", "abcd"),
        ("false", ""),
        ("flag = true", "a"),
        ("deep.er = 3", "a"),
        ("properties.gsd = 1", "a"),
        ("id = 'a' and collection = 'c'", "a"),
        ("stac_version = '1.1.0'", "abcd"),
        ("assets.data.href like '%/b.tif'", "b"),
        ("datetime = DATE('2024-01-02')", "b"),
        ("datetime <= DATE('2024-01-02')", "ab"),
        ("datetime < DATE('2024-01-02')", "a"),
        ("datetime <> DATE('2024-01-02')", "acd"),
        ("datetime >= TIMESTAMP('2024-01-02T12:00:00Z')", "bcd"),
        ("datetime > TIMESTAMP('2024-01-02T13:00:00+01:00')", "cd"),
        ("datetime between DATE('2024-01-02') and DATE('2024-01-03')", "bc"),
        ("t_after(datetime, DATE('2024-01-02'))", "cd"),
        ("t_before(datetime, DATE('2024-01-02'))", "a"),
        ("t_intersects(datetime, INTERVAL('..', '2024-01-02T12:00:00Z'))", "ab"),
        ("t_during(datetime, INTERVAL('2024-01-02T00:00:00Z', '2024-01-03T23:00:00Z'))", "bc"),
        ("name > TIMESTAMP('2020-01-01T00:00:00Z')", ""),
        ("s_intersects(geometry, BBOX(1, -1, 2.5, 1))", "bc"),
        ("s_within(geometry, POLYGON((0.5 -1, 2.5 -1, 2.5 1, 0.5 1, 0.5 -1)))", "bc"),
        ("s_contains(BBOX(0.5, -1, 2.5, 1), geometry)", "bc"),
        ("s_disjoint(geometry, BBOX(1, -1, 2.5, 1))", "ad"),
        ("not s_intersects(geometry, BBOX(1, -1, 2.5, 1))", "ad"),
        ("s_intersects(geometry, BBOX(1, -1, 2.5, 1)) or gsd = 1", "abc"),
        ("s_intersects(geometry, BBOX(2, -1, -179, 1))", "cd"),
    ],
)
def test_cql2_finds(catalog: Catalog, text: str, found: str) -> None:
    day = "2024-01-0{}T12:00:00Z".format
    catalog.put(
        [
            make_item(
                "a",
                gsd=1,
                name="xé",
                flag=True,
                deep={"er": 3},
                tags=["t"],
                datetime=day(1),
                geometry=point(0),
            ),
            make_item("b", gsd=2.0, name="Xy", flag=False, datetime=day(2), geometry=point(1)),
            make_item("c", gsd="x", name="x", datetime=day(3), geometry=point(2)),
            make_item("d", gsd=None, name="it's", datetime=day(4), geometry=point(3)),
        ]
    )
    assert "".join(sorted(ids(catalog, filter=text))) == found


def point(longitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, 0]}


@pytest.mark.parametrize(
    "pattern, text, matches",
    [
        ("a%c", "abc", True),
        ("a%c", "a\nc", True),
        ("a%c", "abcd", False),
        ("%", "", True),
        ("", "", True),
        ("", "a", False),
        ("a\\%c", "a%c", True),
        ("a\\%c", "abc", False),
        ("a\\\\c", "a\\c", True),
        ("_", "😀", True),
        ("(.*)", "abc", False),
        ("%a%a%b", "xaaaab", True),
        ("%ab%ab", "abab", True),
        ("ab%ab", "ab", False),
        ("%" + "a%" * 200 + "b", "a" * 20_000, False),
    ],
)
def test_like_takes_whole_texts(catalog: Catalog, pattern: str, text: str, matches: bool) -> None:
    catalog.put([make_item(name=text)])
    condition = {"op": "like", "args": [{"property": "name"}, pattern]}
    assert bool(ids(catalog, filter=condition)) is matches


def test_an_item_can_not_smuggle_cql2_into_a_filter(catalog: Catalog) -> None:
    catalog.put([make_item(trap={"op": "=", "args": [1, 1]}, other={"property": "trap"})])
    for text in ("trap = true", "trap = 1", "other = true", "trap is null", "accenti(trap) = 'x'"):
        assert ids(catalog, filter=text) == []
    assert ids(catalog, filter="trap is not null") == ["a1"]


# ---------------------------------------------------------------- order and pages


def test_the_newest_comes_first(catalog: Catalog) -> None:
    span = {"start_datetime": "2023-06-01T00:00:00Z", "end_datetime": "2025-01-01T00:00:00Z"}
    catalog.put(
        [
            make_item("old", datetime="2022-01-01T00:00:00Z"),
            make_item("new", "d", datetime="2024-01-01T00:00:00Z"),
            make_item("new", "c", datetime="2024-01-01T00:00:00Z"),
            make_item("range", datetime=None, **span),
        ]
    )
    found = catalog.search(Search()).items
    assert [(i["collection"], i["id"]) for i in found] == [
        ("c", "new"),
        ("d", "new"),
        ("c", "range"),
        ("c", "old"),
    ]


def test_absent_values_come_last_up_and_down(catalog: Catalog) -> None:
    catalog.put(
        [
            make_item("a", n=2),
            make_item("b"),
            make_item("c", n=1),
            make_item("d", n="x"),
            make_item("e", n=None),
        ]
    )
    assert ids(catalog, sortby=["+n"]) == ["c", "a", "d", "b", "e"]
    assert ids(catalog, sortby=["-properties.n"]) == ["d", "a", "c", "b", "e"]
    assert ids(catalog, sortby=["n", "-id"]) == ["c", "a", "d", "e", "b"]
    assert ids(catalog, sortby="-id,n") == ["e", "d", "c", "b", "a"]


def pages(catalog: Catalog, **search: Any) -> list[list[str]]:
    found, token = [], None
    while True:
        page = catalog.search(Search(**search, token=token))
        found.append([f"{item['collection']}/{item['id']}" for item in page.items])
        if page.next_token is None:
            return found
        token = page.next_token


@pytest.mark.parametrize(
    "sortby", [(), ("+gsd",), ("-name", "+gsd"), ("+we\"ird 'key'",), ("-id",), ("-flag", "-datetime")]
)
def test_pages_together_are_the_whole(catalog: Catalog, sortby: tuple[str, ...]) -> None:
    catalog.put(random_items(7, 120))
    whole = pages(catalog, sortby=sortby, limit=10_000)
    assert len(whole) == 1
    parts = pages(catalog, sortby=sortby, limit=7)
    assert [len(part) for part in parts] == [7] * 17 + [1]
    assert [name for part in parts for name in part] == whole[0]


def test_a_full_last_page_has_no_token(catalog: Catalog) -> None:
    catalog.put(make_item(f"i{n}") for n in range(6))
    assert [len(page) for page in pages(catalog, limit=3)] == [3, 3]


def test_items_that_come_between_pages_neither_repeat_nor_hide_others(catalog: Catalog) -> None:
    catalog.put(make_item(f"i{n:02d}", n=n) for n in range(0, 40, 2))
    first = catalog.search(Search(sortby=["+n"], limit=10))
    catalog.put(make_item(f"i{n:02d}", n=n) for n in range(1, 40, 2))
    catalog.delete("i18", "c")
    second = catalog.search(Search(sortby=["+n"], limit=100, token=first.next_token))
    assert [i["properties"]["n"] for i in second.items] == list(range(19, 40))
    assert first.matched == second.matched == 20, "counted with the first page"


def test_a_token_serves_only_its_own_search_unchanged(catalog: Catalog) -> None:
    catalog.put(make_item(f"i{n}", n=n) for n in range(5))
    token = catalog.search(Search(limit=2)).next_token
    assert token is not None
    assert catalog.search(Search(limit=3, token=token)).items, "the page size may change"
    wrong = [
        Search(sortby=["+n"], token=token),
        Search(datetime="2024", token=token),
        Search(token=token + "A"),
    ]
    wrong += [
        Search(token=token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :])
        for n in range(len(token))
    ]
    for search in wrong:
        with pytest.raises(BadInput, match="token"):
            catalog.search(search)


def test_matched_counts_beyond_the_page(catalog: Catalog) -> None:
    catalog.put(make_item(f"i{n}", n=n) for n in range(9))
    page = catalog.search(Search(filter="n < 7", bbox=(0, 0, 60, 60), limit=2))
    assert (page.matched, len(page.items)) == (7, 2)


def test_no_ids_and_no_collections_find_nothing(catalog: Catalog) -> None:
    catalog.put([make_item()])
    assert ids(catalog, ids=[]) == []
    assert ids(catalog, collections=[]) == []


def test_a_page_is_an_item_collection(catalog: Catalog) -> None:
    catalog.put(make_item(f"i{n}") for n in range(3))
    found = catalogs.item_collection(catalog.search(Search(limit=2)))
    assert (found["numberMatched"], found["numberReturned"]) == (3, 2)
    assert len(pystac.ItemCollection.from_dict(json.loads(json.dumps(found)))) == 2


# ---------------------------------------------------------------- collections


def test_collections_tell_the_extent_of_their_items(catalog: Catalog) -> None:
    catalog.put(
        [
            make_item("a", geometry=square(-10, 40, -5, 45), datetime="2020-01-01T00:00:00Z"),
            make_item("b", geometry=square(3, 48, 4, 49), datetime="2021-01-01T00:00:00.5Z"),
            make_item("z", "d", geometry=None),
        ]
    )
    c, d = catalog.collections()
    assert (c["id"], d["id"]) == ("c", "d")
    assert c["extent"]["spatial"]["bbox"] == [[-10, 40, 4, 49]]
    assert c["extent"]["temporal"]["interval"] == [["2020-01-01T00:00:00Z", "2021-01-01T00:00:00.500000Z"]]
    catalog.delete("a", "c")
    assert catalog.collections()[0]["extent"]["spatial"]["bbox"] == [[3, 48, 4, 49]]
    catalog.delete("b", "c")
    assert catalog.collections()[0]["extent"]["temporal"]["interval"] == [[None, None]]


def test_collections_are_valid_stac(catalog: Catalog) -> None:
    from geolab.catalog.validation import offline_validator

    catalog.put([make_item()])
    catalog.put_collection({"id": "empty", "title": "Nothing yet", "license": "CC-BY-4.0"})
    for document in catalog.collections():
        pystac.validation.validate_dict(document, validator=offline_validator())


def test_put_collection_says_more_about_a_collection(catalog: Catalog) -> None:
    catalog.put([make_item()])
    given = {
        "id": "c",
        "title": "Flights",
        "license": "CC0-1.0",
        "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}},
    }
    catalog.put_collection(copy.deepcopy(given))
    catalog.put_collection({"id": "c", "description": "All flights"})
    catalog.put([make_item("a2")])
    (c,) = catalog.collections()
    assert (c["title"], c["license"], c["description"]) == ("Flights", "CC0-1.0", "All flights")
    assert c["extent"]["spatial"]["bbox"] == [[5, 50, 8, 51]], "items know better"


def test_an_empty_collection_keeps_the_extent_it_was_given(catalog: Catalog) -> None:
    catalog.put_collection({"id": "e", "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}}})
    (e,) = catalog.collections()
    assert e["extent"]["spatial"]["bbox"] == [[0, 0, 1, 1]]
    assert e["extent"]["temporal"]["interval"] == [[None, None]]


@pytest.mark.parametrize("document", [{}, {"id": ""}, {"id": 3}, {"id": "x", "n": float("nan")}])
def test_a_collection_without_an_id_is_refused(catalog: Catalog, document: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="STAC collection"):
        catalog.put_collection(document)


# ---------------------------------------------------------------- several at once


def test_what_one_writes_another_reads(open_backend: Opener, workspace: Settings) -> None:
    one, other = open_backend(workspace), open_backend(workspace)
    assert other.search(Search()).items == []
    one.put([make_item()])
    assert other.get("a1") == make_item()
    other.delete("a1", "c")
    assert one.search(Search()).items == []
    one.close()
    assert one.search(Search()).items == [], "closing is not for ever"
    one.close()
    other.close()


def test_nothing_is_created_by_reading(open_backend: Opener, workspace: Settings) -> None:
    catalog = open_backend(workspace)
    assert catalog.search(Search(bbox=(0, 0, 1, 1))) == catalogs.Page()
    assert catalog.collections() == []
    for absent in (lambda: catalog.get("a"), lambda: catalog.delete("a", "c")):
        with pytest.raises(NotFound):
            absent()
    assert not workspace.home.exists()
