from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perception.rules.hours import DAYS, Hours, parse_span

BERLIN = ZoneInfo("Europe/Berlin")


def active(hours, *when, zone="Europe/Berlin"):
    at = datetime(*when, tzinfo=BERLIN).timestamp()
    return Hours(hours=hours, time_zone=zone).active(int(at) * 10**9)


def test_no_hours_is_always():
    assert Hours().active(0)


@pytest.mark.parametrize(
    ("span", "hour", "minute", "expected"),
    [
        ("08:00-18:00", 8, 0, True),
        ("08:00-18:00", 17, 59, True),
        ("08:00-18:00", 18, 0, False),
        ("22:00-06:00", 5, 59, True),
        ("22:00-06:00", 6, 0, False),
        ("22:00-06:00", 23, 0, True),
        ("18:00-24:00", 23, 59, True),
    ],
)
def test_spans_of_every_day(span, hour, minute, expected):
    assert active([span], 2026, 3, 4, hour, minute) is expected


def test_a_night_belongs_to_the_day_it_began():
    friday_night = ["fri 22:00-06:00"]
    assert active(friday_night, 2026, 3, 6, 23)
    assert active(friday_night, 2026, 3, 7, 5)  # Saturday morning
    assert not active(friday_night, 2026, 3, 6, 5)


def test_days_go_round_the_week():
    assert parse_span("sat-mon 08:00-09:00")[0] == {5, 6, 0}
    assert parse_span("wed 08:00-09:00")[0] == {2}


def test_summer_time_is_followed():
    for month in (1, 7):
        assert active(["08:00-09:00"], 2026, month, 1, 8, 30)
    night = datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)  # 02:00 to 03:00 is left out this night
    assert Hours(hours=("03:00-04:00",), time_zone="Europe/Berlin").active(
        int(night.timestamp()) * 10**9
    )


@pytest.mark.parametrize(
    ("hours", "zone", "reason"),
    [
        (["8-18"], "UTC", "is no span"),
        (["25:00-26:00"], "UTC", "no such time"),
        (["08:60-09:00"], "UTC", "no such time"),
        (["08:00-08:00"], "UTC", "no length"),
        (["mo 08:00-09:00"], "UTC", "is no span"),
        (["08:00-09:00"], None, "need a time_zone"),
        (["08:00-09:00"], "Europe/Berln", "no time zone"),
        (["08:00-09:00"], "../../etc/passwd", "no time zone"),
        (["08:00-09:00"], "", "no time zone"),
    ],
)
def test_what_is_not_understood_is_named(hours, zone, reason):
    with pytest.raises(ValidationError, match=reason):
        Hours(hours=hours, time_zone=zone)


@given(
    st.sampled_from(DAYS),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.integers(1_600_000_000, 1_900_000_000),
)
def test_a_span_and_its_rest_cover_the_week_once(day, start, end, t_s):
    if start == end or (start == 0 and end == 1440):
        return

    def clock(minutes):
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    span, rest = (clock(start), clock(end)), (clock(end % 1440), clock(start or 1440))
    if end == 1440:
        rest = ("00:00", clock(start))
    on = Hours(hours=(f"{span[0]}-{span[1]}",), time_zone="Asia/Kolkata").active(t_s * 10**9)
    off = Hours(hours=(f"{rest[0]}-{rest[1]}",), time_zone="Asia/Kolkata").active(t_s * 10**9)
    assert on != off
