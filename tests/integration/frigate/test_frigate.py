"""A Frigate as a source, over a real broker and real HTTP: each event once, proven, with its picture."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import cv2
import numpy as np
import pytest
from pydantic import SecretStr
from uuid6 import uuid7

from agent.cameras import credentials, masks
from agent.cameras.credentials import Credential
from agent.cameras.frigate import Frigate, open_frigate
from agent.settings import FrigateSettings
from agent.uplink.outbox import Outbox
from agent.vision.claim import Judge
from agent.vision.detect import Detection, Detector
from agent.vision.frame import Image
from agent.vision.zones import EVERYWHERE, CameraZones
from agent.watch import Watch
from shared.clock import SystemClock
from shared.geometry import Box
from shared.messages import CameraState, Colour, DetectionEvent, Kind, Phase, Wishes
from shared.topics import Channel
from tests.fakes import Street
from tests.frigate_peer import FrigatePeer
from tests.integration.cameras.conftest import until
from tests.models import best_available_model
from tests.unit.uplink.events import SPEAKER

BOX = (300, 200, 380, 420)  # left, top, right, bottom in its 768x576
EMPTY = np.repeat(Street(width=768, height=576).image(0)[..., :1], 3, axis=2)  # grey: nobody wears red in it


class RedDetector:
    """Finds who wears pure red: by the pixels, so that a picture without him confirms nothing."""

    name = "red"

    def detect(self, image: Image) -> list[Detection]:
        red = (image[..., 2] > 180) & (image[..., 0] < 90) & (image[..., 1] < 90)
        rows, columns = np.nonzero(red)
        if len(rows) < 100:
            return []
        height, width = image.shape[:2]
        corners = (columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height)
        return [Detection(Kind.PERSON, 0.8, Box.from_corners(*(float(part) for part in corners)))]


def somebody(where: tuple[int, int, int, int] = BOX) -> Image:
    picture = EMPTY.copy()
    cv2.rectangle(picture, where[:2], where[2:], (20, 20, 230), -1)
    return picture


def key(number: int) -> str:
    return f"{time.time() - 5:.6f}-abc{number:03d}"


class Taker:
    """The part of an agent that takes a Frigate in: source, vision thread, outbox."""

    colour_of: tuple[str, ...] = ()  # as the station wishes; nothing by itself

    def __init__(
        self, home: Path, peer: FrigatePeer, detector: Detector, *, zones: CameraZones = EVERYWHERE
    ) -> None:
        clock, arrived = SystemClock(), threading.Event()
        settings = FrigateSettings(
            url=peer.url,
            cameras={"front_door": "cong-truoc"},
            mqtt_host="127.0.0.1",
            mqtt_port=peer.mqtt_port,
        )
        self.frigate: Frigate = open_frigate(home, settings, clock, arrived=arrived, client_id="anninh-test")
        self.outbox = Outbox(home / "outbox.db", SPEAKER)
        self._watch = Watch([], self.outbox, clock, "boot", arrived=arrived, is_synchronised=lambda: True)
        self._watch.add_claims(self.frigate, Judge(detector, "nha-ong-ba", lambda _: zones, uuid7))
        self._watch.heed(lambda: Wishes(colour_of=self.colour_of))

    def __enter__(self) -> Self:
        self._watch.start()
        self.frigate.start()
        until(self.is_well, "the first connection")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.frigate.stop()
        self._watch.stop()
        self.outbox.close()

    def is_well(self) -> bool:
        return all(one.state is CameraState.OK for one in self.frigate.health())

    def cause(self) -> str:
        return next(iter(self.frigate.health())).cause

    def events(self) -> list[DetectionEvent]:
        rows = self.outbox.recent((0, 2**62), 1000, frozenset())
        told = [DetectionEvent.model_validate_json(row.body) for row in rows if row.channel is Channel.EVENT]
        return sorted(told, key=lambda event: event.sequence)

    def pictures(self) -> dict[str | None, bytes]:
        rows = self.outbox.recent((0, 2**62), 1000, frozenset())
        return {row.sha256: row.body for row in rows if row.channel is Channel.THUMBNAIL}

    def ends(self) -> int:
        return sum(event.phase is Phase.END for event in self.events())


def known(home: Path, key: str) -> tuple[UUID | None, str]:
    """What the agent has written down of one of Frigate's events: our name for it, and its state."""
    with closing(sqlite3.connect(home / "frigate.db", timeout=10)) as db:
        row = db.execute("SELECT event_id, state FROM known WHERE key = ?", (key,)).fetchone()
    return (UUID(bytes=row[0]), row[1]) if row else (None, "")


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[FrigatePeer]:
    folder = tmp_path / "frigate"
    folder.mkdir()
    with FrigatePeer(folder) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_new_update_and_end_are_one_event_with_its_picture(home: Path, peer: FrigatePeer) -> None:
    one = key(1)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(one, picture=somebody(), box=BOX)
        until(lambda: len(box.events()) == 1, "the start")
        for _ in range(5):
            peer.tell("update", one, BOX)
        peer.goes(one)
        until(box.ends, "the end")
        start, end = box.events()
        pictures = box.pictures()
    assert (start.phase, end.phase, start.event_id) == (Phase.START, Phase.END, end.event_id)
    assert (start.revision, end.revision) == (0, 1)
    assert (start.camera, start.kind) == ("cong-truoc", Kind.PERSON)
    assert start.box.overlap(Box(300 / 768, 200 / 576, 80 / 768, 220 / 576)) > 0.9
    assert len(start.path) == 2
    assert start.thumbnail
    shown = cv2.imdecode(np.frombuffer(pictures[start.thumbnail.sha256], np.uint8), cv2.IMREAD_COLOR)
    assert RedDetector().detect(shown), "he is not in the picture that was sent"
    assert abs(start.started_at.timestamp() - peer.rows[one]["start_time"]) < 1


def test_while_its_camera_is_paused_nothing_is_fetched_and_what_lives_is_ended(
    home: Path, peer: FrigatePeer
) -> None:
    before, during, after = key(1), key(2), key(3)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(before, picture=somebody(), box=BOX)
        until(lambda: len(box.events()) == 1, "the start")
        box.frigate.is_spared = lambda camera: camera == "cong-truoc"
        until(box.ends, "the end")
        peer.sees(during, picture=somebody(), box=BOX)
        until(lambda: known(home, during)[1] == "rejected", "it was heard and let go")
        box.frigate.is_spared = lambda _: False
        peer.tell("update", during, BOX)
        peer.goes(during)
        peer.sees(after, picture=somebody(), box=BOX)
        until(lambda: len(box.events()) == 3, "the next one")
        start, end, following = box.events()
    assert (start.event_id, end.phase, end.thumbnail) == (end.event_id, Phase.END, None)
    assert following.phase is Phase.START
    assert following.event_id == known(home, after)[0]


def test_no_name_and_no_plate_reaches_the_disk(home: Path, peer: FrigatePeer) -> None:
    one = key(1)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(one, picture=somebody(), box=BOX)
        peer.goes(one)
        until(box.ends, "the end")
    kept = b"".join(file.read_bytes() for file in home.iterdir() if file.is_file())
    for secret in ("51F-123.45", 'Ba"', "Nguyễn", "a man", "yard"):
        assert secret.encode() not in kept
        assert json.dumps(secret).strip('"').encode() not in kept


def test_what_happened_while_the_broker_was_away_is_fetched(home: Path, peer: FrigatePeer) -> None:
    before, during, later = key(1), key(2), key(3)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(before, picture=somebody(), box=BOX)
        until(lambda: len(box.events()) == 1, "the first start")
        peer.stop_broker()
        until(lambda: box.cause() == "frigate-unreachable", "the word of the outage")
        peer.goes(before, told=False)
        peer.sees(during, picture=somebody(), box=BOX, told=False)
        peer.goes(during, told=False)
        peer.start_broker()
        until(lambda: box.ends() == 2, "both ends")
        peer.sees(later, picture=somebody(), box=BOX)
        peer.goes(later)
        until(lambda: box.ends() == 3, "life goes on")
        events = box.events()
    assert len({event.event_id for event in events}) == 3
    assert sum(event.thumbnail is not None for event in events) >= 3


def test_a_restart_tells_nothing_twice_and_ends_what_was_open(home: Path, peer: FrigatePeer) -> None:
    done, left_open = key(1), key(2)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(done, picture=somebody(), box=BOX)
        peer.goes(done)
        peer.sees(left_open, picture=somebody(), box=BOX)
        until(lambda: box.ends() == 1 and len({event.event_id for event in box.events()}) == 2, "both")
        first = {event.event_id for event in box.events()}
    peer.goes(left_open, told=False)
    with Taker(home, peer, RedDetector()) as box:
        until(lambda: box.ends() == 2, "the end of what was open")
        peer.tell("end", done, BOX)  # heard again, as after a reconnect
        marker = key(3)
        peer.sees(marker, picture=somebody(), box=BOX)
        peer.goes(marker)
        until(lambda: box.ends() == 3, "the marker")
        events = box.events()
    assert first < {event.event_id for event in events}
    assert len({event.event_id for event in events}) == 3
    assert len({(event.event_id, event.revision) for event in events}) == len(events)


def test_what_our_detector_does_not_find_is_not_told_but_counted(home: Path, peer: FrigatePeer) -> None:
    with Taker(home, peer, RedDetector()) as box:
        for number in range(3):
            peer.sees(key(number), picture=EMPTY, box=BOX)
        peer.sees(key(7), picture=somebody(), box=(20, 20, 100, 200))  # somebody, but not there
        peer.sees(key(8), picture=somebody(), box=BOX, label="car")  # there, but no car
        for one in list(peer.rows):
            peer.goes(one)
        until(lambda: box.frigate.unconfirmed == 5, "five verdicts")
        assert box.events() == []
        for number in range(20, 38):
            one = key(number)
            peer.sees(one, picture=EMPTY, box=BOX)
            peer.goes(one)
        until(lambda: box.cause() == "frigate-unconfirmed", "the health")


def test_the_zones_of_the_camera_hold_for_its_frigate_and_say_nothing_against_its_word(
    home: Path, peer: FrigatePeer
) -> None:
    """Twenty pass on an ignored road: the health stays well, and who comes into the yard is told."""
    road, yard = (20, 200, 100, 420), (500, 200, 580, 420)
    ignored = CameraZones(ignore={"duong": ((0.0, 0.0), (0.3, 0.0), (0.3, 1.0), (0.0, 1.0))}, min_height=0.2)
    with Taker(home, peer, RedDetector(), zones=ignored) as box:
        for number in range(20):
            one = key(number)
            peer.sees(one, picture=somebody(road), box=road)
            peer.goes(one)
        low, lowest = key(30), (500, 200, 580, 280)
        peer.sees(low, picture=somebody(lowest), box=lowest)
        peer.goes(low)
        until(lambda: box.frigate.unwanted == 21, "all are let go")
        assert box.is_well()
        entering = key(31)
        peer.sees(entering, picture=somebody(yard), box=yard)
        peer.goes(entering)
        until(box.ends, "the one in the yard")
        assert len({event.event_id for event in box.events()}) == 1
        assert box.frigate.unconfirmed == 0


def test_a_colour_is_told_where_the_station_wishes_it_and_survives_a_restart(
    home: Path, peer: FrigatePeer
) -> None:
    one, two = key(1), key(2)
    by_day = somebody()
    by_day[:, 500:, 0] = 255  # something blue: a grey street is taken for infra-red
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(one, picture=by_day, box=BOX)
        until(box.events, "the start")
        assert [event.colour for event in box.events()] == [None]
        box.colour_of = ("person",)
        peer.sees(two, picture=by_day, box=BOX)
        until(lambda: len(box.events()) == 2, "the second start")
        assert box.events()[1].colour is Colour.RED
    peer.pictures[two] = cv2.imencode(".jpg", somebody())[
        1
    ].tobytes()  # no better, and of it no colour is told
    peer.goes(two, told=False)
    with Taker(home, peer, RedDetector()) as box:
        box.colour_of = ("person",)
        until(box.ends, "its end")
        (end,) = (event for event in box.events() if event.phase is Phase.END)
    assert (end.colour, end.thumbnail) == (Colour.RED, None)


def test_garbage_and_giants_are_shrugged_off(home: Path, peer: FrigatePeer) -> None:
    good = key(1)
    with Taker(home, peer, RedDetector()) as box:
        evil = {"id": "../../config", "camera": "front_door", "label": "person", "start_time": time.time()}
        odd = {"id": key(2), "camera": "front_door", "label": "person", "start_time": "NaN", "box": [1, 2]}
        for payload in (
            b"", b"null", b"[]", b"{", b"\xff" * 100, b"[" * 60_000,
            json.dumps({"type": "new", "after": evil}).encode(),
            json.dumps({"type": "new", "after": odd}).encode(),
            json.dumps({"type": "new", "after": None}).encode(),
            b"x" * 70_000,
        ):  # fmt: skip
            peer.publish("frigate/events", payload)
        peer.sees(good, picture=somebody(), box=BOX)
        peer.goes(good)
        until(box.ends, "the one good event")
        assert len({event.event_id for event in box.events()}) == 1
        assert box.frigate.garbage == 9
    assert not any("config/" in path or ".." in path for path in peer.asked)


def test_what_was_over_before_we_first_met_is_not_ours(home: Path, peer: FrigatePeer) -> None:
    old = key(1)
    peer.sees(old, picture=somebody(), box=BOX, told=False)
    peer.goes(old, told=False)
    peer.rows[old]["start_time"] -= 300
    peer.rows[old]["end_time"] -= 290
    with Taker(home, peer, RedDetector()) as box:
        new = key(2)
        peer.sees(new, picture=somebody(), box=BOX)
        peer.goes(new)
        until(box.ends, "the new one")
        assert len({event.event_id for event in box.events()}) == 1


def test_a_picture_that_comes_late_is_waited_for(home: Path, peer: FrigatePeer) -> None:
    one = key(1)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(one, picture=somebody(), box=BOX, told=False)
        picture = peer.pictures.pop(one)
        peer.tell("new", one, BOX)
        peer.goes(one)
        until(lambda: sum(f"{one}/snapshot.jpg" in path for path in peer.asked) >= 2, "two tries")
        peer.pictures[one] = picture
        until(box.ends, "the end")
        (event,) = box.events()
    assert (event.phase, event.revision) == (Phase.END, 0)
    assert event.thumbnail


def test_the_masks_of_the_camera_hold_for_its_frigate_too(home: Path, peer: FrigatePeer) -> None:
    masks.save(
        home, "cong-truoc", masks.CameraMasks(polygons=(((0.3, 0.2), (0.6, 0.2), (0.6, 0.9), (0.3, 0.9)),))
    )
    one = key(1)
    with Taker(home, peer, RedDetector()) as box:
        peer.sees(one, picture=somebody(), box=BOX)
        peer.goes(one)
        until(lambda: box.frigate.unconfirmed == 1, "the verdict")
        assert box.events() == []
        assert box.pictures() == {}


def test_its_own_login_is_used_and_a_wrong_one_said_once(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frigate"
    folder.mkdir()
    credentials.save(home, "frigate", Credential("admin", SecretStr("đúng rồi")))
    with FrigatePeer(folder, password="đúng rồi") as peer, Taker(home, peer, RedDetector()) as box:
        one = key(1)
        peer.sees(one, picture=somebody(), box=BOX)
        until(box.events, "the start")
    credentials.save(home, "frigate", Credential("admin", SecretStr("sai")))
    with FrigatePeer(folder, password="đúng rồi") as peer:
        for _ in range(2):
            box = Taker(home, peer, RedDetector())
            box.frigate.start()
            until(lambda box=box: box.cause() == "frigate-login", "the refusal")
            box.frigate.stop()
            box.outbox.close()
        assert peer.logins_refused == 1


def test_the_command_keeps_a_login_only_if_frigate_takes_it(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frigate"
    folder.mkdir()

    def typed(password: str) -> subprocess.CompletedProcess[str]:
        ours = os.environ | {"ANNINH_HOME": str(home), "ANNINH_LANGUAGE": "en"}
        return subprocess.run(
            [str(Path(sys.executable).with_name("agent")), "frigate", "login"],
            input=f"admin\n{password}\n", text=True, capture_output=True, check=False, env=ours,
        )  # fmt: skip

    with FrigatePeer(folder, password="đúng rồi") as peer:
        assert "No Frigate is named" in typed("đúng rồi").stderr
        (home / "agent.toml").write_text(
            f'[frigate]\nurl = "{peer.url}"\nmqtt_host = "127.0.0.1"\n'
            '[frigate.cameras]\nfront_door = "cong-truoc"\n'
        )
        wrong, right = typed("sai"), typed("đúng rồi")
    assert (wrong.returncode, right.returncode) == (2, 0), wrong.stderr + right.stderr
    assert "front_door" in right.stdout
    kept = credentials.load(home, "frigate")
    assert kept
    assert kept.password.get_secret_value() == "đúng rồi"
    assert peer.logins_refused == 1


def test_the_real_model_confirms_a_real_person(
    home: Path, peer: FrigatePeer, street_clip: Path, tmp_path: Path
) -> None:
    detector = best_available_model(tmp_path)
    reader = cv2.VideoCapture(str(street_clip))
    picture = next(image for ok, image in iter(reader.read, None) if ok)
    reader.release()
    seen = next(one for one in detector.detect(picture) if one.kind is Kind.PERSON)
    corners = (
        int(seen.box.x * 768), int(seen.box.y * 576), int(seen.box.right * 768), int(seen.box.bottom * 576),
    )  # fmt: skip
    with Taker(home, peer, detector) as box:
        one, nobody = key(1), key(2)
        peer.sees(one, picture=picture, box=corners)
        peer.goes(one)
        peer.sees(nobody, picture=picture, box=(0, 0, 60, 60))
        peer.goes(nobody)
        until(lambda: box.ends() and box.frigate.unconfirmed, "both verdicts")
        assert len({event.event_id for event in box.events()}) == 1
