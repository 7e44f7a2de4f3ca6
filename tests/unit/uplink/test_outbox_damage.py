"""What a card or a full disk takes is told, with as many numbers as it took."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.uplink.outbox import Outbox
from shared.messages import GapReason, GapReport
from shared.topics import Channel
from tests.unit.uplink.events import JPEG, NOON, SPEAKER, event
from tests.unit.uplink.test_outbox import everything


def told(outbox: Outbox) -> list[GapReport]:
    """What the station hears of losses, of this start and of those before."""
    outbox.retry()
    outbox.report_losses(NOON)
    kept = everything(outbox)
    return [GapReport.model_validate_json(row.body) for row in kept if row.channel is Channel.GAP]


def test_a_file_that_is_older_than_it_was_begins_a_new_life_and_says_up_to_where_it_forgot(
    tmp_path: Path,
) -> None:
    """A card that lies about its last writes gives back a whole database without them."""
    path, older = tmp_path / "outbox.db", tmp_path / "older.db"
    outbox = Outbox(path, SPEAKER)
    kept = outbox.put(event())
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, older)
    forgotten = [outbox.put(event()) for _ in range(4)]
    outbox.close()
    older.replace(path)
    outbox = Outbox(path, SPEAKER)
    assert [row.id for row in everything(outbox)] == [kept.id]
    (report,) = told(outbox)
    assert kept.chain
    assert (report.reason, report.instance) == (GapReason.OUTBOX_DAMAGED, kept.chain.instance)
    assert (report.first, report.last) == (1, forgotten[-1].sequence)
    assert outbox.put(event()).chain != kept.chain, "no number is used twice"


def test_what_waited_in_memory_when_the_program_was_killed_is_told(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event())
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    while outbox.retry() < 3:
        outbox.put(event(jpeg=JPEG), JPEG)
    outbox.close()
    for _ in range(2):
        outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
        (report,) = (each for each in told(outbox) if each.reason is GapReason.NOT_WRITTEN)
        assert (report.events, report.thumbnails) == (3, 3), "and only once"
        outbox.close()


@pytest.mark.parametrize("channel", [Channel.EVENT, Channel.THUMBNAIL])
def test_a_body_that_the_card_has_changed_is_not_sent_but_told(tmp_path: Path, channel: Channel) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event(jpeg=JPEG), JPEG)
    changed = "UPDATE outbox SET body = zeroblob(length(body)) WHERE channel = ?"
    outbox._db.execute(changed, (channel,))
    assert channel not in {row.channel for row in everything(outbox)}
    number = 1 if channel is Channel.EVENT else 2
    (report,) = told(outbox)
    assert (report.reason, report.first, report.last) == (GapReason.OUTBOX_DAMAGED, number, number)
    assert (report.events, report.thumbnails) == (2 - number, number - 1)


def test_a_start_that_was_stopped_while_it_took_over_is_finished_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, SPEAKER)
    kept = outbox.put(event())
    outbox.close()
    path.rename(tmp_path / "outbox.db.damaged-1")
    outbox = Outbox(path, SPEAKER)
    assert [row.id for row in everything(outbox)] == [kept.id]
    assert [report.last for report in told(outbox)] == [1]


def test_a_second_broken_file_before_the_first_was_told_tells_of_both(tmp_path: Path) -> None:
    path, lives = tmp_path / "outbox.db", []
    for count in (3, 2):
        outbox = Outbox(path, SPEAKER)
        kept = [outbox.put(event()) for _ in range(count)][-1]
        assert kept.chain
        lives.append((kept.chain.instance, kept.sequence))
        outbox.close()
        for part in tmp_path.glob("outbox.db-*"):
            part.unlink()
        path.write_bytes(b"\xa5" * 9000)
    outbox = Outbox(path, SPEAKER)
    assert sorted((report.instance, report.last) for report in told(outbox)) == sorted(lives)
    outbox.acknowledged([row.id for row in everything(outbox)])
    assert (tmp_path / "outbox.db.instance").read_text().split()[4:] == [], "both have been heard"
