from __future__ import annotations

import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid6 import uuid7

from agent.still_store import FILE, StillStore
from agent.vision.detect import Detection
from agent.vision.pipeline import Occurrence, Pipeline, Tuning
from agent.vision.still import Remembered, StillTuning
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Kind, Phase
from tests.fakes import NOON, frame

CAR = (0.2, 0.15)
GREEN = np.full((90, 160, 3), (60, 140, 90), np.uint8)  # light and colour enough


def clock(t: float) -> ClockReading:
    return ClockReading(boot_id="boot", monotonic_s=1000.0 + t, quality=ClockQuality.SYNCED)


def thing(x: float, kind: Kind = Kind.CAR, size: tuple[float, float] = CAR) -> Detection:
    return Detection(kind, 0.8, Box.from_corners(x - size[0] / 2, 0.5, x + size[0] / 2, 0.5 + size[1]))


class Place:
    """One camera on which whatever we say is seen, with a store on a real disk or none."""

    def __init__(self, store: StillStore | None = None, tuning: Tuning | None = None) -> None:
        self.t = 0.0
        self.seen: list[Detection] = []
        self.told: list[DetectionEvent] = []
        self.store = store
        self.tuning = tuning or Tuning()
        self.begin()

    def begin(self) -> None:
        self.pipeline = Pipeline("nha", "cong", self, self.tuning, uuid7)
        if self.store:
            now = NOON + timedelta(seconds=self.t)
            things, living = self.store.things("cong", ""), self.store.living("cong")
            self.say(self.pipeline.recall(things, living, now, clock(self.t)))

    name = "ours"

    def detect(self, image: object) -> list[Detection]:
        del image
        return list(self.seen)

    def see(self, *seen: Detection, seconds: float = 8.0) -> Place:
        """They stand there for so long; five frames a second, each of them looked at."""
        for _ in range(round(seconds * 5)):
            self.t += 0.2
            self.seen = list(seen)
            glance = self.pipeline.glance(frame(GREEN, self.t))
            assert glance is not None
            self.say(self.pipeline.look(glance, clock(self.t)))
        return self

    def arrive(self, to: float, kind: Kind = Kind.CAR) -> Place:
        for x in np.arange(-0.05, to, 0.03):
            self.see(thing(float(x), kind), seconds=0.2)
        return self.see(thing(to, kind))

    def leave(self, at: float) -> Place:
        for x in np.arange(at, 1.05, 0.03):
            self.see(thing(float(x)), seconds=0.2)
        return self.see(seconds=15)

    def lose(self, seconds: float = 30.0) -> Place:
        self.say(self.pipeline.pause(clock(self.t)))
        self.t += seconds
        return self

    def keep(self, *, last: bool = False) -> None:
        assert self.store is not None
        things = self.pipeline.remembered(NOON + timedelta(seconds=self.t), 1000.0 + self.t)
        self.store.keep("cong", "", things, 1000.0 + self.t, last=last)

    def say(self, told: list[Occurrence]) -> None:
        for one in told:
            if self.store:
                self.store.about_to_tell(one.event)
            self.told.append(one.event)
            if self.store:
                self.store.told(one.event)

    def lives(self) -> list[list[Phase]]:
        lives: dict[UUID, list[DetectionEvent]] = {}
        for event in self.told:
            lives.setdefault(event.event_id, []).append(event)
        for life in lives.values():
            assert [event.revision for event in life] == list(range(len(life)))
        return [[event.phase for event in life] for life in lives.values()]

    def ends(self) -> int:
        return sum(life.count(Phase.END) for life in self.lives())


def is_whole(life: list[Phase]) -> bool:
    return (
        life[0] is Phase.START and life[-1] is Phase.END and life.count(Phase.START) == life.count(Phase.END)
    )


def test_a_car_that_stays_through_a_lost_stream_is_one_event() -> None:
    place = Place().arrive(0.5).lose().see(thing(0.5)).lose(3600).see(thing(0.5))
    assert len(place.lives()) == 1
    assert place.ends() == 0
    place.say(place.pipeline.finish(clock(place.t)))
    (life,) = place.lives()
    assert is_whole(life)


def test_a_car_that_leaves_is_forgotten_and_the_next_there_is_a_new_event() -> None:
    place = Place().arrive(0.5).leave(0.5)
    assert [is_whole(life) for life in place.lives()] == [True]
    assert not place.pipeline.remembered(NOON, 1000.0 + place.t)
    place.arrive(0.5)
    assert len(place.lives()) == 2


def test_another_that_parks_where_one_left_unseen_ends_the_first_and_begins_its_own() -> None:
    place = Place().arrive(0.5).lose()
    place.arrive(0.5)
    assert len(place.lives()) == 2
    assert place.ends() == 1


def test_a_bus_that_hides_a_car_for_a_minute_does_not_make_it_another() -> None:
    place = Place().arrive(0.5)
    place.see(thing(0.5, Kind.PERSON, (0.5, 0.45)), seconds=60).see(thing(0.5))  # of another family: hides
    cars = [event for event in place.told if event.kind is Kind.CAR]
    assert len({event.event_id for event in cars}) == 1
    assert not any(event.phase is Phase.END for event in cars)


def test_a_person_where_a_car_stood_is_not_that_car() -> None:
    place = Place().arrive(0.5).lose()
    place.arrive(0.5, Kind.PERSON)
    assert [event.kind for event in place.told if event.phase is Phase.START] == [Kind.CAR, Kind.PERSON]


def test_a_place_seen_empty_in_good_light_is_forgotten_in_ten_minutes() -> None:
    place = Place().arrive(0.5).lose().see(seconds=580)
    assert place.ends() == 0
    place.see(seconds=40)
    assert place.ends() == 1


def test_one_who_stands_is_remembered_for_minutes_a_car_until_the_morning() -> None:
    for kind, minutes in ((Kind.PERSON, 10), (Kind.CAR, 14 * 60)):
        place = Place().arrive(0.5, kind).lose(60 * minutes - 60)
        place.say(place.pipeline.expire(clock(place.t)))
        assert place.ends() == 0
        place.t += 120
        place.say(place.pipeline.expire(clock(place.t)))
        assert place.ends() == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["lose", "restart", "kill", "see", "hide"]), max_size=8))
def test_whatever_interrupts_it_a_car_that_stays_has_one_start_and_one_end(what: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = StillStore(Path(folder))
        place = Place(store).arrive(0.5)
        place.keep()
        for one in what:
            if one == "lose":
                place.lose()
            elif one == "see":
                place.see(thing(0.5))
            elif one == "hide":
                place.see(seconds=20)
            else:
                if one == "restart":
                    place.lose(5)
                    place.keep(last=True)
                store.close()
                place.store = store = StillStore(Path(folder))
                place.begin()
        place.see(thing(0.5))
        place.say(place.pipeline.finish(clock(place.t)))
        (life,) = place.lives()
        assert is_whole(life)
        assert not store.living("cong")
        store.close()


def test_killed_before_the_place_was_kept_the_event_is_ended_once(tmp_path: Path) -> None:
    store = StillStore(tmp_path)
    place = Place(store).arrive(0.5)
    store.close()
    place.store = StillStore(tmp_path)
    place.begin()
    (life,) = place.lives()
    assert is_whole(life)
    place.store.close()
    place.store = StillStore(tmp_path)
    place.begin()
    assert place.ends() == 1
    place.see(thing(0.5))  # found standing: furniture
    assert len(place.lives()) == 1
    place.store.close()


def test_memory_is_bounded_whatever_the_disk_holds() -> None:
    box = Box(0.4, 0.4, 0.1, 0.1)
    place = Place(tuning=Tuning(still=StillTuning(most=8)))
    things = [Remembered(Kind.CAR, 0.5, box, moved=False, since=NOON, seen=NOON) for _ in range(60)]
    place.pipeline.recall(things, {}, NOON, clock(0))
    assert len(place.pipeline.remembered(NOON, 1000.0)) == 8


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 15), max_size=20))
def test_memory_is_bounded_whatever_parks(spots: list[int]) -> None:
    place = Place(tuning=Tuning(still=StillTuning(most=4)))
    for spot in spots:
        place.see(thing(0.05 + spot / 17, size=(0.05, 0.1)), seconds=6).lose(6)
        assert len(place.pipeline.remembered(NOON, 1000.0 + place.t)) <= 4


def event(camera: str = "cong") -> DetectionEvent:
    place = Place().arrive(0.5)
    return place.told[0].model_copy(update={"camera": camera})


def test_a_full_disk_loses_no_event_and_raises_nothing(tmp_path: Path) -> None:
    store = StillStore(tmp_path)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"
    events = [event().model_copy(update={"event_id": uuid7()}) for _ in range(30)]
    for one in events:
        store.about_to_tell(one)
    assert len(store.living("cong")) < len(events)
    store._db.execute("PRAGMA max_page_count = 100000")
    store.told(events[0].model_copy(update={"phase": Phase.END}))
    assert set(store.living("cong")) == {one.event_id for one in events[1:]}
    store.close()


@pytest.mark.parametrize("damage", [b"this is no database" * 400, None])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: bytes | None) -> None:
    store = StillStore(tmp_path)
    for _ in range(40):
        store.about_to_tell(event().model_copy(update={"event_id": uuid7()}))
    store.close()
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(damage or whole[:8192] + bytes(len(whole) - 8192))
    store = StillStore(tmp_path)
    assert (tmp_path / f"{FILE}.damaged").exists()
    store.about_to_tell(event())
    assert len(store.living("cong")) == 1
    store.close()


def test_without_a_file_the_agent_still_runs(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    store = StillStore(tmp_path)
    store.about_to_tell(event())
    assert len(store.living("cong")) == 1
    store.close()


def test_cameras_taken_out_of_the_register_are_still_known_to_the_store(tmp_path: Path) -> None:
    store = StillStore(tmp_path)
    store.about_to_tell(event("san-sau"))
    assert store.cameras() == {"san-sau"}
    (owed,) = store.living("san-sau").values()
    store.told(owed.model_copy(update={"phase": Phase.END}))
    store.forget("san-sau")
    assert store.cameras() == frozenset()
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("SELECT count(*) FROM living").fetchone() == (0,)
    db.close()
    store.close()


def test_guests_who_stand_at_one_spot_one_after_another_are_one_event_each() -> None:
    """Each comes up the same path, stops at the same door and leaves by the same side."""
    place = Place()
    for _ in range(8):
        place.arrive(0.6, Kind.PERSON)
        for x in (0.6, 0.66, 0.72, 0.8, 0.9, 0.99):  # a look each: gone before he is known to go
            place.see(thing(x, Kind.PERSON), seconds=0.2)
        place.see(seconds=5)
    starts = [event for event in place.told if event.phase is Phase.START]
    ends = [event for event in place.told if event.phase is Phase.END]
    assert len(starts) == len({event.event_id for event in starts}) == 8
    assert {event.event_id for event in ends} == {event.event_id for event in starts}
