"""A camera's clock is measured again each day, without a login, and the register says what was found."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from agent.cameras import register
from agent.cameras.clock_watch import ClockWatch, measure
from agent.cameras.register import CameraEntry
from shared.clock import SystemClock
from tests.virtual_camera import VirtualCamera


class Later(SystemClock):
    """The true clock, with a monotonic one that a test can put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def now(self) -> datetime:
        return super().now()


@pytest.mark.parametrize("needs_login", [False, True])
@pytest.mark.parametrize("offset_s", [0.0, 7.0, -86_400.0, 3600.0])
def test_the_offset_is_read_without_a_login(
    camera: VirtualCamera, offset_s: float, *, needs_login: bool
) -> None:
    camera.faults.clock_offset_s, camera.faults.time_needs_login = offset_s, needs_login
    assert measure(camera.onvif_url, SystemClock()) == pytest.approx(offset_s, abs=1.5)
    assert camera.counters.soap_wrong == 0


def test_who_does_not_answer_has_no_offset() -> None:
    assert measure("http://127.0.0.1:1/onvif/device_service", SystemClock()) is None


def test_once_a_day_and_only_by_a_clock_that_is_right(camera: VirtualCamera, tmp_path: Path) -> None:
    urls = {"detect_url": "rtsp://127.0.0.1/2", "picture_url": "rtsp://127.0.0.1/1"}
    entry = CameraEntry(name="cong", onvif_url=camera.onvif_url, clock_offset_s=0.0, **urls)
    register.save(tmp_path, [entry])
    clock, is_right = Later(), [False]
    watch = ClockWatch(tmp_path, clock, lambda: is_right[0])

    def known() -> float | None:
        watch.round()
        return register.load(tmp_path)[0].clock_offset_s

    camera.faults.clock_offset_s = 90.0
    assert known() == 0.0, "not yet"
    clock.ahead_s = 3600
    assert known() == 0.0, "by our own wrong clock nothing is measured"
    is_right[0] = True
    assert known() == pytest.approx(90, abs=1.5)
    camera.faults.clock_offset_s = 500.0
    assert known() == pytest.approx(90, abs=1.5), "not twice a day"
    clock.ahead_s += 86_401
    assert known() == pytest.approx(500, abs=1.5)
