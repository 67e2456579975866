"""Items: built, validated without a network, and kept as they are."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyproj import CRS

from geolab.catalog import Catalog, Search, items
from geolab.errors import BadInput

from .conftest import make_item

FOOTPRINT = {"type": "Polygon", "coordinates": [[[3, 50], [5, 50.5], [5, 51], [3, 50.5], [3, 50]]]}


def rich_item() -> dict[str, Any]:
    """An item that uses a field of every extension."""
    return items.item(
        "a1",
        collection="c",
        geometry=FOOTPRINT,
        datetime="2024-08-15T10:30:00Z",
        properties={
            "title": "may",
            "gsd": 0.5,
            "geolab:role": "image",
            "proj:code": "EPSG:32631",
            "proj:projjson": CRS(32631).to_json_dict(),
            "eo:cloud_cover": 3.5,
            "view:off_nadir": 12,
            "processing:software": {"geolab": "0.1.0"},
        },
        assets={
            "data": {
                "href": "/data/a1.tif",
                "roles": ["data"],
                "file:size": 1234,
                "file:checksum": "1220" + "ab" * 32,
                "proj:shape": [2, 3],
                "proj:transform": [0.5, 0, 500000, 0, -0.5, 5600000],
                "raster:spatial_resolution": 0.5,
                "bands": [
                    {"name": "red", "data_type": "uint8", "nodata": 0, "eo:common_name": "red"},
                    {"name": "nir", "raster:scale": 0.01},
                ],
            }
        },
    )


def test_a_built_item_is_valid_and_names_its_extensions() -> None:
    item = rich_item()
    items.validate(item)
    assert item["bbox"] == [3, 50, 5, 51]
    assert item["stac_extensions"] == sorted(items.EXTENSIONS.values())


def test_a_plain_item_names_no_extension() -> None:
    item = items.item("a", collection="c", geometry=None, datetime="2024-08-15T10:30:00Z")
    items.validate(item)
    assert item["stac_extensions"] == []
    assert "bbox" not in item


def test_an_extension_used_only_in_a_band_is_named() -> None:
    assets = {"data": {"href": "/a.tif", "bands": [{"eo:common_name": "red"}]}}
    item = items.item("a", collection="c", geometry=FOOTPRINT, datetime="2024-08-15T10:30:00Z", assets=assets)
    assert item["stac_extensions"] == [items.EXTENSIONS["eo"]]
    items.validate(item)


def test_the_bbox_across_the_antimeridian_has_west_greater_than_east() -> None:
    geometry = {"type": "Polygon", "coordinates": [[[178, -2], [183, -1], [183, 4], [178, 3], [178, -2]]]}
    assert items.bbox(geometry) == [178, -2, -177, 4]
    item = items.item("a", collection="c", geometry=geometry, datetime="2024-08-15T10:30:00Z")
    assert item["bbox"] == [178, -2, -177, 4]


FAULTS: list[tuple[str, Any, str]] = [
    ("properties/eo:cloud_cover", 101, "properties.eo:cloud_cover: 101 is greater than the maximum"),
    ("properties/eo:nope", 1, "eo:nope"),
    ("properties/proj:code", 32631, "properties.proj:code: 32631 is not of type"),
    ("properties/proj:epsg", 32631, "proj:epsg"),
    ("properties/proj:projjson", {"type": "nothing"}, "properties.proj:projjson"),
    ("properties/proj:bbox", [1, 2, 3], "proj:bbox"),
    ("properties/proj:centroid", {"lat": 95, "lon": 1}, "proj:centroid"),
    ("properties/proj:geometry", {"type": "Blob"}, "proj:geometry"),
    ("properties/view:sun_azimuth", 361, "view:sun_azimuth"),
    ("properties/processing:software", {"geolab": 1}, "processing:software.geolab"),
    ("properties/processing:datetime", "yesterday", "processing:datetime"),
    ("properties/file:size", 1, "properties"),
    ("properties/created", "yesterday", "properties.created"),
    ("properties/gsd", 0, "properties.gsd"),
    ("properties/datetime", None, "datetime of item 'a1'"),
    ("assets/data/file:size", -1, "assets.data.file:size: -1 is less than the minimum"),
    ("assets/data/file:checksum", "XYZ", "assets.data.file:checksum"),
    ("assets/data/file:local_path", "a\\b", "file:local_path"),
    ("assets/data/proj:shape", [2, 3, 4], "assets.data.proj:shape"),
    ("assets/data/proj:transform", [1, 2], "assets.data.proj:transform"),
    ("assets/data/bands/0/eo:common_name", "rot", "assets.data.bands.0.eo:common_name"),
    ("assets/data/bands/1/raster:scale", "x", "assets.data.bands.1.raster:scale"),
    ("assets/data/raster:sampling", "line", "raster:sampling"),
    ("assets/data/raster:histogram", {"count": 3, "min": 0, "max": 1, "buckets": [1]}, "raster:histogram"),
    ("assets/data/href", "", "assets.data.href"),
    ("links", None, "links"),
    ("geometry", {"type": "Polygon"}, "geometry of item 'a1'"),
    ("stac_version", "1.0.0", "stac_version '1.0.0', expected 1.1.0"),
    ("stac_extensions", ["https://example.com/schema.json"], "extension 'https://example.com/schema.json'"),
    ("stac_extensions", "proj", "expected a list"),
]


@pytest.mark.parametrize("way, value, words", FAULTS, ids=[f"{f[0]}={f[1]!r}"[:50] for f in FAULTS])
def test_a_fault_is_found_and_named(way: str, value: Any, words: str) -> None:
    item: Any = rich_item()
    holder = item
    *steps, last = way.split("/")
    for step in steps:
        holder = holder[int(step) if isinstance(holder, list) else step]
    holder[last] = value
    with pytest.raises(BadInput) as refused:
        items.validate(item)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_validation_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import urllib.request

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    from geolab.catalog import validation

    validation.offline_validator.cache_clear()
    for module, name in ((socket, "socket"), (socket, "getaddrinfo"), (urllib.request, "urlopen")):
        monkeypatch.setattr(module, name, refuse)
    items.validate(rich_item())
    with pytest.raises(BadInput, match="extension"):
        items.validate(
            rich_item() | {"stac_extensions": ["https://stac-extensions.github.io/sar/v1.0.0/schema.json"]}
        )


def test_the_vendored_schemas_are_those_that_items_name() -> None:
    from geolab.catalog import validation

    cache = validation.offline_validator().schema_cache
    assert set(items.EXTENSIONS.values()) <= set(cache)
    folder = Path(items.__file__).parent / "schemas"
    written = {json.loads(path.read_text())["$id"] for path in folder.glob("*.json")}
    older = {f"https://stac-extensions.github.io/{name}/v1.1.0/schema.json" for name in ("eo", "raster")}
    assert written == set(items.EXTENSIONS.values()) | older  # those of the sample archive


def test_importing_the_catalogue_is_light() -> None:
    code = (
        "import sys, geolab.catalog; "
        "heavy = {'shapely', 'cql2', 'pystac', 'jsonschema', 'numpy', 'pandas', 'geopandas', 'pyproj'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---------------------------------------------------------------- real items


def real_items(folder: Path) -> list[dict[str, Any]]:
    """Every valid STAC 1.0 or 1.1 item in the folder."""
    found = []
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.geojson")]):
        if "invalid" in path.parts or "1.0.0-" in str(path) or "windows_hrefs" in path.parts:
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        features = document.get("features", [document]) if isinstance(document, dict) else []
        for item in features:
            if item.get("type") == "Feature" and item.get("stac_version") in ("1.0.0", "1.1.0"):
                found.append(item)
    return found


@pytest.mark.parametrize("name", ["stac_pystac", "stac_joplin"])
def test_real_items_come_back_equal_and_are_found(catalog: Catalog, real_data: Path, name: str) -> None:
    given = real_items(real_data / name)
    if name == "stac_joplin":
        index = json.loads((real_data / name / "index.geojson").read_text())
        given = index["features"]
    assert len(given) > 15
    for item in given:
        catalog.put([item])
        collection, before = item.get("collection"), copy.deepcopy(item)
        assert catalog.get(item["id"], collection or "") == before
        same = {"ids": [item["id"]], "collections": [collection or ""], "limit": 5}
        assert catalog.search(Search(**same)).items == [before]
        given_times = item["properties"]
        moment = given_times.get("datetime") or given_times["start_datetime"]
        assert catalog.search(Search(**same, datetime=moment)).matched == 1
        if item["geometry"] is not None:
            bbox = items.bbox(item["geometry"])
            assert catalog.search(Search(**same, bbox=bbox)).matched == 1
            assert catalog.search(Search(**same, intersects=item["geometry"])).matched == 1
    assert catalog.search(Search(bbox=(-180, -90, 180, 90))).matched > 0
    assert all(document["extent"]["spatial"]["bbox"] for document in catalog.collections())


def test_an_item_of_another_version_is_kept_but_not_called_valid() -> None:
    with pytest.raises(BadInput, match="stac_version"):
        items.validate(make_item() | {"stac_version": "1.0.0"})


def test_the_bbox_of_a_point_is_the_point_to_the_last_digit():
    place = {"type": "Point", "coordinates": [-98.08999166699999, 30.171000000000003]}
    assert items.bbox(place) == [-98.08999166699999, 30.171000000000003] * 2
