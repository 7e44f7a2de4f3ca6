"""Bad input is refused or flagged, counted on disk, and the rest goes on."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import uuid6

from shared.messages import MAX_THUMBNAIL_BYTES, AgentState, Phase, TestMessage
from shared.signing import canonical
from shared.topics import Channel, up
from tests.station import Box, Papers, Station, a_heartbeat, a_picture, an_event, announced, wait_until


def rows(station: Station, question: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(f"file:{station.folder}/archive.db?mode=ro", uri=True)) as database:
        return database.execute(question, values).fetchall()


def refusals(station: Station, site: str) -> dict[str, int]:
    return dict(rows(station, "SELECT reason, count FROM refusals WHERE site = ?", site))


def test_every_kind_of_bad_input_is_refused_counted_and_the_rest_goes_on(station: Station) -> None:
    papers = station.enrol("gui-sai")
    event_topic, picture_topic = up(papers.site, Channel.EVENT), up(papers.site, Channel.THUMBNAIL)
    named = {
        name: uuid6.uuid7()
        for name in ("malformed", "version", "not-jpeg", "hash", "big", "bare", "unsigned")
    }
    with Box(papers, station.broker_port) as box:
        box.say(event_topic, b"{ this is not", named["malformed"])
        body = an_event(papers.site, id=named["version"]).model_dump_json().replace('"v":1', '"v":2')
        box.say(event_topic, body.encode(), named["version"])
        box.say(event_topic, canonical(an_event(papers.site, id=named["unsigned"])), named["unsigned"])
        box.send_picture(b"\xff\xd8 only begins like one \xff\xd9", uuid6.uuid7(), named["not-jpeg"])
        box.send_picture(a_picture(), uuid6.uuid7(), named["hash"], sha256="0" * 64)
        box.send_picture(a_picture() + bytes(MAX_THUMBNAIL_BYTES), uuid6.uuid7(), named["big"])
        box.say(picture_topic, a_picture(), named["bare"])
        box.say(event_topic, an_event(papers.site).model_dump_json().encode())  # nobody to answer to
        box.say(f"anninh/v1/{papers.site}/up/gossip", b"hello", uuid6.uuid7())
        good = an_event(papers.site)
        box.send_event(good)
        box.wait_for(*named.values(), good.id)
        assert {name: box.heard.refused[id_].split(":")[0] for name, id_ in named.items()} == {
            "malformed": "malformed",
            "version": "wrong-version",
            "not-jpeg": "not-a-jpeg",
            "hash": "wrong-hash",
            "big": "too-large",
            "bare": "no-properties",
            "unsigned": "unsigned",
        }
        assert box.heard.stored == {good.id}
    counted = refusals(station, papers.site)
    reasons = [
        "malformed",
        "wrong-version",
        "not-a-jpeg",
        "wrong-hash",
        "too-large",
        "no-properties",
        "no-id",
        "unsigned",
    ]
    assert counted == dict.fromkeys(reasons, 1)
    assert refusals(station, "")["unknown-topic"] >= 1
    assert rows(station, "SELECT count(*) FROM events WHERE site = ?", papers.site) == [(1,)]


def test_a_packet_larger_than_any_message_ends_the_connection_and_nothing_else(
    station: Station, ba: Papers, tu: Papers
) -> None:
    with Box(ba, station.broker_port) as greedy, Box(tu, station.broker_port) as other:
        greedy.say(up(ba.site, Channel.EVENT), bytes(5_000_000), uuid6.uuid7())
        wait_until(lambda: len(greedy.heard.disconnects) > 0)
        event = an_event(tu.site)
        other.send_event(event)
        other.wait_for(event.id)
        assert other.heard.disconnects == []


def test_a_clock_a_year_off_is_kept_flagged_and_counted(station: Station) -> None:
    papers = station.enrol("lech-gio")
    now, year = datetime.now(UTC), timedelta(days=365)
    with Box(papers, station.broker_port) as box:
        past = an_event(papers.site, started_at=now - year, seen_at=now - year)
        future = an_event(papers.site, started_at=now + year, seen_at=now + year)
        right = an_event(papers.site)
        for event in (past, future, right):
            box.send_event(event)
        box.wait_for(past.id, future.id, right.id)
        assert box.heard.refused == {}
        flags = dict(rows(station, "SELECT event_id, clock_suspect FROM events WHERE site = ?", papers.site))
        assert flags == {past.event_id.bytes: 1, future.event_id.bytes: 1, right.event_id.bytes: 0}
        assert refusals(station, papers.site) == {"clock-suspect": 2}
        # the heartbeat gives a clock away that is off by less than a month
        heartbeat = a_heartbeat(papers.site, now - timedelta(hours=5))
        box.say(up(papers.site, Channel.HEARTBEAT), heartbeat.model_dump_json().encode(), qos=0)
        question = "SELECT clock_skew_s FROM agents WHERE site = ?"
        wait_until(lambda: rows(station, question, papers.site) not in ([], [(None,)]))
        assert abs(rows(station, question, papers.site)[0][0] + 5 * 3600) < 60
        slow = an_event(papers.site, started_at=now - timedelta(hours=5), seen_at=now - timedelta(hours=5))
        box.send_event(slow)
        box.wait_for(slow.id)
        assert refusals(station, papers.site) == {"clock-suspect": 3}


def test_a_test_message_opens_the_way_and_states_are_noted(station: Station) -> None:
    papers = station.enrol("thu-duong")
    now = datetime.now(UTC)
    with Box(papers, station.broker_port) as box:
        message = TestMessage(id=uuid6.uuid7(), site=papers.site, sent_at=now)
        box.say(up(papers.site, Channel.TEST), message.model_dump_json().encode(), message.id)
        box.wait_for(message.id)
        assert message.id in box.heard.stored
        state = AgentState(online=True, session="one", at=now).model_dump_json().encode()
        box.say(up(papers.site, Channel.STATE), state)
        question = "SELECT online, session FROM agents WHERE site = ?"
        wait_until(lambda: rows(station, question, papers.site) == [(1, "one")])
    assert '"tested": "20' in station.command("site", "list", "--json")


def test_each_id_is_stored_once_whatever_is_repeated_and_reordered(station: Station) -> None:
    papers = station.enrol("gui-lai")
    shuffle = random.Random(20261123)
    sayings: list[tuple[UUID, Any]] = []
    ends: dict[bytes, str] = {}
    with Box(papers, station.broker_port) as box:
        for number in range(12):
            event_id, picture = uuid6.uuid7(), a_picture(number)
            ends[event_id.bytes] = sha256(picture).hexdigest()
            for revision, phase in enumerate((Phase.START, Phase.UPDATE, Phase.END)):
                thumbnail = announced(picture) if revision == 1 else None
                event = an_event(
                    papers.site, event_id=event_id, revision=revision, phase=phase, thumbnail=thumbnail
                )
                sayings.append((event.id, lambda event=event: box.send_event(event)))
            message_id = uuid6.uuid7()
            sayings.append(
                (message_id, lambda p=picture, e=event_id, m=message_id: box.send_picture(p, e, m))
            )
        said = sayings * 3
        shuffle.shuffle(said)
        for _, say in said:
            say()
        box.wait_for(*(message_id for message_id, _ in sayings))
        assert box.heard.refused == {}
        wait_until(lambda: len(box.heard.puback_codes) == len(said))
    kept = rows(
        station, "SELECT event_id, phase, revision, thumbnail FROM events WHERE site = ?", papers.site
    )
    assert {event_id: (phase, revision, sha) for event_id, phase, revision, sha in kept} == {
        event_id: ("end", 2, sha) for event_id, sha in ends.items()
    }
    assert rows(station, "SELECT count(*) FROM messages WHERE site = ?", papers.site) == [(len(sayings),)]
    places = rows(
        station,
        "SELECT thumbnails.sha256, pack, position, size FROM thumbnails JOIN events"
        " ON events.event_id = thumbnails.event_id AND events.thumbnail = thumbnails.sha256"
        " WHERE site = ?",
        papers.site,
    )
    assert len(places) == 12
    for sha, pack, position, size in places:
        content = (station.folder / "thumbnails" / pack).read_bytes()[position : position + size]
        assert sha256(content).hexdigest() == sha
