"""What does an alarm say? Who, how, since when, why, what to do; one line each, in both languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.archive import flips as book
from collector.archive.fleet import titles
from collector.archive.flips import Flip, State
from collector.archive.folder import StationFolder
from collector.archive.troubles import state_in_words, what_to_do, why
from shared.clock import moment
from shared.localtime import shown
from shared.texts import Language, text

_LINES = 20  # of one message; the rest is counted
_HAMLETS, _NAMES = 5, 3  # of an outage in one line: enough to see whose line or power it is
_CLEAR = (State.UP, State.DEGRADED, State.PAUSED)
_GONE = (State.SILENT, State.DEAD, State.UNSTABLE)

Titles = Mapping[str, tuple[str, str]]
"""What people call each site, and its hamlet."""


def message(folder: StationFolder, station: str, flips: tuple[Flip, ...]) -> tuple[str, str]:
    """Return the title and the text of one message about these changes."""
    names = titles(folder)
    lines = [text("alarm.title", language, station=station, count=len(flips)) for language in Language]
    body = [
        "\n".join(alarm_line(flip, folder, names, language) for flip in flips[-_LINES:])
        + (f"\n… +{len(flips) - _LINES}" if len(flips) > _LINES else "")
        for language in Language
    ]
    return " · ".join(lines), "\n\n".join(body)


def alarm_line(flip: Flip, folder: StationFolder, names: Titles, language: Language) -> str:
    if not flip.site and not flip.camera:
        return _whole_line(flip, folder, names, language)
    title, hamlet = names.get(flip.site, (flip.site, ""))
    place = ", ".join(filter(None, (title or flip.site, hamlet))) or text("alarm.whole", language)
    if flip.camera and flip.site:
        place = f"{place} · {flip.camera}"
    told = f"{place}: {state_in_words(flip.state, language)} ({shown(moment(flip.at_us))})"
    return told if flip.state in _CLEAR else told + _trouble(flip, language)


def _trouble(flip: Flip, language: Language) -> str:
    return f" · {why(flip.cause, language)} → {what_to_do(flip.cause, flip.camera, language)}"


def _whole_line(flip: Flip, folder: StationFolder, names: Titles, language: Language) -> str:
    """How many and which; or, when it is over, how many are back."""
    fallen = book.who_fell(folder, flip.at_us)
    since = shown(moment(flip.at_us))
    if flip.state is State.OUTAGE:
        sites = text("alarm.sites", language, count=len(fallen))
        where = by_hamlet(fallen, names, language)
        return f"{sites}: {state_in_words(flip.state, language)} ({since}): {where}{_trouble(flip, language)}"
    latest = book.latest(folder)
    left = sum(latest[site, ""].state in _GONE for site in fallen)
    counts = {"back": len(fallen) - left, "count": len(fallen), "left": left}
    return f"{text('alarm.back', language, **counts)} ({since})"


def by_hamlet(sites: Iterable[str], names: Titles, language: Language) -> str:
    """Return the hamlets with most of these sites, how many each, and some of their names."""
    found: dict[str, list[str]] = {}
    for site in sites:
        title, hamlet = names.get(site, (site, ""))
        found.setdefault(hamlet or text("alarm.no-hamlet", language), []).append(title or site)
    most = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    said = [
        text("alarm.hamlet", language, hamlet=hamlet, count=len(their), names=_some(their))
        for hamlet, their in most[:_HAMLETS]
    ]
    more = len(most) - _HAMLETS
    return ", ".join([*said, *([text("alarm.hamlets-more", language, count=more)] if more > 0 else [])])


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_NAMES]) + (", …" if len(names) > _NAMES else "")
