"""Photos on the Map page: time to find them, to open the page, and for each move of the map.

python bench/map.py [N ...]        N photos, 10,000 and 100,000 when not given
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geolab import catalog, settings
from geolab.apps import query
from geolab.apps.map.atlas import Atlas
from geolab.apps.shell import Page
from geolab.catalog import items

ZOOMS = (9, 11, 13, 15, 17)
WIDTH, HEIGHT = 860, 720  # of the map, pixels
MOVES = 10  # at each zoom


def photos(count: int) -> Iterator[dict[str, Any]]:
    """Photos around Munich, thickest in the middle."""
    places = np.random.default_rng(0).normal(size=(count, 2)) * [0.06, 0.04] + [11.57, 48.14]
    asset = {"href": "/photos/one.jpg", "type": "image/jpeg", "roles": ["data"]}
    for number, (x, y) in enumerate(places.tolist()):
        yield items.item(
            f"{number:020x}",
            collection="flight",
            geometry={"type": "Point", "coordinates": [x, y]},
            datetime=f"2024-08-{1 + number % 28:02d}T10:00:00Z",
            properties={"title": f"DJI_{number:06d}.JPG", "geolab:role": "photo"},
            assets={"data": asset},
        )


def view(zoom: int, step: int) -> dict[str, float]:
    """What a map of this size shows at a zoom; each step moves it by a tenth of its width."""
    wide = WIDTH / 256 / 2**zoom * 360
    high = HEIGHT / 256 / 2**zoom * 360 * 0.667
    west = 11.57 - wide / 2 + step * wide / 10
    box = {"west": west, "south": 48.14 - high / 2, "east": west + wide, "north": 48.14 + high / 2}
    return {**box, "zoom": zoom, "width": WIDTH, "height": HEIGHT}


def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = settings.load(Path(folder), environ={})
        opened = catalog.open_catalog(workspace)
        opened.put(photos(count))
        start = time.perf_counter()
        found = opened.places(catalog.Search())
        asked = time.perf_counter() - start
        page = Page("map", workspace, query.asked("map", {}, "", workspace)[0])
        start = time.perf_counter()
        atlas = Atlas(page)
        built = time.perf_counter() - start
        moves, dots, size = [], 0, 0
        for zoom in ZOOMS:
            for step in range(MOVES):
                start = time.perf_counter()
                atlas.chart.view = view(zoom, step)
                moves.append((time.perf_counter() - start) * 1000)
                dots = max(dots, len(atlas.chart.dots))
                size = max(size, len(json.dumps(atlas.chart.dots)))
        slow = statistics.quantiles(moves, n=20)[-1]
        print(
            f"{len(found):>9,} photos: places {asked * 1000:6.0f} ms, page built {built * 1000:5.0f} ms, "
            f"a move p50 {statistics.median(moves):5.1f} ms p95 {slow:5.1f} ms, "
            f"at most {dots} markers and {size / 1000:.0f} kB a move"
        )
        opened.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", nargs="*", type=int, metavar="N")
    print(platform.processor() or platform.machine(), "Python", platform.python_version())
    for number in parser.parse_args().counts or (10_000, 100_000):
        measure(number)
