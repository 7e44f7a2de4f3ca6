"""Over the real broker: only what its site signed is kept, holes are shown, wrong clocks are put right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import uuid6
from cryptography.hazmat.primitives.asymmetric import ec

from shared.messages import BootReport, ClockQuality, ClockReading, GapReason, GapReport, Phase
from shared.signing import chained, is_signed
from shared.topics import Channel, up
from tests.integration.station.test_bad_input import refusals, rows
from tests.station import Box, Station, Voice, a_heartbeat, an_event, wait_until


def of_site(listed: list[dict[str, Any]], site: str) -> dict[str, Any]:
    return next(one for one in listed if one["site"] == site)


def test_a_signature_of_another_key_is_refused_and_the_right_one_kept_with_its_bytes(
    station: Station,
) -> None:
    papers = station.enrol("ky-ten")
    with Box(papers, station.broker_port) as box:
        honest, forged = an_event(papers.site), an_event(papers.site)
        body, properties = box.voice.said(honest)
        box.send_event(honest)
        box.wait_for(honest.id)
        box.voice.key, right = ec.generate_private_key(ec.SECP256R1()), box.voice.key
        box.send_event(forged)
        box.wait_for(forged.id)
        assert box.heard.refused[forged.id].startswith("wrong-signature")
    kept = rows(station, "SELECT body, signature, sha256 FROM messages WHERE site = ?", papers.site)
    assert kept == [(body, properties["signature"], bytes.fromhex(chained(body)))]
    assert is_signed(kept[0][0], kept[0][1], right.public_key()), "whoever holds the archive can check it"
    assert refusals(station, papers.site) == {"wrong-signature": 1}


def test_a_hole_is_shown_with_its_reason_and_without_a_report_as_unexplained(station: Station) -> None:
    papers, now = station.enrol("co-lo-hong"), datetime.now(UTC)
    with Box(papers, station.broker_port) as box:
        spoken = [an_event(papers.site, started_at=now - timedelta(minutes=9)) for _ in range(30)]
        for event in spoken:
            box.voice.said(event)
        report = GapReport(
            id=uuid6.uuid7(),
            site=papers.site,
            reason=GapReason.DISK_FULL,
            instance=box.voice.instance,
            first=3,
            last=16,
            events=14,
            thumbnails=0,
            since=now - timedelta(minutes=5),
            until=now - timedelta(minutes=1),
        )
        arrived = [event for number, event in enumerate(spoken, start=1) if not 3 <= number <= 20]
        for event in arrived:
            box.send_event(event)
        box.send_signed(Channel.GAP, report)
        box.wait_for(report.id, *(event.id for event in arrived))
        assert box.heard.refused == {}
        beat = a_heartbeat(papers.site, now).model_copy(
            update={"instance": box.voice.instance, "sequence_next": 32, "sequence_waiting": 32}
        )
        box.say(up(papers.site, Channel.HEARTBEAT), beat.model_dump_json().encode(), qos=0)
        question = "SELECT waiting FROM outboxes WHERE site = ?"
        wait_until(lambda: rows(station, question, papers.site) == [(32,)])
    holes = of_site(station.agents_json(), papers.site)["holes"]
    assert {(hole["reason"], hole["events"], hole["messages"]) for hole in holes} == {
        ("disk-full", 14, 14),
        ("unexplained", 0, 4),
    }
    printed = station.command("search", "--site", papers.site)
    assert f"! {papers.site}: mất 14 sự kiện, " in printed
    assert ", đĩa đầy" in printed
    assert f"! {papers.site}: mất 4 bản tin, " in printed


def test_events_of_before_the_clock_was_right_are_found_where_they_belong(station: Station) -> None:
    papers, now = station.enrol("dong-ho-sai"), datetime.now(UTC)
    woke, began = datetime(2024, 1, 1, tzinfo=UTC), now - timedelta(seconds=600)
    with Box(papers, station.broker_port) as box:
        early = an_event(
            papers.site,
            phase=Phase.END,
            started_at=woke + timedelta(seconds=100),
            seen_at=woke + timedelta(seconds=110),
            clock=ClockReading(boot_id="b", monotonic_s=110.0, quality=ClockQuality.UNSYNCED),
        )
        boot = BootReport(id=uuid6.uuid7(), site=papers.site, boot_id="b", started_at=began)
        box.send_event(early)
        box.send_signed(Channel.BOOT, boot)
        box.wait_for(early.id, boot.id)
        assert box.heard.refused == {}
    (found,) = station.search_json("--site", papers.site)
    assert datetime.fromisoformat(found["started_at"]) == began + timedelta(seconds=100)
    assert datetime.fromisoformat(found["seen_at"]) == began + timedelta(seconds=110)
    assert datetime.fromisoformat(found["said_started_at"]) == woke + timedelta(seconds=100)
    assert (found["clock_quality"], found["clock_suspect"]) == ("unsynced", False)


def test_a_second_box_with_the_same_numbers_is_noticed(station: Station) -> None:
    papers = station.enrol("hai-may")
    with Box(papers, station.broker_port) as box:
        first, second = an_event(papers.site), an_event(papers.site)
        box.send_event(first)
        copied, box.voice = box.voice.instance, Voice(box.voice.key)
        box.voice.instance = copied
        box.send_event(second)
        box.wait_for(first.id, second.id)
        assert box.heard.stored == {first.id, second.id}, "both are kept: which is the true one?"
    assert refusals(station, papers.site) == {"number-twice": 1}
