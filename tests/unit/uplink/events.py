"""Events to send, made by the dozen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from uuid6 import uuid7

from agent.uplink.outbox import Speaker
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Kind, Phase, Thumbnail
from shared.signing import sign

KEY = ec.generate_private_key(ec.SECP256R1())
SPEAKER = Speaker("nha-ong-ba", uuid7, lambda body: sign(body, KEY))
NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
JPEG = b"\xff\xd8 a picture, as far as the uplink knows \xff\xd9" * 20


def event(
    phase: Phase = Phase.START,
    *,
    event_id: UUID | None = None,
    revision: int = 0,
    jpeg: bytes | None = None,
    minute: int = 0,
) -> DetectionEvent:
    moment = NOON + timedelta(minutes=minute)
    thumbnail = jpeg and Thumbnail(
        sha256=sha256(jpeg).hexdigest(), size_bytes=len(jpeg), width=640, height=360, taken_at=moment
    )
    return DetectionEvent(
        id=uuid7(),
        event_id=event_id or uuid7(),
        revision=revision,
        phase=phase,
        site="nha-ong-ba",
        camera="cong-truoc",
        kind=Kind.PERSON,
        confidence=0.7,
        started_at=moment,
        seen_at=moment,
        box=Box(0.1, 0.2, 0.1, 0.3),
        thumbnail=thumbnail or None,
        clock=ClockReading(boot_id="boot", monotonic_s=1.0, quality=ClockQuality.SYNCED),
    )
