"""Does our MQTT 5 say what paho's says, and survive what nobody should say?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from shared import mqtt5
from shared.mqtt5 import Answered, Connected, Heard, MalformedError, Pong, Reader, SentAway, Subscribed

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
several = st.lists(st.binary(max_size=200), max_size=5)


def beside_by_paho(**said: object) -> bytes:
    properties = PahoProperties(PacketTypes.PUBLISH)
    for name, value in said.items():
        setattr(properties, name, value)
    packed = bytes(properties.pack())
    size = next(size for size in (1, 2, 3, 4) if not packed[size - 1] & 0x80)
    return packed[size:]


@given(st.binary(max_size=64), words, st.dictionaries(words, words, max_size=4))
def test_properties_are_read_as_paho_writes_them(
    correlation: bytes, kind: str, named: dict[str, str]
) -> None:
    written = beside_by_paho(
        CorrelationData=correlation, ContentType=kind, UserProperty=list(named.items()) or [("a", "b")],
        MessageExpiryInterval=7, ResponseTopic="where", PayloadFormatIndicator=1, TopicAlias=3,
    )  # fmt: skip
    read = mqtt5.read_properties(written)
    assert (read.correlation, read.content_type, read.named) == (correlation, kind, named or {"a": "b"})


@given(st.binary(min_size=1, max_size=64), words, st.dictionaries(words, words, min_size=1, max_size=4))
def test_paho_reads_the_properties_written_here(correlation: bytes, kind: str, named: dict[str, str]) -> None:
    written = mqtt5.properties(correlation, kind or "x", named, expiry_s=300)
    read = PahoProperties(PacketTypes.PUBLISH)
    read.unpack(bytes(mqtt5._variable(len(written))) + written)
    assert read.CorrelationData == correlation
    assert read.ContentType == (kind or "x")
    assert dict(read.UserProperty) == named
    assert read.MessageExpiryInterval == 300


def packets() -> list[tuple[bytes, mqtt5.Packet]]:
    beside = mqtt5.properties(b"id", "image/jpeg", {"sequence": "1"})
    return [
        (b"\x20\x06\x00\x00\x03\x21\x00\x14", Connected(0, 20)),
        (b"\x90\x04\x00\x01\x00\x01", Subscribed(b"\x01")),
        (mqtt5.publish("a/b", b"x" * 300, 9, beside), Heard("a/b", b"x" * 300, 9, beside)),
        (mqtt5.publish("a/b", b"", 0), Heard("a/b", b"", 0, b"")),
        (mqtt5.confirm(65_535), Answered(65_535, 0)),
        (b"\x40\x04\x00\x07\x10\x00", Answered(7, 0x10)),
        (b"\xd0\x00", Pong()),
        (b"\xe0\x01\x8e", SentAway(0x8E)),
    ]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_packets_are_the_same_in_whatever_pieces_they_come(pieces: list[int]) -> None:
    stream = b"".join(written for written, _ in packets())
    reader, got, at = Reader(), list[mqtt5.Packet](), 0
    while at < len(stream):
        size = pieces[len(got) % len(pieces)]
        got += reader.feed(stream[at : at + size])
        at += size
    assert got == [packet for _, packet in packets()]


@given(several)
def test_whatever_comes_is_read_or_malformed_and_never_piles_up(pieces: list[bytes]) -> None:
    reader = Reader()
    try:
        for piece in pieces:
            for packet in reader.feed(piece):
                if isinstance(packet, Heard):
                    mqtt5.read_properties(packet.beside)
    except MalformedError:
        pass
    assert len(reader._buffer) <= sum(map(len, pieces))


def test_a_packet_larger_than_any_allowed_is_refused_before_it_is_kept() -> None:
    with pytest.raises(MalformedError):
        list(Reader().feed(b"\x30" + mqtt5._variable(mqtt5.MAX_PACKET_BYTES + 1)))


def test_a_length_of_five_bytes_is_refused() -> None:
    with pytest.raises(MalformedError):
        list(Reader().feed(b"\x30\xff\xff\xff\xff\x01"))
