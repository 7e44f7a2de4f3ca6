"""What brokers are known to let through, against ours: stolen shares, spoofed wills, giant packets."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from shared.topics import Channel, up
from tests.station import Box, Papers, Station, an_event, wait_until

MAX_PACKET = 262_144  # the broker's limit


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


def state(*, online: bool) -> bytes:
    return json.dumps({"online": online, "session": "s", "at": "2026-11-23T05:00:00Z"}).encode()


def online(station: Station, site: str) -> bool | None:
    archive = Path(station.folder) / "archive.db"
    with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as database:
        row = database.execute("SELECT online FROM agents WHERE site = ?", (site,)).fetchone()
    return bool(row[0]) if row and row[0] is not None else None
