"""What is kept, what is refused, and with which reason: a table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
import uuid6
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.records import (
    BootRecord,
    EventRecord,
    GapRecord,
    HeartbeatRecord,
    Number,
    PictureRecord,
    StateRecord,
    TestRecord,
)
from collector.intake.ingest import Delivery, Reason, Refused, Standing, Terms, ingest
from shared.messages import (
    AgentState,
    BootReport,
    Chain,
    Colour,
    GapReason,
    GapReport,
    TestMessage,
    Wishes,
)
from shared.signing import FIRST, canonical, sign
from shared.topics import Channel
from tests.station import a_heartbeat, a_picture, an_event

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
ENROLLED = Standing(enrolled=True, keys=(KEY.public_key(),))
SITE = "nha-ong-ba"
TOLERANCE_S = 120.0


ANNOUNCED = {
    "sha256": "0" * 64,
    "size_bytes": 9,
    "width": 20,
    "height": 30,
    "taken_at": NOW.isoformat(),
}


def judged(delivery: Delivery, standing: Standing = ENROLLED, wishes: Wishes | None = None) -> Any:
    return ingest(delivery, standing, Terms(TOLERANCE_S, wishes or Wishes()))


def event_delivery(*, topic_site: str = SITE, correlation: bytes | None = None, **changed: Any) -> Delivery:
    event = an_event(SITE, started_at=NOW - timedelta(seconds=1), seen_at=NOW)
    chain = {"instance": "0" * 16, "previous": FIRST}
    body = json.loads(event.model_dump_json()) | {"sequence": 7, "chain": chain} | changed
    body = {name: value for name, value in body.items() if value is not ...}
    payload = json.dumps(body).encode()
    topic = f"anninh/v1/{topic_site}/up/ev"
    properties = {"signature": sign(payload, KEY), "sequence": "7", "instance": "0" * 16}
    correlation = event.id.bytes if correlation is None else correlation
    return Delivery(topic, payload, NOW, correlation, properties=properties)


def picture_delivery(picture: bytes = a_picture(), **changed: str | None) -> Delivery:
    message_id = uuid6.uuid7()
    named = {"id": str(message_id), "event_id": str(uuid6.uuid7()), "sha256": sha256(picture).hexdigest()}
    content_type = changed.pop("content_type", "image/jpeg")
    properties = {name: value for name, value in (named | changed).items() if value is not None}
    return Delivery(f"anninh/v1/{SITE}/up/thumb", picture, NOW, message_id.bytes, content_type, properties)


def test_a_sound_event_is_kept_with_exactly_the_bytes_that_came() -> None:
    delivery = event_delivery()
    record = judged(delivery)
    assert isinstance(record, EventRecord)
    assert record.body is delivery.payload
    assert record.message_id == record.event.id == UUID(bytes=delivery.correlation)
    assert not record.clock_suspect


def test_the_signature_is_over_the_bytes_as_they_came_and_kept_with_their_hash() -> None:
    delivery = event_delivery(colour="purple", kind="car")
    seal = judged(delivery).seal
    assert seal.signature == delivery.properties["signature"]
    assert seal.sha256 == sha256(delivery.payload).digest(), "also where less is kept in the body"
    assert (seal.number, seal.previous) == (Number("0" * 16, 7), bytes(32))


def test_a_key_of_before_the_renewal_still_vouches() -> None:
    newer = ec.generate_private_key(ec.SECP256R1()).public_key()
    standing = Standing(enrolled=True, keys=(newer, KEY.public_key()))
    assert isinstance(judged(event_delivery(), standing), EventRecord)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"signature": ""}, Reason.UNSIGNED),
        ({"signature": "AAAA"}, Reason.WRONG_SIGNATURE),
        ({"signature": "not base64 \ud800"}, Reason.WRONG_SIGNATURE),
        ({"signature": sign(b"other bytes", KEY)}, Reason.WRONG_SIGNATURE),
    ],
)
def test_what_its_site_did_not_sign_is_refused_and_is_not_missing(
    changed: dict[str, str], reason: Reason
) -> None:
    delivery = event_delivery()
    verdict = judged(replace(delivery, properties={**delivery.properties, **changed}))
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.number) == (reason, Number("0" * 16, 7))


def test_one_bit_another_or_another_sites_key_is_refused() -> None:
    delivery = event_delivery()
    assert delivery.payload.count(b"0.8") == 1
    changed = replace(delivery, payload=delivery.payload.replace(b"0.8", b"0.9"))
    assert judged(changed).reason is Reason.WRONG_SIGNATURE
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert judged(delivery, Standing(enrolled=True, keys=(other,))).reason is Reason.WRONG_SIGNATURE
    assert judged(delivery, Standing(enrolled=True)).reason is Reason.WRONG_SIGNATURE


def test_what_is_signed_has_a_number_and_a_place_in_the_chain() -> None:
    assert judged(event_delivery(sequence=0)).reason is Reason.UNSIGNED
    assert judged(event_delivery(sequence=2**60)).reason is Reason.UNSIGNED
    assert judged(event_delivery(chain=...)).reason is Reason.UNSIGNED


def report_delivery(channel: str, report: GapReport | BootReport) -> Delivery:
    chain = Chain(instance="0" * 16, previous=FIRST)
    body = canonical(report.model_copy(update={"sequence": 8, "chain": chain}))
    topic, properties = f"anninh/v1/{SITE}/up/{channel}", {"signature": sign(body, KEY)}
    return Delivery(topic, body, NOW, report.id.bytes, properties=properties)


def a_gap(**changed: Any) -> GapReport:
    said: dict[str, Any] = {"first": 3, "last": 9, "events": 2, "thumbnails": 5, "since": NOW, "until": NOW}
    named = {"id": uuid6.uuid7(), "site": SITE, "reason": GapReason.DISK_FULL, "instance": "0" * 16}
    return GapReport(**(named | said | changed))


def test_gap_and_boot_reports_are_kept_signed_and_refused_unsigned() -> None:
    boot = BootReport(id=uuid6.uuid7(), site=SITE, boot_id="b", started_at=NOW)
    for channel, report, kind in (("gap", a_gap(), GapRecord), ("boot", boot, BootRecord)):
        delivery = report_delivery(channel, report)
        record = judged(delivery)
        assert isinstance(record, kind)
        assert (record.body, record.message_id) == (delivery.payload, report.id)
        assert record.seal.number == Number("0" * 16, 8)
        assert judged(replace(delivery, properties={})).reason is Reason.UNSIGNED
        other = replace(delivery, topic=delivery.topic.replace(SITE, "nha-ba-tu"))
        assert judged(other).reason is Reason.WRONG_SITE
    assert judged(report_delivery("gap", a_gap(first=9, last=3))).reason is Reason.MALFORMED


def test_a_boot_that_begins_in_the_future_is_kept_and_not_believed() -> None:
    for ahead, is_suspect in ((timedelta(0), False), (timedelta(days=1), True)):
        report = BootReport(id=uuid6.uuid7(), site=SITE, boot_id="b", started_at=NOW + ahead)
        assert judged(report_delivery("boot", report)).clock_suspect is is_suspect


@pytest.mark.parametrize(
    ("sequence", "instance", "number"),
    [
        ("12", "ab" * 8, Number("ab" * 8, 12)),
        ("0", "ab" * 8, None),
        ("-1", "ab" * 8, None),
        ("9" * 400, "ab" * 8, None),
        ("١٢", "ab" * 8, None),
        ("12", "AB" * 8, None),
        ("12", "", None),
        ("", "ab" * 8, None),
    ],
)
def test_a_picture_says_its_number_beside_it(sequence: str, instance: str, number: Number | None) -> None:
    assert judged(picture_delivery(sequence=sequence, instance=instance)).number == number
    assert judged(picture_delivery(b"GIF", sequence=sequence, instance=instance)).number == number


def test_a_colour_nobody_asked_for_is_taken_out_of_the_bytes_as_well() -> None:
    delivery = event_delivery(colour="purple", kind="car")
    record = judged(delivery)
    assert record.event.colour is None
    assert b"purple" not in record.body
    assert b"colour" not in record.body
    kept = judged(delivery, wishes=Wishes(colour_of=("car",)))
    assert kept.event.colour is Colour.PURPLE
    assert kept.body is delivery.payload


def test_the_colour_of_a_vehicle_may_be_wanted_without_that_of_clothes() -> None:
    wishes = Wishes(colour_of=("car", "something newer"))
    assert judged(event_delivery(colour="red", kind="car"), wishes=wishes).event.colour is Colour.RED
    assert judged(event_delivery(colour="red", kind="person"), wishes=wishes).event.colour is None


def test_a_tight_crop_is_kept_only_where_the_station_asks() -> None:
    announced = event_delivery(crop=ANNOUNCED)
    picture = replace(picture_delivery(), topic=f"anninh/v1/{SITE}/up/crop")
    assert judged(announced).event.crop is None
    assert b"crop" not in judged(announced).body
    assert judged(picture).reason is Reason.NOT_WANTED
    wishes = Wishes(tight_crops=True)
    assert judged(announced, wishes=wishes).event.crop.sha256 == "0" * 64
    assert judged(picture, wishes=wishes).channel is Channel.CROP


def test_a_sound_picture_is_kept() -> None:
    delivery = picture_delivery()
    record = judged(delivery)
    assert isinstance(record, PictureRecord)
    assert record.jpeg == delivery.payload
    assert record.sha256 == delivery.properties["sha256"]
    assert str(record.event_id) == delivery.properties["event_id"]


def test_a_test_a_heartbeat_and_a_state_are_kept() -> None:
    message = TestMessage(id=uuid6.uuid7(), site=SITE, sent_at=NOW)
    topic = f"anninh/v1/{SITE}/up/"
    test = judged(Delivery(topic + "test", message.model_dump_json().encode(), NOW, message.id.bytes))
    assert isinstance(test, TestRecord)
    heartbeat = a_heartbeat(SITE, NOW + timedelta(seconds=7)).model_dump_json().encode()
    beat = judged(Delivery(topic + "hb", heartbeat, NOW))
    assert isinstance(beat, HeartbeatRecord)
    assert beat.skew_s == 7
    state = AgentState(online=True, session="one", at=NOW).model_dump_json().encode()
    assert isinstance(judged(Delivery(topic + "state", state, NOW)), StateRecord)


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (event_delivery(v=2), Reason.WRONG_VERSION),
        (event_delivery(v=2, new_field="of version 2"), Reason.WRONG_VERSION),
        (event_delivery(v="1"), Reason.WRONG_VERSION),
        (event_delivery(plate="30A-123.45"), Reason.MALFORMED),
        (event_delivery(kind="face"), Reason.MALFORMED),
        (event_delivery(confidence=1.5), Reason.MALFORMED),
        (event_delivery(confidence=float("nan")), Reason.MALFORMED),
        (event_delivery(revision=2**70), Reason.MALFORMED),
        (event_delivery(revision=1_000_001), Reason.MALFORMED),
        (event_delivery(camera="../../etc"), Reason.MALFORMED),
        (event_delivery(started_at="2026-11-23T12:00:00+07:00"), Reason.MALFORMED),
        (event_delivery(seen_at="1999-01-01T00:00:00Z"), Reason.MALFORMED),
        (event_delivery(box={"x": 0.9, "y": 0.9, "w": 0.5, "h": 0.5}), Reason.MALFORMED),
        (event_delivery(id=...), Reason.MALFORMED),
        (event_delivery(site="nha-ba-tu"), Reason.WRONG_SITE),
        (event_delivery(topic_site="nha-ba-tu"), Reason.WRONG_SITE),
        (event_delivery(id=str(uuid6.uuid7())), Reason.WRONG_ID),
        (event_delivery(correlation=b""), Reason.NO_ID),
        (event_delivery(correlation=b"short"), Reason.NO_ID),
        (picture_delivery(b""), Reason.NOT_A_JPEG),
        (picture_delivery(b"GIF89a"), Reason.NOT_A_JPEG),
        (picture_delivery(a_picture()[:-2]), Reason.NOT_A_JPEG),
        (picture_delivery(sha256="0" * 64), Reason.WRONG_HASH),
        (picture_delivery(sha256=None), Reason.NO_PROPERTIES),
        (picture_delivery(event_id=None), Reason.NO_PROPERTIES),
        (picture_delivery(event_id="not a uuid"), Reason.NO_PROPERTIES),
        (picture_delivery(id=None), Reason.NO_PROPERTIES),
        (picture_delivery(id=str(uuid6.uuid7())), Reason.WRONG_ID),
        (picture_delivery(content_type=None), Reason.NO_PROPERTIES),
        (picture_delivery(content_type="text/html"), Reason.NO_PROPERTIES),
        (picture_delivery(a_picture() + b"\0" * 200_000), Reason.TOO_LARGE),
        (Delivery(f"anninh/v1/{SITE}/up/ev", b"[" * 16_000, NOW, bytes(16)), Reason.MALFORMED),
        (Delivery(f"anninh/v1/{SITE}/up/ev", b'{"v":1}' * 5_000, NOW, bytes(16)), Reason.TOO_LARGE),
        (Delivery(f"anninh/v1/{SITE}/up/ev", b"\xff\xfe{}", NOW, bytes(16)), Reason.MALFORMED),
        (Delivery(f"anninh/v1/{SITE}/up/hb", b"{}", NOW), Reason.MALFORMED),
        (Delivery(f"anninh/v1/{SITE}/up/state", b"x" * 2_000, NOW), Reason.TOO_LARGE),
        (Delivery(f"anninh/v1/{SITE}/up/gossip", b"{}", NOW, bytes(16)), Reason.UNKNOWN_TOPIC),
        (Delivery("anninh/v1/UPPER/up/ev", b"{}", NOW, bytes(16)), Reason.UNKNOWN_TOPIC),
        (Delivery("", b"", NOW), Reason.UNKNOWN_TOPIC),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(delivery: Delivery, reason: Reason) -> None:
    verdict = judged(delivery)
    assert isinstance(verdict, Refused)
    assert verdict.reason is reason
    if delivery.correlation and len(delivery.correlation) == 16:
        assert verdict.message_id == UUID(bytes=delivery.correlation), "the sender must be told which"


def test_a_site_that_is_not_enrolled_is_refused_before_anything_is_parsed() -> None:
    verdict = judged(event_delivery(v=2), Standing(enrolled=False))
    assert verdict.reason is Reason.UNKNOWN_SITE


@pytest.mark.parametrize(
    ("age", "skew_s", "is_suspect"),
    [
        (timedelta(0), None, False),
        (timedelta(seconds=-60), None, False),
        (timedelta(days=-365), None, True),  # from the future: nothing explains it
        (timedelta(days=365), None, True),  # from the past, longer than any outbox waits
        (timedelta(days=3), None, False),  # three days without a line: that is what the outbox is for
        (timedelta(days=3), 1.0, False),
        (timedelta(0), -365 * 86_400.0, True),  # the heartbeat, which never waits, gave the clock away
        (timedelta(0), 119.0, False),
    ],
)
def test_a_clock_far_off_is_flagged_and_a_queue_is_not(
    age: timedelta, skew_s: float | None, *, is_suspect: bool
) -> None:
    started, seen = NOW - age - timedelta(seconds=1), NOW - age
    delivery = event_delivery(started_at=started.isoformat(), seen_at=seen.isoformat())
    record = judged(delivery, replace(ENROLLED, skew_s=skew_s))
    assert isinstance(record, EventRecord)
    assert record.clock_suspect is is_suspect


def test_a_refusal_does_not_repeat_what_the_sender_wrote() -> None:
    verdict = judged(event_delivery(camera="SECRET WORDS"))
    assert "SECRET" not in verdict.detail
    assert "camera" in verdict.detail


@given(
    channel=st.sampled_from(["ev", "thumb", "test", "gap", "boot", "hb", "state"]),
    payload=st.binary(max_size=300) | st.text().map(str.encode) | st.from_type(dict).map(str).map(str.encode),
    correlation=st.none() | st.binary(max_size=20),
    properties=st.dictionaries(
        st.sampled_from(["id", "event_id", "sha256", "signature", "sequence", "instance"]),
        st.text(max_size=70),
    ),
)
def test_nothing_a_site_can_send_raises(
    channel: str, payload: bytes, correlation: bytes | None, properties: dict[str, str]
) -> None:
    delivery = Delivery(f"anninh/v1/{SITE}/up/{channel}", payload, NOW, correlation, "image/jpeg", properties)
    assert isinstance(judged(delivery), Refused)


@given(value=st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
@pytest.mark.parametrize(
    "name", ["revision", "confidence", "box", "path", "clock", "seen_at", "thumbnail", "camera"]
)
def test_any_json_in_any_field_is_kept_or_refused(name: str, value: Any) -> None:
    verdict = judged(event_delivery(**{name: value}))
    assert isinstance(verdict, Refused | EventRecord)
