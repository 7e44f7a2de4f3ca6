from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.archive.period import DateInvalid, PeriodReversed, period
from collector.console import wording
from collector.intake.ingest import Reason
from shared.texts import Language


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc] # year, month, day, hour


def test_dates_are_read_as_vietnamese_time() -> None:
    assert period("23/11/2026 18:00", "23/11/2026 22:30:15") == (
        utc(2026, 11, 23, 11),
        utc(2026, 11, 23, 15, 30, 15),
    )
    assert period("", "  ") == (None, None)


def test_a_day_without_a_time_ends_with_its_last_moment() -> None:
    since, until = period("23/11/2026", "23/11/2026")
    assert since == utc(2026, 11, 22, 17)
    assert until == utc(2026, 11, 23, 17) - timedelta(microseconds=1)


@pytest.mark.parametrize(
    "typed", ["hôm qua", "11/23/2026", "2026-11-23", "31/02/2026", "23/11/2026 25:00", "'"]
)
def test_what_is_no_date_is_refused_in_plain_words(typed: str) -> None:
    with pytest.raises(DateInvalid) as refused:
        period(typed, "")
    assert typed in refused.value.what(Language.VI)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(PeriodReversed):
        period("23/11/2026 18:00", "23/11/2026 17:59")


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=-3), "0 giây"),
        (timedelta(seconds=59.9), "59 giây"),
        (timedelta(minutes=2, seconds=5), "2 phút"),
        (timedelta(hours=3, minutes=12), "3 giờ 12 phút"),
        (timedelta(days=2, hours=5), "2 ngày 5 giờ"),
    ],
)
def test_an_age_is_said_in_its_largest_units(length: timedelta, words: str) -> None:
    assert wording.duration(length, Language.VI) == words


def test_numbers_follow_the_language() -> None:
    assert wording.number(1284.5, 1, Language.VI) == "1.284,5"
    assert wording.number(1284.5, 1, Language.EN) == "1,284.5"
    assert wording.offset(-0.31, Language.VI) == "−0,3 s"
    assert wording.offset(1.4, Language.EN) == "+1.4 s"


def test_every_reason_for_refusing_is_said_in_words() -> None:
    for reason in Reason:
        for language in Language:
            assert wording.reason(reason, language) != reason


def test_a_code_nobody_knows_yet_is_shown_as_it_is() -> None:
    assert wording.cause("lens-frozen", Language.VI) == "lens-frozen"
    assert wording.cause("wrong-password", Language.VI) == "sai mật khẩu camera"
