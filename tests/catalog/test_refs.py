"""Items by what a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from geolab import catalog as catalogs
from geolab.catalog import Catalog, parse_bbox
from geolab.errors import BadInput, NotFound
from geolab.settings import Settings

from .conftest import make_item


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    catalog.put(
        [
            make_item("abcdef0001", title="town-2020"),
            make_item("abcdef0002", title="town-2024"),
            make_item("123456789a", title="twice"),
            make_item("123999", title="twice"),
            make_item("shared", "c", title="one"),
            make_item("shared", "d", title="two"),
        ]
    )
    return catalog


@pytest.mark.parametrize(
    "ref, item_id",
    [
        ("abcdef0001", "abcdef0001"),
        ("town-2024", "abcdef0002"),
        ("123456", "123456789a"),
        ("123999", "123999"),
        ("c/abcdef0001", "abcdef0001"),
        ("d/shared", "shared"),
        ("two", "shared"),
    ],
)
def test_an_item_is_found_by(filled: Catalog, ref: str, item_id: str) -> None:
    assert catalogs.find(ref, filled)["id"] == item_id


def test_the_collection_decides_between_equal_ids(filled: Catalog) -> None:
    assert catalogs.find("d/shared", filled)["collection"] == "d"
    with pytest.raises(BadInput, match=r"'shared' in 2 items \(c/shared, d/shared\)"):
        catalogs.find("shared", filled)


@pytest.mark.parametrize("ref", ["abcdef", "twice"])
def test_what_several_items_fit_is_refused(filled: Catalog, ref: str) -> None:
    with pytest.raises(BadInput, match="expected one; name it as collection/id"):
        catalogs.find(ref, filled)


@pytest.mark.parametrize("ref", ["", "abcde", "12345", "%", "' OR 1=1 --", "c/", "/", "TOWN-2024", "x" * 500])
def test_what_no_item_fits_is_not_found(filled: Catalog, ref: str) -> None:
    with pytest.raises(NotFound) as missing:
        catalogs.find(ref, filled)
    assert "\n" not in str(missing.value)


def test_a_near_miss_is_helped(filled: Catalog) -> None:
    with pytest.raises(NotFound, match="no item 'town-20244'; did you mean 'town-2024'"):
        catalogs.find("town-20244", filled)


def test_settings_serve_as_well_as_a_catalogue(workspace: Settings) -> None:
    catalogs.open_catalog(workspace).put([make_item("abcdef0001", title="town")])
    assert catalogs.find("town", workspace)["id"] == "abcdef0001"
    assert catalogs.locate("town", workspace) == "/data/abcdef0001.tif"


def test_locate_prefers_a_file_that_is_there(filled: Catalog, tmp_path: Path) -> None:
    image = tmp_path / "town-2024"
    image.write_bytes(b"x")
    assert catalogs.locate(str(image), filled) == str(image)
    assert catalogs.locate(image.as_uri(), filled) == image.as_uri()
    assert catalogs.locate("s3://bucket/a.tif", filled) == "s3://bucket/a.tif"
    assert catalogs.locate("town-2024", filled) == "/data/abcdef0002.tif"


def test_a_file_that_is_not_there_is_not_found(filled: Catalog, tmp_path: Path) -> None:
    for ref in (str(tmp_path / "absent.tif"), (tmp_path / "absent.tif").as_uri()):
        with pytest.raises(NotFound, match="no file or item"):
            catalogs.locate(ref, filled)


@pytest.mark.parametrize(
    "assets, found",
    [
        ({"data": {"href": "s3://b/a.tif"}, "other": {"href": "/o.tif", "roles": ["data"]}}, "s3://b/a.tif"),
        ({"thumb": {"href": "/t.webp"}, "image": {"href": "/i.tif", "roles": ["data", "x"]}}, "/i.tif"),
        ({"b1": {"href": "/1", "roles": ["data"]}, "b2": {"href": "/2", "roles": ["data"]}}, "data: b1, b2"),
        ({"thumb": {"href": "/t.webp"}}, "role data: none"),
        ({}, "role data: none"),
        ({"data": {"href": "./a.tif"}}, "relative address './a.tif'"),
    ],
)
def test_the_main_asset(catalog: Catalog, assets: dict, found: str) -> None:
    catalog.put([make_item() | {"assets": assets}])
    if found.startswith(("/", "s3:")):
        assert catalogs.locate("a1", catalog) == found
    else:
        with pytest.raises(BadInput, match=found):
            catalogs.locate("a1", catalog)


def test_a_relative_asset_is_resolved_by_the_self_link(catalog: Catalog) -> None:
    links = [{"rel": "self", "href": "/archive/c/a1.json"}]
    catalog.put([make_item() | {"assets": {"data": {"href": "./a.tif"}}, "links": links}])
    assert catalogs.locate("a1", catalog) == "/archive/c/a.tif"


def test_a_bbox_is_read_from_text() -> None:
    assert parse_bbox("-1.5, 50,2,51.25") == (-1.5, 50, 2, 51.25)
    with pytest.raises(BadInput, match="four numbers W,S,E,N"):
        parse_bbox("1,2,three,4")
