"""Alarms arrive: over a real SMTP server and a real HTTP server, also when the network was down first."""

from __future__ import annotations

import json
import logging
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from pydantic import SecretStr

from collector.archive import flips as book
from collector.archive.flips import Flip, State
from collector.archive.folder import StationFolder
from collector.archive.schema import open_database
from collector.liveness import metrics, queue
from collector.liveness.sender import AlarmAddressInvalid, Sender, target_name
from shared.clock import microseconds
from tests import seed
from tests.conftest import free_port
from tests.fakes import NOON, FakeClock


class Post:
    """What the servers were given."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.posts: list[dict[str, str]] = []


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self._mail()
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 OK\r\n")

    def _mail(self) -> None:
        body = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            body += line
        mail = message_from_bytes(body, policy=policy.default)
        part = mail.get_body(("plain",))
        assert part is not None
        self.server.post.mails.append(part.get_content())  # type: ignore[attr-defined]
        self.wfile.write(b"250 kept\r\n")


class _Http(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.post.posts.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.BaseServer, post: Post) -> Iterator[None]:
    server.post = post  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> StationFolder:
    folder = seed.station(tmp_path / "station", NOON)
    seed.sites(folder, NOON, {"nha-ba": ("Nhà ông Ba", "Thôn Đông")})
    seed.keep(folder, [seed.heartbeat("nha-ba", NOON)])
    return folder


@pytest.fixture
def book_of(folder: StationFolder) -> Iterator[sqlite3.Connection]:
    database = open_database(folder.liveness_database, book.LIVENESS_MIGRATIONS)
    yield database.conn
    database.close()


def silence(connection: sqlite3.Connection, addresses: list[SecretStr]) -> None:
    flips = [
        Flip("nha-ba", "", State.SILENT, "power-weak", microseconds(NOON)),
        Flip("nha-ba", "cong", State.DOWN, "wrong-password", microseconds(NOON)),
    ]
    with connection:
        book.record(connection, flips)
        queue.queue(connection, flips, {}, map(target_name, addresses))


def test_an_alarm_waits_for_the_network_and_arrives_once(
    folder: StationFolder, book_of: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    smtp_port, http_port, post, clock = free_port(), free_port(), Post(), FakeClock()
    mail = f"mailto://127.0.0.1:{smtp_port}?user=tram&pass=bi-mat&from=tram@xa.test&to=truc@xa.test&mode=insecure"
    addresses = [
        SecretStr(mail.replace("user=tram&pass=bi-mat&", "")),
        SecretStr(f"json://u:bi-mat@127.0.0.1:{http_port}/"),
    ]
    silence(book_of, addresses)
    sender = Sender(folder, "Công an xã Thử", addresses, clock)
    assert sender.send_due(book_of) == 0  # it settles first
    clock.advance(timedelta(minutes=3))
    assert sender.send_due(book_of) == 0  # nobody answers
    clock.advance(timedelta(minutes=3))
    with (
        serving(socketserver.ThreadingTCPServer(("127.0.0.1", smtp_port), _Smtp), post),
        serving(HTTPServer(("127.0.0.1", http_port), _Http), post),
    ):
        assert sender.send_due(book_of) == 2
        clock.advance(timedelta(hours=1))
        assert sender.send_due(book_of) == 0
    assert len(post.mails) == len(post.posts) == 1
    for said in (post.mails[0], post.posts[0]["message"]):
        vietnamese, english = said.index("Nhà ông Ba, Thôn Đông: mất kết nối"), said.index("silent (")
        assert vietnamese < english
        assert "bộ nguồn 5 V" in said
        assert "cong: mất hình" in said
        assert "sai mật khẩu camera" in said
    assert "bi-mat" not in caplog.text


def test_an_address_nobody_understands_is_named_by_its_place_only(folder: StationFolder) -> None:
    addresses = [SecretStr("json://127.0.0.1/"), SecretStr("nonsense://u:bi-mat@x")]
    with pytest.raises(AlarmAddressInvalid) as caught:
        Sender(folder, "x", addresses, FakeClock())
    assert "2" in caught.value.what()
    assert "bi-mat" not in caught.value.what() + caught.value.hint()


def test_prometheus_reads_the_fleet(folder: StationFolder, book_of: sqlite3.Connection) -> None:
    silence(book_of, [])
    port, clock = free_port(), FakeClock(NOON + timedelta(seconds=90))
    server = metrics.serve(folder, port, clock)
    assert server is not None
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            figures = answer.read().decode()
    finally:
        server.stop()
    assert 'anninh_site_last_seen_seconds{site="nha-ba"} 90.0' in figures
    assert 'anninh_site_outbox_oldest_seconds{site="nha-ba"} 0.0' in figures
    assert 'anninh_state{state="silent",what="site"} 1.0' in figures
