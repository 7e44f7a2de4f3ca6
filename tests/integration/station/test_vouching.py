"""One signature for a row of messages: a later one vouches for what it names, and for nothing else."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive.folder import StationFolder
from collector.intake import ingest as judging
from collector.intake.committer import Committer
from collector.intake.inbox import Inbox, Letter
from collector.intake.ingest import Delivery, Terms
from shared.clock import SystemClock
from shared.messages import Acknowledgement, DetectionEvent
from shared.signing import sign
from shared.topics import Channel, up
from tests.bench.fleet.papers import issue
from tests.station import Station, Voice, an_event

SITE, OTHER = "nha-ong-ba", "nha-ba-tu"


class Notes:
    """A wire that keeps what would be said."""

    def __init__(self) -> None:
        self.stored: list[object] = []
        self.refused: dict[object, str] = {}

    def acknowledge(self, site: str, acknowledgement: Acknowledgement) -> None:
        self.stored += acknowledgement.stored
        self.refused |= acknowledgement.refused

    def confirm(self, letters: Iterable[Letter]) -> None: ...
    def keeping(self, *, is_keeping: bool) -> None: ...


class Desk:
    """A station's folder with two sites, and what they say in one batch."""

    def __init__(self, station: Station, papers: Path) -> None:
        self.station, self.folder = station, StationFolder(station.folder)
        self.voices = {
            one.site: Voice(one.private_key()) for one in issue(station.folder, (SITE, OTHER), papers)
        }

    def letter(self, event: DetectionEvent, *, signature: str | None = None) -> Letter:
        body, beside = self.voices[event.site].said(event)
        beside = beside if signature is None else beside | {"signature": signature}
        topic = up(event.site, Channel.EVENT)
        return Letter(Delivery(topic, body, datetime.now(UTC), event.id.bytes, properties=beside), 1, 1)

    def commit(self, letters: Iterable[Letter]) -> Notes:
        """All in one batch: they lie there before anybody looks."""
        inbox, notes = Inbox(), Notes()
        for letter in letters:
            assert inbox.put(letter)
        committer = Committer(self.folder, inbox, notes, SystemClock(), Terms(120.0))
        committer.start()
        committer.stop(20.0)
        return notes

    def kept(self) -> int:
        database = sqlite3.connect(self.folder.archive_database)
        count = database.execute("SELECT count(*) FROM messages").fetchone()[0]
        database.close()
        return int(count)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    station = Station(tmp_path / "station", start=False)
    yield Desk(station, tmp_path / "papers")
    station.stop()


def test_a_row_is_kept_for_one_signature_checked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, real = [], judging.is_digest_signed
    monkeypatch.setattr(judging, "is_digest_signed", lambda *given: checked.append(given) or real(*given))
    events = [an_event(site) for _ in range(100) for site in (SITE, OTHER)]
    notes = desk.commit(map(desk.letter, events))
    assert set(notes.stored) == {event.id for event in events}
    assert desk.kept() == 200
    assert len(checked) == 2, "one a site: the last"


def test_a_wrong_signature_vouches_for_nobody(desk: Desk) -> None:
    forged = ec.generate_private_key(ec.SECP256R1())
    first, last = an_event(SITE), an_event(SITE)
    good = desk.letter(first)
    body, _ = desk.voices[SITE].said(last)
    notes = desk.commit([good, desk.letter(last, signature=sign(body, forged))])
    assert notes.stored == [first.id], "by its own signature"
    assert notes.refused[last.id].startswith("wrong-signature")


def test_what_a_good_one_does_not_name_needs_its_own_signature(desk: Desk) -> None:
    """Another's words slipped in between: neither the site's next message nor another site vouches."""
    slipped = an_event(SITE)
    forger, real = Voice(ec.generate_private_key(ec.SECP256R1())), desk.voices[SITE]
    before, after = an_event(SITE), an_event(SITE)
    letters = [desk.letter(before)]
    desk.voices[SITE] = forger
    letters.append(desk.letter(slipped))
    desk.voices[SITE] = real
    letters += [desk.letter(after), desk.letter(an_event(OTHER))]
    notes = desk.commit(letters)
    assert notes.refused.keys() == {slipped.id}
    assert {before.id, after.id} <= set(notes.stored)


def test_one_that_is_vouched_for_still_needs_something_written_as_a_signature(desk: Desk) -> None:
    first, last = an_event(SITE), an_event(SITE)
    notes = desk.commit([desk.letter(first, signature="x" * 60_000), desk.letter(last)])
    assert notes.stored == [last.id]
    assert notes.refused.keys() == {first.id}


def test_verify_checks_each_signature_and_each_body(desk: Desk) -> None:
    events = [an_event(SITE) for _ in range(4)]
    letters = [desk.letter(event) for event in events]
    other = ec.generate_private_key(ec.SECP256R1())
    body, _ = desk.voices[SITE].said(events[1])
    letters[1] = desk.letter(events[1], signature=sign(body, other))
    assert len(desk.commit(letters).stored) == 4, "the next one vouches for it"
    database = sqlite3.connect(desk.folder.archive_database)
    with database:
        database.execute("UPDATE messages SET body = ? WHERE id = ?", (b"{}", events[2].id.bytes))
    database.close()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        desk.station.command("verify", SITE)
    assert failed.value.returncode == 2
    assert "chữ ký của tin số 2" in failed.value.stdout
    assert "đã ký" in failed.value.stdout
    assert "số 3" in failed.value.stdout
