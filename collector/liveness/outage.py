"""Did many fall silent together? Then it is one thing's fault, the station's line or a provider's: one alarm.

A pure function of the flips in their order. A fleet of thousands loses some houses in every two minutes by
itself: what counts as many grows with what is usual.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from collector.archive.flips import NETWORK_OR_STATION, OUTAGE_US, TOGETHER, Flip, State

SHARE, SHARE_LEAST = 0.2, 3  # of all sites: the station's own network, or the station
MANY = 10  # a provider, a hamlet's power: nine alarms of their own still fit in one message on a telephone
FAR = 4.0  # times the usual; falls with nothing in common get there in one of ten thousand windows
_STILL = 0.5  # of those limits, while others have just joined: a cascade ebbs and swells
MEMORY_US = 86_400 * 1_000_000  # over which the usual is averaged
_REST = 0.1  # of an outage, not yet back: what is left then has faults of its own
FALLEN = (State.SILENT, State.UNSTABLE)


@dataclass(frozen=True, slots=True)
class Usual:
    """How many fall within two minutes each on their own, averaged over a day that fades."""

    falls: float = 0.0
    at_us: int = 0

    def at(self, at_us: int) -> float:
        return self.falls * math.exp((self.at_us - at_us) / MEMORY_US)

    def after(self, fall_us: int) -> Usual:
        return Usual(self.at(fall_us) + OUTAGE_US / MEMORY_US, fall_us)


@dataclass(frozen=True, slots=True)
class Outage:
    """The one alarm in place of hundreds."""

    cause: str
    everyone: frozenset[str]  # who ever fell in it
    silent: frozenset[str]  # of those, who has not come back

    @property
    def is_over(self) -> bool:
        left, most = len(self.silent), len(self.everyone)
        return left <= max(SHARE_LEAST - 1, most * _REST) and left * 2 < most


@dataclass(frozen=True, slots=True)
class Together:
    """What is remembered of falls."""

    recent: tuple[tuple[int, str], ...] = ()  # who fell in the last two minutes, and when
    usual: Usual = field(default_factory=Usual)
    outage: Outage | None = None


def gather(before: Together, flip: Flip, known: int) -> tuple[Together, list[Flip]]:
    """Return what is remembered after this flip of a site, and the flips to be told in its place.

    `known` is how many sites there are.
    """
    if flip.state in FALLEN:
        return _fell(before, flip, known)
    if flip.state is State.DEAD:
        is_ours = before.outage is not None and flip.site in before.outage.silent
        return before, [replace(flip, cause=before.outage.cause) if is_ours and before.outage else flip]
    after, ended = came_back(before, [flip.site], flip.at_us)
    return after, [flip, *ended]


def came_back(before: Together, back: Collection[str], at_us: int) -> tuple[Together, list[Flip]]:
    """These sites are silent no more, or no sites any more. Is the outage over by that?"""
    recent = tuple(one for one in before.recent if one[1] not in back)
    if before.outage is None:
        return replace(before, recent=recent), []
    outage = replace(before.outage, silent=before.outage.silent.difference(back))
    if not outage.is_over:
        return replace(before, recent=recent, outage=outage), []
    return Together(recent, before.usual), [Flip("", "", State.UP, "network-back", at_us)]


def _fell(before: Together, flip: Flip, known: int) -> tuple[Together, list[Flip]]:
    recent = tuple(one for one in before.recent if flip.at_us - one[0] <= OUTAGE_US)
    outage = before.outage or Outage("", frozenset(), frozenset())
    fallen = {site for _, site in recent}
    ease = 1.0 if outage.everyone.isdisjoint(fallen) else _STILL
    fallen.add(flip.site)
    are_many = _are_many(len(fallen), known, before.usual.at(flip.at_us), ease)
    recent = (*recent, (flip.at_us, flip.site))
    if flip.site not in outage.everyone and not are_many:
        return Together(recent, before.usual.after(flip.at_us), before.outage), [flip]
    joined = fallen if are_many else {flip.site}
    silent = outage.silent | joined
    cause = NETWORK_OR_STATION if _is_everybody(len(silent), known) else outage.cause or TOGETHER
    told = [replace(flip, cause=cause)]
    # told again where it means more than was told: those who fell before this one were told one by one
    if cause != outage.cause or not joined <= outage.everyone | {flip.site}:
        told.append(Flip("", "", State.OUTAGE, cause, flip.at_us))
    return Together(recent, before.usual, Outage(cause, outage.everyone | joined, silent)), told


def _are_many(count: int, known: int, usual: float, ease: float) -> bool:
    is_far = count >= MANY * ease and count > FAR * usual * ease
    return is_far or _is_everybody(count, known * ease)


def _is_everybody(count: int, known: float) -> bool:
    return count >= SHARE_LEAST and count > known * SHARE
