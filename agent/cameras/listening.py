"""Which devices do we listen to, and who is told? One listener per device, however many lenses it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from agent.cameras import credentials, guard
from agent.cameras.camera_events import CameraEvents, HintMark, is_listened_to
from agent.cameras.pullpoint import PullPoint
from agent.cameras.register import CameraEntry
from shared.clock import Clock

Lens = tuple[Callable[[], CameraEntry], HintMark]
"""How the register's entry of a lens is had, now and after it has moved; and where its hints go."""


def listeners(home: Path, lenses: Iterable[Lens], clock: Clock) -> dict[str, CameraEvents]:
    """Return a listener per camera's name; the channels of a recorder have the same one."""
    devices: dict[str, list[Lens]] = {}
    for current, mark in lenses:
        entry = current()
        if entry.onvif_url and is_listened_to(entry.camera_events, entry.manufacturer):
            devices.setdefault(entry.onvif_url, []).append((current, mark))
    return {
        current().name: listener
        for group in devices.values()
        for listener in (_listener(home, group, clock),)
        for current, _ in group
    }


def _listener(home: Path, group: list[Lens], clock: Clock) -> CameraEvents:
    current = group[0][0]

    def opened() -> PullPoint:
        entry = current()
        return PullPoint(
            entry.onvif_url,
            credentials.load(home, entry.login_name),
            clock,
            check=lambda: guard.check(entry, clock),
        )

    marks = {entry().source: mark for entry, mark in group}
    wanted = any(entry().camera_events == "on" for entry, _ in group)
    return CameraEvents(current().name, opened, marks, clock, is_wanted=wanted)
