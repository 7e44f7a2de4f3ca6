"""What does the camera see? A video encoded once beforehand, so that playing it costs almost nothing."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / ".build" / "clips"
GOP_S = 2  # what most cameras are shipped with
MAIN_LIMIT, SUB_WIDTH = (1280, 720), 640
MAIN_FPS, SUB_FPS = Fraction(25), Fraction(10)
_RECIPE = "1"  # part of the cache's key: raise it when the encoding below changes


@dataclass(frozen=True)
class Sample:
    """One encoded picture: its NAL units, and when it is shown (seconds from the clip's start)."""

    nals: tuple[bytes, ...]
    time_s: float
    is_key: bool


@dataclass(frozen=True)
class Track:
    width: int
    height: int
    fps: float
    sps: bytes
    pps: bytes
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Clip:
    """Main and sub stream of the same scene, in step, and one still picture."""

    main: Track
    sub: Track
    duration_s: float
    snapshot: bytes


def prepare(
    video: Path, folder: Path = DEFAULT_FOLDER, progress: Callable[[float], None] = lambda _: None
) -> Clip:
    """Encode the video (once per content) into `folder`, and load it. `progress` hears 0..1."""
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(_RECIPE.encode() + video.read_bytes()).hexdigest()[:20]
    main, sub, still = (folder / f"{key}{end}" for end in ("-main.mp4", "-sub.mp4", ".jpg"))
    if not still.exists():  # written last: when it is there, all are
        _encode(video, main, sub, still, progress)
    progress(1.0)
    main_track = _load(main)
    return Clip(main_track, _load(sub), len(main_track.samples) / main_track.fps, still.read_bytes())


def _encode(
    video: Path, main_path: Path, sub_path: Path, still_path: Path, progress: Callable[[float], None]
) -> None:
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        rate = min(Fraction(stream.average_rate or 10), MAIN_FPS)
        expected = float((source.duration or 0) / av.time_base * rate) or 1.0
        size, sub_size = _fit(stream.width, stream.height, MAIN_LIMIT), None
        sub_size = _fit(*size, (SUB_WIDTH, size[1]))
        main = _Encoder(main_path, size, rate)
        sub = _Encoder(sub_path, sub_size, min(rate, SUB_FPS))
        for number, frame in enumerate(_at_rate(source.decode(stream), rate)):
            main.add(frame, number)
            slot = int(number * sub.rate / rate)
            if number == 0 or slot > int((number - 1) * sub.rate / rate):
                sub.add(frame, slot)
            if number == 0:
                still = _jpeg(frame, size)
            if number % 20 == 0:
                progress(min(number / expected, 0.99))
    main.close()
    sub.close()
    _publish(still, still_path)


def _at_rate(frames: Iterator[VideoFrame], rate: Fraction) -> Iterator[VideoFrame]:
    """Leave frames out until no more than `rate` per second remain."""
    taken = -1
    for number, frame in enumerate(frames):
        seconds = frame.time if frame.time is not None else float(number / rate)
        slot = int(seconds * float(rate) + 0.5)
        if slot > taken:
            taken = slot
            yield frame


class _Encoder:
    """One H.264 file with a key frame every two seconds and no B-frames."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction) -> None:
        self.rate = rate
        self._path, self._partial = path, path.with_suffix(f".{os.getpid()}.part")
        self._container = av.open(str(self._partial), "w", format="mp4")
        self._stream = self._container.add_stream(
            "libx264",
            rate=rate,
            options={
                "preset": "veryfast",
                "crf": "23",
                "profile": "high",
                "x264-params": f"keyint={round(rate * GOP_S)}:min-keyint={round(rate * GOP_S)}"
                ":scenecut=0:bframes=0",
            },
        )
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = 1 / rate
        self._scale = VideoReformatter()

    def add(self, frame: VideoFrame, number: int) -> None:
        picture = self._scale.reformat(frame, self._stream.width, self._stream.height, "yuv420p")
        picture.pts, picture.time_base, picture.pict_type = number, 1 / self.rate, 0
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._partial.replace(self._path)


def _fit(width: int, height: int, limit: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, limit[0] / width, limit[1] / height)
    return int(width * scale) // 2 * 2, int(height * scale) // 2 * 2


def _jpeg(frame: VideoFrame, size: tuple[int, int]) -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 10)
    return b"".join(
        bytes(packet)
        for picture in (frame.reformat(*size, "yuvj420p"), None)
        for packet in encoder.encode(picture)
    )


def _publish(content: bytes, path: Path) -> None:
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(path)


def _load(path: Path) -> Track:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        sps, pps = _parameter_sets(bytes(stream.codec_context.extradata or b""))
        samples = tuple(
            Sample(tuple(_nals(bytes(packet))), float(packet.pts * packet.time_base), packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size
        )
        return Track(stream.width, stream.height, float(stream.average_rate), sps, pps, samples)


def _parameter_sets(avcc: bytes) -> tuple[bytes, bytes]:
    """SPS and PPS out of ISO/IEC 14496-15 5.3.3.1, one of each as x264 writes them."""
    sps_size = struct.unpack_from(">H", avcc, 6)[0]
    pps_at = 8 + sps_size + 1
    pps_size = struct.unpack_from(">H", avcc, pps_at)[0]
    return avcc[8 : 8 + sps_size], avcc[pps_at + 2 : pps_at + 2 + pps_size]


def _nals(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size = struct.unpack_from(">I", data, position)[0]
        yield data[position + 4 : position + 4 + size]
        position += 4 + size
