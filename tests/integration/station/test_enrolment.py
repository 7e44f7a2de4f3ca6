"""The door, with the real endpoint: a code opens once, and only for who knows it."""

from __future__ import annotations

import http.server
import json
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shared.enrolment import CERTIFICATE_PATH, HELLO_PATH, Code, Hello, HelloAnswer, server_proof
from tests.station import (
    Box,
    NotTheStationError,
    RefusedError,
    Station,
    ask_certificate,
    hello,
    post,
    wait_until,
)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def trusting(station: Station) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=station.folder / "ca" / "ca.crt")


def in_register(station: Station, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(station.folder / "station.db", timeout=10)) as database, database:
        return database.execute(statement, values).fetchall()


def test_a_box_gets_a_certificate_in_its_sites_name_and_is_let_in(station: Station) -> None:
    papers = station.enrol("nha-co-nam")
    certificate = x509.load_pem_x509_certificate(papers.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=nha-co-nam"
    with Box(papers, station.broker_port) as box:
        wait_until(lambda: box.heard.collector_online is True)
    (site,) = [s for s in json.loads(station.command("site", "list", "--json")) if s["site"] == "nha-co-nam"]
    assert site["status"] == "enrolled"


def test_a_used_code_is_refused(station: Station) -> None:
    code = station.add_site("ma-da-dung")
    station.enrol("ma-da-dung", code)
    with pytest.raises(RefusedError) as refused:
        ask_certificate(station.url, code, hello(station.url, code), new_key())
    assert refused.value.status == 403


def test_a_lost_answer_is_given_again_to_the_same_key(station: Station) -> None:
    code, key = station.add_site("mat-thu-tra-loi"), new_key()
    first, again = (ask_certificate(station.url, code, hello(station.url, code), key) for _ in range(2))
    assert first.certificate_pem == again.certificate_pem


def test_an_expired_an_unknown_and_a_locked_code_look_alike_from_outside(station: Station) -> None:
    codes = {name: station.add_site(name) for name in ("ma-het-han", "ma-bi-khoa", "ma-con-tot")}
    ca = hello(station.url, codes["ma-bi-khoa"])
    in_register(station, "UPDATE codes SET expires_us = 1 WHERE site = 'ma-het-han'")
    locked = codes["ma-bi-khoa"]
    answers = []
    for _ in range(5):
        with pytest.raises(RefusedError) as refused:
            ask_certificate(station.url, locked, ca, new_key(), proof="0" * 64)
        answers.append(refused.value.status)
    good_id = codes["ma-con-tot"].code_id
    unknown = Code("0000" if good_id != "0000" else "1111", locked.secret)
    for code in (codes["ma-het-han"], locked, unknown):
        for attempt in (
            lambda c: hello(station.url, c),
            lambda c: ask_certificate(station.url, c, ca, new_key()),
        ):
            with pytest.raises(RefusedError) as refused:
                attempt(code)
            answers.append(refused.value.status)
    assert set(answers) == {403}
    for code in (*codes.values(), unknown):
        assert code.secret not in station.log
        assert code.written() not in station.log
    for reason in ("expired", "locked", "wrong-proof", "unknown-code"):
        assert f"enrolment denied, {reason}" in station.log


def test_a_code_given_anew_ends_the_old_one(station: Station) -> None:
    old = station.add_site("ma-moi")
    new = Code.parse(json.loads(station.command("site", "code", "ma-moi", "--json"))["code"])
    with pytest.raises(RefusedError):
        hello(station.url, old)
    assert station.enrol("ma-moi", new).site == "ma-moi"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (HELLO_PATH, b"", 400),
        (HELLO_PATH, b'{"code_id": "0000"}', 400),
        (HELLO_PATH, b'{"code_id": "0000", "nonce": "' + b"0" * 32 + b'", "name": "x"}', 400),
        (CERTIFICATE_PATH, b"\xff" * 100, 400),
        (CERTIFICATE_PATH, b"x" * 12_000, 413),
        ("/", b"", 404),
        ("/docs", b"", 404),
    ],
)
def test_what_is_no_request_is_turned_away(station: Station, path: str, body: bytes, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        post(station.url + path, body, trusting(station))
    assert refused.value.status == status


def test_the_door_speaks_only_tls(station: Station) -> None:
    with socket.create_connection(("127.0.0.1", station.enrolment_port), timeout=10) as plain:
        plain.sendall(b"POST /enrol/v1/hello HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionResetError):
            assert plain.recv(100) == b""


# ---- the man in the middle ---------------------------------------------------------------------


@contextmanager
def a_man_in_the_middle(answer: Callable[[str, bytes], tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """An HTTPS server with a CA of its own; yields its address and the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            status, body = answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is the point
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_man_in_the_middle_with_a_ca_of_his_own_is_found_out_and_the_code_stays_unused(
    station: Station,
) -> None:
    code = station.add_site("giua-duong")
    own_ca = trustme.CA().cert_pem.bytes().decode()

    def own(_path: str, body: bytes) -> tuple[int, bytes]:
        nonce = Hello.model_validate_json(body).nonce
        guess = Code.new().secret
        return 200, HelloAnswer(
            ca_pem=own_ca, proof=server_proof(guess, nonce, own_ca)
        ).model_dump_json().encode()

    with a_man_in_the_middle(own) as (url, asked):
        with pytest.raises(NotTheStationError):
            hello(url, code)
        assert asked == [HELLO_PATH]
    assert in_register(station, "SELECT used_us, tries FROM codes WHERE site = 'giua-duong'") == [(None, 0)]
    assert station.enrol("giua-duong", code).site == "giua-duong"


def test_a_man_in_the_middle_who_passes_the_words_on_cannot_keep_up_the_act(station: Station) -> None:
    """He forwards the station's true proof: the CA is then the station's, and his own TLS does not verify."""
    code = station.add_site("chuyen-tiep")
    anything = ssl._create_unverified_context()

    def forward(path: str, body: bytes) -> tuple[int, bytes]:
        return 200, post(station.url + path, body, anything)

    def replaced(path: str, body: bytes) -> tuple[int, bytes]:
        answer = HelloAnswer.model_validate_json(forward(path, body)[1])
        own_ca = trustme.CA().cert_pem.bytes().decode()
        return 200, answer.model_copy(update={"ca_pem": own_ca}).model_dump_json().encode()

    with a_man_in_the_middle(replaced) as (url, _), pytest.raises(NotTheStationError):
        hello(url, code)
    with a_man_in_the_middle(forward) as (url, asked):
        ca = hello(url, code)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ask_certificate(url, code, ca, new_key())
        assert asked == [HELLO_PATH], "the request never left the box"
    assert station.enrol("chuyen-tiep", code).site == "chuyen-tiep"


# ---- the commands ------------------------------------------------------------------------------


def failing(station: Station, *words: str) -> subprocess.CalledProcessError:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        station.command(*words)
    assert "Traceback" not in failed.value.stderr
    assert len(failed.value.stderr.strip().splitlines()) == 2, (
        "what happened and what to do, in two languages"
    )
    error: subprocess.CalledProcessError = failed.value
    return error


def test_commands_say_what_is_wrong_in_two_lines(station: Station, tmp_path: Path) -> None:
    assert failing(station, "init").returncode == 2
    assert failing(station, "run").returncode == 2, "it runs already"
    assert failing(station, "site", "add", "Nhà ông Ba").returncode == 2
    assert failing(station, "site", "code", "khong-co").returncode == 2
    assert failing(station, "site", "list", "--station", str(tmp_path)).returncode == 2
    station.add_site("hai-lan")
    assert failing(station, "site", "add", "hai-lan").returncode == 2


def test_a_site_is_listed_with_its_title_and_hamlet(station: Station) -> None:
    station.add_site("nha-ong-sau", title="Nhà ông Sáu, ngõ 12", hamlet="Thôn Đông")
    assert "Nhà ông Sáu" in station.command("site", "list")
    shown = station.command("site", "add", "nha-ong-bay")
    assert Code.parse(next(line for line in shown.splitlines() if line.count("-") == 4).strip())
