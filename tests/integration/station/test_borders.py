"""What a site may not do, against the real broker."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
import time
from contextlib import closing, suppress
from pathlib import Path

import trustme
import uuid6
from cryptography.hazmat.primitives.asymmetric import ec

from collector.intake.authority import Authority, key_pem
from shared.topics import COLLECTOR_STATE, Channel, down_ack, up
from tests.station import Box, Code, Papers, Station, an_event, request_for, wait_until

NOT_AUTHORISED = 0x87


def stored(station: Station, event_id: bytes) -> list[str]:
    with closing(sqlite3.connect(f"file:{station.folder}/archive.db?mode=ro", uri=True)) as database:
        return [
            site for (site,) in database.execute("SELECT site FROM events WHERE event_id = ?", (event_id,))
        ]


def test_a_site_cannot_publish_as_another(station: Station, ba: Papers, tu: Papers) -> None:
    with Box(ba, station.broker_port) as thief, Box(tu, station.broker_port) as victim:
        forged, honest = an_event(tu.site), an_event(tu.site)
        thief.say(up(tu.site, Channel.EVENT), forged.model_dump_json().encode(), forged.id)
        thief.say(COLLECTOR_STATE, b'{"online": false}')
        thief.say(down_ack(tu.site), b"{}")
        wait_until(lambda: len(thief.heard.puback_codes) == 3)
        assert set(thief.heard.puback_codes) == {NOT_AUTHORISED}
        victim.send_event(honest)
        victim.wait_for(honest.id)
        assert victim.heard.collector_online is True
        assert stored(station, honest.event_id.bytes) == [tu.site]
        assert stored(station, forged.event_id.bytes) == []


def test_a_site_cannot_put_another_sites_name_into_its_own_topic(
    station: Station, ba: Papers, tu: Papers
) -> None:
    forged = an_event(tu.site)
    with Box(ba, station.broker_port) as thief:
        thief.say(up(ba.site, Channel.EVENT), forged.model_dump_json().encode(), forged.id)
        thief.wait_for(forged.id)
        assert thief.heard.refused[forged.id].startswith("wrong-site")
    assert stored(station, forged.event_id.bytes) == []


def test_a_site_cannot_write_into_anothers_event(station: Station, ba: Papers, tu: Papers) -> None:
    honest = an_event(tu.site)
    forged = an_event(ba.site, event_id=honest.event_id, revision=7)
    with Box(tu, station.broker_port) as victim, Box(ba, station.broker_port) as thief:
        victim.send_event(honest)
        victim.wait_for(honest.id)
        thief.send_event(forged)
        thief.wait_for(forged.id)
        assert thief.heard.refused[forged.id].startswith("foreign")
    assert stored(station, honest.event_id.bytes) == [tu.site]


def test_a_site_cannot_read_anothers_topics(station: Station, ba: Papers, tu: Papers) -> None:
    greedy = ("#", "$SYS/#", "anninh/v1/#", f"anninh/v1/{tu.site}/#", f"$share/x/anninh/v1/{tu.site}/up/#")
    with Box(ba, station.broker_port, more_topics=greedy) as thief, Box(tu, station.broker_port) as victim:
        theirs, own = an_event(tu.site), an_event(ba.site)
        victim.send_event(theirs)
        victim.wait_for(theirs.id)
        thief.send_event(own)
        thief.wait_for(own.id)  # its own way is open, so it would have heard by now
        assert [
            topic for topic, _ in thief.heard.others if not topic.startswith(f"anninh/v1/{ba.site}/")
        ] == []
        assert theirs.id not in thief.heard.stored


def test_a_site_cannot_take_anothers_connection(station: Station, ba: Papers, tu: Papers) -> None:
    with Box(tu, station.broker_port) as victim:
        victim.say(up(tu.site, Channel.EVENT), b"", uuid6.uuid7())
        with Box(ba, station.broker_port):  # both boxes ask for the client id "me"
            event = an_event(tu.site)
            victim.send_event(event)
            victim.wait_for(event.id)
        assert victim.heard.disconnects == []


def refused_by_tls(station: Station, context: ssl.SSLContext) -> bool:
    """Whether the broker ends the connection in TLS; with TLS 1.3 that shows at the first read."""
    try:
        with (
            socket.create_connection(("localhost", station.broker_port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            secured.sendall(bytes.fromhex("101300044d5154540502003c000006") + b"client")
            return secured.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_nobody_connects_without_a_certificate_or_with_a_foreign_one(
    station: Station, ba: Papers, tmp_path: Path
) -> None:
    assert not refused_by_tls(station, ba.context()), "the test's own connection must be sound"
    assert refused_by_tls(station, ssl.create_default_context(cafile=ba.ca))
    foreign = ssl.create_default_context(cafile=ba.ca)
    trustme.CA().issue_cert("nha-ong-ba", common_name="nha-ong-ba").configure_cert(foreign)
    assert refused_by_tls(station, foreign)
    # a CA with the very name of the station's
    twin = Authority.create("Công an xã", an_event("aaa").seen_at)
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "twin.crt").write_text(
        twin.sign_request(request_for(key), ba.site, an_event("aaa").seen_at).pem
    )
    (tmp_path / "twin.key").write_bytes(key_pem(key))
    forged = Papers(ba.site, tmp_path / "twin.crt", tmp_path / "twin.key", ba.ca)
    assert refused_by_tls(station, forged.context())


def test_a_plain_connection_gets_nothing(station: Station) -> None:
    with socket.create_connection(("localhost", station.broker_port), timeout=10) as plain:
        plain.sendall(bytes.fromhex("101300044d5154540502003c000006") + b"client")
        with suppress(ConnectionError):
            assert plain.recv(1) in {b"", b"\x15"}, "closed, or a TLS alert"


def test_a_revoked_site_is_shut_out_at_once_and_by_its_certificate(station: Station) -> None:
    papers = station.enrol("bi-thu-hoi")
    with Box(papers, station.broker_port) as box:
        before = an_event(papers.site)
        box.send_event(before)
        box.wait_for(before.id)
        station.command("site", "revoke", papers.site)
        codes = box.heard.puback_codes

        def is_shut_out() -> bool:
            event = an_event(papers.site)
            box.send_event(event)
            time.sleep(0.1)
            return NOT_AUTHORISED in codes

        wait_until(is_shut_out)
        after = an_event(papers.site)
        box.send_event(after)
        sent = len(codes)
        wait_until(lambda: len(codes) >= sent)
        assert stored(station, after.event_id.bytes) == []
    assert refused_by_tls(station, papers.context())
    code = Code.parse(json.loads(station.command("site", "code", papers.site, "--json"))["code"])
    again = station.enrol(papers.site, code)
    with Box(again, station.broker_port) as box:
        event = an_event(papers.site)
        box.send_event(event)
        box.wait_for(event.id)
        assert event.id in box.heard.stored
