"""Where has a camera gone? One whose address changed is found again by itself, without a login.

A router that restarts deals out new addresses. A camera that does not answer for a while is looked for on
the whole network and known by its MAC and its UUID, which anybody may read; its ports and paths are what
they were, so only the host changes, in the register too. A person's changes to the register are taken up
here as well.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.cameras import register
from agent.cameras.discover import discover, sweep
from agent.cameras.identity import Traits, normal_mac
from agent.cameras.networks import neighbours, own_networks, searched_unasked
from agent.cameras.register import CameraEntry
from shared.clock import Clock

log = logging.getLogger(__name__)

LOST = frozenset({"unreachable", "refused", "camera-swapped"})  # there may be nobody, or another, by now
_LOST_S = 15.0  # a camera that restarts at its old address is back within 40 s; looking costs nothing
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 15.0, 600.0  # between two searches; doubling: it may be gone for good
_TICK_S = 2.0
_SWEEP_S = 2.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """Who was seen at an address, without a login."""

    host: str
    traits: Traits


@dataclass(slots=True)
class Followed:
    """A camera being watched, as the follower sees it."""

    entry: CameraEntry
    cause: Callable[[], str]  # of its health, now
    move_to: Callable[[CameraEntry], None]
    lost_since_s: float | None = None


def found_again(lost: Sequence[CameraEntry], seen: Iterable[Sighting]) -> dict[str, str]:
    """Return the new host of each lost camera that was seen at exactly one other address.

    A MAC seen at several addresses is a Wi-Fi repeater's, and tells nobody apart; but that of the lost
    camera at its old address is only what the kernel remembers.
    """
    traces = {(entry.host, entry.mac) for entry in lost}
    sightings = tuple(one for one in seen if (one.host, one.traits.mac) not in traces)
    macs = Counter(sighting.traits.mac for sighting in sightings)
    hosts: dict[str, str] = {}
    for entry in lost:
        there = [
            sighting.host
            for sighting in sightings
            if sighting.host != entry.host
            and entry.traits.is_same(_without_shared_mac(sighting.traits, macs)) is True
        ]
        if len(there) == 1:
            hosts[entry.name] = there[0]
    return hosts


def _without_shared_mac(traits: Traits, macs: Counter[str]) -> Traits:
    return Traits(endpoint=traits.endpoint) if macs[traits.mac] > 1 else traits


def look_around() -> tuple[Sighting, ...]:
    """Ask the whole network who is there: by multicast, then each address of our own networks.

    Asking each makes the kernel learn every neighbour's MAC, of cameras that do not answer too.
    """
    found = [*discover()]
    for network in searched_unasked(own_networks()):
        found += sweep([str(host) for host in network.hosts()], _SWEEP_S)
    endpoints = {candidate.sender: candidate.endpoint for candidate in found}
    macs = neighbours()
    return tuple(
        Sighting(host, Traits(mac=normal_mac(macs.get(host, "")), endpoint=endpoints.get(host)))
        for host in endpoints.keys() | macs.keys()
    )


class Follower:
    """Owns the thread `follow`."""

    def __init__(
        self,
        home: Path,
        cameras: Sequence[Followed],
        clock: Clock,
        look: Callable[[], tuple[Sighting, ...]] = look_around,
    ) -> None:
        self._home, self._cameras, self._clock, self._look = home, cameras, clock, look
        self._pause_s, self._due_s = _FIRST_PAUSE_S, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(15)  # a search takes 6 s

    def round(self, now_s: float) -> None:
        """Take up what a person changed, and look for who is lost, if that is due."""
        self._take_up()
        lost = [followed for followed in self._cameras if self._is_lost(followed, now_s)]
        if not lost:
            self._pause_s = _FIRST_PAUSE_S
        elif now_s >= self._due_s:
            hosts = found_again([followed.entry for followed in lost], self._look())
            self._due_s = self._clock.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            if hosts:
                self._note(hosts)

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                self.round(self._clock.monotonic())
            except Exception:
                log.exception("following cameras failed")

    def _take_up(self) -> None:
        """What the register says now, a person has said, or we have."""
        entries = {entry.name: entry for entry in register.load(self._home)}
        for followed in self._cameras:
            entry = entries.get(followed.entry.name)
            if entry and entry != followed.entry:
                followed.entry, followed.lost_since_s = entry, None
                followed.move_to(entry)

    @staticmethod
    def _is_lost(followed: Followed, now_s: float) -> bool:
        if followed.cause() not in LOST:
            followed.lost_since_s = None
            return False
        if followed.lost_since_s is None:
            followed.lost_since_s = now_s
        return now_s - followed.lost_since_s >= _LOST_S

    def _note(self, hosts: dict[str, str]) -> None:
        for name, host in hosts.items():
            log.warning("camera found at another address", extra={"camera": name, "host": host})
        register.change(
            self._home,
            lambda entries: tuple(
                entry.moved_to(hosts[entry.name]) if entry.name in hosts else entry for entry in entries
            ),
        )
        self._take_up()
