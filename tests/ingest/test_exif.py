"""Decisions about positions, times and XMP, on tables as Pillow gives them."""

from __future__ import annotations

import math

import pytest

from geolab.ingest import dates, exif
from geolab.ingest.xmp import read_xmp

from .conftest import xmp

GOOD = {1: "N", 2: (30.0, 10.0, 16.404), 3: "W", 4: (98.0, 5.0, 23.97), 5: b"\x00", 6: 317.3}


def test_degrees_minutes_and_seconds_become_a_position():
    found = exif.position(GOOD, [])
    assert (found.lon, found.lat) == (-98.089991667, 30.171223333)
    assert (found.altitude_m, found.datum) == (317.3, "sea level")


@pytest.mark.parametrize(
    "change,expected",
    [
        ({3: "E"}, (98.089991667, 30.171223333, 317.3)),
        ({1: "S"}, (-98.089991667, -30.171223333, 317.3)),
        ({1: b"S\0"}, (-98.089991667, -30.171223333, 317.3)),
        ({2: (30.1712,)}, (-98.089991667, 30.1712, 317.3)),
        ({2: 30.5}, (-98.089991667, 30.5, 317.3)),
        ({5: b"\x01", 6: 12.0}, (-98.089991667, 30.171223333, -12.0)),
        ({5: 1, 6: 12.0}, (-98.089991667, 30.171223333, -12.0)),
        ({6: math.nan}, (-98.089991667, 30.171223333, None)),
        ({1: "N", 2: (0, 0, 0)}, (-98.089991667, 0.0, 317.3)),
    ],
)
def test_signs_and_forms(change, expected):
    found = exif.position(GOOD | change, [])
    assert (found.lon, found.lat, found.altitude_m) == expected


def test_a_height_above_the_ellipsoid_is_said_so():
    assert exif.position(GOOD | {5: b"\x03", 6: 5.0}, []).datum == "ellipsoid"
    assert exif.position(GOOD | {5: b"\x03", 6: 5.0}, []).altitude_m == -5


@pytest.mark.parametrize(
    "change,reason",
    [
        ({1: None}, "north or south"),
        ({1: "X"}, "north or south"),
        ({2: (91.0, 0, 0)}, "latitude 91"),
        ({4: (181.0, 0, 0)}, "longitude 181"),
        ({2: (math.nan, math.nan, math.nan)}, "not numbers"),
        ({2: (30.0, 75.0, 0.0)}, "not numbers"),
        ({2: (-30.0, 5.0, 0.0)}, "not numbers"),
        ({2: "thirty"}, "not numbers"),
        ({2: ()}, "not numbers"),
        ({2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}, "exactly 0, 0"),
    ],
)
def test_impossible_positions_are_left_out_with_a_reason(change, reason):
    warnings: list[str] = []
    assert exif.position(GOOD | change, warnings) is None
    assert len(warnings) == 1
    assert warnings[0].startswith("no position: ")
    assert reason in warnings[0]


def test_no_gps_is_no_fault():
    warnings: list[str] = []
    assert exif.position({}, warnings) is None
    assert warnings == []


def moment(main=None, photo=None, gps=None):
    warnings: list[str] = []
    taken, local = exif.moment(main or {}, photo or {}, gps or {}, warnings)
    return (taken and (dates.rfc3339(taken.at), taken.source)), local, warnings


CLOCK = {0x9003: "2014:10:19 13:20:51"}
GPS_CLOCK = {7: (18.0, 20.0, 51.5), 29: "2014:10:19"}


@pytest.mark.parametrize(
    "photo,gps,expected",
    [
        (CLOCK | {0x9011: "-05:00"}, {}, ("2014-10-19T18:20:51Z", "exif")),
        (CLOCK | {0x9011: "-05:00", 0x9291: "25"}, {}, ("2014-10-19T18:20:51.250000Z", "exif")),
        (CLOCK, GPS_CLOCK, ("2014-10-19T18:20:51.500000Z", "gps")),
        (CLOCK, {}, ("2014-10-19T13:20:51Z", "exif-without-zone")),
        (CLOCK | {0x9011: "nowhere"}, {}, ("2014-10-19T13:20:51Z", "exif-without-zone")),
        ({}, GPS_CLOCK, ("2014-10-19T18:20:51.500000Z", "gps")),
        (CLOCK, {7: (math.nan, 0.0, 0.0), 29: "2014:10:19"}, ("2014-10-19T13:20:51Z", "exif-without-zone")),
        (CLOCK, GPS_CLOCK | {29: "1980:01:06"}, ("2014-10-19T13:20:51Z", "exif-without-zone")),
        ({}, {}, None),
    ],
)
def test_the_surest_clock_counts(photo, gps, expected):
    assert moment(photo=photo, gps=gps)[0] == expected


def test_the_camera_s_own_time_stays_known_beside_the_gps():
    assert moment(photo=CLOCK, gps=GPS_CLOCK)[1] == "2014-10-19T13:20:51"


def test_garbage_dates_are_passed_over_with_a_warning():
    taken, _, warnings = moment(
        {0x0132: "2014:10:19 13:20:51"}, {0x9003: "0000:00:00 00:00:00", 0x9004: "<b>"}
    )
    assert taken == ("2014-10-19T13:20:51Z", "exif-without-zone")
    assert len(warnings) == 2


def test_text_is_flat_short_and_otherwise_as_written():
    assert exif.text("Ca\x07non\r\n<script>\0rest") == "Ca non <script>"
    assert len(exif.text("x" * 9999)) == exif.LONGEST_TEXT
    assert exif.text(b"DJI\xff\0") == "DJI�"
    assert exif.text("   ") is None
    assert exif.text(7) is None


# ---------------------------------------------------------------- XMP


def test_dji_s_fields_are_read_as_attributes_and_as_elements():
    packet = xmp(GimbalYawDegree="+95.20", RelativeAltitude="+50.10", RtkFlag=50, RtkStdHgt=0.02, Model="M3E")
    expected = {
        "gimbal_yaw_deg": 95.2,
        "relative_altitude_m": 50.1,
        "rtk_flag": 50.0,
        "rtk_std_height_m": 0.02,
    }
    assert read_xmp(packet, []) == expected
    elements = (
        b'<r xmlns:d="http://www.dji.com/drone-dji/1.0/"><d:GimbalYawDegree> -7.5 </d:GimbalYawDegree></r>'
    )
    assert read_xmp(elements, []) == {"gimbal_yaw_deg": -7.5}


@pytest.mark.parametrize(
    "packet,reason",
    [
        (b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>', "entities"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities"),
        (b"<a><b></a>", "damaged"),
        (b"\x00\x01\x02", "damaged"),
        (b"<a>" + b" " * (1 << 20) + b"</a>", "bytes"),
        (b'<a GimbalYawDegree="nan"/>', "GimbalYawDegree"),
        (b'<a GimbalYawDegree="1e9"/>', "GimbalYawDegree"),
        (b'<a RelativeAltitude="high"/>', "RelativeAltitude"),
    ],
)
def test_hostile_and_damaged_xmp_gives_nothing_but_a_warning(packet, reason):
    warnings: list[str] = []
    assert read_xmp(packet, warnings) == {}
    assert len(warnings) == 1
    assert reason in warnings[0]


@pytest.mark.parametrize("packet", [None, b"", b"\0\0", "", 5])
def test_no_xmp_is_no_fault(packet):
    warnings: list[str] = []
    assert read_xmp(packet, warnings) == {}
    assert warnings == []
