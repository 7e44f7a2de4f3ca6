from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from agent.cameras.replay import VideoFile, VideoUnreadable
from agent.commands.replay import replay
from shared.messages import DetectionEvent, Phase
from tests.fakes import NOON, FakeClock
from tests.models import best_available_model_path


def cut(clip: Path, into: Path, share: float) -> Path:
    """The first part of a file, as after a power cut."""
    content = clip.read_bytes()
    into.write_bytes(content[: int(len(content) * share)])
    return into


def test_a_file_plays_like_a_camera(street_clip: Path) -> None:
    frames = list(VideoFile(street_clip, "cong-truoc", NOON, sampled_fps=5))
    assert 380 <= len(frames) <= 400
    assert frames[0].captured_at == NOON
    assert {frame.camera for frame in frames} == {"cong-truoc"}
    assert {frame.size for frame in frames} == {(768, 576)}
    for a, b in pairwise(frames):
        assert b.monotonic_s - a.monotonic_s == pytest.approx(0.2, abs=0.11)
        assert b.captured_at - a.captured_at == pytest.approx(
            timedelta(seconds=b.monotonic_s - a.monotonic_s), abs=timedelta(milliseconds=1)
        )


def test_in_real_time_it_takes_as_long_as_it_lasts(street_clip: Path) -> None:
    clock = FakeClock(NOON)
    frames = list(VideoFile(street_clip, "cong-truoc", clock.now(), sampled_fps=1, pace=clock))
    assert clock.now() - NOON == pytest.approx(timedelta(seconds=79), abs=timedelta(seconds=2))
    assert frames[-1].monotonic_s == pytest.approx(clock.monotonic())


def test_a_file_that_was_cut_off_ends_where_it_ends(street_clip: Path, tmp_path: Path) -> None:
    half = cut(street_clip, tmp_path / "half.avi", 0.5)
    assert 100 < len(list(VideoFile(half, "cong-truoc", NOON, sampled_fps=5))) < 300


@pytest.mark.parametrize("content", [None, b"", b"not a video at all", b"RIFF" + bytes(200)])
def test_what_is_no_video_is_refused_with_a_hint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoUnreadable) as refused:
        next(iter(VideoFile(path, "cong-truoc", NOON, sampled_fps=5)))
    assert str(path) in refused.value.what()
    assert refused.value.hint()


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNINH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANNINH_LANGUAGE", "en")
    return tmp_path


def test_replay_prints_what_a_camera_would_have_told_as_json(
    street_clip: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, pictures = cut(street_clip, fresh_home / "clip.avi", 0.2), fresh_home / "pictures"
    replay(clip, as_json=True, model=best_available_model_path(), thumbnails=pictures)
    *lines, summary = capsys.readouterr().out.splitlines()
    events = [DetectionEvent.model_validate_json(line) for line in lines]
    assert sum(event.phase is Phase.START for event in events) >= 3
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.iterdir()}
    assert {event.thumbnail.sha256 for event in events if event.thumbnail} == hashes
    told = json.loads(summary)["summary"]
    assert told["events"]["person"] == len({event.event_id for event in events})
    assert told["frames"] == told["looked"] + told["gated"]


def test_replay_prints_starts_and_ends_for_people(
    street_clip: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(cut(street_clip, fresh_home / "clip.avi", 0.15), fps=3, model=best_available_model_path())
    *lines, total, looked = capsys.readouterr().out.splitlines()
    assert sum("▶" in line for line in lines) == sum("■" in line for line in lines) >= 3
    assert "events" in total
    assert "Looked at" in looked
