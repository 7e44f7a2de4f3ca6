from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from agent.uplink.outbox import Outbox, Row
from agent.uplink.publisher import Line, Publisher
from agent.uplink.wire import Answered, Said
from shared.localtime import Hours
from shared.messages import Acknowledgement, ClockQuality, CollectorState, Heartbeat
from shared.topics import COLLECTOR_STATE, Channel, down_ack
from tests.fakes import FakeClock
from tests.unit.uplink.events import JPEG, NOON, SPEAKER, event
from tests.unit.uplink.lossy_wire import SITE, Collector, LossyWire


def joined(
    tmp_path: Path, *, seed: int = 0, loss: float = 0.0
) -> tuple[Outbox, Collector, LossyWire, FakeClock, Publisher]:
    clock, collector = FakeClock(NOON), Collector()
    outbox, wire = Outbox(tmp_path / f"{seed}.db", SPEAKER), LossyWire(seed, collector, loss=loss)
    return outbox, collector, wire, clock, Publisher(outbox, wire, clock, line=Line(16_000))


def a_heartbeat(clock: FakeClock) -> Heartbeat:
    return Heartbeat(
        site=SITE,
        sent_at=clock.now(),
        boot_id="b",
        agent_version="0",
        uptime_s=0,
        clock_quality=ClockQuality.SYNCED,
        outbox_waiting=0,
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_message_is_stored_exactly_once_on_a_wire_that_loses_doubles_and_breaks(
    tmp_path: Path, seed: int
) -> None:
    outbox, collector, wire, clock, publisher = joined(tmp_path, seed=seed, loss=0.4)
    wire.connect()
    made = 0
    for turn in range(4000):
        if turn % 10 == 0 and turn < 400:
            outbox.put(event(jpeg=JPEG), JPEG)
            made += 2
        publisher.step()
        wire.some_time_passes()
        clock.advance(timedelta(seconds=1))
        if turn > 400 and outbox.waiting().messages == 0:
            break
    assert outbox.waiting().messages == 0
    assert len(collector.stored) == made
    assert collector.arrivals > made, "the wire was meant to be bad"


def test_a_puback_alone_deletes_nothing(tmp_path: Path) -> None:
    outbox, _, wire, _, publisher = joined(tmp_path, loss=1.0)
    outbox.put(event())
    wire.connect()
    publisher.step()
    wire.facts.put(Answered(0))
    publisher.step()
    assert outbox.waiting().messages == 1


@pytest.mark.parametrize(("code", "problem"), [(0x10, "collector-absent"), (0x87, "not-authorised")])
def test_an_answer_that_nobody_listens_or_none_is_allowed_pauses_and_keeps(
    tmp_path: Path, code: int, problem: str
) -> None:
    outbox, collector, wire, clock, publisher = joined(tmp_path)
    wire.connect()
    publisher.step()
    wire.facts.put(Answered(code))
    publisher.step()
    outbox.put(event())
    publisher.step()
    assert (collector.arrivals, outbox.waiting().messages, publisher.problem) == (0, 1, problem)
    clock.advance(timedelta(hours=1))
    publisher.step()
    assert collector.arrivals == 1


def test_nothing_is_sent_while_the_collector_says_it_is_away(tmp_path: Path) -> None:
    outbox, collector, wire, _, publisher = joined(tmp_path)
    wire.connect()
    wire.facts.put(Said(COLLECTOR_STATE, CollectorState(online=False).model_dump_json().encode()))
    outbox.put(event())
    publisher.step()
    assert (collector.arrivals, publisher.problem) == (0, "collector-absent")


def test_what_gets_no_answer_is_sent_again_ever_more_rarely(tmp_path: Path) -> None:
    outbox, collector, wire, clock, publisher = joined(tmp_path)
    wire.connect()
    outbox.put(event())
    sent_at: list[int] = []
    for second in range(1300):
        before = collector.arrivals
        publisher.step()
        wire._late.clear()  # the collector's word never arrives
        if collector.arrivals > before:
            sent_at.append(second)
        clock.advance(timedelta(seconds=1))
    gaps = [later - earlier for earlier, later in pairwise(sent_at)]
    assert gaps[:5] == [10, 20, 40, 80, 160]
    assert set(gaps[5:]) == {300}


def test_a_refusal_ends_the_sending_and_keeps_the_reason(tmp_path: Path) -> None:
    outbox, _, wire, _, publisher = joined(tmp_path, loss=1.0)
    kept = outbox.put(event())
    wire.connect()
    publisher.step()
    word = Acknowledgement(refused={kept.id: "malformed"})
    wire.facts.put(Said(down_ack(SITE), word.model_dump_json().encode()))
    publisher.step()
    assert outbox.waiting().messages == 0
    assert outbox.refusal(kept.id) == "malformed"


@pytest.mark.parametrize("topic", [COLLECTOR_STATE, down_ack(SITE)])
@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[]", b'{"v":2}', b'{"stored":["no uuid"]}', b"0" * 100_000]
)
def test_nonsense_from_the_station_is_shrugged_off(tmp_path: Path, topic: str, payload: bytes) -> None:
    outbox, collector, wire, _, publisher = joined(tmp_path)
    wire.connect()
    publisher.step()
    wire.facts.put(Said(topic, payload))
    publisher.step()
    wire.connect()
    outbox.put(event())
    publisher.step()
    assert collector.arrivals == 1


def test_a_heartbeat_goes_at_once_after_connecting_and_then_on_time(tmp_path: Path) -> None:
    clock, outbox = FakeClock(NOON), Outbox(tmp_path / "o.db", SPEAKER)
    wire = LossyWire(0, Collector())

    publisher = Publisher(outbox, wire, clock, line=Line(1000), heartbeat=(lambda: a_heartbeat(clock), 60.0))
    publisher.step()
    assert wire.heartbeats == []
    wire.connect()
    for _ in range(120):
        publisher.step()
        clock.advance(timedelta(seconds=1))
    assert len(wire.heartbeats) == 2


def test_news_of_a_camera_do_not_wait_for_the_next_minute_but_neither_do_they_flood(tmp_path: Path) -> None:
    clock, wire = FakeClock(NOON), LossyWire(0, Collector())
    made: list[float] = []

    def make() -> Heartbeat:
        made.append(clock.monotonic())
        return a_heartbeat(clock)

    publisher = Publisher(
        Outbox(tmp_path / "o.db", SPEAKER), wire, clock, line=Line(16_000), heartbeat=(make, 60.0)
    )
    wire.connect()
    for second in range(100):
        if 10 <= second < 22:  # a camera that comes and goes every second
            publisher.tell_soon()
        publisher.step()
        clock.advance(timedelta(seconds=1))
    assert [at - made[0] for at in made] == [0, 10, 15, 20, 25, 85]


class Listening(LossyWire):
    """Remembers the order in which rows went."""

    def __init__(self) -> None:
        super().__init__(0, Collector(), loss=0.0)
        self.went: list[Row] = []

    def send(self, row: Row) -> None:
        self.went.append(row)


def yesterdays_queue(tmp_path: Path, *, line: Line) -> tuple[Outbox, Listening, FakeClock, Publisher]:
    clock, wire = FakeClock(NOON + timedelta(days=1)), Listening()
    outbox = Outbox(tmp_path / "o.db", SPEAKER)
    for minute in range(20):
        outbox.put(event(jpeg=JPEG, minute=minute), JPEG)
    wire.connect()
    return outbox, wire, clock, Publisher(outbox, wire, clock, line=line)


def test_the_window_holds_bytes_but_one_message_always_fits(tmp_path: Path) -> None:
    _, wire, _, publisher = yesterdays_queue(tmp_path, line=Line(1))
    publisher.step()
    publisher.step()
    assert len(wire.went) == 1
    size = len(wire.went[0].body)
    _, wire, _, publisher = yesterdays_queue(tmp_path, line=Line(2 * size + 20))
    publisher.step()
    assert len(wire.went) == 2


def test_the_newest_goes_first_and_every_fourth_turn_is_for_what_waited(tmp_path: Path) -> None:
    outbox, wire, _, publisher = yesterdays_queue(tmp_path, line=Line(10_000_000))
    today = {outbox.put(event(minute=24 * 60)).id for _ in range(9)}
    publisher.step()
    turns = "".join("n" if row.id in today else "b" for row in wire.went)
    assert turns.startswith("nnnbnnnbnnnb")
    assert turns.count("b") == 40, "and all of the queue goes when nothing new is left"


def test_old_pictures_wait_for_the_quiet_hours_but_old_events_do_not(tmp_path: Path) -> None:
    night = Hours.parse("22:00-06:00")
    _, wire, clock, publisher = yesterdays_queue(tmp_path, line=Line(10_000_000, quiet_hours=night))
    publisher.step()
    assert {row.channel for row in wire.went} == {Channel.EVENT}
    clock.advance(timedelta(hours=11))  # noon to 23:00 in Vietnam
    publisher.step()
    assert sum(row.channel is Channel.THUMBNAIL for row in wire.went) == 20


def test_no_more_goes_per_second_than_the_line_is_allowed(tmp_path: Path) -> None:
    _, wire, clock, publisher = yesterdays_queue(tmp_path, line=Line(10_000_000, bytes_per_s=1000.0))
    publisher.step()
    at_once = sum(len(row.body) for row in wire.went)
    for _ in range(10):
        clock.advance(timedelta(seconds=1))
        publisher.step()
    went = sum(len(row.body) for row in wire.went)
    assert at_once <= 2000 + len(JPEG) + 1000
    assert 0.8 * 10_000 <= went - at_once <= 10_000 + 2000


def test_a_broker_that_is_full_is_left_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    outbox, wire, clock, publisher = yesterdays_queue(tmp_path, line=Line(10_000_000))
    publisher.step()
    wire.facts.put(Answered(0x97))
    publisher.step()
    assert publisher.problem == "broker-full"
    sent = len(wire.went)
    publisher.step()
    assert (len(wire.went), outbox.waiting().messages) == (sent, 40)
    clock.advance(timedelta(seconds=61))
    publisher.step()
    assert len(wire.went) == 2 * sent
