"""How does the camera's video leave it? RTSP 1.0 (RFC 2326), RTP interleaved in TCP, in real time.

All clients see the same moment: the clip started when the server did and goes round for ever. A
client that comes late waits for the next key frame, as with a real camera.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import struct
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field

from tests.virtual_camera.clip import Clip, Sample, Track
from tests.virtual_camera.digest import Digest, Verdict
from tests.virtual_camera.state import Counters, Faults, Login

SESSION_TIMEOUT_S = 60.0  # RFC 2326 12.37's default
_PAYLOAD_BYTES = 1400  # of one RTP packet: what fits an Ethernet frame
_PAYLOAD_TYPE, _CLOCK_HZ = 96, 90_000  # RFC 6184
_REPORT_S = 5.0  # between RTCP sender reports
_BACKLOG_BYTES = 4 << 20  # a client that does not read is sent nothing more until a key frame
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 454: "Session Not Found"}
_REASONS |= {
    453: "Not Enough Bandwidth",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}


@dataclass(eq=False)
class _Client:
    """One TCP connection and what it has asked for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str = ""
    session: str = ""
    channel: int = 0
    playing: bool = False
    waits_for_key: bool = True
    heard_s: float = field(default_factory=time.monotonic)
    packets: int = 0
    octets: int = 0
    reported_s: float = -_REPORT_S


class _Live:
    """One track as a live source: which sample is due when, and its RTP packets."""

    def __init__(self, track: Track, duration_s: float, epoch_s: float, wall_s: float) -> None:
        self.track = track
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self._base = secrets.randbits(32)
        self._duration_s, self._epoch_s, self._wall_s = duration_s, epoch_s, wall_s
        self._times = [sample.time_s for sample in track.samples]

    def position(self, now_s: float) -> tuple[int, int]:
        """Round and index of the first sample not yet due."""
        turn, within = divmod(now_s - self._epoch_s, self._duration_s)
        index = bisect_left(self._times, within)
        return (int(turn), index) if index < len(self._times) else (int(turn) + 1, 0)

    def after(self, turn: int, index: int) -> tuple[int, int]:
        return (turn, index + 1) if index + 1 < len(self._times) else (turn + 1, 0)

    def due_s(self, turn: int, index: int) -> float:
        return self._epoch_s + turn * self._duration_s + self._times[index]

    def rtp_time(self, at_s: float) -> int:
        return (self._base + round((at_s - self._epoch_s) * _CLOCK_HZ)) & 0xFFFFFFFF

    def packets(self, sample: Sample, at_s: float) -> list[bytes]:
        """RFC 6184: single NAL unit packets, and FU-A for what is too large."""
        nals = sample.nals
        if sample.is_key:
            nals = (self.track.sps, self.track.pps, *nals)
        payloads = [part for nal in nals for part in _fragments(nal)]
        return [
            self._packet(part, at_s, last=number == len(payloads))
            for number, part in enumerate(payloads, start=1)
        ]

    def _packet(self, payload: bytes, at_s: float, *, last: bool) -> bytes:
        second = _PAYLOAD_TYPE | (0x80 if last else 0)
        header = struct.pack(">BBHII", 0x80, second, self.sequence, self.rtp_time(at_s), self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        return header + payload

    def report(self, client: _Client, at_s: float) -> bytes:
        """RFC 3550 6.4.1: which RTP time was which wall-clock time."""
        wall = self._wall_s + (at_s - self._epoch_s) + _NTP_EPOCH
        whole, fraction = int(wall), int(wall % 1 * 2**32)
        return struct.pack(
            ">BBHIIIIII", 0x80, 200, 6, self.ssrc, whole, fraction, self.rtp_time(at_s),
            client.packets & 0xFFFFFFFF, client.octets & 0xFFFFFFFF,
        )  # fmt: skip


def _fragments(nal: bytes) -> list[bytes]:
    if len(nal) <= _PAYLOAD_BYTES:
        return [nal]
    indicator, kind = (nal[0] & 0xE0) | 28, nal[0] & 0x1F
    step = _PAYLOAD_BYTES - 2
    parts = [nal[at : at + step] for at in range(1, len(nal), step)]
    last = len(parts) - 1
    return [
        bytes((indicator, kind | (0x80 if number == 0 else 0) | (0x40 if number == last else 0))) + part
        for number, part in enumerate(parts)
    ]


class RtspServer:
    """Owns one thread with its event loop; `start` returns once the port listens."""

    def __init__(
        self, clip: Clip, address: tuple[str, int], *, login: Login | None, faults: Faults, counters: Counters
    ) -> None:
        self.session_timeout_s = SESSION_TIMEOUT_S
        self._host, self.port = address
        self._faults, self._counters = faults, counters
        self._digest = Digest(login, qop=False) if login else None
        self.epoch_s = epoch_s = time.monotonic()  # when the clip began
        wall_s = time.time()
        self._main = _Live(clip.main, clip.duration_s, epoch_s, wall_s)
        self._sub = _Live(clip.sub, clip.duration_s, epoch_s, wall_s)
        self._clients: set[_Client] = set()
        self._sessions: dict[str, float] = {}  # and when each was last heard of
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="virtual-rtsp", daemon=True)

    @property
    def login(self) -> Login | None:
        return self._digest.login if self._digest else None

    @login.setter
    def login(self, login: Login) -> None:
        self._digest = Digest(login, qop=False)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has already ended
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def drop_connections(self) -> None:
        """Reset every connection now; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        try:
            server = await self._listen()
        except OSError as error:
            self._failure = error
            return
        self._ready.set()
        plays = [asyncio.create_task(self._play(live)) for live in (self._main, self._sub)]
        while not self._stopping.is_set():
            server = await self._housekeep(server)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.05)
        if server:
            server.close()
        for task in plays:
            task.cancel()
        self._abort_all()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(rest, timeout=2)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._converse, self._host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _housekeep(self, server: asyncio.Server | None) -> asyncio.Server | None:
        if self._faults.refuse_rtsp and server:
            server.close()
            self._abort_all()
            return None
        if not self._faults.refuse_rtsp and not server:
            return await self._listen()
        silent_since = time.monotonic() - self.session_timeout_s
        for client in [client for client in self._clients if client.heard_s < silent_since]:
            client.writer.transport.abort()
        return server

    def _abort_all(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()

    # what is sent

    async def _play(self, live: _Live) -> None:
        turn, index = live.position(time.monotonic())
        while True:
            due_s = live.due_s(turn, index)
            late_s = time.monotonic() - due_s
            if late_s > 1.0:  # the machine slept: go on where the street is now, at a key frame
                turn, index = live.position(time.monotonic())
                for client in self._audience(live):
                    client.waits_for_key = True
                continue
            if late_s < 0:
                await asyncio.sleep(-late_s)
            audience = self._audience(live)
            if audience and not self._faults.frozen:
                self._send(live, live.track.samples[index], due_s, audience)
            turn, index = live.after(turn, index)

    def _audience(self, live: _Live) -> list[_Client]:
        return [client for client in self._clients if client.playing and self._live(client.path) is live]

    def _live(self, path: str) -> _Live | None:
        name = path.rstrip("/").rsplit("/", 1)[-1]
        if path.partition("/")[0] in {str(source) for source in self._faults.dead_sources}:
            return None
        if name == "sub" and not self._faults.sub_shows_main:
            return self._sub
        return self._main if name in {"main", "sub"} else None

    def _send(self, live: _Live, sample: Sample, at_s: float, audience: list[_Client]) -> None:
        packets = live.packets(sample, at_s)
        for client in audience:
            if client.writer.transport.get_write_buffer_size() > _BACKLOG_BYTES:
                client.waits_for_key = True
            if self._faults.no_key_frames and sample.is_key:
                continue
            if client.waits_for_key and not sample.is_key and not self._faults.no_key_frames:
                continue
            client.waits_for_key = client.waits_for_key and self._faults.no_key_frames
            framed = [struct.pack(">cBH", b"$", client.channel, len(packet)) + packet for packet in packets]
            if time.monotonic() - client.reported_s > _REPORT_S:
                client.reported_s = time.monotonic()
                report = live.report(client, at_s)
                framed.append(struct.pack(">cBH", b"$", client.channel + 1, len(report)) + report)
            client.packets += len(packets)
            client.octets += sum(len(packet) - 12 for packet in packets)
            client.writer.write(b"".join(framed))

    # what is asked

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer)
        self._clients.add(client)
        self._counters.add("rtsp_connections")
        try:
            while not self._stopping.is_set():
                request = await _request(reader)
                client.heard_s = time.monotonic()
                if client.session:
                    self._sessions[client.session] = client.heard_s
                if request and not self._faults.hang:
                    writer.write(self._answer(client, *request))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # gone, or not speaking RTSP
        finally:
            self._clients.discard(client)
            writer.transport.abort()

    def _answer(self, client: _Client, method: str, url: str, headers: dict[str, str]) -> bytes:
        status, lines, body = self._decide(client, method, url, headers)
        top = [f"RTSP/1.0 {status} {_REASONS[status]}", f"CSeq: {headers.get('cseq', '0')}", *lines]
        if client.session:
            top.append(f"Session: {client.session};timeout={self.session_timeout_s:.0f}")
        if body:
            top += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        return "\r\n".join([*top, "", ""]).encode() + body

    def _decide(
        self, client: _Client, method: str, url: str, headers: dict[str, str]
    ) -> tuple[int, list[str], bytes]:
        if client.playing and method in {"OPTIONS", "GET_PARAMETER"}:
            self._counters.add("rtsp_keepalives")
            if self._faults.keepalive_refused:
                return 454, [], b""
        if method == "OPTIONS":
            return 200, ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], b""
        if not self._admitted(method, headers):
            assert self._digest
            return 401, [f"WWW-Authenticate: {self._digest.challenge()}"], b""
        path = url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
        known = {"DESCRIBE": self._describe, "SETUP": self._set_up, "PLAY": self._start_playing}
        if method in known:
            return known[method](client, path.removesuffix("/track1"), headers)
        if method == "TEARDOWN":
            self._counters.add("rtsp_teardowns")
            self._sessions.pop(client.session, None)
            client.playing, client.session = False, ""
        return (200 if method in {"GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"} else 501), [], b""

    def _admitted(self, method: str, headers: dict[str, str]) -> bool:
        if not self._digest:
            return True
        verdict = self._digest.check(headers.get("authorization"), method)
        if method == "DESCRIBE" and verdict in {Verdict.RIGHT, Verdict.WRONG}:
            self._counters.add("rtsp_credentialed")
        if verdict is Verdict.WRONG:
            self._counters.add("rtsp_wrong")
        return verdict is Verdict.RIGHT

    def _describe(self, client: _Client, path: str, _: dict[str, str]) -> tuple[int, list[str], bytes]:
        live = self._live(path)
        if not live:
            return 404, [], b""
        client.path = path
        sets = ",".join(base64.b64encode(nal).decode() for nal in (live.track.sps, live.track.pps))
        profile = f"packetization-mode=1;profile-level-id={live.track.sps[1:4].hex()}"
        sdp = [
            "v=0", f"o=- {live.ssrc} 1 IN IP4 {self._host}", "s=street", "c=IN IP4 0.0.0.0", "t=0 0",
            f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}", f"a=rtpmap:{_PAYLOAD_TYPE} H264/{_CLOCK_HZ}",
            f"a=fmtp:{_PAYLOAD_TYPE} {profile};sprop-parameter-sets={sets}",
            f"a=framerate:{live.track.fps:g}", "a=control:track1", "",
        ]  # fmt: skip
        base = f"Content-Base: rtsp://{self._host}:{self.port}/{path}/"
        return 200, [base], "\r\n".join(sdp).encode()

    def _set_up(self, client: _Client, path: str, headers: dict[str, str]) -> tuple[int, list[str], bytes]:
        transport = headers.get("transport", "")
        if "RTP/AVP/TCP" not in transport or "interleaved=" not in transport:
            return 461, [], b""
        if not self._live(path):
            return 404, [], b""
        if self._is_full():
            self._counters.add("rtsp_busy")
            return 453, [], b""
        client.path, client.session = path, secrets.token_hex(8)
        self._sessions[client.session] = client.heard_s
        client.channel = int(transport.split("interleaved=", 1)[1].partition("-")[0].partition(";")[0])
        return 200, [f"Transport: {transport}"], b""

    def _is_full(self) -> bool:
        silent_since = time.monotonic() - self.session_timeout_s
        self._sessions = {name: heard_s for name, heard_s in self._sessions.items() if heard_s > silent_since}
        return 0 < self._faults.most_sessions <= len(self._sessions)

    def _start_playing(self, client: _Client, path: str, _: dict[str, str]) -> tuple[int, list[str], bytes]:
        live = self._live(client.path)
        if not client.session or not live:
            return 455, [], b""
        client.playing = client.waits_for_key = True
        self._counters.add("rtsp_plays")
        return 200, ["Range: npt=now-", f"RTP-Info: url=rtsp://{self._host}:{self.port}/{path}/track1"], b""


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    """The next request, or None for an interleaved packet (the client's RTCP)."""
    first = await reader.readexactly(1)
    if first == b"$":
        _, size = struct.unpack(">BH", await reader.readexactly(3))
        await reader.readexactly(size)
        return None
    text = (first + await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace").lstrip()
    top, *rest = text.split("\r\n")
    method, url, _ = top.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
    }
    await reader.readexactly(int(headers.get("content-length", "0")))
    return method, url, headers
