"""Which share of the last days was a camera, a site, a hamlet working? From the flips alone."""

from __future__ import annotations

from collections.abc import Iterable

from collector.archive.flips import Flip, State

DAYS = (7, 30, 90)
DAY_US = 86_400_000_000
_WORKING = (State.UP, State.LATE, State.DEGRADED)

Span = tuple[int, int]
Share = tuple[float, float]
"""Working microseconds, of known ones; they add up over many."""


def spans(flips: Iterable[Flip], until_us: int) -> tuple[list[Span], int]:
    """Return when one subject was working, and since when it is known. Flips oldest first."""
    found: list[Span] = []
    ordered = list(flips)
    for number, flip in enumerate(ordered):
        ends_us = ordered[number + 1].at_us if number + 1 < len(ordered) else until_us
        if flip.state in _WORKING and ends_us > flip.at_us:
            found.append((flip.at_us, ends_us))
    return found, ordered[0].at_us if ordered else until_us


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


def share(working: list[Span], known_us: int, days: int, until_us: int) -> Share:
    since_us = max(known_us, until_us - days * DAY_US)
    worked = sum(max(0, min(ends, until_us) - max(begins, since_us)) for begins, ends in working)
    return float(worked), float(max(0, until_us - since_us))


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
    known = {subject: spans(some, until_us) for subject, some in sorted_out.items()}
    found = {}
    for (site, camera), (working, since_us) in known.items():
        heard, _ = known.get((site, ""), (working, since_us))
        used = both(working, heard) if camera else working
        found[site, camera] = tuple(share(used, since_us, days, until_us) for days in DAYS)
    return found
