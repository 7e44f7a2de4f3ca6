"""Does the eye still tell of those who walk through the demo's clip, and can one look at what it saw?"""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import av
import numpy as np
import pytest
from uuid6 import uuid7

from agent.cameras.replay import VideoFile
from agent.draw import DrawnVideo, VideoUnwritable
from agent.vision.pipeline import Pipeline, Tuning
from tests.bench.vision.events import READING, frames_of, judge, told_of
from tests.bench.vision.truth import load_truth
from tests.fakes import NOON
from tests.models import best_available_model


def test_the_eye_tells_of_who_was_there_and_of_nobody_else(street_clip: Path, tmp_path: Path) -> None:
    """Measured: 10 of 10, none false, 1.1 events each. One less is the tolerance for another model."""
    truth = load_truth("vtest")
    score = judge(truth, told_of(frames_of(street_clip, truth.seconds), best_available_model(tmp_path)))
    assert score.expected == 10
    assert score.found >= 9, score.notes
    assert score.false <= 1, score.notes
    assert score.per_object <= 1.3, score.notes


def test_what_the_eye_saw_can_be_looked_at(street_clip: Path, tmp_path: Path) -> None:
    target, frames = tmp_path / "drawn.mp4", []
    pipeline = Pipeline("replay", "file", best_available_model(tmp_path), Tuning(), uuid7)
    video = VideoFile(street_clip, "file", NOON, sampled_fps=5)
    with DrawnVideo(target, 5.0) as drawn:
        for frame in takewhile(lambda frame: frame.monotonic_s < 4, video):
            glance = pipeline.glance(frame)
            assert glance is not None
            pipeline.look(glance, READING)
            frames.append(frame)
            drawn.add(glance, pipeline.live)
    with av.open(str(target)) as container:
        seen = [picture.to_ndarray(format="bgr24") for picture in container.decode(video=0)]
    assert len(seen) == len(frames)
    track, _ = pipeline.live[0]
    row, column = int(track.box.y * 576), int(track.box.centre[0] * 768)
    edge = np.s_[max(0, row - 1) : row + 2, column - 4 : column + 4]
    assert np.abs(seen[-1][edge].astype(int) - frames[-1].image[edge]).mean() > 25  # its box is there


def test_a_video_that_cannot_be_written_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(VideoUnwritable) as refused:
        DrawnVideo(tmp_path / "nowhere" / "drawn.mp4", 5.0)
    assert refused.value.hint()
