"""How is a fact said in words? Ages, numbers, causes and reasons, in the reader's language."""

from __future__ import annotations

from datetime import datetime, timedelta

from collector.archive.gaps import Hole
from shared.localtime import VIETNAM
from shared.texts import Language, catalogue, chosen_language, text

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def duration(length: timedelta, language: Language | None = None) -> str:
    """Say a length of time in its two largest units; a negative one is said as none."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < _MINUTE:
        return text("duration.seconds", language, seconds=seconds)
    if seconds < _HOUR:
        return text("duration.minutes", language, minutes=seconds // _MINUTE)
    if seconds < _DAY:
        hours, rest = divmod(seconds, _HOUR)
        return text("duration.hours", language, hours=hours, minutes=rest // _MINUTE)
    days, rest = divmod(seconds, _DAY)
    return text("duration.days", language, days=days, hours=rest // _HOUR)


def ago(then: datetime, now: datetime, language: Language | None = None) -> str:
    return text("duration.ago", language, length=duration(now - then, language))


def number(value: float, decimals: int = 0, language: Language | None = None) -> str:
    """Write 1284.5 as 1.284,5 in Vietnamese, as 1,284.5 in English."""
    written = f"{value:,.{decimals}f}"
    if (language or chosen_language()) is Language.EN:
        return written
    return written.translate(str.maketrans(",.", ".,"))


def offset(seconds: float, language: Language | None = None) -> str:
    """Write a clock's offset with its sign: +0,3 s."""
    sign = "−" if round(seconds, 1) < 0 else "+"
    return f"{sign}{number(abs(seconds), 1, language)} s"


def cause(code: str, language: Language | None = None) -> str:
    """Say why a camera is not well; a newer agent's unknown code is shown as it is."""
    return _known(f"cause.{code}", code, language)


def reason(code: str, language: Language | None = None) -> str:
    """Say why something was refused; an unknown code is shown as it is."""
    return _known(f"refusal.{code}", code, language)


def reply(code: str, language: Language | None = None) -> str:
    """Say why a site answered as it did; a newer agent's unknown code is shown as it is."""
    return _known(f"reply.{code}", code, language)


def gap(hole: Hole, language: Language | None = None, *, dated: bool = True) -> str:
    """Say what is missing, when, and why: mất 14 sự kiện, 21:03–21:07, đĩa đầy."""
    facts = {"events": number(hole.events, 0, language), "thumbnails": number(hole.thumbnails, 0, language)}
    if hole.events:
        lost = text("gap.both" if hole.thumbnails else "gap.events", language, **facts)
    elif hole.thumbnails:
        lost = text("gap.thumbnails", language, **facts)
    else:
        lost = text("gap.messages", language, messages=number(hole.messages, 0, language))
    why = _known(f"gap.reason.{hole.reason}", hole.reason, language)
    return text("gap.line", language, lost=lost, times=_span(hole, dated=dated), reason=why)


def _span(hole: Hole, *, dated: bool) -> str:
    since, until = hole.since.astimezone(VIETNAM), hole.until.astimezone(VIETNAM)
    if since.date() != until.date():
        return f"{since:%H:%M %d/%m/%Y}–{until:%H:%M %d/%m/%Y}"
    return f"{since:%H:%M}–{until:%H:%M}" + (f" {until:%d/%m/%Y}" if dated else "")


def _known(key: str, code: str, language: Language | None) -> str:
    return text(key, language) if key in catalogue() else code
