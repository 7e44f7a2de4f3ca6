"""How is a moment shown? dd/MM/yyyy HH:mm:ss, UTC+7; stored and compared in UTC everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone

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


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of every day, `22:00-06:00` Vietnamese time; the whole day where nothing is said."""

    begin: time | None = None
    end: time | None = None

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Raises ValueError for anything but HH:MM-HH:MM; empty text means always."""
        if not text:
            return cls()
        begin, dash, end = text.partition("-")
        if not dash:
            message = "HH:MM-HH:MM"
            raise ValueError(message)
        return cls(time.fromisoformat(begin.strip()), time.fromisoformat(end.strip()))

    def hold(self, moment: datetime) -> bool:
        """True when an aware moment lies within."""
        if self.begin is None or self.end is None:
            return True
        now = moment.astimezone(VIETNAM).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end
