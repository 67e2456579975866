"""Searches against their slow, obvious twin: a loop over all items, without SQL."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import cql2
import pytest
import shapely
from shapely.geometry import shape

from geolab.catalog import Catalog, Search

from .conftest import random_items

Item = dict[str, Any]


UNKNOWN = ("Could not reduce", "four digit", "while traversing path")  # how cql2 0.6.0 says "unknown"


def naive(items: list[Item], search: Search) -> list[Item]:
    """What a search must find, in its order, all pages together."""
    found = [item for item in items if _fits(item, search)]
    for text in reversed(search.sortby or ("-datetime",)):
        found = _sorted(found, text)
    return found


def _fits(item: Item, search: Search) -> bool:
    return (
        (search.ids is None or item["id"] in search.ids)
        and (search.collections is None or item["collection"] in search.collections)
        and (search.bbox is None or _touches(item, _boxes(search.bbox)))
        and (search.intersects is None or _touches(item, shape(search.intersects)))
        and (search.datetime is None or _within(item, search.datetime))
        and (search.filter is None or _matches(item, search.filter))
    )


def _boxes(bbox: Any) -> Any:
    west, south, east, north = bbox
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


def _touches(item: Item, area: Any) -> bool:
    return item["geometry"] is not None and bool(shape(item["geometry"]).intersects(area))


def _within(item: Item, text: str) -> bool:
    start, stop = text.split("/")
    first, last = _span(item)
    return (start == ".." or last >= _time(start)) and (stop == ".." or first <= _time(stop))


def _span(item: Item) -> tuple[datetime, datetime]:
    given = item["properties"]
    return _time(given.get("start_datetime") or given["datetime"]), _time(
        given.get("end_datetime") or given["datetime"]
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _matches(item: Item, text: Any) -> bool:
    try:
        return bool(cql2.Expr(text).matches(item))
    except Exception as error:
        if not any(words in str(error) for words in UNKNOWN):
            raise
        return False


def _sorted(items: list[Item], text: str) -> list[Item]:
    """A stable sort; absent values last, numbers before texts, truth values as 1 and 0."""
    name = text.lstrip("+-")
    there = [item for item in items if _value(item, name) is not None]
    absent = [item for item in items if _value(item, name) is None]
    key = lambda item: _rank(_value(item, name))  # noqa: E731
    return sorted(there, key=key, reverse=text.startswith("-")) + absent


def _value(item: Item, name: str) -> Any:
    if name == "datetime":
        return _time(item["properties"]["datetime"] or item["properties"]["start_datetime"])
    if name in ("id", "collection"):
        return item[name]
    found: Any = item["properties"]
    for part in name.removeprefix("properties.").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, datetime):
        return 0, value
    if isinstance(value, int | float):
        return 1, float(value)
    return (2, value.encode()) if isinstance(value, str) else (2, b"{")


def everything(catalog: Catalog, search: Search) -> list[Item]:
    """All pages of a search."""
    found: list[Item] = []
    token = None
    while True:
        page = catalog.search(Search(**{**vars(search), "token": token}))
        found += page.items
        assert len(page.items) == search.limit or page.next_token is None
        token = page.next_token
        if token is None:
            assert page.matched == len(found)
            return found


@pytest.fixture
def world(catalog: Catalog) -> list[Item]:
    """400 random items, also in the catalogue, in the order of the tie-break."""
    items = random_items(seed=1, count=400)
    catalog.put(items)
    return sorted(items, key=lambda item: (item["collection"], item["id"]))


def check(catalog: Catalog, world: list[Item], search: Search) -> int:
    expected = naive(world, search)
    found = everything(catalog, search)
    assert [item["id"] for item in found] == [item["id"] for item in expected], search
    assert found == expected
    return len(found)


def test_boxes_find_what_a_loop_finds(catalog: Catalog, world: list[Item]) -> None:
    rng = random.Random(2)
    counts = []
    for _ in range(150):
        west, east = rng.randint(-72, 72) * 2.5, rng.randint(-72, 72) * 2.5
        south = rng.randint(-18, 16) * 5.0
        north = min(90.0, south + rng.choice([0.0, 1.0, 10.0, 60.0]))
        if rng.random() < 0.6:
            east = min(180.0, west + rng.choice([0.0, 1.0, 30.0]))
        if west != east and south != north:
            counts.append(check(catalog, world, Search(bbox=(west, south, east, north), limit=50)))
    assert max(counts) > 100
    assert counts.count(0) > 5


def test_shapes_find_what_a_loop_finds(catalog: Catalog, world: list[Item]) -> None:
    rng = random.Random(3)
    counts = []
    for _ in range(60):
        x, y, r = rng.uniform(-150, 150), rng.uniform(-60, 60), rng.choice([0.5, 5, 30])
        corners = [(x + rng.uniform(-r, r), y + rng.uniform(-r, r)) for _ in range(5)]
        area = shapely.MultiPoint(corners).convex_hull if rng.random() < 0.7 else shapely.LineString(corners)
        counts.append(check(catalog, world, Search(intersects=shapely.geometry.mapping(area), limit=33)))
    assert sum(counts) > 40


def test_times_find_what_a_loop_finds(catalog: Catalog, world: list[Item]) -> None:
    rng = random.Random(4)
    for _ in range(60):
        start = datetime.fromisoformat("2023-12-20T00:00:00+00:00") + timedelta(hours=rng.randint(0, 2400))
        stop = start + timedelta(minutes=rng.choice([0, 1, 600, 60_000]))
        ends = [rng.choice([end.isoformat(), end.isoformat(), ".."]) for end in (start, stop)]
        check(catalog, world, Search(datetime="/".join(ends), limit=100))


def test_sorting_gives_the_order_of_a_loop(catalog: Catalog, world: list[Item]) -> None:
    for sortby in [
        ("+gsd",),
        ("-gsd",),
        ("-name", "+eo:cloud_cover"),
        ("+flag", "-collection", "-id"),
        ("+properties.we\"ird 'key'", "-back\\slash"),
        ("-ключ", "+datetime"),
        ("+datetime",),
        ("-deep.er", "+id"),
    ]:
        assert check(catalog, world, Search(sortby=sortby, limit=23)) == 400


CONDITIONS = [
    "gsd = 1.5",
    "gsd <> 3",
    "gsd >= 3",
    "gsd < 'b'",
    "name = 'abc'",
    "name >= 'a'",
    "name <> 'abc'",
    "flag = true",
    "flag < true",
    "name like 'a%'",
    "name like '%\\%%'",
    "name like '_'",
    "casei(name) = 'abc'",
    "casei(name) like casei('Ä')",
    "accenti(name) = 'a'",
    "name in ('abc', '10', '😀')",
    "gsd in (1, 2, 3, 10)",
    "flag in (true, 1)",
    "gsd in (0.5, 'abc')",
    "gsd is null",
    "gsd = name",
    "gsd < eo:cloud_cover",
    "eo:cloud_cover + 1 > 3",
    "gsd * 2 = 3",
    "ключ = 'ä'",
    '"we""ird \'key\'" = 10',
    "id like 'a%'",
    "id > 'b0200'",
    "collection = 'o''c'",
    "datetime > TIMESTAMP('2024-02-01T12:00:00Z')",
    "datetime <= TIMESTAMP('2024-02-01T14:00:00+02:00')",
    "datetime > '2024-02'",
    "start_datetime < TIMESTAMP('2024-01-15T00:00:00Z')",
    "t_after(datetime, DATE('2024-02-10'))",
    "t_before(datetime, DATE('2024-02-10'))",
    "t_intersects(datetime, DATE('2024-02-10'))",
    "t_disjoint(datetime, INTERVAL('2024-02-01', '2024-02-20'))",
    "t_during(datetime, INTERVAL('2024-02-01', '..'))",
    "t_intersects(INTERVAL(start_datetime, end_datetime), INTERVAL('2024-01-20T00:00:00Z', '..'))",
    "t_contains(INTERVAL(start_datetime, end_datetime), datetime)",
    "t_overlaps(INTERVAL(start_datetime, end_datetime), INTERVAL('2024-01-10', '2024-12-31'))",
    "t_starts(datetime, INTERVAL(datetime, end_datetime))",
    "t_equals(start_datetime, TIMESTAMP('2024-01-05T00:00:00Z'))",
    "s_intersects(geometry, BBOX(-60, -40, 60, 40))",
    "s_within(geometry, BBOX(-60, -40, 60, 40))",
    "s_disjoint(geometry, POLYGON((-100 -50, 100 -50, 0 60, -100 -50)))",
    "s_contains(BBOX(0, 0, 180, 90), geometry)",
    "s_touches(geometry, BBOX(0, 0, 7.5, 8))",
    "s_equals(geometry, POINT(7.5 8))",
    "true",
    "false",
]


# cql2 0.6.0 stops at a value that it can't read, also where another part of the filter decides
ALONE = ["deep.er = 'abc'", "name < TIMESTAMP('2024-01-15T00:00:00Z')"]


@pytest.mark.parametrize("text", CONDITIONS + ALONE)
def test_a_condition_finds_what_cql2_finds_item_by_item(catalog: Catalog, text: str) -> None:
    world = sorted(random_items(seed=5, count=150), key=lambda item: (item["collection"], item["id"]))
    catalog.put(world)
    check(catalog, world, Search(filter=text, limit=1000))
    check(catalog, world, Search(filter=cql2.Expr(f"not ({text})").to_json(), limit=1000))


def test_between_is_two_comparisons(catalog: Catalog, world: list[Item]) -> None:
    for name in ("eo:cloud_cover", "ключ", "deep.er"):
        for start in ("", "not "):
            between = Search(filter=f"{start}({name} between 0 and 5)", limit=1000)
            twice = Search(filter=f"{start}({name} >= 0 and {name} <= 5)", limit=1000)
            assert catalog.search(between) == catalog.search(twice)
            assert catalog.search(between).matched > 10


def test_mixed_conditions_find_what_cql2_finds_item_by_item(catalog: Catalog, world: list[Item]) -> None:
    rng = random.Random(6)
    counts = []
    for _ in range(60):
        parts = rng.sample(CONDITIONS, rng.randint(2, 4))
        text = parts[0]
        for part in parts[1:]:
            text = f"({text}) {rng.choice(['and', 'or', 'and not', 'or not'])} ({part})"
        counts.append(check(catalog, world, Search(filter=text, limit=200)))
    assert sum(0 < count < 400 for count in counts) > 30


def test_everything_at_once_finds_what_a_loop_finds(catalog: Catalog, world: list[Item]) -> None:
    rng = random.Random(7)
    counts = []
    for _ in range(80):
        search = Search(
            ids=rng.choice([None, None, [item["id"] for item in rng.sample(world, 200)]]),
            collections=rng.choice([None, ["c", "ё"]]),
            bbox=rng.choice([None, (-90, -60, 90, 60), (120, -80, -120, 80)]),
            datetime=rng.choice([None, "2024-01-20T00:00:00+00:00/.."]),
            filter=rng.choice([None, *CONDITIONS[:12]]),
            sortby=rng.choice([(), ("+gsd", "-id"), ("-name",)]),
            limit=rng.choice([5, 40]),
        )
        counts.append(check(catalog, world, search))
    assert sum(counts) > 500
