"""A chain nobody touched is whole; whoever takes out, puts in or changes a message leaves a break."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import uuid6
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.chain import Break, Link, breaks, broken
from collector.archive.records import EventRecord, Number, Seal
from tests.station import Voice, an_event
from tests.unit.station.test_gaps import BOX, NOON, SITE, an_archive
from tests.unit.station.test_ingest import KEY


def chain(numbers: Sequence[int]) -> list[Link]:
    """Signed messages under these numbers; between them are pictures, which are not signed."""
    links, previous = [], bytes(32)
    for number in numbers:
        links.append(Link(number, sha256(str(number).encode()).digest(), previous))
        previous = links[-1].sha256
    return links


def found(links: Sequence[Link], last: int = 40) -> list[tuple[int, int]]:
    return list(breaks(links, [(1, last)], []))


NUMBERS = st.sets(st.integers(1, 40), min_size=3).map(sorted)


@given(numbers=NUMBERS)
def test_an_untouched_chain_is_whole(numbers: list[int]) -> None:
    assert found(chain(numbers)) == []


@given(numbers=NUMBERS, data=st.data())
def test_a_message_taken_out_or_changed_is_found(numbers: list[int], data: st.DataObject) -> None:
    links = chain(numbers)
    place = data.draw(st.integers(1, len(links) - 2))
    assert found(links[:place] + links[place + 1 :]) == [(numbers[place - 1], numbers[place + 1])]
    changed = Link(numbers[place], sha256(b"changed").digest(), links[place].previous)
    assert found([*links[:place], changed, *links[place + 1 :]]) == [(numbers[place], numbers[place + 1])]


@given(numbers=NUMBERS, data=st.data())
def test_where_something_is_missing_or_was_refused_nothing_is_claimed(
    numbers: list[int], data: st.DataObject
) -> None:
    links = chain(numbers)
    gone = data.draw(st.sampled_from(numbers[1:-1]))
    left = [link for link in links if link.sequence != gone]
    came = [run for run in ((1, gone - 1), (gone + 1, 40)) if run[0] <= run[1]]
    assert list(breaks(left, came, [])) == []
    assert list(breaks(left, [(1, 40)], [(gone, gone)])) == []


def test_a_second_message_under_a_number_is_found() -> None:
    links = chain([1, 2, 3])
    assert (2, 2) in found([links[0], links[1], Link(2, bytes(32), bytes(32)), links[2]])


def test_a_hash_exchanged_in_the_archive_is_found(tmp_path: Path) -> None:
    voice = Voice(KEY)
    voice.instance = BOX
    with an_archive(tmp_path) as (archive, database):
        with archive.writing():
            for number in (1, 2, 3):
                event = an_event(SITE, id=uuid6.uuid7())
                previous = bytes.fromhex(voice.head)
                body, properties = voice.said(event)
                seal = Seal(Number(BOX, number), properties["signature"], sha256(body).digest(), previous)
                archive.keep(EventRecord(SITE, event.id, NOON, body, event, clock_suspect=False, seal=seal))
        assert broken(database.conn, SITE) == []
        database.execute("UPDATE messages SET sha256 = ? WHERE sequence = 2", (bytes(32),))
        assert broken(database.conn, SITE) == [Break(SITE, BOX, 2, 3)]
