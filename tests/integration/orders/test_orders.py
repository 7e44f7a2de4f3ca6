"""What a station may ask of a house, over the real wire; and what the household has the last word on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent import pauses
from agent.cameras import masks
from agent.cameras.masks import CameraMasks
from agent.commands.pause import pause
from agent.commands.resume import resume
from agent.examine import examine
from agent.pauses import Whose
from agent.settings import AgentSettings
from shared.commands import (
    HoldFootage,
    Outcome,
    Pause,
    ReleaseFootage,
    RestartCamera,
    Resume,
    TestFrame,
    Update,
)
from shared.messages import CameraState, Phase
from shared.topics import down_command, down_configuration
from tests.e2e.street import PREPARED_MODELS
from tests.integration.orders.house import CAMERA, SITE, Broker, Desk, House
from tests.station import Station, wait_until
from tests.virtual_camera import VirtualCamera, prepare

pytestmark = pytest.mark.timeout(300)
LEFT_HALF = CameraMasks(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))


@pytest.fixture(scope="module")
def camera(street_clip: Path) -> Iterator[VirtualCamera]:
    with VirtualCamera(prepare(street_clip), "orders") as camera:
        yield camera


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory, camera: VirtualCamera) -> Iterator[tuple[House, Desk]]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    folder = tmp_path_factory.mktemp("orders")
    with ExitStack() as parts:
        with Station(folder / "station") as station:
            house = House(folder / "home", station, camera, PREPARED_MODELS)
        parts.enter_context(Broker(station))
        desk = parts.enter_context(Desk(station))
        masks.save(house.home, CAMERA, LEFT_HALF)
        house.start()
        parts.callback(house.stop)
        wait_until(lambda: desk.heartbeats and desk.camera().state is CameraState.OK, 60)
        yield house, desk


@pytest.fixture
def house(rooms: tuple[House, Desk], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Whatever a test has said is taken back after it."""
    house, desk = rooms
    monkeypatch.setenv("ANNINH_HOME", str(house.home))
    yield house
    for whose in Whose:
        pauses.change(house.home, whose, lambda _: pauses.Pauses())
    wait_until(lambda: desk.camera().state is CameraState.OK, 60)


@pytest.fixture
def desk(rooms: tuple[House, Desk]) -> Desk:
    return rooms[1]


def asked(camera: VirtualCamera) -> tuple[int, int]:
    return camera.counters.rtsp_connections, camera.counters.soap_requests


def wait_for_silence(camera: VirtualCamera, desk: Desk) -> None:
    """Nothing is asked of the camera over some heartbeats; streams hang up at once, ears within 3 s."""

    def is_silent() -> bool:
        before = asked(camera)
        desk.beats(3)
        return asked(camera) == before

    wait_until(is_silent, 60)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_the_households_pause_hangs_up_and_no_word_of_the_station_lifts_it(
    house: House, desk: Desk, camera: VirtualCamera
) -> None:
    hung_up = camera.counters.rtsp_teardowns
    pause()
    wait_until(lambda: desk.heartbeats[-1].paused_by_household)
    assert desk.camera().cause == "paused-household"
    wait_until(lambda: camera.counters.rtsp_teardowns >= hung_up + 2)  # both streams, with a farewell
    wait_for_silence(camera, desk)
    told, before = len(desk.events), asked(camera)
    for errand in (Resume(), Resume(camera=CAMERA)):
        (reply,) = desk.answers(desk.command(errand))
        assert (reply.outcome, reply.why) == (Outcome.DONE, "paused-household")
    for errand in (TestFrame(camera=CAMERA), RestartCamera(camera=CAMERA)):
        (reply,) = desk.answers(desk.command(errand))
        assert (reply.outcome, reply.why) == (Outcome.REFUSED, "paused-household")
    desk.beats(3)
    assert asked(camera) == before, "somebody spoke to the camera"
    assert all(event.phase is Phase.END for event in desk.events[told:])
    assert desk.heartbeats[-1].paused_by_household

    house.stop()
    hung_up = asked(camera)[0]
    house.start()
    desk.beats(4)
    assert desk.heartbeats[-1].paused_by_household, "a restart has lifted it"
    assert asked(camera)[0] == hung_up
    found = examine(house.home, AgentSettings(), datetime.now(UTC), running=True, synchronised=True)
    assert [whose for whose, _ in found.standing.pauses] == [Whose.HOUSEHOLD]

    resume()
    wait_until(lambda: desk.camera().state is CameraState.OK, 60)
    assert not desk.heartbeats[-1].paused_by_household


def test_a_station_pauses_and_resumes_and_says_so_in_the_heartbeat(
    house: House, desk: Desk, camera: VirtualCamera
) -> None:
    (reply,) = desk.answers(desk.command(Pause(camera=CAMERA, until=in_an_hour())))
    assert reply.outcome is Outcome.DONE
    wait_until(lambda: desk.camera().cause == "paused-station")
    assert not desk.heartbeats[-1].paused_by_household
    wait_for_silence(camera, desk)
    resume()  # the household's word is about its own pause
    desk.beats(3)
    assert desk.camera().cause == "paused-station"
    desk.answers(desk.command(Resume()))
    wait_until(lambda: desk.camera().state is CameraState.OK, 60)


def test_a_camera_is_restarted_once_however_often_the_command_is_said(
    house: House, desk: Desk, camera: VirtualCamera
) -> None:
    command = desk.command(RestartCamera(camera=CAMERA))
    (reply,) = desk.answers(command)
    assert (reply.outcome, reply.why) == (Outcome.DONE, "")
    desk.command(command.errand, id=command.id)
    first, second = desk.answers(command, 2)
    assert first.answered_at == second.answered_at
    assert first.id != second.id
    house.stop()
    house.start()
    desk.beats(2)
    wait_until(lambda: desk.camera().state is CameraState.OK, 60)
    desk.command(command.errand, id=command.id)
    assert len(desk.answers(command, 3)) == 3
    assert camera.counters.reboots == 1
    (reply,) = desk.answers(desk.command(RestartCamera(camera="khong-co")))
    assert (reply.outcome, reply.why) == (Outcome.REFUSED, "unknown-camera")


def test_a_camera_that_does_not_answer_is_said_and_holds_nobody_up(
    house: House, desk: Desk, camera: VirtualCamera
) -> None:
    camera.faults.http_silent = True
    try:
        slow = desk.command(RestartCamera(camera=CAMERA))
        (quick,) = desk.answers(desk.command(Resume()))
        (reply,) = desk.answers(slow)
    finally:
        camera.faults.http_silent = False
    assert (reply.outcome, reply.why) == (Outcome.FAILED, "unreachable")
    assert quick.answered_at < reply.answered_at


def test_a_test_frame_comes_with_the_masks_burnt_in_and_no_command_has_touched_them(
    house: House, desk: Desk
) -> None:
    before = (house.home / masks.FILE).read_bytes()
    (reply,) = desk.answers(desk.command(TestFrame(camera=CAMERA)))
    assert (reply.outcome, reply.why) == (Outcome.DONE, "")
    wait_until(lambda: desk.frames)
    jpeg, properties = desk.frames[-1]
    assert reply.picture is not None
    assert hashlib.sha256(jpeg).hexdigest() == properties["sha256"] == reply.picture.sha256
    assert properties["event_id"] == str(reply.command)
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (reply.picture.height, reply.picture.width)
    half = image.shape[1] // 2
    assert image[:, : half - 8].max() < 20, "the mask is not in the picture"
    assert image[:, half + 24 :].max() > 60
    assert (house.home / masks.FILE).read_bytes() == before


def test_after_the_day_of_installation_no_test_frame_is_made(house: House, desk: Desk) -> None:
    house.stop()
    station_json = house.home / "identity" / "station.json"
    was = station_json.read_text()
    facts = house.on_disk("identity/station.json")
    an_hour_too_late = datetime.now(UTC) - timedelta(hours=25)
    station_json.write_text(was.replace(facts["enrolled_at"], an_hour_too_late.isoformat()))
    house.start()
    desk.beats(2)
    frames = len(desk.frames)
    (reply,) = desk.answers(desk.command(TestFrame(camera=CAMERA)))
    assert (reply.outcome, reply.why) == (Outcome.REFUSED, "not-installing")
    assert len(desk.frames) == frames
    house.stop()
    station_json.write_text(was)
    house.start()
    desk.beats(2)


def test_footage_is_held_and_an_update_is_handed_on(house: House, desk: Desk) -> None:
    since = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    hold = HoldFootage(camera=CAMERA, since=since, until=since + timedelta(minutes=5), case="12/2026")
    (held,) = desk.answers(desk.command(hold))
    (asked_for,) = desk.answers(desk.command(Update(version="9.1", sha256="a" * 64, size_bytes=5)))
    assert (held.outcome, asked_for.outcome) == (Outcome.DONE, Outcome.DONE)
    found = examine(house.home, AgentSettings(), datetime.now(UTC), running=True, synchronised=True)
    assert hold in found.standing.holds


def test_what_was_held_is_let_go_by_its_case_and_no_other(house: House, desk: Desk) -> None:
    since = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    kept, done_with = (
        HoldFootage(camera=CAMERA, since=since, until=since + timedelta(minutes=5), case=case)
        for case in ("13/2026", "14/2026")
    )
    for asked in (kept, done_with, ReleaseFootage(camera=CAMERA, case="14/2026")):
        (reply,) = desk.answers(desk.command(asked))
        assert reply.outcome is Outcome.DONE
    holds = examine(
        house.home, AgentSettings(), datetime.now(UTC), running=True, synchronised=True
    ).standing.holds
    assert kept in holds
    assert done_with not in holds


def test_a_configuration_is_in_force_without_a_restart_and_what_is_wrong_with_one_is_said(
    house: House, desk: Desk, camera: VirtualCamera
) -> None:
    plays = camera.counters.rtsp_plays
    table = {"must_enter": {"san": [[0.1, 0.6], [0.9, 0.6], [1.0, 1.0]]}}
    good = desk.configure(revision=5, uplink_kbps=500, detect_fps=2.0, zones={CAMERA: table})
    wait_until(lambda: desk.heartbeats[-1].configuration.revision == 5)
    assert desk.heartbeats[-1].configuration.sha256 == good.digest()
    wait_until(lambda: camera.counters.rtsp_plays > plays and desk.camera().state is CameraState.OK, 60)
    desk.configure(revision=6, uplink_kbps=1, zones={"bep": {}})
    wait_until(lambda: desk.heartbeats[-1].configuration.revision == 6)
    report = desk.heartbeats[-1].configuration
    assert not report.in_force
    assert "bep" in report.errors[0]
    house.stop()
    house.start()
    desk.beats(3)
    assert desk.heartbeats[-1].configuration == report
    found = examine(house.home, AgentSettings(), datetime.now(UTC), running=True, synchronised=True)
    assert found.standing.configuration == report


def test_nonsense_from_the_station_hurts_nobody(house: House, desk: Desk) -> None:
    for topic in (down_command(SITE), down_configuration(SITE)):
        for payload in (b"", b"\xff\x00", b"[" * 9000, b'{"v":1}', b"x" * 100_000):
            desk.say(topic, payload)
    desk.beats(3)
    (reply,) = desk.answers(desk.command(Resume()))
    assert reply.outcome is Outcome.DONE
