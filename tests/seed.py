"""An archive to look at: a station made as `collector init` makes it, filled through its own store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

import uuid6
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive import accounts
from collector.archive.folder import StationFolder
from collector.archive.media import ThumbnailPacks
from collector.archive.records import (
    EventRecord,
    HeartbeatRecord,
    Number,
    PictureRecord,
    Record,
    Refusal,
    Seal,
)
from collector.archive.register import Register, Site, SiteStatus
from collector.archive.store import Archive
from collector.intake import foundation
from collector.settings import StationSettings
from shared.geometry import Box
from shared.messages import (
    CameraHealth,
    CameraState,
    ClockQuality,
    ClockReading,
    DetectionEvent,
    Heartbeat,
    Kind,
    PathPoint,
    Phase,
    Thumbnail,
)
from tests.station import Voice

SOME_JPEG = b"\xff\xd8\xff\xe0 not looked into by the store \xff\xd9"


@dataclass(frozen=True, slots=True)
class Seen:
    """One object that passed; what the tests vary. The rest is filled in."""

    at: datetime
    kind: Kind = Kind.PERSON
    site: str = "nha-ong-ba"
    camera: str = "cong"
    jpeg: bytes | None = SOME_JPEG
    picture_came: bool = True
    confidence: float = 0.83
    offset_s: float | None = 1.4
    quality: ClockQuality = ClockQuality.SYNCED
    suspect: bool = False
    path: tuple[PathPoint, ...] = (
        PathPoint(t=0, x=0.1, y=0.8),
        PathPoint(t=2, x=0.35, y=0.72),
        PathPoint(t=4.5, x=0.7, y=0.66),
    )


def station(root: Path, now: datetime, settings: StationSettings | None = None) -> StationFolder:
    """Make a station with keys, certificates and empty databases."""
    making = foundation.begin(root)
    foundation.build(making, settings or StationSettings(), now)
    return foundation.finish(making, root)


def first_account(folder: StationFolder, now: datetime) -> tuple[str, str]:
    database = folder.open_station()
    try:
        return accounts.create_first(database, now)
    finally:
        database.close()


def sites(folder: StationFolder, now: datetime, titles: dict[str, tuple[str, str]]) -> None:
    database = folder.open_station()
    register = Register(database)
    for site, (title, hamlet) in titles.items():
        register.add_site(Site(site, title, hamlet, SiteStatus.ENROLLED, now, None))
    database.close()


def keep(folder: StationFolder, records: Iterable[Record], refusals: Iterable[Refusal] = ()) -> None:
    """Write records as the committer does."""
    database, packs = folder.open_archive(), ThumbnailPacks(folder.thumbnails)
    archive = Archive(database, packs)
    with archive.writing():
        for record in records:
            archive.keep(record)
        for refusal in refusals:
            archive.count(refusal)
    packs.close()
    database.close()


def passed(folder: StationFolder, seen: Iterable[Seen]) -> list[DetectionEvent]:
    """Let objects pass: each becomes a start, an end, and its picture; return the last messages."""
    lives = [(one, life(one)) for one in seen]
    keep(folder, [record for one, messages in lives for record in _records(one, messages)])
    return [messages[-1] for _, messages in lives]


def life(one: Seen) -> list[DetectionEvent]:
    event_id = UUID(str(uuid6.uuid7()))
    duration_s = one.path[-1].t if one.path else 0.0
    messages = [
        DetectionEvent(
            id=UUID(str(uuid6.uuid7())),
            event_id=event_id,
            revision=revision,
            phase=phase,
            site=one.site,
            camera=one.camera,
            kind=one.kind,
            confidence=one.confidence,
            started_at=one.at,
            seen_at=one.at + timedelta(seconds=duration_s * revision),
            box=Box(0.42, 0.3, 0.12, 0.4),
            path=one.path if phase is Phase.END else one.path[:1],
            thumbnail=_announced(one),
            clock=ClockReading(
                boot_id="boot", monotonic_s=100.0, quality=one.quality, camera_offset_s=one.offset_s
            ),
        )
        for revision, phase in enumerate((Phase.START, Phase.END))
    ]
    voice = _voice_of(one.site)
    return [DetectionEvent.model_validate_json(voice.said(message)[0]) for message in messages]


@cache
def _voice_of(site: str) -> Voice:
    """One outbox for each site, as long as the tests run."""
    return Voice(ec.generate_private_key(ec.SECP256R1()))


def _announced(one: Seen) -> Thumbnail | None:
    if one.jpeg is None:
        return None
    return Thumbnail(
        sha256=hashlib.sha256(one.jpeg).hexdigest(),
        size_bytes=len(one.jpeg),
        width=384,
        height=288,
        taken_at=one.at + timedelta(seconds=1),
    )


def _records(one: Seen, messages: list[DetectionEvent]) -> Iterable[Record]:
    for message in messages:
        received_at = message.seen_at + timedelta(milliseconds=640)
        assert message.chain
        body, said = _voice_of(one.site).said(message)
        previous = bytes.fromhex(message.chain.previous)
        number = Number(said["instance"], int(said["sequence"]))
        seal = Seal(number, said["signature"], hashlib.sha256(body).digest(), previous)
        yield EventRecord(one.site, message.id, received_at, body, message, one.suspect, seal)
    if one.jpeg is not None and one.picture_came:
        picture_id = UUID(str(uuid6.uuid7()))
        received_at = one.at + timedelta(milliseconds=900)
        sha256 = hashlib.sha256(one.jpeg).hexdigest()
        yield PictureRecord(one.site, picture_id, received_at, messages[0].event_id, sha256, one.jpeg)


def heartbeat(site: str, at: datetime, cameras: Iterable[CameraHealth] = (), waiting: int = 0) -> Record:
    beat = Heartbeat(
        site=site,
        sent_at=at,
        boot_id="boot",
        agent_version="0.1.0",
        uptime_s=86_400,
        clock_quality=ClockQuality.SYNCED,
        outbox_waiting=waiting,
        detector="yolox-nano 416 onnxruntime",
        cpu_percent=38.0,
        disk_free_mb=21_500.0,
        temperature_c=58.5,
        cameras=tuple(cameras),
    )
    return HeartbeatRecord(site, at, beat.model_dump_json().encode(), beat, skew_s=-0.21)


def camera(name: str, state: CameraState = CameraState.OK, cause: str = "") -> CameraHealth:
    return CameraHealth(camera=name, state=state, cause=cause, frame_age_s=0.2, fps=9.8)
