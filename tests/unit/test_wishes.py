"""A box says a colour, and sends a tight crop, only to a station that has asked for it."""

from __future__ import annotations

import json
import threading
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from agent.uplink.outbox import Outbox, Row
from agent.uplink.publisher import Line, Publisher
from agent.uplink.wire import Said
from agent.vision.event import Occurrence
from agent.vision.view import View
from agent.watch import Watch
from shared.geometry import Box
from shared.messages import CollectorState, Colour, DetectionEvent, Kind, Wishes
from shared.topics import COLLECTOR_STATE, Channel
from tests.fakes import FakeClock
from tests.unit.uplink.events import JPEG, NOON, SPEAKER, event
from tests.unit.uplink.lossy_wire import Collector, LossyWire

FOR_ALL = Wishes(colour_of=tuple(Kind), tight_crops=True)
BOX = Box(0.4, 0.3, 0.2, 0.4)


def a_view() -> View:
    image = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    return View(image, BOX, BOX, NOON, 1.0, 0.5)


def told(tmp_path: Path, wishes: Wishes | None, kind: Kind = Kind.CAR) -> tuple[DetectionEvent, list[Row]]:
    """What waits for the wire after one red object was seen."""
    clock = FakeClock(NOON)
    outbox = Outbox(tmp_path / f"{uuid4()}.db", SPEAKER)
    watch = Watch([], outbox, clock, "boot", arrived=threading.Event(), is_synchronised=lambda: True)
    if wishes is not None:
        watch.heed(lambda: wishes)
    seen = event().model_copy(update={"colour": Colour.RED, "kind": kind})
    watch._keep(Occurrence(seen, a_view()), None)
    rows = outbox.recent((0, 2**62), 10, frozenset())
    outbox.close()
    (said,) = [row.body for row in rows if row.channel is Channel.EVENT]
    return DetectionEvent.model_validate_json(said), rows


@pytest.mark.parametrize("wishes", [None, Wishes()])
def test_without_a_wish_neither_colour_nor_crop_leaves_the_box(tmp_path: Path, wishes: Wishes | None) -> None:
    said, rows = told(tmp_path, wishes)
    assert said.colour is None
    assert said.crop is None
    assert {row.channel for row in rows} == {Channel.EVENT, Channel.THUMBNAIL}
    assert b"red" not in rows[0].body


def test_a_colour_is_said_of_the_kinds_that_were_asked_for(tmp_path: Path) -> None:
    wishes = Wishes(colour_of=("car",))
    assert told(tmp_path, wishes)[0].colour is Colour.RED
    assert told(tmp_path, wishes, Kind.PERSON)[0].colour is None


def test_a_crop_that_was_asked_for_is_the_one_the_event_announces(tmp_path: Path) -> None:
    said, rows = told(tmp_path, FOR_ALL)
    (crop,) = [row for row in rows if row.channel is Channel.CROP]
    assert said.crop is not None
    assert said.thumbnail is not None
    assert sha256(crop.body).hexdigest() == crop.sha256 == said.crop.sha256
    assert crop.event_id == said.event_id
    assert said.crop.width * said.crop.height < said.thumbnail.width * said.thumbnail.height
    assert crop.sequence > 0


def test_a_crop_the_event_does_not_announce_is_not_taken(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    with pytest.raises(ValueError, match="SHA-256"):
        outbox.put(event(jpeg=JPEG), JPEG, JPEG)
    assert outbox.waiting().messages == 0


def test_a_wish_is_heard_and_outlasts_the_stations_absence(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    wire = LossyWire(0, Collector(), loss=0)
    publisher = Publisher(Outbox(tmp_path / "o.db", SPEAKER), wire, clock, line=Line(16_000))
    heard = []
    for state in (
        CollectorState(online=True, wishes=FOR_ALL).model_dump_json(),
        CollectorState(online=False).model_dump_json(),  # its will: it did not mean that
        CollectorState(online=True).model_dump_json(),
        json.dumps({"online": True, "wishes": {"colour_of": ["submarine", "car"], "gait_of": ["person"]}}),
    ):
        wire.facts.put(Said(COLLECTOR_STATE, state.encode()))
        publisher.step()
        heard.append(publisher.wishes)
    assert heard[0] == heard[1] == FOR_ALL
    assert heard[2] == Wishes()
    assert heard[3] == Wishes(colour_of=("submarine", "car"))


def test_nothing_was_wished_before_the_station_was_heard(tmp_path: Path) -> None:
    wire = LossyWire(0, Collector(), loss=0)
    publisher = Publisher(Outbox(tmp_path / "o.db", SPEAKER), wire, FakeClock(NOON), line=Line(16_000))
    assert publisher.wishes == Wishes()
