"""MQTT topics, spelled here and nowhere else.

anninh/v1/{site}/up/...    what a site says      (only that site may write)
anninh/v1/{site}/down/...  what it is told       (only that site may read)
anninh/v1/_collector/state whether anybody keeps what is said (all may read)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from shared.identity import COLLECTOR, site_name

ROOT = "anninh/v1"
COLLECTOR_STATE = f"{ROOT}/{COLLECTOR}/state"
ALL_UP = f"{ROOT}/+/up/#"


class Channel(StrEnum):
    """The last level of a topic, and so the kind of message on it."""

    EVENT = "ev"
    THUMBNAIL = "thumb"
    CROP = "crop"  # the object alone; its own channel, so that a station that did not ask can tell
    TEST = "test"  # the enrolment's proof that the way is open from end to end
    GAP = "gap"  # what will never come, in the site's own words
    BOOT = "boot"  # when the clock was first right
    REPLY = "reply"  # what became of a command
    FRAME = "frame"  # the picture of a test frame
    HEARTBEAT = "hb"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Up:
    """Where a message of a site came from: the broker has already checked the site's name."""

    site: str
    channel: Channel


def up(site: str, channel: Channel) -> str:
    return f"{ROOT}/{site_name(site)}/up/{channel}"


def down_ack(site: str) -> str:
    return f"{ROOT}/{site_name(site)}/down/ack"


def down_configuration(site: str) -> str:
    """Where `shared.configuration.Configuration` lies, retained."""
    return f"{ROOT}/{site_name(site)}/down/cfg"


def down_command(site: str) -> str:
    """Where `shared.commands.Command` is said."""
    return f"{ROOT}/{site_name(site)}/down/cmd"


@lru_cache(maxsize=16_384)  # three thousand sites on their channels
def parse_up(topic: str) -> Up | None:
    """Return who spoke on which channel, or None for a topic that is not one of ours."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[3] != "up":  # noqa: PLR2004 -- root is two levels
        return None
    try:
        return Up(site_name(parts[2]), Channel(parts[4]))
    except ValueError:
        return None
