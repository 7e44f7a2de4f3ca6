"""The camera's own events over a real wire: they wake the eye, and their loss costs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from uuid6 import uuid7

from agent.cameras.camera_events import CameraEvents, HintMark, is_listened_to
from agent.cameras.credentials import Credential
from agent.cameras.pullpoint import NoEvents, PullPoint, SubscriptionLost
from agent.cameras.stream import WrongPassword
from agent.vision.pipeline import Pipeline, Tuning
from shared.clock import SystemClock
from shared.messages import ClockQuality, ClockReading
from tests.fakes import ScriptedDetector, Street
from tests.integration.cameras.conftest import StartCamera, right_login, until, wrong_login
from tests.virtual_camera import VirtualCamera
from tests.virtual_camera.events import TAMPER

Listen = Callable[..., tuple[CameraEvents, HintMark]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Starts listeners that have gone, and said so, after the test."""
    with ExitStack() as stack:

        def start(
            camera: VirtualCamera, credential: Credential | None = None, *, wanted: bool = False
        ) -> tuple[CameraEvents, HintMark]:
            clock, mark = SystemClock(), HintMark()
            login = credential or right_login()
            listener = CameraEvents(
                "gate",
                lambda: PullPoint(camera.onvif_url, login, clock),
                {"VS1": mark},
                clock,
                is_wanted=wanted,
            )
            listener.start()
            stack.callback(listener.stop)
            return listener, mark

        yield start


def test_a_person_seen_by_the_camera_makes_our_detector_look_at_a_still_picture(
    camera: VirtualCamera, listen: Listen
) -> None:
    _, mark = listen(camera)
    detector = ScriptedDetector()
    pipeline = Pipeline("nha-ong-ba", "gate", detector, Tuning(quiet_look_s=1000), uuid7)
    frames = list(Street(width=320, height=180).frames(10))

    def look(some: list) -> list:
        reading = ClockReading(boot_id="boot", monotonic_s=1.0, quality=ClockQuality.SYNCED)
        return [told for frame in some for told in pipeline.step(frame, reading)]

    look(frames[:25])
    asked = detector.asked
    look(frames[25:30])
    assert detector.asked == asked, "the gate was not shut"
    until(lambda: camera.events.listeners, "a subscription")
    camera.events.emit(State="false")
    camera.events.emit(operation="Initialized")
    camera.events.emit()
    until(lambda: mark.count, "the hint")
    assert mark.count == 1, "an end or a replayed state was taken for news"
    assert mark.take() is not None
    assert pipeline.hint(frames[30].monotonic_s)
    assert look(frames[30:]) == [], "an event without a detection"
    assert detector.asked == asked + 20


def test_a_subscription_that_died_is_made_anew_and_hears_again(camera: VirtualCamera, listen: Listen) -> None:
    listener, mark = listen(camera)
    until(lambda: camera.events.listeners, "the first subscription")
    camera.events.forget()
    until(lambda: listener.subscriptions == 2, "the second")
    camera.events.emit()
    until(lambda: mark.count == 1, "the hint")
    assert camera.counters.soap_wrong == 0


def test_a_lease_is_renewed_before_it_ends(camera: VirtualCamera, listen: Listen) -> None:
    camera.events.lease_s = 10
    listener, _ = listen(camera)
    until(lambda: camera.events.asked.count("Renew") >= 2, "two renewals")
    assert listener.subscriptions == 1
    assert camera.events.faults == []


def test_a_clean_stop_frees_the_cameras_only_ear(camera: VirtualCamera, listen: Listen) -> None:
    camera.events.one_listener = True
    first, _ = listen(camera)
    until(lambda: camera.events.listeners, "a subscription")
    with pytest.raises(SubscriptionLost):
        PullPoint(camera.onvif_url, right_login(), SystemClock()).subscribe()
    first.stop()
    assert camera.events.listeners == 0
    assert camera.events.asked[-1] == "Unsubscribe"
    second = PullPoint(camera.onvif_url, right_login(), SystemClock())
    second.subscribe()
    second.unsubscribe()


def test_a_wrong_password_is_said_once_and_never_by_the_next_listener_either(camera: VirtualCamera) -> None:
    login = wrong_login()
    for _ in range(3):
        pullpoint = PullPoint(camera.onvif_url, login, SystemClock())
        with pytest.raises(WrongPassword):
            pullpoint.subscribe()
        pullpoint.unsubscribe()
    assert login.refused
    assert camera.counters.soap_wrong == 1


def test_a_camera_whose_clock_is_a_day_off_takes_the_login(camera: VirtualCamera) -> None:
    camera.faults.clock_offset_s = -86_400
    pullpoint = PullPoint(camera.onvif_url, right_login(), SystemClock())
    pullpoint.subscribe()
    assert pullpoint.pull() == ()
    pullpoint.unsubscribe()
    assert camera.counters.soap_wrong == 0


def test_a_clock_set_while_we_listen_loses_the_subscription_and_not_the_login(camera: VirtualCamera) -> None:
    login = right_login()
    pullpoint = PullPoint(camera.onvif_url, login, SystemClock())
    pullpoint.subscribe()
    camera.faults.clock_offset_s = 86_400
    with pytest.raises(SubscriptionLost):
        pullpoint.pull()
    assert not login.refused


def test_a_digest_only_camera_is_heard(camera: VirtualCamera) -> None:
    camera.faults.http_digest_only = True
    pullpoint = PullPoint(camera.onvif_url, right_login(), SystemClock())
    pullpoint.subscribe()
    camera.events.emit()
    assert [event.on for event in pullpoint.pull()] == [True]
    pullpoint.unsubscribe()
    assert (camera.events.listeners, camera.counters.soap_wrong) == (0, 0)


def test_a_camera_without_the_service_is_asked_once(camera: VirtualCamera, listen: Listen) -> None:
    camera.events.absent = True
    with pytest.raises(NoEvents):
        PullPoint(camera.onvif_url, right_login(), SystemClock()).subscribe()
    listener, _ = listen(camera, wanted=True)
    until(lambda: listener.cause("VS1") == "camera-events-lost", "the word of it")
    assert camera.counters.subscriptions == 0


def test_what_the_camera_says_is_wrong_with_it_is_health_and_no_hint(
    camera: VirtualCamera, listen: Listen
) -> None:
    listener, mark = listen(camera)
    until(lambda: camera.events.listeners, "a subscription")
    camera.events.emit(TAMPER, IsTamper="true")
    until(lambda: listener.cause("VS1") == "camera-says-tampered", "the trouble")
    assert listener.cause("VS2") == ""
    camera.events.emit(TAMPER, IsTamper="false")
    until(lambda: not listener.cause("VS1"), "its end")
    assert mark.count == 0


def test_makers_with_one_ear_are_left_alone_unless_told() -> None:
    assert not is_listened_to("auto", "Dahua")
    assert not is_listened_to("auto", "IMOU")
    assert is_listened_to("on", "Dahua")
    assert is_listened_to("auto", "TP-Link")
    assert not is_listened_to("off", "TP-Link")


def test_a_camera_that_comes_back_after_a_reboot_is_heard_again(
    start_camera: StartCamera, listen: Listen
) -> None:
    camera = start_camera()
    listener, mark = listen(camera)
    until(lambda: camera.events.listeners, "a subscription")
    port = camera.onvif_port
    camera.stop()
    camera.events.forget()  # what still lives of it in this process knows nobody any more
    again = start_camera(onvif_port=port)
    until(lambda: again.events.listeners, "a subscription with the rebooted camera")
    again.events.emit()
    until(lambda: mark.count, "the hint")
    assert listener.subscriptions >= 2
