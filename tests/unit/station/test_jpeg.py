"""The walker knows a JPEG from what only begins like one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.jpeg import NotAJpegError, check
from tests.station import JPEG

SCAN = JPEG.index(b"\xff\xda")
FRAME = JPEG.index(b"\xff\xc0")


def test_a_jpeg_passes() -> None:
    check(JPEG)


@pytest.mark.shared_data
def test_real_photographs_pass_and_their_halves_do_not(shared_data: Path) -> None:
    photographs = sorted((shared_data / "coco_val128" / "images").glob("*.jpg"))
    assert len(photographs) >= 100
    for photograph in photographs:
        content = photograph.read_bytes()
        check(content)
        with pytest.raises(NotAJpegError):
            check(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (b"", "no start"),
        (b"\xff\xd8", "marker expected"),
        (b"\xff\xd8\xff\xd9", "no picture"),
        (b"\x89PNG" + JPEG, "no start"),
        (JPEG[:-2], "cut off"),
        (JPEG + b"<script>", "after the end"),
        (JPEG + JPEG, "after the end"),
        (JPEG[:SCAN] + b"\xff\xd9", "no picture"),
        (JPEG[:2] + JPEG[SCAN:], "before its headers"),
        (JPEG[:FRAME] + b"\xff\xc9" + JPEG[FRAME + 2 :], "out of place"),  # arithmetic coding: no browser
        (JPEG[: FRAME + 5] + b"\0\0" + JPEG[FRAME + 7 :], "size 16x0"),
        (JPEG[: FRAME + 5] + b"\xff\xff" + JPEG[FRAME + 7 :], "size 16x65535"),
        (JPEG[: FRAME + 2] + b"\xff\xff" + JPEG[FRAME + 4 :], "longer than the file"),
        (JPEG[: FRAME + 2] + b"\0\x01" + JPEG[FRAME + 4 :], "longer than the file"),
        (JPEG[:FRAME] + JPEG[FRAME : FRAME + 19] + JPEG[FRAME:], "two frame headers"),
    ],
)
def test_what_only_looks_like_one_is_refused(broken: bytes, what: str) -> None:
    with pytest.raises(NotAJpegError, match=what):
        check(broken)


@given(cut=st.integers(0, len(JPEG) - 1))
def test_no_cut_of_a_jpeg_passes(cut: int) -> None:
    with pytest.raises(NotAJpegError):
        check(JPEG[:cut])


@given(st.binary(max_size=400))
def test_noise_behind_a_start_marker_never_hangs_or_breaks_the_walker(noise: bytes) -> None:
    with pytest.raises(NotAJpegError):
        check(b"\xff\xd8" + noise)
