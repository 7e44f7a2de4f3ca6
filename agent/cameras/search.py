"""Which cameras are in this house, whatever they show of themselves: ONVIF, RTSP only, or nothing yet?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from agent.cameras.brands import Brand, judge
from agent.cameras.discover import WAIT_S, Candidate, discover, sweep
from agent.cameras.networks import neighbours, on_link, own_addresses, own_networks, searched_unasked
from agent.cameras.ports import RTSP_PORT, Signs, knock

_AT_A_TIME = 480  # half of the kernel's neighbour table (gc_thresh3 = 1024): a full one drops the living too
_SWEEP_S = 2.0  # answers of a /24 came within 0.04 s; the rest is for the second round


class State(StrEnum):
    ONVIF = "onvif"  # can be added
    RTSP_ONLY = "rtsp-only"  # its stream is open, ONVIF is off or not there
    CLOSED = "closed"  # it is a camera, and shows nothing


@dataclass(frozen=True, slots=True)
class Found:
    """One camera; for RTSP_ONLY and CLOSED the candidate has no endpoint and no urls."""

    state: State
    candidate: Candidate
    mac: str | None = None
    brand: Brand = Brand.UNKNOWN
    ports: tuple[int, ...] = ()

    @property
    def needs_a_switch(self) -> bool:
        """Whether somebody must turn something on in the camera's app first."""
        return self.state is not State.ONVIF

    @property
    def rtsp_url(self) -> str | None:
        return f"rtsp://{self.candidate.sender}:{RTSP_PORT}/" if self.state is State.RTSP_ONLY else None


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who wants to see it happen; called from the searching thread."""

    found: Callable[[Found], None] = lambda _: None
    asking: Callable[[float], None] = lambda _: None  # share of the time for answers that has passed
    knocking: Callable[[float], None] = lambda _: None  # share of the silent hosts that were tried


def search(
    wait_s: float = WAIT_S, networks: Sequence[IPv4Network] | None = None, watcher: Watcher | None = None
) -> tuple[Found, ...]:
    """Ask everybody, by multicast and one by one, then knock where somebody lives who did not answer.

    Without `networks`: those this box is on, each at most a /22. Sends no password to anybody.
    """
    watcher = watcher or Watcher()
    links = own_networks()
    asked = searched_unasked(links) if networks is None else networks
    hosts = [str(host) for network in asked for host in network.hosts()]
    answers: list[Candidate] = []

    def heard(candidate: Candidate) -> None:
        answers.append(candidate)
        watcher.found(_answered(candidate, {}))

    if networks is None:
        discover(wait_s, found=heard, hosts=hosts[:_AT_A_TIME], passed=watcher.asking)
    else:
        sweep(hosts[:_AT_A_TIME], wait_s, heard, watcher.asking)
    for at in range(_AT_A_TIME, len(hosts), _AT_A_TIME):
        sweep(hosts[at : at + _AT_A_TIME], _SWEEP_S, heard)
    macs = neighbours()
    spoken = {candidate.sender for candidate in answers} | set(own_addresses())
    silent = [host for host in hosts if host not in spoken]
    there = [host for host in silent if host in macs or not on_link(IPv4Address(host), links)]
    found = [_answered(candidate, macs) for candidate in answers]
    for signs in knock(there, watcher.knocking):
        if one := judged(signs, macs.get(signs.address)):
            watcher.found(one)
            found.append(one)
    return without_repeats(found)


def _answered(candidate: Candidate, macs: dict[str, str]) -> Found:
    mac = macs.get(candidate.sender)
    brand = judge(mac, (), f"{candidate.name} {candidate.hardware}").brand
    return Found(State.ONVIF, candidate, mac, brand)


def judged(signs: Signs, mac: str | None) -> Found | None:
    """A camera by what it shows, or None: most hosts of a house are telephones."""
    judgement = judge(mac, signs.ports, signs.banner)
    if signs.onvif_url:
        state = State.ONVIF
    elif signs.speaks_rtsp:
        state = State.RTSP_ONLY
    elif judgement.is_camera:
        state = State.CLOSED
    else:
        return None
    urls = (signs.onvif_url,) if signs.onvif_url else ()
    candidate = Candidate(signs.address, None, urls, name=signs.banner)
    return Found(state, candidate, mac, judgement.brand, tuple(sorted(signs.ports)))


def without_repeats(found: Iterable[Found]) -> tuple[Found, ...]:
    """One camera, one entry: same sender and endpoint, same service, or same endpoint behind one MAC.

    A recorder's channels have one MAC and an endpoint each, cameras behind a Wi-Fi repeater share its MAC:
    they stay apart. MessageIDs are not looked at: cameras that booted in one second draw the same.
    """
    kept: list[Found] = []
    seen: set[tuple[object, ...]] = set()
    for one in found:
        said = one.candidate
        names: set[tuple[object, ...]] = {(said.sender, said.endpoint) if said.endpoint else (said.sender,)}
        names |= {(said.sender, url) for url in said.urls[:1]}
        if one.mac and said.endpoint:
            names.add((one.mac, said.endpoint))
        if not names & seen:
            kept.append(one)
        seen |= names
    return tuple(sorted(kept, key=lambda one: IPv4Address(one.candidate.sender)))
