"""How far is a camera's clock off? From what it says without a login."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_QUARTER_S, _MOST_QUARTERS = 900, 14 * 4  # time zones: up to the 14 hours of Kiribati
_FIRST_YEAR, _NO_YEAR = 1970, 2200  # 1970: a clock without a battery; its offset is worth knowing
_SAME_TIME_S = 60.0  # of two clocks that both are roughly right


def clock_offset(said_s: float | None, dated_s: float | None) -> tuple[float | None, bool]:
    """Return by how much the camera's clock differs from ours, and whether that is in doubt.

    `said_s` is by GetSystemDateAndTime, `dated_s` by the head of the same HTTP answer. Some firmware
    gives its local time there and calls it UTC: a whole number of quarters of an hour off, while the
    date of the answer is right. That one counts then. With no date to compare it stays in doubt.
    """
    if said_s is None:
        return None if dated_s is None else round(dated_s, 1), False
    if dated_s is None or not _is_time_zone(said_s - dated_s):
        return round(said_s, 1), dated_s is None and _is_time_zone(said_s)
    if abs(dated_s) < _SAME_TIME_S:
        return round(dated_s, 1), False
    return round(said_s, 1), abs(said_s) >= _SAME_TIME_S


def _is_time_zone(offset_s: float) -> bool:
    """Whole quarters of an hour, up to the 14 hours of Kiribati."""
    quarters = round(offset_s / _QUARTER_S)
    return 0 < abs(quarters) <= _MOST_QUARTERS and abs(offset_s - quarters * _QUARTER_S) < _SAME_TIME_S


def camera_time(answer: Any) -> datetime | None:
    """The camera's UTC, if it is a time at all (Hikvision has sent 0000-00-00)."""
    try:
        date, clock = answer.UTCDateTime.Date, answer.UTCDateTime.Time
        said = datetime(date.Year, date.Month, date.Day, clock.Hour, clock.Minute, clock.Second, tzinfo=UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return believable(said)


def http_date(text: str) -> datetime | None:
    """When an HTTP answer says it was given."""
    try:
        return believable(parsedate_to_datetime(text).astimezone(UTC))
    except (TypeError, ValueError, OverflowError):
        return None


def believable(moment: datetime) -> datetime | None:
    """The moment, if a clock may say it: one that says 9999 runs out of the calendar when we add to it."""
    return moment if _FIRST_YEAR <= moment.year < _NO_YEAR else None
