"""While a camera is paused nothing of it is looked at, and what lived in view has ended without a picture."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from agent.lookout import Lookout
from agent.uplink.outbox import Outbox
from agent.vision.pipeline import Pipeline, Tuning
from agent.watch import FrameWish, Watch, Watched
from shared.topics import Channel
from tests.fakes import NOON, Actor, FakeClock, PerfectDetector, Street
from tests.unit.uplink.events import SPEAKER

STEP_S = 0.2


def told(outbox: Outbox) -> list[tuple[str, bool]]:
    rows = sorted(outbox.recent((0, 2**62), 1000, frozenset()), key=lambda row: row.sequence)
    bodies = [json.loads(row.body) for row in rows if row.channel is Channel.EVENT]
    return [(body["phase"], "thumbnail" in body) for body in bodies]


def test_a_pause_ends_what_lives_without_a_picture_and_nothing_is_told_until_it_is_over(
    tmp_path: Path,
) -> None:
    clock = FakeClock(NOON)
    street = Street(Actor(at=(0.1, 0.5), speed=(0.03, 0.0)))
    detector, outbox = PerfectDetector(street), Outbox(tmp_path / "outbox.db", SPEAKER)
    pipeline = Pipeline("nha-ong-ba", "cong-truoc", detector, Tuning(), uuid4)
    lookout = Lookout(pipeline, clock)
    watched = Watched("cong-truoc", lookout, None, pipeline, None, clock.monotonic())
    watch = Watch([watched], outbox, clock, "boot", arrived=threading.Event(), is_synchronised=lambda: True)

    def walks_on(start_s: float) -> None:
        for frame in street.frames(6.0, start_s=start_s):
            clock.advance(timedelta(seconds=0.2))
            lookout.put(frame)
            watch.round()
            watch.tick()

    walks_on(0.0)
    before = told(outbox)
    assert before[0] == ("start", True)
    watched.paused = True
    asked, watched.wish = detector.asked, FrameWish()
    walks_on(6.0)
    assert told(outbox)[len(before) :] == [("end", False)]
    assert detector.asked == asked
    assert watched.wish.granted(0.0) is None
    watched.paused = False
    walks_on(12.0)
    assert told(outbox)[len(before) + 1 :][0] == ("start", True)
