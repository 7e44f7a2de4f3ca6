"""What does a station want a site's agent to do, and what does the agent do? Desired and reported.

Desired: retained on `down/cfg`, whole each time, with a revision that only grows. Reported: in every
heartbeat, so that the newest word wins and nothing stays out of step for longer than a minute. What
is not said here is as the box's own files have it. Masks and pauses are the household's: they are
not here at all, and a camera's zones that the household wrote itself stand above those of the station.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from shared.identity import SiteName
from shared.localtime import Hours
from shared.messages import Message
from shared.signing import canonical, chained

MAX_CONFIGURATION_BYTES = 64 * 1024  # 32 cameras with 16 zones each are 40 kB


def _hours(text: str) -> str:
    Hours.parse(text)
    return text


class Configuration(Message):
    """All a station wants of one site; None: as the box has it."""

    site: SiteName
    revision: Annotated[int, Field(gt=0)]
    uplink_kbps: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    quiet_hours: Annotated[str, AfterValidator(_hours)] | None = None
    detect_fps: Annotated[float, Field(gt=0, le=30)] | None = None
    # a table for each camera, as in the agent's zones.toml: the agent checks them and says what is wrong
    zones: Annotated[dict[str, JsonValue], Field(max_length=64)] = Field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of the canonical form, hexadecimal: are desired and reported the same?"""
        return chained(canonical(self))
