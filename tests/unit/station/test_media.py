"""A pack gives back what was put in, and survives what a crash leaves in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uuid6
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.archive.media import PictureUnreadableError, Place, ThumbnailPacks
from tests.station import a_picture

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def packs(tmp_path: Path) -> Iterator[ThumbnailPacks]:
    with closing(ThumbnailPacks(tmp_path)) as packs:
        yield packs


def kept(packs: ThumbnailPacks, count: int, at: datetime = NOW) -> list[tuple[UUID, Place, bytes]]:
    made = []
    for number in range(count):
        event_id, picture = uuid6.uuid7(), a_picture(number)
        made.append((event_id, packs.append(picture, event_id, at), picture))
    packs.sync()
    return made


def test_what_was_put_in_comes_out_and_a_walk_finds_it_without_a_database(packs: ThumbnailPacks) -> None:
    made = kept(packs, 5)
    for _, place, picture in made:
        assert packs.read(place.pack, place.position, place.size) == picture
    walked = [(record.event_id, record.position, record.size) for record in packs.walk("20261123.pack")]
    assert walked == [(event_id, place.position, place.size) for event_id, place, _ in made]


def test_each_day_has_a_pack_of_its_own(packs: ThumbnailPacks) -> None:
    (_, today, _), (_, tomorrow, _) = *kept(packs, 1), *kept(packs, 1, NOW + timedelta(days=1))
    assert (today.pack, tomorrow.pack) == ("20261123.pack", "20261124.pack")


@settings(max_examples=40)
@given(tail=st.binary(min_size=1, max_size=200) | st.integers(1, 699))
def test_a_torn_tail_costs_nothing_before_or_after_it(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes | int
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    with closing(ThumbnailPacks(folder)) as first:
        before = kept(first, 3)
        if isinstance(tail, int):
            kept(first, 1)
    pack = folder / "20261123.pack"
    if isinstance(tail, int):  # half a record: the power went in the middle of it
        os.truncate(pack, pack.stat().st_size - tail)
    else:
        pack.write_bytes(pack.read_bytes() + tail)
    with closing(ThumbnailPacks(folder)) as again:
        after = kept(again, 2)
        for _, place, picture in before + after:
            assert again.read(place.pack, place.position, place.size) == picture
        assert [r.event_id for r in again.walk(pack.name)] == [event_id for event_id, _, _ in before + after]


def test_a_walk_steps_over_a_damaged_picture(packs: ThumbnailPacks, tmp_path: Path) -> None:
    made = kept(packs, 3)
    place = made[1][1]
    with (tmp_path / place.pack).open("r+b") as file:
        file.seek(place.position + 100)
        file.write(b"\xff\xff\xff")
    assert [record.event_id for record in packs.walk(place.pack)] == [made[0][0], made[2][0]]
    with pytest.raises(PictureUnreadableError):
        packs.read(place.pack, place.position, place.size)


def test_a_picture_that_is_not_there_is_said_so(packs: ThumbnailPacks) -> None:
    (_, place, _) = kept(packs, 1)[0]
    for pack, position, size in (
        ("19990101.pack", 36, 1),
        (place.pack, place.position + 1, place.size),
        (place.pack, place.position, place.size - 1),
        (place.pack, 3, place.size),
        (place.pack, 10_000_000, place.size),
    ):
        with pytest.raises(PictureUnreadableError):
            packs.read(pack, position, size)


def test_a_batch_given_up_leaves_the_pack_as_it_was(packs: ThumbnailPacks, tmp_path: Path) -> None:
    made = kept(packs, 2)
    size = (tmp_path / "20261123.pack").stat().st_size
    packs.append(a_picture(9), uuid6.uuid7(), NOW)
    packs.abandon()
    assert (tmp_path / "20261123.pack").stat().st_size == size
    made += kept(packs, 1)
    assert [record.event_id for record in packs.walk("20261123.pack")] == [
        event_id for event_id, _, _ in made
    ]


def test_a_disk_that_takes_only_a_part_is_an_error(packs: ThumbnailPacks, tmp_path: Path) -> None:
    (tmp_path / "20261123.pack").symlink_to("/dev/full")  # a device that takes nothing
    with pytest.raises(OSError) as raised:
        packs.append(a_picture(), uuid6.uuid7(), NOW)
    assert raised.value.errno == errno.ENOSPC
    packs.abandon()
