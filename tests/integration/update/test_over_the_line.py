"""A version comes home over a bad line, and nothing else does; real TLS, real packages, real disk."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.update import wish
from agent.update.fetch import LaterError, NeverError, Pace, Source, bring_home
from agent.update.runner import PROOF, Places, Updater
from agent.update.versions import Versions
from agent.updates import Updates, told
from agent.uplink.identity import Identity
from shared.commands import Command, Update
from shared.messages import ClockQuality, Heartbeat
from shared.topics import Channel, down_command, up
from tests.integration.update.bad_line import BadLine
from tests.integration.update.maker import Maker, architecture, noise, wanted
from tests.station import Box, Papers, Station, hello, wait_until

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="needs dpkg-deb and openssl (Debian)"
)
HURRY = Pace(most_bytes_s=1e9, reserve_bytes=0)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station(tmp_path_factory.mktemp("update") / "station") as made:
        yield made


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("update") / "maker")


@pytest.fixture(scope="module")
def package(station: Station, maker: Maker) -> Path:
    """Three megabytes on the station's shelf."""
    deb = maker.package("1.4.2", noise(3_000_000))
    station.command("shelf", "add", str(deb), "--key", str(maker.public))
    return deb


@pytest.fixture(scope="module")
def papers(station: Station) -> Papers:
    return station.enrol("nha-ong-ba")


def source(papers: Papers, port: int) -> Source:
    return Source("localhost", port, papers.context)


def test_what_was_cut_in_the_middle_is_gone_on_from(
    station: Station, papers: Papers, package: Path, tmp_path: Path
) -> None:
    with BadLine(station.enrolment_port, 700_000, 900_000) as line:
        bring_home(tmp_path, wanted(package), source(papers, line.port), HURRY)
        assert line.connections == 4  # two broken, the rest, and the signature
        assert line.passed < 1.1 * package.stat().st_size  # nothing was fetched twice
    assert (tmp_path / "update/bundle.deb").read_bytes() == package.read_bytes()
    assert (tmp_path / "update/bundle.update").read_bytes() == Path(f"{package}.update").read_bytes()
    assert (tmp_path / "update/request").exists()


def test_what_came_before_the_line_was_gone_stays_for_the_next_attempt(
    station: Station, papers: Papers, package: Path, tmp_path: Path
) -> None:
    with (
        BadLine(station.enrolment_port, 700_000, 0, 0) as line,
        pytest.raises(LaterError, match="unreachable"),
    ):
        bring_home(tmp_path, wanted(package), source(papers, line.port), HURRY)
    (part,) = (tmp_path / "update").glob("*.part")
    assert part.stat().st_size > 500_000
    assert not (tmp_path / "update/request").exists()
    bring_home(tmp_path, wanted(package), source(papers, station.enrolment_port), HURRY)
    assert (tmp_path / "update/bundle.deb").read_bytes() == package.read_bytes()


def test_a_package_that_is_not_what_was_promised_is_never_handed_in(
    station: Station, papers: Papers, maker: Maker, tmp_path: Path
) -> None:
    deb = maker.package("1.4.3", noise(50_000))
    station.command("shelf", "add", str(deb), "--key", str(maker.public))
    shelved = station.folder / "shelf" / f"{wanted(deb).sha256}.deb"
    damaged = bytearray(shelved.read_bytes())
    damaged[20_000] ^= 1
    shelved.write_bytes(damaged)
    with pytest.raises(NeverError, match="damaged"):
        bring_home(tmp_path, wanted(deb), source(papers, station.enrolment_port), HURRY)
    assert [path.name for path in (tmp_path / "update").iterdir()] == []


def test_a_line_is_not_taken_up_wholly(
    station: Station, papers: Papers, package: Path, tmp_path: Path
) -> None:
    clock, waited = 0.0, 0.0

    def wait(seconds: float) -> None:
        nonlocal clock, waited
        clock, waited = clock + seconds, waited + seconds

    slow = Pace(most_bytes_s=125_000, reserve_bytes=0, monotonic=lambda: clock, wait=wait)
    bring_home(tmp_path, wanted(package), source(papers, station.enrolment_port), slow)
    assert waited == pytest.approx(package.stat().st_size / 125_000, rel=0.01)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "anninh-test", folder], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_without_room_is_not_filled(
    station: Station, papers: Papers, package: Path, small_disk: Path
) -> None:
    with pytest.raises(LaterError, match="no-room"):
        bring_home(small_disk, wanted(package), source(papers, station.enrolment_port), HURRY)
    assert list((small_disk / "update").iterdir()) == []


def test_a_disk_that_somebody_else_fills_meanwhile_costs_an_attempt_and_nothing_else(
    station: Station, papers: Papers, package: Path, small_disk: Path
) -> None:
    hopeful = Pace(most_bytes_s=1e9, reserve_bytes=-100_000_000)
    there = source(papers, station.enrolment_port)
    with pytest.raises(LaterError, match="no-room"):
        bring_home(small_disk, wanted(package), there, hopeful)
    subprocess.run(["mount", "-o", "remount,size=9m", small_disk], check=True)
    bring_home(small_disk, wanted(package), there, HURRY)
    assert (small_disk / "update/bundle.deb").read_bytes() == package.read_bytes()


def test_nobody_gets_a_version_without_a_certificate_in_force(
    station: Station, papers: Papers, package: Path, tmp_path: Path
) -> None:
    def nobody() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=papers.ca)

    with pytest.raises(LaterError, match="not-there"):
        bring_home(tmp_path, wanted(package), Source("localhost", station.enrolment_port, nobody), HURRY)
    thief = station.enrol("nha-bi-trom")
    station.command("site", "revoke", "nha-bi-trom")
    with pytest.raises(LaterError, match="not-there"):
        bring_home(tmp_path, wanted(package), source(thief, station.enrolment_port), HURRY)


def test_a_wave_of_updates_does_not_keep_an_installer_out(
    station: Station, papers: Papers, maker: Maker, tmp_path: Path
) -> None:
    deb = maker.package("1.5.0", bytes(40_000_000))  # more than any buffer in between takes
    station.command("shelf", "add", str(deb), "--key", str(maker.public))
    stuck = [begin(papers, station.enrolment_port, wanted(deb).sha256) for _ in range(32)]
    try:
        with pytest.raises(LaterError, match="unreachable"):
            bring_home(tmp_path, wanted(deb), source(papers, station.enrolment_port), HURRY)
        assert "BEGIN CERTIFICATE" in hello(station.url, station.add_site("nha-moi"))
    finally:
        for connection in stuck:
            connection.close()


def begin(papers: Papers, port: int, sha256: str) -> Any:
    """Ask for a package, read the first of it, and then nothing more."""
    connection = http.client.HTTPSConnection("localhost", port, context=papers.context(), timeout=20)
    connection.request("GET", f"/update/v1/{sha256}/package")
    assert connection.getresponse().read(1)
    return connection


def test_what_is_taken_off_the_shelf_is_gone(
    station: Station, papers: Papers, maker: Maker, tmp_path: Path
) -> None:
    deb = maker.package("1.6.0", b"")
    station.command("shelf", "add", str(deb), "--key", str(maker.public))
    assert "1.6.0" in station.command("shelf", "list")
    station.command("shelf", "remove", "1.6.0")
    assert "1.6.0" not in station.command("shelf", "list")
    with pytest.raises(LaterError, match="not-there"):
        bring_home(tmp_path, wanted(deb), source(papers, station.enrolment_port), HURRY)


# ---- the shelf's door --------------------------------------------------------------------------


def test_the_shelf_takes_nothing_that_its_maker_did_not_sign(
    station: Station, maker: Maker, tmp_path: Path
) -> None:
    stranger = Maker(tmp_path / "stranger")
    deb = stranger.package("9.9.9", b"")
    refused = station.attempt("shelf", "add", str(deb), "--key", str(maker.public))
    assert refused.returncode == 2
    assert "9.9.9" not in station.command("shelf", "list")
    own = maker.package("9.9.8", b"")
    with own.open("ab") as file:
        file.write(b"more")
    assert station.attempt("shelf", "add", str(own), "--key", str(maker.public)).returncode == 2
    assert "9.9.8" not in station.command("shelf", "list")
    assert station.attempt("shelf", "add", str(own)).returncode == 2  # no key here: nobody is believed


def test_boxes_are_told_of_what_they_can_take_and_others_why_not(
    station: Station, papers: Papers, package: Path
) -> None:
    command = down_command("nha-ong-ba")
    with Box(papers, station.broker_port, more_topics=(command,)) as box:
        box.say(up("nha-ong-ba", Channel.HEARTBEAT), heartbeat("0.1.0"), qos=0)
        wait_until(lambda: heard(station, "0.1.0"))
        assert "1.4.2" in station.command("shelf", "send", "1.4.2", "nha-ong-ba")
        wait_until(lambda: any(topic == command for topic, _ in box.heard.others))
        asked = Command.model_validate_json(
            next(body for topic, body in box.heard.others if topic == command)
        )
        assert asked.errand == Update(
            version="1.4.2", sha256=wanted(package).sha256, size_bytes=package.stat().st_size
        )
        assert station.attempt("shelf", "send", "1.4.2").returncode == 75  # it has time left
    assert station.attempt("shelf", "send", "7.7.7").returncode == 2


def heard(station: Station, version: str) -> bool:
    return version in json.dumps(station.agents_json())


def heartbeat(version: str) -> bytes:
    beat = Heartbeat(
        site="nha-ong-ba",
        sent_at=datetime.now(UTC),
        boot_id="b",
        agent_version=version,
        architecture=architecture(),
        uptime_s=1,
        clock_quality=ClockQuality.SYNCED,
        outbox_waiting=0,
    )
    return beat.model_dump_json().encode()


# ---- the box's thread, and root's updater behind it ----------------------------------------------


@pytest.fixture
def box(tmp_path: Path, maker: Maker, papers: Papers, station: Station) -> tuple[Places, Identity]:
    """A box on which 1.0.0 runs."""
    home, versions = tmp_path / "home", tmp_path / "versions"
    identity = home / "identity"
    identity.mkdir(parents=True)
    (identity / "station.json").write_text('{"site": "nha-ong-ba"}')
    for name, path in {"site.crt": papers.certificate, "site.key": papers.key, "ca.crt": papers.ca}.items():
        shutil.copy(path, identity / name)
    (versions / "1.0.0").mkdir(parents=True)
    (versions / "1.0.0/version").write_text("1.0.0\n")
    Versions(versions).switch_to("1.0.0")
    ours = Identity("nha-ong-ba", "localhost", 1, identity, station.enrolment_port)
    return Places(versions, home, (maker.public,), lambda: None), ours


def test_a_wish_becomes_a_version_in_force(box: tuple[Places, Identity], package: Path) -> None:
    places, ours = box
    asked = wanted(package)
    wish.ask(places.home, asked)
    updates = Updates(places.home, ours, places, HURRY, retry_s=0.1)
    updates.start()
    try:
        wait_until(lambda: (places.home / "update/request").exists() and wish.read(places.home) is None)
        wait_until(lambda: updates.causes() == ())
    finally:
        updates.stop()
    _root(places, works=True)
    assert Versions(places.versions).current == "1.4.2"
    assert updates.causes() == ()


def test_a_version_that_nobody_answers_is_told_of(box: tuple[Places, Identity], package: Path) -> None:
    places, ours = box
    bring_home(places.home, wanted(package), Source("localhost", ours.enrolment_port, ours.tls), HURRY)
    _root(places, works=False)
    assert Versions(places.versions).current == "1.0.0"
    assert Updates(places.home, ours, places).causes() == ("update-returned",)


def test_a_strangers_signature_gets_no_further_than_root(
    box: tuple[Places, Identity], package: Path, tmp_path: Path
) -> None:
    places, ours = box
    bring_home(places.home, wanted(package), Source("localhost", ours.enrolment_port, ours.tls), HURRY)
    _root(Places(places.versions, places.home, (Maker(tmp_path / "other").public,), lambda: None), works=True)
    assert Versions(places.versions).current == "1.0.0"
    assert Updates(places.home, ours, places).causes() == ("update-refused",)


def test_what_comes_damaged_three_times_is_given_up(
    box: tuple[Places, Identity], station: Station, maker: Maker
) -> None:
    places, ours = box
    deb = maker.package("1.4.4", noise(50_000))
    station.command("shelf", "add", str(deb), "--key", str(maker.public))
    (station.folder / "shelf" / f"{wanted(deb).sha256}.deb").write_bytes(noise(deb.stat().st_size))
    wish.ask(places.home, wanted(deb))
    updates = Updates(places.home, ours, places, HURRY, retry_s=0.1)
    updates.start()
    try:
        wait_until(lambda: updates.causes() == ("update-damaged",) and wish.read(places.home) is None)
    finally:
        updates.stop()
    assert not (places.home / "update/request").exists()


def _root(places: Places, *, works: bool) -> None:
    """Root's updater, and a version that the station answers or not."""
    updater, versions = Updater(places), Versions(places.versions)

    def answer(_seconds: float) -> None:
        if works and (trial := versions.trial):
            proof = f'{{"version": "{trial.version}", "nonce": "{trial.nonce}"}}'
            (places.home / PROOF).write_text(proof)

    conclude = updater.conclude
    updater.conclude = lambda: conclude(wait=answer)  # type: ignore[method-assign,assignment]  # no second passes
    updater.resume()


def test_only_what_went_wrong_is_told() -> None:
    assert told("proven") == told("") == ()
    assert told("refused:signature") == ("update-refused",)
