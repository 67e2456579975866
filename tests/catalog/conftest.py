"""The back ends that must meet the catalogue's contract, and items to fill them with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geolab import catalog as catalogs
from geolab.settings import Settings

Opener = Callable[[Settings], catalogs.Catalog]

BACKENDS: dict[str, Opener] = {"sqlite": catalogs.open_catalog}


@pytest.fixture(params=sorted(BACKENDS))
def open_backend(request: pytest.FixtureRequest) -> Opener:
    """How to open the catalogue of a workspace, once for every back end."""
    return BACKENDS[request.param]


@pytest.fixture
def catalog(open_backend: Opener, workspace: Settings) -> Iterator[catalogs.Catalog]:
    """An empty catalogue, once for every back end."""
    opened = open_backend(workspace)
    yield opened
    opened.close()


def make_item(item_id: str = "a1", collection: str | None = "c", **changes: Any) -> dict[str, Any]:
    """A small valid item; `geometry` and `bbox` replace its own, others are properties."""
    polygon = {"type": "Polygon", "coordinates": [[[5, 50], [8, 50], [8, 51], [5, 51], [5, 50]]]}
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "geometry": changes.pop("geometry", polygon),
        "properties": {"datetime": "2024-08-15T10:30:00Z"},
        "links": [],
        "assets": {"data": {"href": f"/data/{item_id}.tif", "roles": ["data"]}},
    }
    if "bbox" in changes:
        item["bbox"] = changes.pop("bbox")
    if collection is not None:
        item["collection"] = collection
        item["links"] = [{"rel": "collection", "href": "./collection.json"}]
    item["properties"] |= changes
    return item


NAMES = ["gsd", "eo:cloud_cover", "name", "flag", "deep", "we\"ird 'key'", "back\\slash", "ключ"]
TEXTS = ["", "a", "abc", "Abc", "ä", "a%c", "a_c", "it's", '"; DROP TABLE items; --', "<b>", "10", "\n", "😀"]


def random_items(seed: int, count: int) -> list[dict[str, Any]]:
    """Items of every kind: points, rotated boxes, two-part footprints over ±180 degrees, none;
    instants and ranges; properties of every type, and absent ones."""
    rng = random.Random(seed)
    return [_random_item(rng, number) for number in range(count)]


def _random_item(rng: random.Random, number: int) -> dict[str, Any]:
    item = make_item(f"{rng.choice('abc')}{number:04d}", rng.choice(["c", "d", "ё", "o'c"]))
    geometry = rng.choice([_point, _tilted, _tilted, _crossing, _nothing])(rng)
    item["geometry"] = geometry
    day, hour = rng.randint(1, 28), rng.randint(0, 23)
    item["properties"]["datetime"] = f"2024-{rng.randint(1, 3):02d}-{day:02d}T{hour:02d}:00:00Z"
    if rng.random() < 0.3:
        item["properties"] |= {
            "datetime": rng.choice([None, f"2024-02-{day:02d}T00:00:00+02:00"]),
            "start_datetime": f"2024-01-{day:02d}T00:00:00Z",
            "end_datetime": f"2024-03-{day:02d}T12:00:00.5Z",
        }
    for name in NAMES:
        if rng.random() < 0.7:
            item["properties"][name] = _random_value(rng)
    if rng.random() < 0.5:
        item["properties"]["deep"] = {"er": _random_value(rng)}
    return item


def _random_value(rng: random.Random) -> Any:
    return rng.choice(
        [rng.randint(-3, 12), rng.choice([0.5, 1.5, 10.0]), rng.choice(TEXTS), True, False, None]
    )


def _place(rng: random.Random) -> tuple[float, float]:
    return rng.randint(-24, 23) * 7.5, rng.randint(-10, 10) * 8.0


def _point(rng: random.Random) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(_place(rng))}


def _tilted(rng: random.Random) -> dict[str, Any]:
    x, y = _place(rng)
    w, h = rng.choice([3.0, 10.0]), rng.choice([1.0, 7.0])
    ring = [[x, y], [x + w * 0.9, y + 1], [x + w, y + h], [x + 0.5, y + h - 0.5], [x, y]]
    ring = [[max(-180.0, min(180.0, lon)), max(-90.0, min(90.0, lat))] for lon, lat in ring]
    return {"type": "Polygon", "coordinates": [ring]}


def _crossing(rng: random.Random) -> dict[str, Any]:
    south, w = rng.randint(-8, 7) * 10.0, rng.choice([2.0, 12.0])
    boxes = [(180 - w, south, 180, south + 5), (-180, south, -180 + w / 2, south + 5)]
    rings = [[[[a, b], [c, b], [c, d], [a, d], [a, b]]] for a, b, c, d in boxes]
    return {"type": "MultiPolygon", "coordinates": rings}


def _nothing(rng: random.Random) -> None:
    return None
