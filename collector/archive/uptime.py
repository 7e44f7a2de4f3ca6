"""Which share of the last days was a camera, a site, a hamlet working? From the flips alone.

Time that somebody has paused does not count, neither for nor against.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from collector.archive.flips import Flip, State

DAYS = (7, 30, 90)
DAY_US = 86_400_000_000
_WORKING = (State.UP, State.LATE, State.DEGRADED)

Span = tuple[int, int]
Share = tuple[float, float]
"""Working microseconds, of known ones; they add up over many."""


@dataclass(frozen=True, slots=True)
class Life:
    """One subject: when it was working, when paused, and since when it is known."""

    working: list[Span]
    paused: list[Span]
    known_us: int

    def share(self, working: list[Span], days: int, until_us: int) -> Share:
        """Return how much of the last days it worked; `working` may be less than its own."""
        since_us = max(self.known_us, until_us - days * DAY_US)
        known_us = max(0, until_us - since_us) - _within(self.paused, since_us, until_us)
        return float(_within(working, since_us, until_us)), float(known_us)


def life(flips: Iterable[Flip], until_us: int) -> Life:
    """Return what the flips of one subject, oldest first, say of it."""
    ordered = list(flips)
    ends = [*(flip.at_us for flip in ordered[1:]), until_us]
    spans = [(flip.state, (flip.at_us, end)) for flip, end in zip(ordered, ends, strict=True)]
    working = [span for state, span in spans if state in _WORKING and span[0] < span[1]]
    paused = [span for state, span in spans if state is State.PAUSED and span[0] < span[1]]
    return Life(working, paused, ordered[0].at_us)


def _within(spans: list[Span], since_us: int, until_us: int) -> int:
    return sum(max(0, min(ends, until_us) - max(begins, since_us)) for begins, ends in spans)


def both(ours: list[Span], theirs: list[Span]) -> list[Span]:
    """Return when both were: a camera is of use only while its site is heard."""
    found: list[Span] = []
    one, other = 0, 0
    while one < len(ours) and other < len(theirs):
        begins, ends = max(ours[one][0], theirs[other][0]), min(ours[one][1], theirs[other][1])
        if begins < ends:
            found.append((begins, ends))
        if ours[one][1] < theirs[other][1]:
            one += 1
        else:
            other += 1
    return found


def together(shares: Iterable[Share]) -> float | None:
    """Return the fraction over all of them; None: nothing is known of anybody."""
    worked, known = map(sum, zip(*shares, (0.0, 0.0), strict=True))
    return worked / known if known else None


def by_subject(flips: Iterable[Flip], until_us: int) -> dict[tuple[str, str], tuple[Share, ...]]:
    """Return the shares over 7, 30 and 90 days of every site and camera."""
    sorted_out: dict[tuple[str, str], list[Flip]] = {}
    for flip in flips:
        if flip.site:
            sorted_out.setdefault((flip.site, flip.camera), []).append(flip)
    lives = {subject: life(some, until_us) for subject, some in sorted_out.items()}
    found = {}
    for (site, camera), one in lives.items():
        heard = lives.get((site, ""), one)
        used = both(one.working, heard.working) if camera else one.working
        found[site, camera] = tuple(one.share(used, days, until_us) for days in DAYS)
    return found
