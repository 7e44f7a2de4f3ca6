"""What did the eye see? A video with its boxes, tracks, events and the state of its gate drawn in.

Grey: followed, not told. Coloured by track: told, with the last letters of the event's id, as `agent
replay` prints it. Thin: where something moved. The strip above says whether the gate was open. A dark
zone is ignored, a bright one must be entered; the bar at the left is the least height of an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast
from uuid import UUID

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from agent.vision.frame import Image
from agent.vision.pipeline import Glance
from agent.vision.track import Track
from agent.vision.zones import EVERYWHERE, CameraZones, Point
from shared.errors import NeedsFixing
from shared.geometry import Box

_GREY: Final = (170, 170, 170)
_REGION: Final = (120, 200, 255)
_COLOURS: Final = ((80, 220, 80), (60, 160, 255), (255, 160, 60), (220, 90, 220), (80, 220, 220))
_ENTER: Final = (90, 230, 90)
_IGNORE: Final = (60, 60, 230)
_SHADE: Final = 0.5  # of the light is left in an ignored zone: who passes there must still be seen
_LEAST_WIDTH: Final = 640  # pixels: letters must be legible
_TRAIL: Final = 60  # feet: twelve seconds at five pictures a second
_CLOCK: Final = Fraction(1, 1000)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX  # has ASCII only, so no text from the catalogue here


class VideoUnwritable(NeedsFixing):
    """No such folder, no right to write, or an ending no container is known by."""

    key = "video-unwritable"


class DrawnVideo:
    """Use as a context: `add` each frame the pipeline saw; the file is whole after the end."""

    def __init__(self, path: Path, fps: float, zones: CameraZones = EVERYWHERE) -> None:
        self._path = path
        self._zones = zones
        self._rate = Fraction(fps).limit_denominator(100)
        self._stream: VideoStream | None = None
        self._trails: dict[int, list[tuple[float, float]]] = {}
        self._zero_s = 0.0
        try:
            path.open("wb").close()  # FFmpeg would only say at the first picture that it cannot
            self._container = av.open(str(path), "w")
        except (OSError, ValueError, FFmpegError) as error:
            raise VideoUnwritable(path=path, reason=error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, glance: Glance, live: tuple[tuple[Track, UUID | None], ...]) -> None:
        """Draw one frame."""
        frame = glance.frame
        scale = max(1.0, _LEAST_WIDTH / frame.size[0])
        width, height = (int(side * scale) // 2 * 2 for side in frame.size)  # even, as yuv420p wants it
        picture: Image = np.asarray(cv2.resize(frame.image, (width, height)), np.uint8).copy()
        _draw_zones(picture, self._zones)
        for region in glance.motion.regions:
            _rectangle(picture, region, _REGION, 1)
        for track, event_id in live:
            self._draw_track(picture, track, event_id)
        if self._stream is None:
            self._zero_s = frame.monotonic_s
            self._stream = self._opened(width, height)
        gate = "open" if glance.motion.moved else "shut"
        looked = "looked" if glance.wanted else "-"
        at_s = frame.monotonic_s - self._zero_s
        _text(picture, f"{at_s:7.1f} s  gate {gate}  {looked}", (6, 16), (255, 255, 255))
        drawn = VideoFrame.from_ndarray(picture, format="bgr24")
        drawn.pts, drawn.time_base = round(at_s / _CLOCK), _CLOCK
        self._container.mux(self._stream.encode(drawn))

    def _draw_track(self, picture: Image, track: Track, event_id: UUID | None) -> None:
        colour = _COLOURS[track.number % len(_COLOURS)] if event_id else _GREY
        trail = self._trails.setdefault(track.number, [])
        trail.append((track.box.centre[0], track.box.bottom))
        del trail[:-_TRAIL]
        height, width = picture.shape[:2]
        points = np.array([[x * width, y * height] for x, y in trail], np.int32)
        cv2.polylines(picture, [points], isClosed=False, color=colour, thickness=1)
        _rectangle(picture, track.box, colour, 1 if track.missed else 2)
        name = f"{track.number} {track.kind} {track.score:.2f}"
        if event_id:
            name += f" {str(event_id)[-6:]}"
        _text(picture, name, (int(track.box.x * width), max(28, int(track.box.y * height) - 4)), colour)

    def _opened(self, width: int, height: int) -> VideoStream:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = cast(VideoStream, self._container.add_stream(codec, rate=self._rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        stream.bit_rate = 2_000_000
        return stream


def _draw_zones(picture: Image, zones: CameraZones) -> None:
    height, width = picture.shape[:2]
    ignored = [_pixels(polygon, width, height) for polygon in zones.ignore.values()]
    if ignored:
        shade = np.zeros((height, width), np.uint8)
        for points in ignored:  # one by one: where two overlap they would cancel each other
            cv2.fillPoly(shade, [points], 255)
        picture[shade > 0] = picture[shade > 0] * _SHADE
    for table, colour in ((zones.ignore, _IGNORE), (zones.must_enter, _ENTER)):
        for name, polygon in table.items():
            points = _pixels(polygon, width, height)
            cv2.polylines(picture, [points], isClosed=True, color=colour, thickness=2)
            left, top = points[:, 0].min(), points[:, 1].min()
            _text(picture, name, (int(left) + 4, max(int(top) + 14, 32)), colour)
    if zones.min_height:
        bottom = height - 6
        top = bottom - round(zones.min_height * height)
        cv2.line(picture, (6, bottom), (6, top), _ENTER, 3)


def _pixels(polygon: Sequence[Point], width: int, height: int) -> NDArray[np.int32]:
    return np.array([[x * (width - 1), y * (height - 1)] for x, y in polygon]).round().astype(np.int32)


def _rectangle(picture: Image, box: Box, colour: tuple[int, int, int], thickness: int) -> None:
    height, width = picture.shape[:2]
    near = int(box.x * width), int(box.y * height)
    cv2.rectangle(picture, near, (int(box.right * width), int(box.bottom * height)), colour, thickness)


def _text(picture: Image, words: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, words, at, _FONT, 0.42, (0, 0, 0), 3, cv2.LINE_AA)  # an edge, legible on white
    cv2.putText(picture, words, at, _FONT, 0.42, colour, 1, cv2.LINE_AA)
