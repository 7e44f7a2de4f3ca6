"""Who on this network is a camera? WS-Discovery probes, sent and understood by the standard library.

The library of that name found 2 of 50 cameras that had booted in the same second: same firmware, same
seed, same MessageID, taken for repeats. Here answers are told apart by sender and endpoint.
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import time
import uuid
import xml.parsers.expat  # answers with a DTD are refused below
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

from agent.cameras.networks import own_addresses

GROUP, PORT = "239.255.255.250", 3702
WAIT_S, PROBES = 4.0, 4  # found 47 to 48 of 50 at 30 % loss each way; two probes found 34 to 39
_ASKED_ALONE = (0.2, 0.5)  # shares of the wait: the standard lets a camera take 0.5 s over its answer
_MAX_ANSWER_BYTES = 65_507  # the largest UDP datagram
_MAX_CANDIDATES = 512  # a shouting device must not fill the memory
_MAX_URLS = 8
_TARGETS_PER_SOCKET = 60  # unanswered ARP fills a socket's send buffer: from one socket 1 of 50 was found
_RECEIVE_BYTES = 1 << 20  # fifty cameras answer within 30 ms

# One line: Hikvision's unicast responder does not understand a probe with newlines.
_PROBE = (
    '<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
    "<w:MessageID>uuid:{id}</w:MessageID>"
    '<w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>'
    '<w:Action e:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action>'
    '</e:Header><e:Body><d:Probe><d:Types xmlns:t="{namespace}">t:{type}</d:Types></d:Probe>'
    "</e:Body></e:Envelope>"
)
_TYPES = (
    ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("http://www.onvif.org/ver10/device/wsdl", "Device"),  # some answer to one only
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one answer said: nothing in it has been verified yet."""

    sender: str  # IPv4 address the answer came from
    endpoint: UUID | None
    urls: tuple[str, ...]  # where its ONVIF device service may be, likeliest first
    name: str = ""
    hardware: str = ""


def discover(
    wait_s: float = WAIT_S,
    interfaces: Iterable[str] | None = None,
    found: Callable[[Candidate], None] = lambda _: None,
    hosts: Iterable[str] = (),
    passed: Callable[[float], None] = lambda _: None,
) -> tuple[Candidate, ...]:
    """Ask on every IPv4 interface (or those given by address), loopback included; blocks for `wait_s`.

    The `hosts` that have not answered by then are asked one by one: multicast is blocked on whole networks,
    and many a Wi-Fi access point keeps it from the cameras behind it alone.
    """
    addresses = tuple(own_addresses() if interfaces is None else interfaces)
    rounds = tuple(number * wait_s / (2 * PROBES) for number in range(PROBES))
    askers = [_Asker(opened, (GROUP,), rounds) for address in addresses if (opened := _socket(address))]
    asked_alone = tuple(number * wait_s for number in _ASKED_ALONE)
    return _ask(askers + _askers(hosts, asked_alone), wait_s, found, passed)


def sweep(
    hosts: Iterable[str],
    wait_s: float = WAIT_S,
    found: Callable[[Candidate], None] = lambda _: None,
    passed: Callable[[float], None] = lambda _: None,
) -> tuple[Candidate, ...]:
    """Ask each host by itself: on a network multicast does not reach, or at an address somebody typed."""
    return _ask(_askers(hosts, (0.0, wait_s / 3)), wait_s, found, passed)


@dataclass(frozen=True, slots=True)
class _Asker:
    socket: socket.socket
    targets: tuple[str, ...]
    rounds_s: tuple[float, ...]  # when it asks, counted from the beginning


def _askers(hosts: Iterable[str], rounds_s: tuple[float, ...]) -> list[_Asker]:
    targets = tuple(hosts)
    groups = [targets[at : at + _TARGETS_PER_SOCKET] for at in range(0, len(targets), _TARGETS_PER_SOCKET)]
    return [_Asker(opened, group, rounds_s) for group in groups if (opened := _socket(None))]


def _ask(
    askers: Sequence[_Asker],
    wait_s: float,
    found: Callable[[Candidate], None],
    passed: Callable[[float], None],
) -> tuple[Candidate, ...]:
    known: dict[tuple[str, UUID | None], Candidate] = {}
    due = sorted(
        ((at_s, index) for index, asker in enumerate(askers) for at_s in asker.rounds_s), reverse=True
    )
    selector = selectors.DefaultSelector()
    for asker in askers:
        selector.register(asker.socket, selectors.EVENT_READ)
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < wait_s:
        passed(passed_s / wait_s)
        answered = {sender for sender, _ in known}
        while due and due[-1][0] <= passed_s:
            _send_probes(askers[due.pop()[1]], answered)
        for key, _ in selector.select(min(0.05, wait_s)):
            for candidate in _received(key.fileobj):
                where = (candidate.sender, candidate.endpoint)
                if where not in known and len(known) < _MAX_CANDIDATES:
                    known[where] = candidate
                    found(candidate)
    selector.close()
    for asker in askers:
        asker.socket.close()
    return tuple(known.values())


def _socket(interface: str | None) -> socket.socket | None:
    """A socket of its own per interface. It never joins the group: snooping switches then hide cameras."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        if interface:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            opened.bind((interface, 0))
    except OSError:  # the interface went down a moment ago
        opened.close()
        return None
    return opened


def _send_probes(asker: _Asker, answered: Collection[str]) -> None:
    for namespace, kind in _TYPES:
        for target in asker.targets:
            if target in answered:
                continue
            probe = _PROBE.format(id=uuid.uuid4(), namespace=namespace, type=kind)
            try:
                asker.socket.sendto(probe.encode(), (target, PORT))
            except OSError:  # EPERM (firewall), ENOBUFS (full), ENETUNREACH: the next round may get through
                continue


def _received(opened: object) -> Iterator[Candidate]:
    assert isinstance(opened, socket.socket)  # noqa: S101 -- for the type checker: nothing else is registered
    while True:
        try:
            data, sender = opened.recvfrom(_MAX_ANSWER_BYTES)
        except OSError:  # no more for now, or an ICMP "port unreachable" of an earlier probe
            return
        yield from parse_answer(data, sender[0])


def parse_answer(data: bytes, sender: str) -> tuple[Candidate, ...]:
    """Return the devices an answer names; nothing for anything that is not one.

    Answers come from whoever is on the LAN. Tolerant of what real firmware sends (ipycam has no
    ProbeMatches element), strict with documents that declare a DTD.
    """
    reader = _AnswerReader()
    try:
        reader.parse(data)
    except (xml.parsers.expat.ExpatError, ValueError):
        return ()
    return tuple(_candidate(match, sender) for match in reader.matches)


class _AnswerReader:
    """Collects the texts of each ProbeMatch, whatever prefixes its elements have."""

    _WANTED = frozenset({"Address", "XAddrs", "Scopes", "Types"})

    def __init__(self) -> None:
        self.matches: list[dict[str, str]] = []
        self._open: dict[str, str] | None = None
        self._element = ""

    def parse(self, data: bytes) -> None:
        parser = xml.parsers.expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(data, True)  # noqa: FBT003 -- expat's signature: this is all there is

    @staticmethod
    def _refuse(*_: object) -> None:
        message = "a DTD in an answer"
        raise ValueError(message)

    def _start(self, name: str, _: dict[str, str]) -> None:
        self._element = name.rpartition(" ")[2]
        if self._element == "ProbeMatch":
            self._open = {}

    def _end(self, name: str) -> None:
        self._element = ""
        if name.rpartition(" ")[2] == "ProbeMatch" and self._open is not None:
            self.matches.append(self._open)
            self._open = None

    def _text(self, text: str) -> None:
        if self._open is not None and self._element in self._WANTED:
            self._open[self._element] = self._open.get(self._element, "") + text


def _candidate(match: dict[str, str], sender: str) -> Candidate:
    scopes = match.get("Scopes", "").split()
    return Candidate(
        sender=sender,
        endpoint=_uuid(match.get("Address", "")),
        urls=device_urls(match.get("XAddrs", "").split(), sender),
        name=_scope(scopes, "name"),
        hardware=_scope(scopes, "hardware"),
    )


def device_urls(xaddrs: Iterable[str], sender: str) -> tuple[str, ...]:
    """Where the device service may be: as announced, and at the address that answered.

    Firmware announces 0.0.0.0, or the address before the last move. An address on the internet is
    never believed: an answer must not lead a login out of the house.
    """
    urls: list[str] = []
    for xaddr in xaddrs:
        try:
            parts = urlsplit(xaddr)
            host, port = parts.hostname, parts.port
        except ValueError:  # "http://[", "http://1.2.3.4:99999"
            continue
        if parts.scheme not in {"http", "https"} or not host:
            continue
        if _is_local(host):
            urls.append(urlunsplit((parts.scheme, _at(host, port), parts.path, "", "")))
        urls.append(urlunsplit((parts.scheme, _at(sender, port), parts.path, "", "")))
    urls.append(f"http://{sender}/onvif/device_service")
    return tuple(dict.fromkeys(urls))[:_MAX_URLS]


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return not address.is_global and not address.is_unspecified


def _at(host: str, port: int | None) -> str:
    return f"{host}:{port}" if port else host


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip().rpartition(":")[2])
    except ValueError:
        return None


def _scope(scopes: list[str], kind: str) -> str:
    marker = f"onvif://www.onvif.org/{kind}/"
    found = next((scope for scope in scopes if scope.lower().startswith(marker)), "")
    words = unquote(found[len(marker) :])
    return "".join(letter for letter in words if letter.isprintable())[:80]  # it ends up on a terminal
