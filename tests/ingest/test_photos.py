from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import shape

from geolab import store
from geolab.ingest.thumbnails import LONGEST_PX

from .conftest import write_photo, xmp


def properties(item):
    return item["properties"]


def test_a_photo_is_a_point_with_its_camera(one, tmp_path):
    path = write_photo(
        tmp_path / "a b.jpg", main={0x010F: "DJI", 0x0110: "M3E\0junk"}, gps={5: b"\1", 6: 8.25}
    )
    item = one(path)

    assert item["geometry"] == {"type": "Point", "coordinates": [-98.09, 30.171222222]}
    found = properties(item)
    assert found["geolab:position"] == [-98.09, 30.171222222]
    assert (found["geolab:altitude_m"], found["geolab:altitude_datum"]) == (-8.25, "sea level")
    assert (found["geolab:camera_make"], found["geolab:camera_model"]) == ("DJI", "M3E")
    assert (found["geolab:width_px"], found["geolab:height_px"]) == (320, 240)
    assert (found["title"], found["geolab:sources"], found["geolab:role"]) == ("a b", ["a b.jpg"], "photo")
    assert (found["datetime"], found["geolab:datetime_source"]) == (
        "2024-05-06T07:08:09Z",
        "exif-without-zone",
    )
    assert "geolab:warnings" not in found


def test_the_bytes_of_a_photo_are_kept(one, tmp_path):
    path = write_photo(tmp_path / "a.jpg")
    item = one(path)
    data = item["assets"]["data"]
    assert store.read_bytes(data["href"]) == path.read_bytes()
    assert data["file:checksum"] == "1220" + store.sha256(path)
    assert data["file:size"] == path.stat().st_size
    assert item["id"] == store.sha256(path)[:20]
    assert (data["type"], data["roles"]) == ("image/jpeg", ["data"])


def test_a_drone_photo_has_its_angles_and_a_footprint(one, tmp_path):
    packet = xmp(
        GimbalYawDegree="-90.0", GimbalPitchDegree="-90.00", GimbalRollDegree="0.00", FlightYawDegree="12.5",
        RelativeAltitude="+60.00", AbsoluteAltitude="+260.40", RtkFlag="50", RtkStdLon="0.01",
    )  # fmt: skip
    path = write_photo(tmp_path / "a.jpg", size=(800, 600), photo={0xA405: 24}, xmp=packet)
    found = properties(one(path))

    assert found["geolab:gimbal_pitch_deg"] == -90
    assert found["geolab:flight_yaw_deg"] == 12.5
    assert found["geolab:relative_altitude_m"] == 60
    assert found["geolab:absolute_altitude_m"] == 260.4
    assert (found["geolab:rtk_flag"], found["geolab:rtk_std_lon_m"]) == (50, 0.01)
    focal_px = 24 / np.hypot(36, 24) * 1000
    assert found["geolab:focal_px"] == pytest.approx(focal_px, abs=1e-3)
    assert found["gsd"] == pytest.approx(60 / focal_px, rel=1e-5)
    west, south, east, north = shape(found["geolab:footprint"]).bounds
    # the top of the picture is west: the long side runs north to south
    assert (north - south) * 110_863 == pytest.approx(800 * 60 / focal_px, rel=0.003)
    assert (east - west) * 96_330 == pytest.approx(600 * 60 / focal_px, rel=0.003)
    assert shape(found["geolab:footprint"]).contains(
        shape({"type": "Point", "coordinates": [-98.09, 30.1712222]})
    )


def test_a_photo_without_heights_has_no_footprint(one, tmp_path):
    assert "geolab:footprint" not in properties(one(write_photo(tmp_path / "a.jpg", photo={0xA405: 24})))


@pytest.mark.parametrize(
    "options,warning",
    [
        ({"lat": None}, "no GPS data"),
        ({"lat": (91.0, 0.0, 0.0)}, "latitude 91"),
        ({"lat": (0.0, 0.0, 0.0), "lon": (0.0, 0.0, 0.0)}, "exactly 0, 0"),
        ({"exif": b"Exif\0\0II*\0\xff\xff\xff\xff"}, "damaged"),
        ({"exif": b""}, "no GPS data"),
    ],
)
def test_a_photo_without_a_position_is_kept_with_a_warning(one, tmp_path, options, warning):
    item = one(write_photo(tmp_path / "a.jpg", **options))
    assert item["geometry"] is None
    assert "bbox" not in item
    assert "geolab:position" not in properties(item)
    assert any(warning in text for text in properties(item)["geolab:warnings"])


def test_hostile_texts_stay_data(one, tmp_path):
    script = "<script>alert(1)</script>\x1b[31m"
    packet = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a Model="&x;"/>'
    item = one(write_photo(tmp_path / "a.jpg", main={0x0110: script}, xmp=packet))
    assert properties(item)["geolab:camera_model"] == "<script>alert(1)</script> [31m"
    assert any("entities" in text for text in properties(item)["geolab:warnings"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnails_are_upright(one, tmp_path, orientation):
    path = tmp_path / "a.jpg"
    upright = np.zeros((600, 1000, 3), np.uint8)
    upright[:200, :300] = (250, 0, 0)  # red, upper left
    upright[:200, -300:] = (0, 0, 250)  # blue, upper right
    back = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = Image.fromarray(upright) if back is None else Image.fromarray(upright).transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif)

    item = one(path)

    assert properties(item)["geolab:orientation"] == orientation
    assert (properties(item)["geolab:width_px"], properties(item)["geolab:height_px"]) == stored.size
    with Image.open(store.local_path(item["assets"]["thumbnail"]["href"])) as small:
        pixels = np.asarray(small.convert("RGB")).astype(int)
    assert pixels.shape[:2] == (307, LONGEST_PX)
    assert pixels[20, 20, 0] > 200 > pixels[20, 20, 2] + 100
    assert pixels[20, -20, 2] > 200 > pixels[20, -20, 0] + 100


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_photos_come_in_other_formats_whatever_their_names(one, tmp_path, form):
    options = {"quality": 80} if form in ("WEBP", "AVIF") else {}
    with Image.open(write_photo(tmp_path / "a.jpg")) as image:
        image.save(tmp_path / "photo.jpg", format=form, exif=image.getexif(), **options)
    item = one(tmp_path / "photo.jpg")
    assert item["geometry"]["type"] == "Point"
    assert item["assets"]["data"]["type"] == f"image/{form.lower()}"
    assert properties(item)["geolab:role"] == "photo"


def test_damaged_photos_are_rejected(refused, tmp_path):
    path = write_photo(tmp_path / "a.jpg", size=(640, 480))
    sound = path.read_bytes()
    for content in (sound[: len(sound) // 2], sound[:-400], sound[:300]):
        path.write_bytes(content)
        assert "damaged" in refused(path)


def test_a_flipped_photo_is_rejected(refused, tmp_path):
    path = write_photo(tmp_path / "a.jpg", size=(640, 480))
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 60] = b"\xff\xd5" * 30
    path.write_bytes(content)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("side", [15_000, 65_535])
def test_a_photo_of_impossible_size_is_rejected(refused, tmp_path, side):
    path = write_photo(tmp_path / "a.jpg")
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = side.to_bytes(2) * 2  # height, width
    path.write_bytes(content)
    assert "more than the 200 million pixels" in refused(path)


def test_heic_says_what_to_do(refused, tmp_path):
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert "convert it to JPEG" in refused(path)


def test_a_picture_that_is_no_photo_and_lies_nowhere_is_rejected(refused, tmp_path):
    path = tmp_path / "map.tiff"
    Image.new("RGB", (30, 20)).save(path, "PNG")
    assert refused(path).startswith("it is a PNG picture with neither a georeference nor")
