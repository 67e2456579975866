from __future__ import annotations

from datetime import UTC, datetime

import pytest

from geolab.ingest import dates


@pytest.mark.parametrize(
    "name,expected",
    [
        ("m_4709963_se_14_1_20090818.tif", "2009-08-18T00:00:00Z"),
        ("t1_LT51200382000124BJC00_Nanjing.tif", "2000-05-03T00:00:00Z"),
        ("LC81390452014295LGN00.tif", "2014-10-22T00:00:00Z"),
        ("LC08_L1TP_013032_20180131_20180207_01_T1_B4.TIF", "2018-01-31T00:00:00Z"),
        ("S2A_MSIL1C_20170105T013442_N0204_R031.jp2", "2017-01-05T01:34:42Z"),
        ("DJI_20230512142233_0001.jpg", "2023-05-12T14:22:33Z"),
        ("IMG_20240815_142233.jpg", "2024-08-15T14:22:33Z"),
        ("PXL_20240815_142233123.jpg", "2024-08-15T14:22:33Z"),
        ("town-2024-08-15.tif", "2024-08-15T00:00:00Z"),
        ("scan 2024_08_15 10-20-30.tif", "2024-08-15T10:20:30Z"),
        ("MOD09A1.A2018123.h21v05.tif", "2018-05-03T00:00:00Z"),
        ("A2020366.tif", "2020-12-31T00:00:00Z"),
        ("A2019366.tif", None),
        ("20241315.tif", None),
        ("20230230.tif", None),
        ("B04.tif", None),
        ("123456789012345678.tif", None),
        ("2024-08_15.tif", None),
        ("18990101.tif", None),
    ],
)
def test_file_names_tell_dates(name, expected):
    found = dates.from_name(name)
    assert (found and dates.rfc3339(found)) == expected


@pytest.mark.parametrize(
    "text,expected",
    [
        ("2024:05:06 07:08:09", "2024-05-06T07:08:09Z"),
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
        ("2024-05-06 07:08:09.25+02:00", "2024-05-06T05:08:09.250000Z"),
        ("2024:05:06 07:08:09-0530", "2024-05-06T12:38:09Z"),
        ("2024/05/06", "2024-05-06T00:00:00Z"),
        ("2024:05:06 07:08:09\0", "2024-05-06T07:08:09Z"),
        ("0000:00:00 00:00:00", None),
        ("2024:13:01 00:00:00", None),
        ("2024:05:06 25:00:00", None),
        ("    :  :     :  :  ", None),
        ("not a date", None),
        ("٢٠٢٤:05:06 07:08:09", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("", None),
    ],
)
def test_written_dates_are_read_or_left(text, expected):
    found = dates.parse(text)
    assert (found and dates.rfc3339(found)) == expected


def test_the_acquisition_tag_wins_over_the_time_of_writing():
    found = dates.from_tags({"TIFFTAG_DATETIME": "2024:05:06 07:08:09", "acquisition_date": "2023-01-02"})
    assert found == dates.Taken(datetime(2023, 1, 2, tzinfo=UTC), "tag:ACQUISITION_DATE")
    assert dates.from_tags({"TIFFTAG_DATETIME": "yesterday"}) is None


def test_the_first_dated_name_counts_whatever_the_order():
    names = ["z_20240101.tif", "a.tif", "b_20230101.tif"]
    assert dates.from_names(names) == dates.from_names(reversed(names))
    assert dates.rfc3339(dates.from_names(names).at) == "2023-01-01T00:00:00Z"
