"""What if a video file were a camera? Its frames, in order, with the times a camera would have given.

The file's first picture is taken at `starts_at`; the others follow by the file's own clock, so that
the same file always tells the same story, however fast the machine reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import av
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from agent.cameras.rtsp import Sampler
from agent.vision.frame import Frame, Image
from shared.clock import Clock
from shared.errors import NeedsFixing


class VideoUnreadable(NeedsFixing):
    """No file, no video in it, or none that FFmpeg can read."""

    key = "video-unreadable"


class VideoFile:
    """Iterate over it for the sampled frames; each iteration plays it from the start.

    `pace`: wait until each frame is due on this clock, as a camera makes one wait; None: at once.
    """

    def __init__(
        self, path: Path, camera: str, starts_at: datetime, *, sampled_fps: float, pace: Clock | None = None
    ) -> None:
        self._path = path
        self._camera = camera
        self._starts_at = starts_at
        self._sampled_fps = sampled_fps
        self._pace = pace

    def __iter__(self) -> Iterator[Frame]:
        """Raises VideoUnreadable; a file damaged further on ends where the damage begins."""
        sampler, convert = Sampler(self._sampled_fps), VideoReformatter()
        zero_s = self._pace.monotonic() if self._pace else 0.0
        for picture, at_s in self._pictures():
            if not sampler.wants(at_s):
                continue
            if self._pace:
                self._pace.sleep(max(0.0, zero_s + at_s - self._pace.monotonic()))
            image = cast(Image, convert.reformat(picture, format="bgr24").to_ndarray())
            yield Frame(self._camera, image, self._starts_at + timedelta(seconds=at_s), zero_s + at_s)

    def _pictures(self) -> Iterator[tuple[VideoFrame, float]]:
        """Decode; seconds count from the first picture, and never run backwards."""
        first_s: float | None = None
        newest_s = -1.0
        try:
            with av.open(str(self._path)) as container:
                for picture in container.decode(_video(container.streams.video, self._path)):
                    if picture.pts is None:
                        continue
                    first_s = picture.time if first_s is None else first_s
                    if picture.time - first_s > newest_s:
                        newest_s = picture.time - first_s
                        yield picture, newest_s
        except (OSError, av.FFmpegError) as error:
            if first_s is None:
                raise VideoUnreadable(path=self._path, reason=error.strerror or error) from error


def _video(streams: tuple[VideoStream, ...], path: Path) -> VideoStream:
    if not streams:
        raise VideoUnreadable(path=path, reason="no video stream")
    streams[0].codec_context.thread_count = 1  # as a camera's stream is read; several would only share cores
    return streams[0]
