"""Inserts per second, search times and file size of the catalogue.

python bench/catalog.py [N]        N items, 100,000 when not given
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from geolab import settings
from geolab.catalog import Catalog, Search, items, open_catalog

BATCH = 1000
START = datetime(2015, 1, 1, tzinfo=UTC)


def scenes(count: int) -> Iterator[dict[str, Any]]:
    """Tilted footprints of about 0.2 degrees all over the world, over ten years."""
    rng = random.Random(0)
    for number in range(count):
        x, y = rng.uniform(-179, 179), rng.uniform(-70, 70)
        ring = [[x, y], [x + 0.2, y + 0.02], [x + 0.18, y + 0.2], [x - 0.02, y + 0.18], [x, y]]
        moment = START + timedelta(seconds=rng.randrange(10 * 365 * 86400))
        yield items.item(
            f"{number:020x}",
            collection=f"c{number % 10}",
            geometry={"type": "Polygon", "coordinates": [ring]},
            datetime=moment.isoformat().replace("+00:00", "Z"),
            properties={
                "title": f"scene-{number}",
                "gsd": rng.choice([0.5, 1, 10]),
                "eo:cloud_cover": rng.randint(0, 100),
                "proj:code": "EPSG:32631",
                "geolab:role": "image",
            },
            assets={
                "data": {
                    "href": f"/data/{number}.tif",
                    "roles": ["data"],
                    "file:size": 10_000_000 + number,
                    "file:checksum": "1220" + f"{number:064x}",
                    "proj:shape": [4096, 5000],
                    "proj:transform": [0.5, 0, 500000, 0, -0.5, 5600000],
                    "bands": [
                        {"name": name, "data_type": "uint8"} for name in ("red", "green", "blue", "nir")
                    ],
                },
                "thumbnail": {"href": f"/data/{number}.webp", "roles": ["thumbnail"]},
            },
        )


def fill(catalog: Catalog, count: int) -> float:
    """Seconds to put `count` items in batches; making them is not counted."""
    spent, batch = 0.0, []
    for number, item in enumerate(scenes(count), 1):
        batch.append(item)
        if len(batch) == BATCH or number == count:
            begun = time.perf_counter()
            catalog.put(batch)
            spent += time.perf_counter() - begun
            batch = []
    return spent


def timed(catalog: Catalog, make: Callable[[random.Random], Search], times: int) -> str:
    """p50 and p95 of a kind of search, and how many items it finds."""
    rng = random.Random(1)
    spent, found = [], []
    for _ in range(times):
        search = make(rng)
        begun = time.perf_counter()
        found.append(catalog.search(search).matched)
        spent.append((time.perf_counter() - begun) * 1000)
    p95 = sorted(spent)[int(len(spent) * 0.95)]
    return f"p50 {statistics.median(spent):8.2f} ms   p95 {p95:8.2f} ms   {statistics.mean(found):9.1f} found"


def box(rng: random.Random, side: float) -> tuple[float, ...]:
    west, south = rng.uniform(-179, 179 - side), rng.uniform(-70, 70 - side)
    return west, south, west + side, south + side


def year(rng: random.Random) -> str:
    start = START + timedelta(days=rng.randrange(9 * 365))
    return f"{start.isoformat()}/{(start + timedelta(days=365)).isoformat()}"


SEARCHES: dict[str, tuple[int, Callable[[random.Random], Search]]] = {
    "bbox 2° + a year": (400, lambda rng: Search(bbox=box(rng, 2), datetime=year(rng), limit=100)),
    "bbox 20° + a year": (100, lambda rng: Search(bbox=box(rng, 20), datetime=year(rng), limit=100)),
    "newest 100 of all": (50, lambda _: Search(limit=100)),
    "one collection, a year": (20, lambda rng: Search(collections=["c3"], datetime=year(rng), limit=100)),
    "bbox 2° + CQL2": (
        100,
        lambda rng: Search(bbox=box(rng, 2), filter="eo:cloud_cover < 20 and gsd <= 1", limit=100),
    ),
    "CQL2 on all": (3, lambda _: Search(filter="eo:cloud_cover < 20 and gsd <= 1", limit=100)),
    "cql2 fallback on all": (2, lambda _: Search(filter="eo:cloud_cover % 7 = 3", limit=100)),
    "title": (50, lambda rng: Search(filter=f"title = 'scene-{rng.randrange(1000)}'")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=100_000, metavar="N")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        workspace = settings.load(Path(folder), environ={})
        catalog = open_catalog(workspace)
        print(
            f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {count} items"
        )
        spent = fill(catalog, count)
        print(f"put in batches of {BATCH}: {count / spent:,.0f} items/s")
        begun = time.perf_counter()
        for number in range(100):
            catalog.update(f"{number:020x}", f"c{number % 10}", lambda item: item)
        print(f"update one by one: {100 / (time.perf_counter() - begun):,.0f} items/s")
        for name, (times, make) in SEARCHES.items():
            print(f"{name:24} {timed(catalog, make, times)}")
        begun = time.perf_counter()
        catalog.collections()
        print(f"collections with extents: {(time.perf_counter() - begun) * 1000:.1f} ms")
        catalog.close()
        size = workspace.catalog_path.stat().st_size
        print(f"file: {size / 1e6:.1f} MB, {size / count:.0f} bytes an item")


if __name__ == "__main__":
    main()
