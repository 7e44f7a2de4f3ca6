"""Which stretch of time does a person mean? Two typed dates in, two moments out."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared import localtime
from shared.errors import NeedsFixing

_LAST_OF_DAY = timedelta(days=1, microseconds=-1)


class DateInvalid(NeedsFixing):
    key = "date-invalid"


class PeriodReversed(NeedsFixing):
    key = "period-reversed"


def period(since: str, until: str) -> tuple[datetime | None, datetime | None]:
    """Read what was typed; empty means open. An end without a time of day means that whole day.

    Raises DateInvalid, PeriodReversed.
    """
    begins = _read(since) if since.strip() else None
    ends = _read(until) if until.strip() else None
    if ends is not None and ":" not in until:
        ends += _LAST_OF_DAY
    if begins is not None and ends is not None and ends < begins:
        raise PeriodReversed(since=since.strip(), until=until.strip())
    return begins, ends


def _read(typed: str) -> datetime:
    try:
        return localtime.read(typed)
    except (ValueError, OverflowError) as error:
        raise DateInvalid(typed=typed.strip()) from error
