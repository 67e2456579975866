"""Pairs from a collection of the catalogue: labels say which dates they compare, images have those dates."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from geolab import raster
from geolab.catalog import Search, locate, open_catalog
from geolab.change.pairs.part import Pair
from geolab.errors import BadInput, GridMismatch, NotFound
from geolab.settings import Settings

Item = dict[str, Any]
PAGE = 1000


def read(name: str, settings: Settings) -> list[Pair]:
    """Every pair of the collection, in the order of their labels' ids.

    A label is an item with geolab:role "label" whose start_datetime and end_datetime are those of two
    images (role "image") on the label's grid. Raises NotFound, BadInput, GridMismatch.
    """
    catalog = open_catalog(settings)
    known = [c["id"] for c in catalog.collections()]
    if name not in known:
        raise NotFound("collection or folder of pairs", name, known=known, remedy="geolab ingest makes one")
    items = _items(catalog, name)
    labels = sorted((i for i in items if _role(i) == "label"), key=lambda item: item["id"])
    images = [i for i in items if _role(i) == "image"]
    if not labels:
        raise NotFound(
            "label", f"in collection {name}",
            remedy="labels have geolab:role 'label' and two dates (TIFF tags GEOLAB_START, GEOLAB_END)",
        )  # fmt: skip
    pairs = [_pair(label, images, catalog) for label in labels]
    _check_overlaps([_title(label) for label in labels], pairs)
    return pairs


def _items(catalog: Any, name: str) -> list[Item]:
    found, token = [], None
    while True:
        page = catalog.search(Search(collections=(name,), limit=PAGE, token=token))
        found += page.items
        token = page.next_token
        if token is None:
            return found


def _role(item: Item) -> str:
    return item["properties"].get("geolab:role", "image")


def _title(item: Item) -> str:
    return item["properties"].get("title") or item["id"]


def _pair(label: Item, images: list[Item], catalog: Any) -> Pair:
    grid = raster.read_info(locate(label["id"], catalog))
    before, after = (
        _image(label, images, grid, when, catalog) for when in ("start_datetime", "end_datetime")
    )
    return Pair(label["id"], before.uri, after.uri, grid.uri, grid.height, grid.width)


def _image(label: Item, images: list[Item], grid: raster.Info, when: str, catalog: Any) -> raster.Info:
    """The one image of that date on the label's grid."""
    date = label["properties"].get(when)
    if not date:
        raise BadInput(
            f"label {_title(label)}", found=f"no {when}", expected="the dates of the images it compares"
        )
    dated = [i for i in images if i["properties"].get("datetime") == date]
    infos = [raster.read_info(locate(i["id"], catalog)) for i in dated]
    fitting = [info for info in infos if _overlap(info, grid)]
    if not fitting:
        raise NotFound("image", f"of {date}", remedy=f"label {_title(label)} needs one on its place")
    same = [info for info in fitting if _same(grid, info)]
    if not same:
        raster.same_grid(grid, fitting[0])  # says what differs
    if len(same) > 1:
        raise BadInput(
            f"label {_title(label)}", found=f"{len(same)} images of {date} on its grid", expected="one",
            remedy="keep pairs of one place and date in collections of their own",
        )  # fmt: skip
    return same[0]


def _same(grid: raster.Info, info: raster.Info) -> bool:
    try:
        raster.same_grid(grid, info)
    except GridMismatch:
        return False
    return True


def _overlap(one: raster.Info, two: raster.Info) -> bool:
    if one.crs != two.crs:
        return False
    a, b = one.bounds, two.bounds
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _check_overlaps(titles: list[str], pairs: list[Pair]) -> None:
    """Pairs that share ground must share their grid: each is split by the same rule of its own grid."""
    infos = [raster.read_info(pair.label) for pair in pairs]
    for (first, one), (second, two) in combinations(zip(titles, infos, strict=True), 2):
        if _overlap(one, two) and not _same(one, two):
            raise BadInput(
                f"labels {first} and {second}", found="overlapping places on different grids",
                expected="one grid, so that a test place is never another pair's training place",
                remedy="align them (geolab.raster.align) or keep them in collections of their own",
            )  # fmt: skip
