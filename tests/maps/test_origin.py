"""Addresses: every name stays in its own place, whatever it holds."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolab.maps import origin

ITEM = {"collection": "town", "id": "a/b?c", "properties": {}}


@pytest.fixture(autouse=True)
def below_a_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VOILA_BASE_URL", raising=False)
    monkeypatch.setenv("GEOLAB_BASE_URL", "/user/ann/")


def test_tile_addresses_carry_what_is_asked():
    url = origin.tile_url(
        ITEM,
        bands=(4,),
        limits=((0, 1.5),),
        expression="(b4-b3)/(b4+b3), b1",
        threshold=0.25,
        colormap="change",
    )
    assert url.startswith("/user/ann/geolab/tiles/town/a%2Fb%3Fc/data/{z}/{x}/{y}.webp?")
    assert parse_qs(urlsplit(url).query) == {
        "bidx": ["4"], "rescale": ["0,1.5"], "expression": ["(b4-b3)/(b4+b3), b1"], "threshold": ["0.25"],
        "colormap": ["change"],
    }  # fmt: skip
    assert "{" not in urlsplit(url).query
    assert origin.tile_url(ITEM).endswith("{y}.webp")


def test_downloads_clips_uploads_and_shares_have_addresses():
    assert origin.asset_url(ITEM, "x y") == "/user/ann/geolab/assets/town/a%2Fb%3Fc/x%20y"
    assert origin.run_file_url("20240815-abc", "figures/a b.png") == (
        "/user/ann/geolab/runs/20240815-abc/figures/a%20b.png"
    )
    assert origin.clip_url(ITEM, bbox=(8.25, 47.5, 8.26, 47.51)) == (
        "/user/ann/geolab/clip/town/a%2Fb%3Fc/data.tif?bbox=8.25%2C47.5%2C8.26%2C47.51"
    )
    assert origin.clip_url(ITEM).endswith("data.tif")
    assert origin.upload_url() == "/user/ann/geolab/upload"
    assert origin.upload_url("a&b.tif") == "/user/ann/geolab/upload?name=a%26b.tif"
    assert origin.shared_url("a.b-c") == "/user/ann/geolab/shared/a.b-c"


@given(st.text(), st.text())
def test_a_name_never_leaves_its_place(item_id: str, asset: str):
    item = {"collection": "c", "id": item_id, "properties": {}}
    path = origin.asset_url(item, asset)
    parts = path.removeprefix("/user/ann/").split("/")
    assert [unquote(part, errors="surrogatepass") for part in parts] == [
        "geolab",
        "assets",
        "c",
        item_id,
        asset,
    ]
