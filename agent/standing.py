"""What is in force on this box, and by whose word? Read from its files, whether an agent runs or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from agent import configure, holds, zone_file
from agent.pauses import LivePauses, Pause, Whose
from agent.uplink.identity import Identity
from agent.uplink.renew import NOTE
from shared.commands import HoldFootage
from shared.errors import NeedsFixing
from shared.messages import ConfigurationReport
from shared.texts import catalogue, text


@dataclass(frozen=True, slots=True)
class Renewal:
    """How the last attempt at a new certificate went; `why_not` is an error's key, or empty."""

    at: datetime
    why_not: str
    facts: dict[str, str]

    def words(self) -> str:
        key = f"errors.{self.why_not}.what"
        return text(key, None, **self.facts) if key in catalogue() else self.why_not


@dataclass(frozen=True, slots=True)
class Standing:
    """Who paused what, what is held, which of the station's wishes are obeyed, how long we are known."""

    pauses: tuple[tuple[Whose, Pause], ...]
    holds: tuple[HoldFootage, ...]
    configuration: ConfigurationReport
    zones: tuple[tuple[str, Whose | None], ...]  # by camera: whose zones hold; None: everywhere
    certificate_days: int | None
    renewal: Renewal | None


def standing(home: Path, ours: Identity | None, now: datetime, cameras: tuple[str, ...]) -> Standing:
    report, by_station = configure.kept(home)
    return Standing(
        pauses=_pauses(home, now),
        holds=_holds(home),
        configuration=report,
        zones=_zones(home, by_station, cameras),
        certificate_days=_days(ours, now),
        renewal=_renewal(home),
    )


def _pauses(home: Path, now: datetime) -> tuple[tuple[Whose, Pause], ...]:
    """As a running agent has them: a file nobody can read pauses everything."""
    live = LivePauses(home)
    return tuple((whose, pause) for whose in Whose for pause in live.said_by(whose).now(now))


def _holds(home: Path) -> tuple[HoldFootage, ...]:
    try:
        return holds.load(home)
    except NeedsFixing:
        return ()


def _zones(
    home: Path, by_station: tuple[str, ...], cameras: tuple[str, ...]
) -> tuple[tuple[str, Whose | None], ...]:
    try:
        own = zone_file.load(home / zone_file.FILE)
    except NeedsFixing:
        own = {}  # told as a problem: the agent does not start with it
    return tuple(
        (name, Whose.HOUSEHOLD if name in own else Whose.STATION if name in by_station else None)
        for name in cameras
    )


def _days(ours: Identity | None, now: datetime) -> int | None:
    try:
        content = ours.certificate.read_bytes() if ours else b""
        return (x509.load_pem_x509_certificate(content).not_valid_after_utc - now).days
    except (OSError, ValueError):
        return None


def _renewal(home: Path) -> Renewal | None:
    try:
        said = json.loads((home / NOTE).read_text(encoding="utf-8"))
        return Renewal(datetime.fromisoformat(said["at"]), str(said["why_not"]), dict(said["facts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
