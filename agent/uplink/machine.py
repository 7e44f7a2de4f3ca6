"""Is this still the box that was enrolled? What no copy of its card takes along, as marks.

A card copied into another box would be a second box with the same name. Marks are hashes: a serial
number is nobody's business. The kinds that are readable depend on the machine and on who runs the
agent, so all that were readable at enrolment are kept, and the most telling one that both sides
have decides. Where only `machine-id` can be read (a PC, not as root), a copy of the whole disk is
not noticed here, but by the station: two boxes in one name throw each other off.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from shared.errors import NeedsFixing

_KINDS = {  # most telling first
    "serial": Path("/proc/device-tree/serial-number"),  # Raspberry Pi and its kin: burnt into the board
    "product": Path("/sys/class/dmi/id/product_uuid"),  # a PC's board; for root only
    "machine-id": Path("/etc/machine-id"),  # lies on the card, and is copied with it
}
FILE = "machine.json"


class OtherMachine(NeedsFixing):
    """The identity was made for another box."""

    key = "other-machine"


def marks(kinds: dict[str, Path] | None = None) -> dict[str, str]:
    """Return a mark for each kind that this machine tells."""
    found = {}
    for kind, path in (kinds or _KINDS).items():
        try:
            value = path.read_bytes().strip(b"\0\n ")
        except OSError:
            continue
        if value:
            found[kind] = hashlib.sha256(b"anninh machine v1 " + kind.encode() + b" " + value).hexdigest()[
                :16
            ]
    return found


def first(known: dict[str, str]) -> str:
    """Return the most telling mark, or an empty word."""
    return next((known[kind] for kind in _KINDS if kind in known), "")


def same(enrolled: dict[str, str], here: dict[str, str]) -> bool:
    """Compare by the most telling kind that both have; with none in common there is nothing to say."""
    common = next((kind for kind in _KINDS if kind in enrolled and kind in here), None)
    return common is None or enrolled[common] == here[common]


def check(folder: Path, site: str, here: dict[str, str] | None = None) -> None:
    """Raise OtherMachine when the identity in this folder was made for another box."""
    if not same(enrolled_marks(folder), marks() if here is None else here):
        raise OtherMachine(site=site)


def mark_here(folder: Path) -> str:
    """Return this machine's mark of the kind that was told at enrolment; empty when it cannot be read."""
    enrolled, here = enrolled_marks(folder), marks()
    kind = next((kind for kind in _KINDS if kind in enrolled), "")
    return here.get(kind, "")


def enrolled_marks(folder: Path) -> dict[str, str]:
    """An identity from before there were marks fits any machine."""
    try:
        read = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(kind): str(mark) for kind, mark in read.items()} if isinstance(read, dict) else {}
