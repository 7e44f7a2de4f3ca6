"""Which networks is this box on, how much of each may be searched, and who lives there?"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import psutil

WIDEST_UNASKED = (
    22  # 1022 hosts: the largest LAN of a house or shop; a /16 would take minutes and look like an attack
)
# RFC 1918; `is_private` of the standard library also takes networks for documentation, tests and link-local
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_ARP = Path("/proc/net/arp")  # answers of the kernel, no packet and no root needed
_COMPLETE = 0x2  # ATF_COM of if_arp.h: the neighbour has answered


def own_addresses() -> Iterator[str]:
    """This machine's IPv4 addresses on interfaces that are up."""
    states = psutil.net_if_stats()
    for interface, addresses in psutil.net_if_addrs().items():
        if interface in states and states[interface].isup:
            yield from (entry.address for entry in addresses if entry.family == socket.AF_INET)


def own_networks() -> tuple[IPv4Interface, ...]:
    """Our addresses with their networks, of the kind a house has: private, and with neighbours.

    A tunnel has no broadcast address: behind it is somebody else's house.
    """
    states = psutil.net_if_stats()
    return tuple(
        interface
        for name, entries in psutil.net_if_addrs().items()
        if name in states and states[name].isup
        for entry in entries
        if entry.family == socket.AF_INET and entry.netmask and entry.broadcast
        if may_be_searched((interface := IPv4Interface(f"{entry.address}/{entry.netmask}")).network)
    )


def may_be_searched(network: IPv4Network) -> bool:
    """Only a household's own addresses are: never the internet, a provider's network, or link-local."""
    return any(network.subnet_of(private) for private in _PRIVATE)


def searched_unasked(interfaces: Iterable[IPv4Interface]) -> tuple[IPv4Network, ...]:
    """Each network once; of a larger one the /22 around our own address."""
    networks = {
        interface.network
        if interface.network.prefixlen >= WIDEST_UNASKED
        else IPv4Network((interface.ip, WIDEST_UNASKED), strict=False)
        for interface in interfaces
    }
    return tuple(ipaddress.collapse_addresses(networks))


def on_link(host: IPv4Address, interfaces: Iterable[IPv4Interface]) -> bool:
    return any(host in interface.network for interface in interfaces)


def neighbours() -> dict[str, str]:
    """MAC by address of everybody on our networks whom the kernel has heard lately."""
    try:
        return parse_arp(_ARP.read_text(encoding="ascii"))
    except OSError:  # not Linux, or /proc is hidden: then cameras are known by their endpoint alone
        return {}


def parse_arp(table: str) -> dict[str, str]:
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[0]: row[3].lower() for row in rows if len(row) >= 4 and int(row[2], 16) & _COMPLETE}  # noqa: PLR2004 -- columns
