"""Every file of the sample data that is difficult, and positions against another reader of EXIF."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geolab import catalog, raster

from .conftest import run

ACCEPTED = {
    "bigtiff.tif", "complex64.tif", "constant.tif", "epsg4326_partner.tif", "float32_nan.tif",
    "int16_negative.tif", "ok_reference.tif", "one_band.tif", "one_pixel.tif", "palette.tif",
    "real_test_esri_wkt.tif", "rotated_30deg.tif", "shifted_10px_partner.tif",
    "size_mismatch_partner.tif", "south_up.tif", "thin_1x512.tif", "thirteen_band.tif",
    "tiled_jpeg_ycbcr.tif", "two_band.tif", "uint16.tif", "wrong_extension.jpg",
    "wrong_overviews.tif", "wrong_utm_zone_partner.tif",
}  # fmt: skip
REFUSED = {
    "all_nodata.tif": "every pixel is nodata",
    "real_all-nodata.tif": "every pixel is nodata",
    "empty.tif": "empty",
    "flipped_bytes.tif": "cut off or damaged",
    "real_corrupt.tif": "cut off or damaged",
    "truncated_half.tif": "cut off or damaged",
    "truncated_header.tif": "header can't be read",
    "html_error.tif": "web page",
    "text.tif": "plain text",
    "no_crs.tif": "no CRS",
    "no_transform.tif": "no transform",
    "no_georef.tif": "no georeference",
    "real_float.tif": "no CRS",
    "real_float_nan.tif": "no CRS",
    "real_rotated.tif": "no CRS",
}


def test_every_bad_input_is_ingested_rightly_or_rejected_with_a_reason(real_data, workspace):
    outcomes = {Path(o.href).name: o for o in run(workspace, real_data / "bad_input")}
    assert set(outcomes) == ACCEPTED | set(REFUSED)
    for name, reason in REFUSED.items():
        assert outcomes[name].status == "rejected", name
        assert reason in outcomes[name].reason
    book = catalog.open_catalog(workspace)
    for name in ACCEPTED:
        assert outcomes[name].status in ("added", "updated"), outcomes[name]
        item = book.get(outcomes[name].id, "c")
        catalog.items.validate(item)
        href = item["assets"]["data"]["href"]
        with rasterio.open(real_data / "bad_input" / name) as source, raster.open_raster(href) as kept:
            np.testing.assert_array_equal(source.read(), kept.read())
            assert source.transform == kept.transform
            assert source.crs == kept.crs
        assert not raster.stale_overviews(href)


NO_POSITION = {
    "corrupt_exif_truncated", "lat_91", "lat_only", "missing_refs", "no_exif", "no_gps",
    "zero_denominator", "zero_gps",
}  # fmt: skip
HERE = (-98.089991667, 30.171223333)
ELSEWHERE = {"east": (-HERE[0], HERE[1]), "south": (HERE[0], -HERE[1])}


def test_every_exif_variant_has_its_position_or_a_warning(real_data, workspace):
    outcomes = {Path(o.href).stem: o for o in run(workspace, real_data / "exif" / "variants_caliterra")}
    assert {n for n, o in outcomes.items() if o.status == "rejected"} == {
        "empty",
        "text_as",
        "truncated_file",
    }
    book = catalog.open_catalog(workspace)
    for name, outcome in outcomes.items():
        if outcome.id is None:
            continue
        item = book.get(outcome.id, "c")
        catalog.items.validate(item)
        if name in NO_POSITION:
            assert item["geometry"] is None, name
            assert item["properties"]["geolab:warnings"]
        else:
            assert tuple(item["geometry"]["coordinates"]) == ELSEWHERE.get(name, HERE), name
    below = book.get(outcomes["below_sea_level"].id)["properties"]
    assert below["geolab:altitude_m"] == -12


def gps_by_hand(path: Path) -> tuple[float, float, float]:
    """Longitude, latitude, altitude by reading the bytes of the EXIF as the standard lays them out."""
    content = path.read_bytes()
    base = content.index(b"Exif\0\0") + 6
    order = "<" if content[base : base + 2] == b"II" else ">"

    def unpack(form: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(order + form, content, base + offset)

    def table(offset: int) -> dict[int, tuple[int, int]]:
        (count,) = unpack("H", offset)
        entries = [(*unpack("HHI", offset + 2 + 12 * n), offset + 2 + 12 * n + 8) for n in range(count)]
        return {tag: (number, at) for tag, _, number, at in entries}

    def rationals(entry: tuple[int, int]) -> list[float]:
        (start,) = unpack("I", entry[1])
        values = unpack(f"{2 * entry[0]}I", start)
        return [a / b for a, b in zip(values[::2], values[1::2], strict=True)]

    (first,) = unpack("I", 4)
    (gps_at,) = unpack("I", table(first)[0x8825][1])
    gps = table(gps_at)
    degrees = {tag: sum(v / 60**n for n, v in enumerate(rationals(gps[tag]))) for tag in (2, 4)}
    letters = {tag: content[base + gps[tag][1] : base + gps[tag][1] + 1] for tag in (1, 3)}
    below = content[base + gps[5][1]]
    return (
        -degrees[4] if letters[3] == b"W" else degrees[4],
        -degrees[2] if letters[1] == b"S" else degrees[2],
        rationals(gps[6])[0] * (-1 if below else 1),
    )


def test_all_drone_photos_have_their_positions(real_data, workspace):
    photos = sorted((real_data / "drone_caliterra" / "images").glob("*.jpg"))
    outcomes = run(workspace, real_data / "drone_caliterra")
    assert {o.status for o in outcomes} == {"added"}
    by_name = {Path(o.href).name: o.id for o in outcomes if "/images/" in o.href}
    assert len(by_name) == len(photos) >= 75
    book = catalog.open_catalog(workspace)
    for path in photos:
        item = book.get(by_name[path.name], "c")
        lon, lat, altitude = gps_by_hand(path)
        assert item["geometry"]["coordinates"] == pytest.approx([lon, lat], abs=1e-8)
        found = item["properties"]
        assert found["geolab:altitude_m"] == pytest.approx(altitude, abs=1e-3)
        assert math.dist((lon, lat), (-98.09, 30.17)) < 0.005
        # the kept EXIF says 4000 px; the picture has 1280
        assert (found["geolab:width_px"], found["geolab:height_px"]) == (1280, 960)
        assert found["geolab:focal_px"] == pytest.approx(929.4, abs=0.5)
        assert found["geolab:camera_model"] == "Canon PowerShot SX260 HS"
        assert found["geolab:datetime_source"] == "gps"


@pytest.mark.parametrize("folder,count", [("cd_landsat_nanjing", 3), ("cd_naip_wetland_series", 20)])
def test_the_change_pairs_come_with_their_dates(real_data, workspace, folder, count):
    outcomes = run(workspace, real_data / folder)
    assert [o.status for o in outcomes] == ["added"] * count
    book = catalog.open_catalog(workspace)
    for outcome in outcomes:
        item = book.get(outcome.id, "c")
        catalog.items.validate(item)
        if Path(outcome.href).name != "label.tif":
            assert item["properties"]["geolab:datetime_source"] == "filename"
            assert 2000 <= int(item["properties"]["datetime"][:4]) <= 2020
