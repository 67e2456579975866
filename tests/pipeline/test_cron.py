"""Times in cron's words: what is accepted, in which form, and what is refused in words."""

from __future__ import annotations

import pytest

from geolab.errors import BadInput
from geolab.pipeline import cron


@pytest.mark.parametrize(
    "given, made",
    [
        ("0 3 * * 1", "0 3 * * 1"),
        ("  0   3 * *\t1 ", "0 3 * * 1"),
        ("*/5 0-6/2 1,15 * *", "*/5 0-6/2 1,15 * *"),
        ("0 3 * JAN-mar sun", "0 3 * 1-3 0"),
        ("0 3 * * mon,wed-FRI", "0 3 * * 1,3-5"),
        ("0 3 * * 7", "0 3 * * 0"),
        ("0 3 * * 5-7", "0 3 * * 5,6,0"),
        ("0 3 * * 1-7/3", "0 3 * * 1,4,0"),
        ("@daily", "0 0 * * *"),
        ("@Yearly", "0 0 1 1 *"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),  # 31 February or any Monday: Mondays
    ],
)
def test_times_get_one_form(given, made):
    assert cron.checked(given) == made
    assert cron.checked(made) == made


@pytest.mark.parametrize(
    "given, why",
    [
        ("", "minute, hour, day of the month"),
        ("0 3 * *", "minute, hour"),
        ("0 3 * * 1 root", "minute, hour"),
        ("@reboot", "minute, hour"),
        ("60 3 * * 1", "schedule, minute: found '60', expected 0 to 59"),
        ("0 24 * * 1", "schedule, hour: found '24'"),
        ("0 3 0 * *", "schedule, day of the month: found '0', expected 1 to 31"),
        ("0 3 * 13 *", "schedule, month: found '13', expected 1 to 12 or jan..dec"),
        ("0 3 * * 8", "schedule, day of the week: found '8', expected 0 to 7 or sun..sat"),
        ("0 3 * * funday", "day of the week: found 'funday'"),
        ("5-1 3 * * *", "a range that ends after it begins"),
        ("*/0 3 * * *", "a step of at least 1"),
        ("5/15 * * * *", "write 5-59/15"),
        ("0,, 3 * * *", "schedule, minute: found ''"),
        ("*-5 * * * *", "schedule, minute: found '*-5'"),
        ("0;rm 3 * * *", "schedule, minute: found '0;rm'"),
        ("% 3 * * *", "schedule, minute"),
        ("٣ 3 * * *", "schedule, minute"),
        ("0 0 31 2,4 *", "a day that comes"),
        ("0 0 30-31 2 *", "a day that comes"),
    ],
)
def test_what_is_no_time_is_told(given, why):
    with pytest.raises(BadInput) as told:
        cron.checked(given)
    assert why in str(told.value)
