"""Rasters and photos made for the tests, and ways to look at what became of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from geolab import catalog, ingest
from geolab.settings import Settings

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {}/></rdf:RDF></x:xmpmeta>'
)


def xmp(**fields: object) -> bytes:
    """An XMP packet as DJI writes it."""
    return XMP.format(" ".join(f'drone-dji:{name}="{value}"' for name, value in fields.items())).encode()


def write_raster(path: Path, seed: int = 1, *, crs: str | None = "EPSG:32650", **options: Any) -> Path:
    """A GeoTIFF of 3 x 60 x 80 random pixels, or `data`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = options.pop("tags", {})
    data = options.pop("data", None)
    if data is None:
        data = np.random.default_rng(seed).integers(1, 255, (3, 60, 80), dtype=np.uint8)
    profile = {"transform": Affine(3, 0, 600_000, 0, -5, 3_500_000), "driver": "GTiff"} | options
    with rasterio.open(
        path,
        "w",
        count=len(data),
        height=data.shape[1],
        width=data.shape[2],
        dtype=data.dtype,
        crs=crs,
        **profile,
    ) as out:
        out.update_tags(**tags)
        out.write(data)
    return path


def write_photo(
    path: Path,
    seed: int = 1,
    *,
    lat: Any = (30.0, 10.0, 16.4),
    lon: Any = (98.0, 5.0, 24.0),
    refs: tuple[str, str] = ("N", "W"),
    gps: dict[int, Any] | None = None,
    main: dict[int, Any] | None = None,
    photo: dict[int, Any] | None = None,
    size: tuple[int, int] = (320, 240),
    **options: Any,
) -> Path:
    """A JPEG with EXIF; None for lat leaves the GPS data out. gps, main, photo: tags over ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.update({0x0110: "Camera"} | (main or {}))
    exif.get_ifd(EXIF_IFD).update({0x9003: "2024:05:06 07:08:09"} | (photo or {}))
    if lat is not None:
        exif.get_ifd(GPS_IFD).update(
            {1: refs[0], 2: lat, 3: refs[1], 4: lon, 5: b"\0", 6: 120.5} | (gps or {})
        )
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize(size)
    image.save(path, **({"format": "JPEG", "quality": 80, "exif": exif} | options))
    return path


def everything(settings: Settings) -> dict[str, Any]:
    """The whole catalogue, comparable: items and collections."""
    book = catalog.open_catalog(settings)
    found = book.search(catalog.Search(limit=10_000)).items
    return {
        "items": {(i["collection"], i["id"]): json.dumps(i, sort_keys=True) for i in found},
        "collections": json.dumps(book.collections(), sort_keys=True),
    }


def run(settings: Settings, *sources: object, **options: Any) -> list[ingest.Outcome]:
    return list(ingest.ingest([str(s) for s in sources], collection="c", settings=settings, **options))


@pytest.fixture
def one(workspace):
    """A function that ingests a single file and gives its item."""

    def ingest_one(path: Path, **options: Any) -> dict[str, Any]:
        (outcome,) = run(workspace, path, **options)
        assert outcome.status != "rejected", outcome.reason
        assert outcome.id is not None
        item = catalog.open_catalog(workspace).get(outcome.id, "c")
        catalog.items.validate(item)
        return item

    return ingest_one


@pytest.fixture
def refused(workspace):
    """A function that ingests a single file and gives the reason why it was rejected."""

    def ingest_one(path: Path) -> str:
        (outcome,) = run(workspace, path)
        assert outcome.status == "rejected"
        assert outcome.id is None
        assert everything(workspace)["items"] == {}
        assert str(path.parent) not in (outcome.reason or "")
        return outcome.reason or ""

    return ingest_one
