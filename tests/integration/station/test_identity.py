"""An identity's whole life, with the real broker and endpoint: renewed, replaced, revoked, carried."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.uplink import identity, machine, renew, stick
from agent.uplink.enroll import StationAddress, obtain_papers
from agent.uplink.identity import Identity, Signer
from agent.uplink.mqtt import MqttWire
from agent.uplink.renew import Renewal, RenewalRefused
from collector.archive.folder import StationFolder
from collector.archive.register import Register
from collector.intake.authority import Authority
from collector.intake.broker import write_access
from shared.clock import SystemClock
from shared.enrolment import RENEW_PATH, Code, RenewalRequest
from tests.station import Box, Papers, RefusedError, Station, an_event, post, request_for, wait_until

AGENT = [sys.executable, "-c", "from agent.cli import main; main()"]
COLLECTOR = [sys.executable, "-c", "from collector.cli import main; main()"]


class LaterClock(SystemClock):
    """The same clock, so many days on."""

    def __init__(self, days: float) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


def in_register(station: Station, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(station.folder / "station.db", timeout=10)) as database, database:
        return database.execute(statement, values).fetchall()


def new_code(station: Station, site: str) -> Code:
    return Code.parse(json.loads(station.command("site", "reenrol", site, "--json"))["code"])


def a_home(station: Station, folder: Path, code: Code) -> Identity:
    folder.mkdir()
    return identity.save(folder, obtain_papers(StationAddress.parse(station.url), code))


def papers_of(ours: Identity) -> Papers:
    return Papers(ours.site, ours.certificate, ours.key, ours.ca)


def serial(ours: Identity) -> str:
    return f"{x509.load_pem_x509_certificate(ours.certificate.read_bytes()).serial_number:x}"


def in_force(station: Station, site: str) -> list[str]:
    rows = in_register(station, "SELECT serial FROM certificates WHERE site = ? AND revoked_us IS NULL", site)
    return [found for (found,) in rows]


def denied(station: Station) -> dict[str, int]:
    return {row["reason"]: row["count"] for row in json.loads(station.command("site", "denied", "--json"))}


def is_let_in(papers: Papers, station: Station) -> bool:
    box = Box(papers, station.broker_port)
    box._client.connect_async("localhost", station.broker_port, keepalive=30, clean_start=True)
    box._client.loop_start()
    try:
        return box._subscribed.wait(2.0)
    finally:
        box._client.disconnect()
        box._client.loop_stop()


@contextmanager
def connected(ours: Identity) -> Iterator[MqttWire]:
    wire = MqttWire(ours, SystemClock(), threading.Event())
    wire.start()
    try:
        wait_until(lambda: wire.proven)
        yield wire
    finally:
        wire.stop()


# ---- renewal -----------------------------------------------------------------------------------


def test_a_box_renews_by_itself_and_only_the_new_certificate_opens_anything(
    station: Station, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ours = a_home(station, home, station.add_site("gia-han"))
    old = tmp_path / "old"
    shutil.copytree(home, old)
    first, signer = serial(ours), Signer(ours)
    before = ours.certificate.read_text()
    with connected(ours) as wire:
        renewal = Renewal(home, ours, LaterClock(64), connection=wire, signer=signer)
        renewal.start()
        try:
            wait_until(lambda: serial(ours) != first and wire.proven)
        finally:
            renewal.stop()
    assert in_force(station, "gia-han") == [serial(identity.load(home))]
    assert not is_let_in(papers_of(identity.load(old)), station), "the old certificate"
    assert is_let_in(papers_of(identity.load(home)), station)
    keys = Register(StationFolder.existing(station.folder).open_station()).keys_of("gia-han")
    assert before in keys, "what the old key signed and still waits is believed"
    assert not (home / "renewal.key").exists()


def test_nothing_is_renewed_before_its_time(station: Station, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = a_home(station, home, station.add_site("chua-den-han"))
    certificate = x509.load_pem_x509_certificate(ours.certificate.read_bytes())
    left = certificate.not_valid_after_utc - renew.due_at(certificate)
    assert timedelta(days=27) <= left <= timedelta(days=30)


def test_a_lost_answer_is_given_again_and_a_copy_of_the_card_gets_none(
    station: Station, tmp_path: Path
) -> None:
    home, cut_off, copied = tmp_path / "home", tmp_path / "cut-off", tmp_path / "copied"
    ours = a_home(station, home, station.add_site("mat-dien"))
    shutil.copytree(home, copied)
    renew._next_key(home)  # on the disk before the station hears of it
    shutil.copytree(home, cut_off)
    renewed = renew.renew(home, ours)
    again = renew.renew(cut_off, identity.load(cut_off))
    assert again.certificate.read_bytes() == renewed.certificate.read_bytes()
    with pytest.raises(RenewalRefused):
        renew.renew(copied, identity.load(copied))
    assert in_force(station, "mat-dien") == [serial(renewed)]
    wait_until(lambda: denied(station).get("superseded", 0) >= 1)


@pytest.mark.parametrize(("days_expired", "is_renewed"), [(29, True), (31, False)])
def test_a_house_that_was_dark_may_still_renew_for_a_month(
    station: Station, tmp_path: Path, days_expired: int, *, is_renewed: bool
) -> None:
    site, home = f"toi-{days_expired}-ngay", tmp_path / "home"
    ours = a_home(station, home, station.add_site(site))
    issued_at = datetime.now(UTC) - timedelta(days=90 + days_expired)
    authority = Authority.load(station.folder / "ca" / "ca.crt", station.folder / "ca" / "ca.key")
    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    expired = authority.sign_request(request_for(key), site, issued_at)
    in_register(
        station,
        "UPDATE certificates SET serial = ?, pem = ?, expires_us = ? WHERE site = ?",
        expired.serial,
        expired.pem,
        round(expired.expires.timestamp() * 1e6),
        site,
    )
    ours.certificate.write_text(expired.pem)
    assert not is_let_in(papers_of(ours), station), "the broker goes by the date"
    if is_renewed:
        assert is_let_in(papers_of(renew.renew(home, ours)), station)
    else:
        with pytest.raises(RenewalRefused):
            renew.renew(home, ours)


def test_renewal_needs_a_certificate_that_is_not_revoked(station: Station, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = a_home(station, home, station.add_site("het-tin"))
    body = RenewalRequest(request_pem=request_for(ec.generate_private_key(ec.SECP256R1())))
    nobody = ssl.create_default_context(cafile=ours.ca)
    with pytest.raises(RefusedError) as refused:
        post(station.url + RENEW_PATH, body.model_dump_json().encode(), nobody)
    assert refused.value.status == 403
    station.command("site", "revoke", "het-tin")
    with pytest.raises(RenewalRefused):
        renew.renew(home, ours)
    wait_until(lambda: {"no-certificate", "revoked"} <= set(denied(station)))


# ---- another box, or none ----------------------------------------------------------------------


def test_a_new_box_takes_the_sites_place_and_the_old_one_is_put_out(station: Station, tmp_path: Path) -> None:
    old = station.enrol("doi-the-nho")
    with Box(old, station.broker_port) as box:
        event = an_event(old.site)
        new = a_home(station, tmp_path / "new", new_code(station, old.site))
        asked_s = time.monotonic()
        wait_until(lambda: box.heard.disconnects)
        print(f"old box put out {time.monotonic() - asked_s:.2f} s after the new one had its answer")
        assert in_force(station, old.site) == [serial(new)]
        assert not is_let_in(old, station)
        box.send_event(event)
        with connected(new):
            time.sleep(1.5)  # longer than it waits before coming back
            assert event.id not in box.heard.stored
    (site,) = [s for s in json.loads(station.command("site", "list", "--json")) if s["site"] == old.site]
    assert site["status"] == "enrolled"


def test_what_a_revoked_box_sends_is_kept_no_longer_than_two_seconds(station: Station) -> None:
    papers = station.enrol("bi-mat-trom")
    sent: dict[Any, float] = {}
    stop = threading.Event()
    with Box(papers, station.broker_port) as box:

        def chatter() -> None:
            while not stop.wait(0.02):
                event = an_event(papers.site)
                sent[event.id] = time.monotonic()
                box.send_event(event)

        thread = threading.Thread(target=chatter)
        thread.start()
        wait_until(lambda: len(box.heard.stored) > 5)
        station.command("site", "revoke", papers.site)
        revoked_s = time.monotonic()
        time.sleep(3)
        stop.set()
        thread.join()
    last_s = max(sent[one] for one in box.heard.stored if one in sent) - revoked_s
    print(f"last message kept was sent {last_s:+.2f} s after the command; {len(sent)} sent")
    assert last_s <= 2.0
    assert max(sent.values()) - revoked_s > 2.0, "it went on trying"


def test_two_revocations_in_one_second_both_count(station: Station) -> None:
    boxes = [station.enrol(f"cung-luc-{number}") for number in (1, 2)]
    folder = StationFolder.existing(station.folder)
    authority = Authority.load(folder.ca_certificate, folder.ca_key)
    register, now = Register(folder.open_station()), datetime.now(UTC)
    for box in boxes:
        register.revoke(box.site, now)
        write_access(folder, register, authority, now)
        time.sleep(0.3)  # the broker has read it
    assert [is_let_in(box, station) for box in boxes] == [False, False]


# ---- on a stick --------------------------------------------------------------------------------


def run(words: list[str], typed: str = "", **environment: object) -> subprocess.CompletedProcess[str]:
    extended = os.environ | {name: str(value) for name, value in environment.items()}
    return subprocess.run(
        words, input=typed, env=extended, capture_output=True, text=True, timeout=60, check=False
    )


def code_in(shown: str) -> str:
    return next(word for word in shown.split() if len(word) == 14 and word.count("-") == 2)


def test_a_box_without_a_network_is_enrolled_by_two_files(station: Station, tmp_path: Path) -> None:
    station.add_site("khong-mang")
    home, request, bundle = tmp_path / "home", tmp_path / "usb.request", tmp_path / "usb.bundle"
    asked = run([*AGENT, "enroll", "--request", str(request)], ANNINH_HOME=home)
    assert asked.returncode == 0, asked.stderr
    sign = [*COLLECTOR, "site", "sign", "khong-mang", str(request), "--out", str(bundle)]
    wrong = run(sign, "0000-0000-0000\n", ANNINH_STATION=station.folder)
    assert wrong.returncode == 2
    assert len(wrong.stderr.strip().splitlines()) == 2
    assert in_force(station, "khong-mang") == []
    signed = run(sign, code_in(asked.stdout) + "\n", ANNINH_STATION=station.folder)
    assert signed.returncode == 0, signed.stderr
    accept = [*AGENT, "enroll", "--bundle", str(bundle)]
    assert run(accept, "0000-0000-0000\n", ANNINH_HOME=home).returncode == 2
    accepted = run(accept, code_in(signed.stdout) + "\n", ANNINH_HOME=home)
    assert accepted.returncode == 0, accepted.stderr
    ours = identity.load_here(home)
    assert in_force(station, "khong-mang") == [serial(ours)]
    assert is_let_in(papers_of(ours), station)
    assert renew.renew(home, ours).site == "khong-mang", "and it renews like any other"
    assert not (home / "petition.key").exists()


def test_a_bundle_changed_on_the_way_is_refused(station: Station, tmp_path: Path) -> None:
    station.add_site("bi-sua")
    home, request, bundle = tmp_path / "home", tmp_path / "usb.request", tmp_path / "usb.bundle"
    home.mkdir()
    code = stick.write_petition(home, request)
    sign = [*COLLECTOR, "site", "sign", "bi-sua", str(request), "--out", str(bundle)]
    assert run(sign, code, ANNINH_STATION=station.folder).returncode == 0
    carried = json.loads(bundle.read_text())
    carried["bundle"]["host"] = "nguoi-la.example"
    bundle.write_text(json.dumps(carried))
    with pytest.raises(stick.BundleNotOurs):
        stick.read_bundle(bundle)


# ---- a copied card -----------------------------------------------------------------------------


def is_flagged(station: Station, site: str) -> bool:
    (agent,) = [one for one in station.agents_json() if one["site"] == site]
    return "card-copied" in agent["refusals"]


def test_two_boxes_with_one_card_are_noticed_and_a_box_that_starts_anew_is_not(
    station: Station, tmp_path: Path
) -> None:
    ours = a_home(station, tmp_path / "home", station.add_site("sao-the"))
    for _ in range(3):
        with connected(ours):
            pass
    with connected(ours) as wire:
        wire.take(ours)  # a broken line
        wait_until(lambda: wire.proven)
    with Box(papers_of(ours), station.broker_port) as box:
        wait_until(lambda: box.heard.collector_online is True)
    assert not is_flagged(station, ours.site)
    with connected(ours), connected(ours):
        wait_until(lambda: is_flagged(station, ours.site))
    shown = run([*COLLECTOR, "agents"], ANNINH_STATION=station.folder, COLUMNS=400)
    assert "thẻ nhớ bị sao chép?" in shown.stdout


def test_an_agent_refuses_to_start_on_another_machine(station: Station, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = a_home(station, home, station.add_site("may-khac"))
    assert identity.load_here(home) == ours
    (ours.folder / machine.FILE).write_text(json.dumps(dict.fromkeys(machine.marks(), "0" * 16)))
    started = run([*AGENT, "run"], ANNINH_HOME=home)
    assert started.returncode == 2
    assert len(started.stderr.strip().splitlines()) == 2
    assert "collector site reenrol may-khac" in started.stderr
    code = new_code(station, "may-khac").written()
    again = run([*AGENT, "enroll", "--again", station.url], code + "\n", ANNINH_HOME=home)
    assert again.returncode == 0, again.stderr
    assert in_force(station, "may-khac") == [serial(identity.load_here(home))]
