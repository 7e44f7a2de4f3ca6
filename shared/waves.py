"""Which sites get a new version first, and may the next ones have it? Pure; the same at both ends."""

from __future__ import annotations

import hashlib
from typing import Final

PERCENTAGES: Final = (1, 10, 100)
_PARTS = 10_000  # a wave of 1 % of 50 sites is still somebody, sometimes
_TOLERATED = 0.02  # of the sites told: more than this not returning stops the waves


def includes(site: str, version: str, percent: int) -> bool:
    """True when the site is of the first `percent` for this version: other sites go first each time."""
    digest = hashlib.sha256(f"{version}\n{site}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _PARTS < percent * _PARTS // 100


def chosen(sites: list[str], version: str, percent: int) -> list[str]:
    """Return the sites of a wave; never nobody, or a wave would prove nothing."""
    found = [site for site in sites if includes(site, version, percent)]
    return found or sorted(sites, key=lambda site: hashlib.sha256(f"{version}\n{site}".encode()).digest())[:1]


def may_widen(told: int, proven: int, failed: int, waiting: int) -> str:
    """Return why the next wave must not begin, as a code; empty when it may.

    Of the sites told: `proven` run the new version and said so, `failed` went back to the old one or
    fell silent, `waiting` still have time.
    """
    if told != proven + failed + waiting:
        raise ValueError((told, proven, failed, waiting))
    if failed > told * _TOLERATED:
        return "not-returning"
    if waiting:
        return "still-waiting"
    return "" if proven else "nobody-proven"
