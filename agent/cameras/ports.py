"""What does a host show to a stranger who knocks once? Open ports, a banner, whether it speaks RTSP or ONVIF.

No name and no password is ever sent, and each port is asked once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from agent.cameras.brands import OWN_PORTS

RTSP_PORT = 554
# Where ONVIF and web pages are found: Tapo 2020, Hikvision and Reolink 8000, Xiongmai 8899.
_HTTP_PORTS = (80, 2020, 8000, 8080, 8899)
PORTS = (RTSP_PORT, *_HTTP_PORTS, *OWN_PORTS)
_AT_ONCE = 200  # half of what a household router's connection table can spare; 253 hosts took 5 s
_CONNECT_S = 1.0  # a neighbour answers in milliseconds, a sleeping Wi-Fi camera in some hundred
_ANSWER_S = 1.5  # Hikvision's SDK port is open and never says a word to HTTP
_PAUSE_S = 0.4  # RTSP keeps the connection open after its answer
_MOST_BYTES = 8192  # headers and a page's title; no page is read to its end
_MOST_LETTERS = 80

_TIME_PLEASE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    '<s:Body><GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)
_SERVER = re.compile(r"^server:[ \t]*(.+)$", re.IGNORECASE | re.MULTILINE)
_TITLE = re.compile(r"<title[^>]*>([^<]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signs:
    address: str
    ports: frozenset[int]
    speaks_rtsp: bool = False
    onvif_url: str | None = None
    banner: str = ""


def knock(hosts: Iterable[str], progress: Callable[[float], None] = lambda _: None) -> tuple[Signs, ...]:
    """Knock at every host, many at once; those with nothing open are reported too, without ports."""
    return asyncio.run(_knock_all(tuple(hosts), progress))


async def _knock_all(hosts: tuple[str, ...], progress: Callable[[float], None]) -> tuple[Signs, ...]:
    gate = asyncio.Semaphore(_AT_ONCE)
    done: list[Signs] = []
    for finished in asyncio.as_completed([_knock_one(host, gate) for host in hosts]):
        done.append(await finished)
        progress(len(done) / len(hosts))
    return tuple(sorted(done, key=lambda signs: IPv4Address(signs.address)))


async def _knock_one(host: str, gate: asyncio.Semaphore) -> Signs:
    said = dict(zip(PORTS, await asyncio.gather(*(_ask(host, port, gate) for port in PORTS)), strict=True))
    is_open = frozenset(port for port, answer in said.items() if answer is not None)
    rtsp = said[RTSP_PORT] or ""
    onvif = next((port for port in _HTTP_PORTS if "onvif.org" in (said[port] or "")), None)
    banners = [banner_of(answer or "") for answer in said.values()]
    return Signs(
        address=host,
        ports=is_open,
        speaks_rtsp=rtsp.startswith("RTSP/"),
        onvif_url=f"http://{host}:{onvif}/onvif/device_service" if onvif else None,
        banner=" ".join(dict.fromkeys(filter(None, banners))),
    )


async def _ask(host: str, port: int, gate: asyncio.Semaphore) -> str | None:
    """None: closed. Otherwise what was answered, possibly nothing."""
    async with gate:
        if port == RTSP_PORT:
            return await _exchange(host, port, f"OPTIONS rtsp://{host}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        if port not in _HTTP_PORTS:
            return await _exchange(host, port, "")
        service = await _exchange(host, port, _post(host))
        if service is None or "onvif.org" in service:
            return service
        page = await _exchange(host, port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        return service + (page or "")


def _post(host: str) -> str:
    return (
        f"POST /onvif/device_service HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {len(_TIME_PLEASE)}\r\n\r\n"
        f"{_TIME_PLEASE}"
    )


async def _exchange(host: str, port: int, request: str) -> str | None:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_S)
    except OSError:  # TimeoutError is one
        return None
    answer = b""
    try:
        if request:
            writer.write(request.encode())
            answer = await _answer(reader)
    except OSError:
        pass  # open, but it hung up on us: it does not speak this protocol
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return answer.decode("utf-8", "replace")


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Read until the other side closes, falls silent for a moment, or has said enough."""
    said = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            while len(said) < _MOST_BYTES and (
                more := await asyncio.wait_for(reader.read(_MOST_BYTES), _PAUSE_S if said else _ANSWER_S)
            ):
                said += more
    return said


def banner_of(answer: str) -> str:
    """Return what a server calls itself and its page: somebody else's words, so short and printable."""
    found = [match.group(1) for match in (_SERVER.search(answer), _TITLE.search(answer)) if match]
    words = " ".join(" ".join(found).split())
    return "".join(letter for letter in words if letter.isprintable())[:_MOST_LETTERS]
