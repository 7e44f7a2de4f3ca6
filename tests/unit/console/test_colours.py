"""A colour that was told is found again, and a tight crop is shown where one came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import uuid6

from collector.archive.media import ThumbnailPacks
from collector.archive.records import PictureRecord
from collector.archive.search import Question, Search
from collector.console.filters import Filter
from shared.messages import Colour, Kind
from shared.topics import Channel
from tests.station import a_picture, an_event, announced
from tests.unit.station.test_store import NOW, SITE, an_archive, record_of


def test_events_are_found_by_colour_alone_and_together_with_their_kind(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        made = {}
        for kind in (Kind.CAR, Kind.TRUCK):
            for colour in (Colour.RED, Colour.BLUE, None):
                event = an_event(SITE, kind=kind, colour=colour, event_id=uuid6.uuid7())
                made[kind, colour] = event.event_id
                with archive.writing():
                    archive.keep(record_of(event))
        search = Search(database.conn, ThumbnailPacks(tmp_path))

        def found(question: Question) -> set[object]:
            events = search.page(question).events
            assert search.count(question) == len(events)
            return {event.event_id for event in events}

        assert found(Question(colours=(Colour.RED,))) == {made[k, Colour.RED] for k in (Kind.CAR, Kind.TRUCK)}
        assert found(Question(colours=(Colour.RED,), kinds=(Kind.CAR,))) == {made[Kind.CAR, Colour.RED]}
        assert found(Question(colours=(Colour.RED, Colour.BLUE), sites=(SITE,))) == {
            one for (_, colour), one in made.items() if colour
        }
        assert not found(Question(colours=(Colour.PINK,)))
        assert len(found(Question())) == 6


def test_the_newest_message_says_the_colour(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        first = an_event(SITE, colour=Colour.UNKNOWN, revision=0)
        later = first.model_copy(update={"id": uuid6.uuid7(), "revision": 1, "colour": Colour.GREEN})
        for event in (later, first):
            with archive.writing():
                archive.keep(record_of(event))
        stored = Search(database.conn, ThumbnailPacks(tmp_path)).event(first.event_id)
        assert stored is not None
        assert stored.colour is Colour.GREEN


def test_a_crop_that_was_announced_and_came_is_found_apart_from_the_thumbnail(tmp_path: Path) -> None:
    whole, tight = a_picture(1), a_picture(2)
    with an_archive(tmp_path) as (archive, database):
        event = an_event(SITE, thumbnail=announced(whole), crop=announced(tight))
        shown = PictureRecord(SITE, uuid6.uuid7(), NOW, event.event_id, announced(whole).sha256, whole)
        alone = replace(
            shown,
            message_id=uuid6.uuid7(),
            sha256=announced(tight).sha256,
            jpeg=tight,
            channel=Channel.CROP,
        )
        search = Search(database.conn, ThumbnailPacks(tmp_path))
        with archive.writing():
            archive.keep(record_of(event))
            archive.keep(shown)
        assert search.crop(event.event_id) is None
        with archive.writing():
            archive.keep(alone)
        ref, other = search.crop(event.event_id), search.thumbnail(event.event_id)
        assert ref is not None
        assert other is not None
        assert search.picture(ref) == tight
        assert search.picture(other) == whole
        channels = database.execute(
            "SELECT channel FROM messages WHERE event_id = ?", (event.event_id.bytes,)
        )
        assert sorted(row[0] for row in channels) == ["crop", "ev", "thumb"]


def test_colours_survive_the_way_through_the_address() -> None:
    chosen = Filter(colours=("red", "unknown"))
    assert "colour=red&colour=unknown" in chosen.query()
    assert chosen.question().colours == (Colour.RED, Colour.UNKNOWN)


@pytest.mark.parametrize("word", ["rot", ""])
def test_a_colour_nobody_knows_is_no_question(word: str) -> None:
    from collector.console.filters import FilterInvalid

    with pytest.raises(FilterInvalid):
        Filter(colours=(word,)).question()
