"""Is this the camera we know? MAC, endpoint UUID, serial and model, judged together.

Each alone is known to lie. All Tapo C200 gave one serial; some firmware draws a new UUID at every start;
a Wi-Fi repeater shows everything behind it under its own MAC, and a camera moved from cable to Wi-Fi has
another one. So two of three decide, and where they tie the MAC does, then the UUID.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

_NO_MAC = frozenset({"", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})
_ARP = Path("/proc/thread-self/net/arp")


@dataclass(frozen=True, slots=True)
class Traits:
    """By what a camera can be told; what is not known is empty."""

    mac: str = ""
    endpoint: UUID | None = None
    serial: str = ""
    model: str = ""

    def is_same(self, other: Traits) -> bool | None:
        """True or False; None when the two have nothing in common to compare."""
        votes = [vote for vote in self._votes(other) if vote is not None]
        agreeing, differing = votes.count(True), votes.count(False)
        if agreeing == differing:
            return votes[0] if votes else None
        return agreeing > differing

    def _votes(self, other: Traits) -> tuple[bool | None, ...]:
        """What MAC, UUID, serial with model say, in this order."""
        by_mac = self.mac == other.mac if self.mac and other.mac else None
        by_endpoint = self.endpoint == other.endpoint if self.endpoint and other.endpoint else None
        by_serial = None
        if self.serial and other.serial:
            by_serial = (self.serial, self.model) == (other.serial, other.model)
        return by_mac, by_endpoint, by_serial


def normal_mac(text: str) -> str:
    """Return `aa:bb:cc:dd:ee:ff`, or an empty text for anything that is no MAC."""
    digits = "".join(letter for letter in text.lower() if letter in "0123456789abcdef")
    if len(digits) != 12:  # noqa: PLR2004 -- six bytes
        return ""
    mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    return "" if mac in _NO_MAC else mac


def mac_of_neighbour(host: str) -> str:
    """Return the MAC this machine's ARP table has for an address it has just spoken with, or nothing."""
    try:
        lines = _ARP.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""
    macs = {fields[0]: normal_mac(fields[3]) for line in lines if len(fields := line.split()) > 3}  # noqa: PLR2004 -- the 4th is the MAC
    return macs.get(host, "")
