"""How is a moment shown? dd/MM/yyyy HH:mm:ss, UTC+7; stored and compared in UTC everywhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7), "UTC+7")  # no daylight saving since 1975
_FORMATS = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y")


def shown(moment: datetime) -> str:
    """Return an aware moment as a Vietnamese reader writes it."""
    return moment.astimezone(VIETNAM).strftime(_FORMATS[0])


def read(typed: str) -> datetime:
    """Return what a person typed (Vietnamese time; seconds or time may be left out) as UTC.

    Raises ValueError when it is no such date.
    """
    for pattern in _FORMATS:
        try:
            return datetime.strptime(typed.strip(), pattern).replace(tzinfo=VIETNAM).astimezone(UTC)
        except ValueError:
            continue
    message = f"not dd/MM/yyyy HH:mm:ss: {typed}"
    raise ValueError(message)
