"""Answers to commands wait in the outbox as reports do; what is held is not given up."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from uuid6 import uuid7

from agent.uplink import identity
from agent.uplink.outbox import Outbox, Row
from collector.intake import authority
from shared.commands import Outcome, Reply
from shared.messages import Thumbnail
from shared.signing import chained, is_signed
from shared.topics import Channel
from tests.unit.uplink.events import JPEG, KEY, NOON, SPEAKER, event

FRAME = b"\xff\xd8 what the camera sees \xff\xd9"


def reply(picture: bytes | None = None) -> Reply:
    announced = picture and Thumbnail(
        sha256=sha256(picture).hexdigest(), size_bytes=len(picture), width=2, height=2, taken_at=NOON
    )
    return Reply(
        id=uuid7(),
        command=uuid7(),
        site="nha-ong-ba",
        answered_at=NOON,
        outcome=Outcome.DONE,
        picture=announced or None,
    )


def everything(outbox: Outbox) -> list[Row]:
    return sorted(outbox.recent((0, 2**62), 1000, frozenset()), key=lambda row: row.sequence)


def test_a_reply_is_numbered_chained_and_signed_and_its_picture_bound_by_its_hash(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event())
    said = reply(FRAME)
    outbox.put_reply(said, FRAME)
    outbox.close()
    first, answer, frame = everything(Outbox(tmp_path / "outbox.db", SPEAKER))
    kept = Reply.model_validate_json(answer.body)
    assert (answer.channel, kept.sequence, kept.command) == (Channel.REPLY, 2, said.command)
    assert kept.chain is not None
    assert kept.chain.previous == chained(first.body)
    assert answer.signature is not None
    assert is_signed(answer.body, answer.signature, KEY.public_key())
    assert (frame.channel, frame.body, frame.sequence) == (Channel.FRAME, FRAME, 3)
    assert (frame.event_id, frame.sha256, frame.signature) == (said.command, sha256(FRAME).hexdigest(), None)


def test_another_picture_than_the_announced_one_is_a_bug_found_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    for wrong in (reply(FRAME), reply()):
        with pytest.raises(ValueError, match="SHA-256"):
            outbox.put_reply(wrong, b"another")
    assert everything(outbox) == []


def test_what_is_held_is_not_given_up_and_the_next_in_turn_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER, budget_bytes=4 * len(JPEG))
    first_two = ("cong-truoc", NOON, NOON + timedelta(minutes=1))
    outbox.keep([first_two, ("san-sau", NOON, NOON + timedelta(days=1))])
    for minute in range(6):
        outbox.put(event(jpeg=JPEG, minute=minute), JPEG)
    pictures = [row.sequence for row in everything(outbox) if row.channel is Channel.THUMBNAIL]
    assert pictures[:2] == [2, 4]
    assert len(pictures) < 6
    outbox.keep([])
    for minute in range(6, 9):
        outbox.put(event(jpeg=JPEG, minute=minute), JPEG)
    pictures = [row.sequence for row in everything(outbox) if row.channel is Channel.THUMBNAIL]
    assert not {2, 4} & set(pictures)


def test_an_outbox_of_before_the_holds_is_taken_over_whole(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event(jpeg=JPEG), JPEG)
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as database:
        database.execute("ALTER TABLE outbox DROP COLUMN camera")
        database.execute("DROP TABLE held")
    database.close()
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.keep([("cong-truoc", NOON, NOON)])
    outbox.put(event(jpeg=JPEG), JPEG)
    assert [row.sequence for row in everything(outbox)] == [1, 2, 3, 4]


def test_the_box_knows_how_far_the_station_dates_certificates_back() -> None:
    assert identity.BACKDATED == authority.BACKDATED
