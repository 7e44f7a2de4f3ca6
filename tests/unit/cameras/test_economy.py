"""What is decoded, judged from made-up packets: every reason there is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agent.cameras.attention import Attention
from agent.cameras.economy import Decoding, Economy, How, Why, first_slice
from shared.texts import both

IDR, REFERENCE, SPARE = b"\0\0\0\1\x65", b"\0\0\0\1\x61", b"\0\0\0\1\x01"
HEVC_IDR, HEVC_CRA, HEVC_REFERENCE = b"\0\0\1\x26\x01", b"\0\0\1\x2a\x01", b"\0\0\1\x02\x01"
MACROBLOCKS = 900  # 640 x 360


@dataclass
class Stream:
    """So many groups of one kind, fed to an economy."""

    codec: str = "h264"
    key: bytes = IDR
    between: tuple[bytes, ...] = (REFERENCE,)
    gop_s: float = 2.0
    fps: int = 10
    size: int = 100
    quiet: bool = True
    groups: int = 6

    def shown_to(self, economy: Economy) -> Decoding:
        economy.macroblocks = MACROBLOCKS
        pictures = round(self.gop_s * self.fps)
        for group in range(self.groups):
            for number in range(pictures):
                at_s = group * self.gop_s + number / self.fps
                head = self.between[number % len(self.between)] if number else self.key
                size = self.size if number else 9000
                economy.add(head + bytes(8), size, at_s, is_key=number == 0, quiet=self.quiet)
        return economy.choice


def economy(stream: Stream, *, is_only_stream: bool = False) -> Economy:
    return Economy(stream.codec, 5, is_only_stream=is_only_stream)


@pytest.mark.parametrize(
    ("stream", "how", "why"),
    [
        (Stream(), How.QUIET, Why.TELLING),
        (Stream("hevc", HEVC_IDR, (HEVC_REFERENCE,)), How.QUIET, Why.TELLING),
        (Stream("hevc", HEVC_CRA, (HEVC_REFERENCE,)), How.QUIET, Why.TELLING),
        (Stream(groups=1), How.ALL, Why.LEARNING),
        (Stream(quiet=False), How.ALL, Why.LEARNING),
        (Stream(size=850), How.QUIET, Why.TELLING),  # a grainy sensor at a variable rate
        (Stream(size=5000), How.ALL, Why.CONSTANT_RATE),
        (Stream(gop_s=5.0), How.ALL, Why.KEYS_FAR),
        (Stream(gop_s=0.5), How.ALL, Why.KEYS_NEAR),
        (Stream(key=REFERENCE), How.ALL, Why.KEYS_OPEN),
        (Stream("mjpeg"), How.ALL, Why.CODEC),
        (Stream(between=(REFERENCE, SPARE), fps=20, size=5000), How.WITHOUT_SPARE, Why.SPARE),
    ],
)
def test_a_stream_tells_what_need_not_be_decoded(stream: Stream, how: How, why: Why) -> None:
    choice = stream.shown_to(economy(stream))
    assert (choice.how, choice.why) == (how, why)


def test_spare_pictures_are_needed_where_too_few_would_remain() -> None:
    stream = Stream(between=(REFERENCE, SPARE), fps=8, size=5000)
    assert stream.shown_to(economy(stream)).how is How.ALL


def test_pictures_out_of_order_are_all_decoded() -> None:
    stream = Stream()
    judge = economy(stream)
    judge.is_reordered = True
    assert stream.shown_to(judge) == Decoding(How.ALL, Why.REORDERED)


@pytest.mark.parametrize(("is_only_stream", "how"), [(True, How.KEYS), (False, How.ALL)])
def test_a_large_stream_that_has_no_smaller_sister_is_seen_by_its_keys(
    is_only_stream: bool, how: How
) -> None:
    stream = Stream(quiet=False)
    judge = economy(stream, is_only_stream=is_only_stream)
    judge.spent(cpu_s=5.0, stream_s=10.0)
    assert stream.shown_to(judge).how is how


def test_who_asks_for_all_gets_all() -> None:
    stream = Stream(between=(REFERENCE, SPARE), fps=20)
    judge = Economy("h264", 5, is_only_stream=True, saves=False)
    judge.spent(cpu_s=5.0, stream_s=10.0)
    assert stream.shown_to(judge) == Decoding(How.ALL, Why.ASKED)


def test_a_packet_larger_than_those_of_the_quiet_street_stirs() -> None:
    judge = economy(Stream())
    Stream(size=200).shown_to(judge)
    assert not judge.stirs(290)
    assert judge.stirs(310)


def test_where_quiet_packets_are_tiny_a_change_of_exposure_does_not_stir() -> None:
    judge = economy(Stream())
    Stream(size=30).shown_to(judge)
    assert not judge.stirs(100)
    assert judge.stirs(160)


def test_parameter_sets_before_the_slice_are_skipped() -> None:
    found = first_slice("h264", b"\0\0\0\1\x67abc\0\0\0\1\x68d\0\0\1\x65ef")
    assert found is not None
    assert found.stands_alone
    assert first_slice("h264", b"\0\0\0\1\x67abc") is None


@pytest.mark.parametrize(
    "key", [*(f"decoding.{how}" for how in How), *(f"decoding-why.{why}" for why in Why)]
)
def test_every_choice_and_reason_has_its_words(key: str) -> None:
    assert both(key)


def test_attention_is_awake_until_the_eye_has_seen_quiet_for_a_while() -> None:
    attention = Attention()
    assert attention.is_awake(1e9)
    attention.saw(10.0, quiet=True)
    assert attention.is_awake(12.9)
    assert not attention.is_awake(13.1)


def test_motion_or_a_hint_wakes_and_an_older_one_does_not_shorten_it() -> None:
    attention = Attention()
    attention.saw(10.0, quiet=True)
    attention.saw(20.0, quiet=False)
    attention.wake(19.0)
    assert attention.is_awake(22.9)
    attention.saw(23.5, quiet=True)
    assert not attention.is_awake(23.5)
