from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agent.cameras.replay import VideoFile, VideoUnreadable
from agent.commands.replay import replay
from agent.zone_file import ZoneRule, ZoneShape, ZonesOfWhom
from shared.errors import FileUnreadable, NeedsFixing
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


LEFT = "[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]"
YARD_ONLY = f"""
[cong-truoc]
min_height = 0.1
[cong-truoc.must_enter]
san = [[0.6, 0.5], [0.9, 0.5], [0.9, 1.0], [0.6, 1.0]]
[cong-truoc.ignore]
duong-lon = {LEFT}
"""


def events(printed: str) -> Iterator[DetectionEvent]:
    for line in printed.splitlines()[:-1]:
        yield DetectionEvent.model_validate_json(line)


def test_replay_tells_only_what_the_zones_of_the_file_want_and_draws_them(
    street_clip: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, zones, drawn = (fresh_home / name for name in ("clip.avi", "zones.toml", "drawn.mp4"))
    cut(street_clip, clip, 0.15)
    zones.write_text(YARD_ONLY)
    replay(clip, as_json=True, fps=3, model=best_available_model_path())
    everybody = list(events(capsys.readouterr().out))
    replay(clip, as_json=True, fps=3, model=best_available_model_path(), zones=zones, draw=drawn)
    told = list(events(capsys.readouterr().out))
    assert 0 < len({event.event_id for event in told}) < len({event.event_id for event in everybody})
    for event in told:
        assert any(0.6 <= point.x <= 0.9 and point.y >= 0.5 for point in event.path)
        if event.phase is Phase.START:
            assert event.path[-1].x > 0.5
            assert event.box.h >= 0.1
    plain = next(iter(VideoFile(clip, "file", NOON, sampled_fps=5))).image
    shown = next(iter(VideoFile(drawn, "file", NOON, sampled_fps=5))).image
    assert shown.shape == plain.shape
    assert shown[300:500, 50:300].mean() < 0.6 * plain[300:500, 50:300].mean()  # the road is dark
    assert shown[100:200, 500:700].mean() == pytest.approx(plain[100:200, 500:700].mean(), rel=0.1)
    edge = shown[320:560, round(0.6 * 768) - 1].astype(np.int16)  # the yard has a green edge
    assert np.median(edge[:, 1] - edge[:, 2]) > 40


@pytest.mark.parametrize(
    ("content", "camera", "error"),
    [
        (None, None, FileUnreadable),
        ("[cong-truoc", None, FileUnreadable),
        ("", None, ZonesOfWhom),
        ("[cong]\n[san]\n", None, ZonesOfWhom),
        ("[cong]\n[san]\n", "nha", ZonesOfWhom),
        ("[cong.ignore]\nduong = [[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]]", None, ZoneShape),
        ("[cong.ignored]\n", "cong", ZoneRule),
    ],
)
def test_zones_that_cannot_be_heeded_are_refused_before_anything_is_played(
    fresh_home: Path, content: str | None, camera: str | None, error: type[NeedsFixing]
) -> None:
    zones = fresh_home / "zones.toml"
    if content is not None:
        zones.write_text(content)
    with pytest.raises(error) as refused:
        replay(fresh_home / "no-such-clip.avi", zones=zones, camera=camera)
    assert str(zones) in refused.value.what()
    assert refused.value.hint()


def test_at_the_terminal_bad_zones_are_two_lines_and_the_cameras_there_are_named(fresh_home: Path) -> None:
    zones = fresh_home / "zones.toml"
    zones.write_text("[cong-truoc]\n[san-sau]\n")
    agent = str(Path(sys.executable).with_name("agent"))
    done = subprocess.run(
        [agent, "replay", "clip.avi", "--zones", str(zones)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert len(said) == 2
    assert "cong-truoc, san-sau" in said[0]
    assert "--camera cong-truoc" in said[1]
