"""How are the boxes? Each site with its last heartbeat, and what was refused from it and why."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from collector.archive.folder import StationFolder
from collector.archive.gaps import Gaps, Hole
from collector.archive.reading import reading
from shared.clock import moment
from shared.messages import CameraState, Heartbeat


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often something of a site was refused (or flagged), and the last time."""

    reason: str
    count: int
    last_at: datetime
    last_detail: str


@dataclass(frozen=True, slots=True)
class AgentReport:
    """All that is known of one site's box. A site the register does not know has no title and no status."""

    site: str
    title: str = ""
    hamlet: str = ""
    status: str = ""
    certificate_expires: datetime | None = None
    heard_at: datetime | None = None
    heartbeat: Heartbeat | None = None
    clock_skew_s: float | None = None
    online: bool | None = None
    refusals: tuple[RefusalCount, ...] = ()
    holes: tuple[Hole, ...] = ()  # what is known to be missing, the newest first

    @property
    def cameras_ok(self) -> int:
        cameras = self.heartbeat.cameras if self.heartbeat else ()
        return sum(camera.state is CameraState.OK for camera in cameras)

    @property
    def cameras_at_fault(self) -> int:
        cameras = self.heartbeat.cameras if self.heartbeat else ()
        return sum(camera.state is not CameraState.OK and not camera.is_paused for camera in cameras)


def agents(folder: StationFolder) -> list[AgentReport]:
    """Return every site that is in the register or was ever heard of, by name."""
    with reading(folder.station_database) as station, reading(folder.archive_database) as archive:
        registered, heard, refused = _registered(station), _heard(archive), _refused(archive)
        holes = _holes(archive)
    return [
        AgentReport(
            site,
            *registered.get(site, ("", "", "", None)),
            *heard.get(site, (None,) * 4),
            refused.get(site, ()),
            tuple(holes.get(site, ())),
        )
        for site in sorted({*registered, *heard, *refused})
    ]


def titles(folder: StationFolder) -> dict[str, tuple[str, str]]:
    """Return what people call each site, and its hamlet."""
    with reading(folder.station_database) as station:
        return {site: (title, hamlet) for site, (title, hamlet, _, _) in _registered(station).items()}


def _registered(station: sqlite3.Connection) -> dict[str, tuple[str, str, str, datetime | None]]:
    rows = station.execute(
        "SELECT site, title, hamlet, status, (SELECT max(expires_us) FROM certificates"
        " WHERE certificates.site = sites.site AND revoked_us IS NULL) FROM sites"
    )
    return {
        site: (title, hamlet, status, moment(expires) if expires is not None else None)
        for site, title, hamlet, status, expires in rows
    }


def _heard(
    archive: sqlite3.Connection,
) -> dict[str, tuple[datetime | None, Heartbeat | None, float | None, bool | None]]:
    rows = archive.execute("SELECT site, heard_us, heartbeat, clock_skew_s, online FROM agents")
    return {
        site: (
            moment(heard) if heard is not None else None,
            Heartbeat.model_validate_json(body) if body is not None else None,
            skew_s,
            bool(online) if online is not None else None,
        )
        for site, heard, body, skew_s, online in rows
    }


def _holes(archive: sqlite3.Connection) -> dict[str, list[Hole]]:
    found: dict[str, list[Hole]] = {}
    for hole in Gaps(archive).of():
        found.setdefault(hole.site, []).append(hole)
    return found


def _refused(archive: sqlite3.Connection) -> dict[str, tuple[RefusalCount, ...]]:
    found: dict[str, tuple[RefusalCount, ...]] = {}
    rows = archive.execute(
        "SELECT site, reason, count, last_us, last_detail FROM refusals ORDER BY site, reason"
    )
    for site, reason, count, last, detail in rows:
        found[site] = (*found.get(site, ()), RefusalCount(reason, count, moment(last), detail))
    return found
