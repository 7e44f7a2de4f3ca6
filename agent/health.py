"""Which problems do we know? Each has a code, a severity, and in the catalogue a sentence and what to do.

A code travels in heartbeats (`CameraHealth.cause`) and stands in the log; people read
`problems.<code>.what` and `problems.<code>.do`. A test walks this list and the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from shared.texts import text


class Severity(IntEnum):
    """How bad; also the order in which `agent doctor` shows them."""

    FINE = 0
    PASSING = 1  # likely to heal by itself: exit code 75
    BROKEN = 2  # somebody must do something: exit code 2


KNOWN: dict[str, Severity] = {
    # uplink
    "connecting": Severity.PASSING,
    "station-unreachable": Severity.PASSING,
    "collector-absent": Severity.PASSING,
    "broker-full": Severity.PASSING,
    "not-authorised": Severity.BROKEN,
    "messages-refused": Severity.BROKEN,
    "not-enrolled": Severity.BROKEN,
    "certificate-expiring": Severity.BROKEN,
    # cameras
    "no-cameras": Severity.BROKEN,
    "camera-connecting": Severity.PASSING,
    "camera-other": Severity.PASSING,
    "unreachable": Severity.BROKEN,
    "refused": Severity.BROKEN,
    "wrong-password": Severity.BROKEN,
    "camera-swapped": Severity.BROKEN,
    "stalled": Severity.PASSING,
    "busy": Severity.PASSING,
    "no-key-frame": Severity.PASSING,
    "low-fps": Severity.PASSING,
    "camera-clock-off": Severity.PASSING,
    "image-dark": Severity.BROKEN,
    "image-blurred": Severity.BROKEN,
    "image-covered": Severity.BROKEN,
    "image-turned": Severity.BROKEN,
    "image-web-or-rain": Severity.PASSING,
    "camera-events-lost": Severity.PASSING,
    "camera-says-tampered": Severity.PASSING,
    "camera-says-broken": Severity.BROKEN,
    "frigate-unreachable": Severity.PASSING,
    "frigate-login": Severity.BROKEN,
    "frigate-unconfirmed": Severity.PASSING,
    "paused-household": Severity.FINE,
    "paused-station": Severity.FINE,
    "zones-invalid": Severity.BROKEN,
    "zones-unknown-camera": Severity.BROKEN,
    # the box
    "detector-behind": Severity.PASSING,
    "model-missing": Severity.BROKEN,
    "model-changed": Severity.BROKEN,
    "model-unmeasured": Severity.PASSING,
    "model-loses": Severity.PASSING,
    "clock-unsynchronised": Severity.PASSING,
    "disk-low": Severity.BROKEN,
    "disk-worn": Severity.BROKEN,
    "power-weak": Severity.BROKEN,
    "power-throttled": Severity.PASSING,
    "too-hot": Severity.PASSING,
    "memory-growing": Severity.PASSING,
    "update-coming": Severity.FINE,
    "update-unreachable": Severity.PASSING,
    "update-no-room": Severity.BROKEN,
    "update-not-there": Severity.BROKEN,
    "update-damaged": Severity.BROKEN,
    "update-refused": Severity.BROKEN,
    "update-returned": Severity.BROKEN,
    "not-running": Severity.BROKEN,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one subject (a camera's name, or empty for the box)."""

    code: str
    subject: str = ""
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        return KNOWN[self.code]

    def what(self) -> str:
        return text(f"problems.{self.code}.what", None, subject=self.subject, **self.facts)

    def do(self) -> str:
        return text(f"problems.{self.code}.do", None, subject=self.subject, **self.facts)
