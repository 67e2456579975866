"""Data and Models as analysts meet them: files dropped in, found, looked at, taken away, shared."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import expect
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from geolab import catalog, track

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTH, HEIGHT = 320, 200
LEFT, TOP = 690_400.0, 5_338_800.0  # EPSG:32632
LONG_MS = 180_000  # a run of 01_ingest on a busy machine


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """[band, y, x] bytes, no two rows or columns the same."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x % 251 + 1, y + 1, (x * 7 + y * 3) % 250 + 1]).astype(np.uint8)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> dict[str, Path]:
    """A GeoTIFF in a zip with one that holds nothing; one without a place, and a text, by themselves."""
    folder = tmp_path_factory.mktemp("dropped")
    good, bare, lost = (folder / f"{name}.tif" for name in ("meadow-2024", "bare", "lost"))
    facts: dict[str, Any] = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 3}
    facts |= {"dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": from_origin(LEFT, TOP, 2, 2)}
    for path, values, more in ((good, pixels, {}), (bare, pixels * 0, {"nodata": 0})):
        with rasterio.open(path, "w", **facts, **place, **more) as out:
            out.write(values)
            out.update_tags(TIFFTAG_DATETIME="2024:07:01 10:00:00")
    with rasterio.open(lost, "w", **facts) as out:
        out.write(pixels[::-1])
    packed = folder / "both.zip"
    with zipfile.ZipFile(packed, "w") as made:
        for path in (good, bare):
            made.write(path, path.name)
    text = folder / "words.tif"
    text.write_text("<script>alert(1)</script>" * 100)
    return {"lost": lost, "zip": packed, "text": text}


def drop(page: Any, *paths: Path) -> None:
    """Choose files as by the button; the drop zone takes them the same way."""
    page.locator(".geolab-upload input[type=file]").set_input_files([str(path) for path in paths])


def fine(seen: Any) -> None:
    """Nothing was asked elsewhere, nothing complained, nothing popped up."""
    assert seen.outside == []
    assert seen.dialogs == []
    assert [(status, url) for status, url in seen.answers if status >= 400] == []
    assert seen.errors == []


def fetched(page: Any, href: str) -> bytes:
    """What the server sends for an address of the page."""
    answer = page.request.get(urljoin(page.url, href))
    assert answer.status == 200, (href, answer.status, answer.text())
    return answer.body()


def origin_of(page: Any) -> str:
    parts = urlsplit(page.url)
    return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture(scope="module")
def ingested(open_app, apps_server, sources: dict[str, Path], lived_in) -> Any:
    """The page when the zip was dropped, and added to a new collection."""
    seen = open_app("data")
    page = seen.page
    page.goto(f"{apps_server.url}voila/render/data.ipynb?tab=add")  # no token any more: a cookie, as by links
    expect(page.get_by_text("Drop GeoTIFFs, photos or a zip of them here")).to_be_visible()
    add = page.get_by_role("button", name="Add to the catalogue")
    expect(add).to_be_disabled()
    drop(page, sources["zip"])
    expect(page.get_by_role("cell", name="both.zip")).to_be_visible(timeout=30_000)
    page.get_by_placeholder("name of a new or known collection").fill("meadows")
    page.get_by_placeholder("name of a new or known collection").press("Enter")
    add.click()
    expect(page.get_by_text("What became of each file")).to_be_visible(timeout=LONG_MS)
    yield seen
    page.close()


def test_a_dropped_zip_is_ingested_and_the_outcome_of_each_file_is_told(ingested, lived_in) -> None:
    page = ingested.page
    expect(page.get_by_text("1 added, 1 rejected.")).to_be_visible()
    bare = page.get_by_role("row", name=re.compile("bare.tif"))
    expect(bare).to_contain_text("rejected")
    expect(bare).to_contain_text("every pixel is nodata")
    expect(page.get_by_role("row", name=re.compile("meadow-2024.tif"))).to_contain_text("added")
    found = catalog.open_catalog(lived_in).search(catalog.Search(collections=("meadows",))).items
    assert [item["properties"]["title"] for item in found] == ["meadow-2024"]
    assert "run=" in page.url
    page.reload()
    expect(page.get_by_text("1 added, 1 rejected.")).to_be_visible(timeout=60_000)
    fine(ingested)


def test_what_no_ingest_takes_is_refused_as_it_arrives(ingested, sources: dict[str, Path]) -> None:
    page = ingested.page
    drop(page, sources["lost"], sources["text"])
    lines = page.locator(".geolab-upload-list li")
    expect(lines.filter(has_text="lost.tif")).to_contain_text("no georeference", timeout=30_000)
    expect(lines.filter(has_text="words.tif").locator(".geolab-is-fail")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Add to the catalogue")).to_be_disabled()
    assert ingested.dialogs == []
    ingested.errors[:] = [text for text in ingested.errors if "Failed to load resource" not in text]
    ingested.answers[:] = [(status, url) for status, url in ingested.answers if "/geolab/upload" not in url]


@pytest.fixture(scope="module")
def item(ingested, open_app) -> Any:
    """The item's page, found by a search."""
    seen = open_app("data", {"text": "MEADOW"})
    page = seen.page
    card = page.get_by_role("listitem").filter(has_text="meadow-2024")
    expect(card).to_have_count(1)
    card.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Lineage")).to_be_visible()
    yield seen
    page.close()


def test_the_item_is_found_and_shown_in_full(item) -> None:
    page = item.page
    for words in ("EPSG:32632", "320 × 200 px", "2024-07-01 10:00 UTC", "Ingested from meadow-2024.tif."):
        expect(page.get_by_text(words).first).to_be_visible()
    assert "item=" in page.url
    page.wait_for_selector(".leaflet-tile-loaded", timeout=30_000)
    shown = np.asarray(Image.open(io.BytesIO(page.locator(".leaflet-container").screenshot())).convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 500, "real pixels, not a plain ground"
    page.reload()
    expect(page.get_by_role("heading", name="meadow-2024")).to_be_visible(timeout=60_000)
    fine(item)


def test_its_file_and_a_part_of_it_open_with_rasterio(item, pixels: np.ndarray) -> None:
    page = item.page
    href = page.get_by_role("row", name=re.compile("^data")).get_by_role("link", name="Download")
    with MemoryFile(fetched(page, href.get_attribute("href"))) as file, file.open() as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
    page.get_by_text("Take a part of it as GeoTIFF").click()
    whole = [float(v) for v in page.get_by_placeholder("west,south,east,north").input_value().split(",")]
    west, south, east, north = whole
    middle = ((west + east) / 2, (south + north) / 2)
    link = page.get_by_role("link", name="Download this part")
    before = link.get_attribute("href")
    page.get_by_placeholder("west,south,east,north").fill(f"{west},{middle[1]},{middle[0]},{north}")
    expect(link).not_to_have_attribute("href", before)
    with MemoryFile(fetched(page, link.get_attribute("href"))) as file, file.open() as dataset:
        part = dataset.read()
        assert dataset.crs.to_epsg() == 32632
        column = round((dataset.transform.c - LEFT) / 2)
        line = round((TOP - dataset.transform.f) / 2)
    assert abs(part.shape[2] - WIDTH / 2) <= 6
    assert abs(part.shape[1] - HEIGHT / 2) <= 6
    inside = pixels[:, line : line + part.shape[1], column : column + part.shape[2]]
    np.testing.assert_array_equal(part, inside)
    fine(item)


def test_a_share_link_works_without_a_login_and_only_for_its_file(item, pixels: np.ndarray) -> None:
    page = item.page
    page.get_by_role("button", name="Make a link").click()
    shown = page.locator(".geolab-copy code", has_text="/geolab/shared/")
    expect(shown).to_be_visible()
    address = shown.inner_text()
    assert address.startswith(f"{origin_of(page)}/user/ann/geolab/shared/")
    answer = httpx.get(address, trust_env=False)  # a stranger: neither cookie nor token
    assert answer.status_code == 200
    with MemoryFile(answer.content) as file, file.open() as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
    download = page.get_by_role("row", name=re.compile("^data")).get_by_role("link", name="Download")
    direct = httpx.get(urljoin(page.url, download.get_attribute("href")), trust_env=False)
    assert direct.status_code in (302, 403), "without the link there is a login before it"


def test_a_model_is_promoted_and_its_runs_are_drawn(open_app, lived_in) -> None:
    seen = open_app("models")
    page = seen.page
    row = page.get_by_role("row", name=re.compile("tiny"))
    expect(row.first).to_be_visible(timeout=60_000)
    row.first.click()
    expect(page.get_by_text("siamese-difference small")).to_be_visible(timeout=30_000)
    page.get_by_placeholder("production").fill("production")
    page.get_by_placeholder("production").press("Enter")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("Move 'production' to tiny/1?")).to_be_visible()
    page.get_by_role("button", name="Move it").click()
    expect(page.get_by_text("Aliases: production")).to_be_visible(timeout=30_000)
    assert track.models(lived_in)[0].aliases == ("production",)
    page.get_by_role("button", name="Training runs").click()
    page.get_by_role("row", name=re.compile("tiny")).first.click(timeout=30_000)
    expect(page.locator(".geolab-curves svg").first).to_be_visible(timeout=30_000)
    expect(page.locator("img.geolab-figure, .geolab-figure img").first).to_be_visible(timeout=30_000)
    fine(seen)
    page.close()
