"""What brokers are known to let through, against ours: the measured facts, row by row.

Each is a test against the real broker, with the configuration the collector writes:

 1 certificates and one pattern for all sites: `test_borders` (nobody connects without a certificate or
   with a foreign one; a plain connection gets nothing; no site publishes as another, or reads another's)
 2 MQTT 3.1.1 hides denial: here
 3 PUBACK 0x10, nobody listens: here, with the agent's own uplink, which keeps the row
 4 SUBSCRIBE is granted to everything, filtered at delivery: here, and in `test_borders`
 5 shares steal: here
 6 shares are forgotten when a broker restarts: ours has none; that the collector subscribes on every
   connection is in `test_crashes` (a killed broker comes back and the collector with it)
 7 client ids are taken over: here (the collector's too), and in `test_borders`
 8 last wills and $CONTROL: here
 9 revocation on the open connection and for new ones: `test_borders`, within two seconds `test_identity`;
   by a resumed TLS session, and without others noticing: here
11 packet size: here, and in `test_bad_input`
12 the receive maximum is honoured, until the first confirmation: here

Not ours: 10 (the dynamic-security plugin, which the configuration does not load) and 13 (other brokers:
rumqttd, amqtt); what 13 says of certificates is tested of ours in row 1.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from uuid6 import uuid7

from agent.uplink import identity
from agent.uplink.enroll import StationAddress, obtain_papers
from agent.uplink.identity import Identity, Signer
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from agent.uplink.wire import Answered
from collector.archive.folder import StationFolder
from collector.intake.broker import Broker
from collector.settings import StationSettings
from shared.clock import SystemClock
from shared.identity import COLLECTOR
from shared.messages import CollectorState
from shared.topics import COLLECTOR_STATE, Channel, up
from tests.station import Box, Papers, Station, an_event, wait_until

MAX_PACKET = 262_144  # the broker's limit
NO_SUBSCRIBERS, NOT_AUTHORISED = 0x10, 0x87


def broker(station: Station) -> psutil.Process:
    children = psutil.Process(station.pid).children(recursive=True)
    return next(child for child in children if "mosquitto" in child.name())


def test_a_shared_subscription_steals_nothing(station: Station, ba: Papers, tu: Papers) -> None:
    """Measured on brokers whose collector shares: half of 200 messages vanished. Ours never shares."""
    shares = ("$share/ingest/anninh/v1/+/up/#", "$share/collector/#", f"$share/x/anninh/v1/{tu.site}/up/ev")
    with Box(ba, station.broker_port, more_topics=shares) as thief, Box(tu, station.broker_port) as victim:
        events = [an_event(tu.site) for _ in range(100)]
        for event in events:
            victim.send_event(event)
        victim.wait_for(*(event.id for event in events))
        assert victim.heard.stored == {event.id for event in events}
        assert [topic for topic, _ in thief.heard.others if f"/{tu.site}/" in topic] == []


def test_a_last_will_cannot_speak_for_another_site(station: Station, ba: Papers, tu: Papers) -> None:
    with Box(tu, station.broker_port) as victim:
        victim.say(up(tu.site, Channel.STATE), state(online=True))
        wait_until(lambda: online(station, tu.site) is True)
        thief = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="thief", protocol=mqtt.MQTTv5)
        thief.tls_set_context(ba.context())
        thief.will_set(up(tu.site, Channel.STATE), state(online=False), qos=1, retain=True)
        thief.connect("localhost", station.broker_port)
        thief.loop_start()
        wait_until(thief.is_connected)
        thief.loop_stop()
        thief.socket().close()  # no goodbye: the will is due
        after = an_event(tu.site)
        time.sleep(0.5)
        victim.send_event(after)
        victim.wait_for(after.id)  # whatever the broker had to say before has been said
        assert online(station, tu.site) is True


def test_a_giant_packet_ends_its_senders_connection_and_nobody_elses(
    station: Station, ba: Papers, tu: Papers
) -> None:
    before = broker(station).memory_info().rss
    with Box(ba, station.broker_port) as giant, Box(tu, station.broker_port) as other:
        giant.say(up(ba.site, Channel.THUMBNAIL), b"\xff" * (8 * MAX_PACKET))
        wait_until(lambda: bool(giant.heard.disconnects))
        event = an_event(tu.site)
        other.send_event(event)
        other.wait_for(event.id)
        assert other.heard.disconnects == []
    assert broker(station).memory_info().rss - before < 20 * MAX_PACKET


# ---- row 2: MQTT 3.1.1 ------------------------------------------------------------------------


def test_mqtt_3_hides_denial_and_gets_nowhere_all_the_same(station: Station, ba: Papers, tu: Papers) -> None:
    """The same forbidden message: acknowledged to 3.1.1 as if all were well, 0x87 to 5; kept of neither."""
    forged = an_event(tu.site)
    with (
        Box(tu, station.broker_port, more_topics=(up(tu.site, Channel.EVENT),)) as victim,
        client(ba, station.broker_port, mqtt.MQTTv311) as old,
    ):
        old.publish(up(tu.site, Channel.EVENT), forged.model_dump_json(), qos=1).wait_for_publish(10)
        assert old.pubacks == [0], "a lie"
        old.publish(up(ba.site, Channel.EVENT), b"{}", qos=1).wait_for_publish(10)  # its own; without an id
        after = an_event(tu.site)
        victim.send_event(after)
        victim.wait_for(after.id)
        assert victim.heard.others == []
    with client(ba, station.broker_port) as new:
        new.publish(up(tu.site, Channel.EVENT), forged.model_dump_json(), qos=1)
        wait_until(lambda: new.pubacks == [NOT_AUTHORISED])
    assert forged.id.bytes not in kept(station)
    assert after.id.bytes in kept(station)


# ---- row 3: nobody listens --------------------------------------------------------------------


def test_a_message_that_nobody_hears_stays_in_the_outbox_and_comes_later(tmp_path: Path) -> None:
    """PUBACK 0x10 is a success by its number, and paho says so: an agent that forgets on it loses."""
    with Station(tmp_path / "station") as station:
        home = tmp_path / "home"
        home.mkdir()
        code = station.add_site("nha-ong-ba")
        ours = identity.save(home, obtain_papers(StationAddress.parse(station.url), code))
        station.stop()
        outbox = Outbox(home / "outbox.db", Speaker(ours.site, uuid7, Signer(ours)))
        event = an_event(ours.site)
        with broker_alone(station), uplink(ours, outbox) as (publisher, answers):
            say_that_somebody_keeps(station)
            outbox.put(event)
            wait_until(lambda: NO_SUBSCRIBERS in answers)
            wait_until(lambda: publisher.problem == "collector-absent")
            assert outbox.waiting().messages == 1
        station.restart()
        with uplink(ours, outbox):
            wait_until(lambda: outbox.waiting().messages == 0)
        assert event.id.bytes in kept(station)
        outbox.close()


# ---- rows 4, 7, 8: what is granted, taken over, left behind ----------------------------------------


def test_every_subscription_is_granted_and_brings_nothing_of_others(
    station: Station, ba: Papers, tu: Papers
) -> None:
    greedy = (
        "#",
        "+/+/+/#",
        "$SYS/#",
        "$CONTROL/#",
        f"anninh/v1/{tu.site}/down/#",
        "$share/g/anninh/v1/+/up/#",
    )
    with client(ba, station.broker_port) as thief, Box(tu, station.broker_port) as victim:
        thief.subscribe([(topic, mqtt.SubscribeOptions(qos=1)) for topic in greedy])
        wait_until(lambda: thief.granted == [1] * len(greedy))
        event = an_event(tu.site)
        victim.send_event(event)
        victim.wait_for(event.id)
        own = Box(ba, station.broker_port)  # not opened: it only knows how to say things
        body, said = own.voice.said(mine := an_event(ba.site))
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData, properties.UserProperty = mine.id.bytes, list(said.items())
        thief.publish(up(ba.site, Channel.EVENT), body, qos=1, properties=properties)
        wait_until(lambda: any(topic.endswith("/down/ack") for topic in thief.heard))
        strange = [topic for topic in thief.heard if not topic.startswith(f"anninh/v1/{ba.site}/")]
        assert set(strange) <= {COLLECTOR_STATE}, "which all may read"


@pytest.mark.parametrize("name", [COLLECTOR, "nha-ba-tu"])
def test_a_client_id_is_the_certificates_whatever_a_client_calls_itself(
    station: Station, ba: Papers, tu: Papers, name: str
) -> None:
    with Box(tu, station.broker_port) as victim:
        with client(ba, station.broker_port, client_id=name) as thief:
            event = an_event(tu.site)
            victim.send_event(event)
            victim.wait_for(event.id)  # both the box and the collector are still there
            assert thief.is_connected()
        assert victim.heard.disconnects == []
        assert victim.heard.collector_online is True


@pytest.mark.parametrize("topic", [COLLECTOR_STATE, "$CONTROL/dynamic-security/v1", "$SYS/broker/uptime"])
def test_neither_word_nor_last_will_of_a_site_reaches_what_is_not_its_own(
    station: Station, ba: Papers, tu: Papers, topic: str
) -> None:
    offline = CollectorState(online=False).model_dump_json()
    with Box(tu, station.broker_port, more_topics=(topic,)) as victim:
        wait_until(lambda: victim.heard.collector_online is True)
        with client(ba, station.broker_port, will=(topic, offline)) as thief:
            thief.publish(topic, offline, qos=1, retain=True)
            wait_until(lambda: thief.pubacks == [NOT_AUTHORISED])
            thief.loop_stop()
            thief.socket().close()  # no goodbye: the will is due
        time.sleep(0.5)
        event = an_event(tu.site)
        victim.send_event(event)
        victim.wait_for(event.id)
        assert victim.heard.collector_online is True
        assert victim.heard.others == []


# ---- row 9: revoked, and back by a session from before -----------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_session_of_before_the_revocation_opens_nothing(
    station: Station, tu: Papers, version: ssl.TLSVersion
) -> None:
    papers = station.enrol(f"bi-thu-hoi-{version.name[-1]}")
    context = papers.context()
    context.minimum_version = context.maximum_version = version
    answer, before = greeted(station, context)
    assert answer[:1] == b"\x20", "CONNACK"
    with Box(tu, station.broker_port) as other:
        station.command("site", "revoke", papers.site)
        wait_until(lambda: greeted(station, context, before)[0] == b"")
        event = an_event(tu.site)
        other.send_event(event)
        other.wait_for(event.id)
        assert other.heard.disconnects == [], "nobody else's affair"


def greeted(
    station: Station, context: ssl.SSLContext, before: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Return the broker's answer to CONNECT and the session to come back with; nothing when TLS ends it."""
    try:
        with (
            socket.create_connection(("localhost", station.broker_port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=before) as secured,
        ):
            secured.sendall(bytes.fromhex("101300044d5154540502003c000006") + b"client")
            return secured.recv(2), secured.session
    except (ssl.SSLError, ConnectionError):
        return b"", None


# ---- row 12: the window -----------------------------------------------------------------------------


def test_the_broker_gives_no_more_at_once_than_a_subscriber_asked_for(tmp_path: Path) -> None:
    """Else a station busy with its disk would be given everything that 3,000 sites have to say.

    Measured on 2.0.11: it holds until the first confirmation; each one then brings a whole window more, so
    the bound that counts is the inbox's own (`collector.intake.inbox`).
    """
    with Station(tmp_path / "station") as station:
        papers = station.enrol("nha-ong-ba")
        station.stop()
        window = Properties(PacketTypes.CONNECT)
        window.ReceiveMaximum = 10
        with (
            broker_alone(station),
            client(collectors(station), station.broker_port, connect=window, manual_ack=True) as slow,
            client(papers, station.broker_port) as box,
        ):
            slow.subscribe(f"anninh/v1/{papers.site}/up/ev", qos=1)
            wait_until(lambda: slow.granted == [1])
            for number in range(50):
                box.publish(up(papers.site, Channel.EVENT), b"%d" % number, qos=1)
            wait_until(lambda: box.pubacks == [0] * 50)
            time.sleep(0.5)
            assert len(slow.heard) == 10
            for mid in slow.unconfirmed:  # grows meanwhile
                slow.ack(mid, 1)
                wait_until(lambda mid=mid: slow.unconfirmed[-1] > mid or len(slow.unconfirmed) == 50)
            assert slow.heard == [up(papers.site, Channel.EVENT)] * 50


# ---- what these tests speak with ---------------------------------------------------------------------


class Client(mqtt.Client):
    """paho's, with what it heard written down."""

    pubacks: list[int]
    granted: list[int]
    heard: list[str]
    unconfirmed: list[int]


@contextmanager
def client(
    papers: Papers, port: int, protocol: Any = mqtt.MQTTv5, *, connect: Properties | None = None, **said: Any
) -> Iterator[Client]:
    """A connection by a site's certificate, but no box: `said` is the client id, a will, manual_ack."""
    will = said.pop("will", None)
    made = Client(CallbackAPIVersion.VERSION2, protocol=protocol, **({"client_id": "c"} | said))
    made.pubacks, made.granted, made.heard, made.unconfirmed = [], [], [], []
    made.on_publish = lambda _c, _u, _mid, code, _p: made.pubacks.append(code.value)
    made.on_subscribe = lambda _c, _u, _mid, codes, _p: made.granted.extend(code.value for code in codes)
    made.on_message = lambda _c, _u, message: (
        made.unconfirmed.append(message.mid),
        made.heard.append(message.topic),
    )
    made.tls_set_context(papers.context())
    if will:
        made.will_set(*will, qos=1, retain=True)
    made.connect("localhost", port, properties=connect)
    made.loop_start()
    try:
        wait_until(made.is_connected)
        yield made
    finally:
        made.disconnect()
        made.loop_stop()


@contextmanager
def broker_alone(station: Station) -> Iterator[None]:
    """The station's own broker by its own configuration, and no collector."""
    settings = StationSettings(bind="127.0.0.1", broker_port=station.broker_port)
    broker = Broker(StationFolder.existing(station.folder), settings)
    broker.start()
    try:
        yield
    finally:
        broker.stop()


def collectors(station: Station) -> Papers:
    folder = StationFolder.existing(station.folder)
    return Papers(COLLECTOR, folder.collector_certificate, folder.collector_key, folder.ca_certificate)


def say_that_somebody_keeps(station: Station) -> None:
    """As a collector that was there a moment ago: the retained state says so still."""
    with client(collectors(station), station.broker_port) as gone:
        state = CollectorState(online=True).model_dump_json()
        gone.publish(COLLECTOR_STATE, state, qos=1, retain=True).wait_for_publish(10)


@contextmanager
def uplink(ours: Identity, outbox: Outbox) -> Iterator[tuple[Publisher, list[int]]]:
    """The agent's own, and what the broker answered it."""
    wire, answers = MqttWire(ours, SystemClock(), outbox.arrived), []
    publisher = Publisher(outbox, wire, SystemClock(), line=Line(64_000))
    tell = wire._tell

    def listen(fact: Any) -> None:
        if isinstance(fact, Answered):
            answers.append(fact.reason_code)
        tell(fact)

    wire._tell = listen
    publisher.start()
    try:
        yield publisher, answers
    finally:
        publisher.stop()


def kept(station: Station) -> set[bytes]:
    with closing(sqlite3.connect(f"file:{station.folder}/archive.db?mode=ro", uri=True)) as database:
        return {message_id for (message_id,) in database.execute("SELECT id FROM messages")}


def state(*, online: bool) -> bytes:
    return json.dumps({"online": online, "session": "s", "at": "2026-11-23T05:00:00Z"}).encode()


def online(station: Station, site: str) -> bool | None:
    archive = Path(station.folder) / "archive.db"
    with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as database:
        row = database.execute("SELECT online FROM agents WHERE site = ?", (site,)).fetchone()
    return bool(row[0]) if row and row[0] is not None else None
