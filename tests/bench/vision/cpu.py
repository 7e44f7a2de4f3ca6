"""What does a camera-minute cost, against the floor, and against a popular NVR's own pipeline?

    python -m tests.bench.vision.cpu [--model FILE] [--clip FILE] [--minutes 1]

A clip laid out so that people are in view a fifth of the time, encoded as a camera's sub-stream (640x360,
10 fps, H.264, a key frame every 2 s), goes through the agent's eye at 5 fps: decoding, gate, detector,
tracker, events, thumbnails. The floor is measured in the same run: decoding the same stream (every packet,
sampled pictures converted) plus the same detector on the same pictures, as often as the agent asked it.
CPU seconds of this process; each part twice and the lesser taken: a shared machine adds, never takes away.

The NVR's figure (Frigate 0.18, a file of 640x360 at 5 fps, YOLOX-nano 416 on a CPU of this kind) was 21 to
22 % of a core, on a synthetic clip with something in view most of its 90 s. To make conditions alike, the
same is asked with YOLOX-nano and with people in view all the time. The NVR did not see this clip, so its
recall here is not known.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
from uuid6 import uuid7

from agent.cameras.replay import VideoFile
from agent.detectors import open_model
from agent.heaps import share_heaps
from agent.vision.detect import Detection, Detector
from agent.vision.frame import Image
from agent.vision.pipeline import Pipeline, Tuning
from agent.vision.thumbnail import encode
from tests.bench.vision.events import READING
from tests.bench.vision.truth import load_truth
from tests.conftest import SHARED_DATA
from tests.fakes import NOON
from tests.models import best_available_model_path

NVR_S: Final = 12.9  # CPU seconds a camera-minute: 21.5 % of a core
YOLOX: Final = SHARED_DATA / "models/yolox_nano_416x416.onnx"
CLIP: Final = SHARED_DATA / "video/one-by-one-person-detection.mp4"
_FPS: Final = 10
_BUSY: Final = 12  # seconds of a minute with somebody in view: a fifth


class Asked:
    """A detector that remembers which pictures it was given."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.name = detector, detector.name
        self.images: list[Image] = []

    def detect(self, image: Image) -> list[Detection]:
        self.images.append(image)
        return self._detector.detect(image)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds, and what was got for them."""

    decode_s: float
    inference_s: float
    whole_s: float
    looks: int
    events: int


def sub_stream(clip: Path, target: Path, minutes: int, *, busy: bool) -> None:
    """Each minute: somebody in view for a fifth of it (or all of it), else nobody."""
    truth = load_truth(clip.stem)
    with av.open(str(clip)) as source:
        pictures = [(frame.time or 0.0, frame.to_ndarray(format="bgr24")) for frame in source.decode(video=0)]
    there = [image for at_s, image in pictures if any(o.at(at_s) for o in truth.objects)]
    nobody = [image for at_s, image in pictures if not any(o.at(at_s) for o in truth.objects)]
    nobody = nobody[10:40]  # one stretch before the first guest: a cut in it would be motion
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.bit_rate = 500_000
        stream.options = {"g": str(2 * _FPS), "bf": "0", "preset": "veryfast", "tune": "zerolatency"}
        for number in range(minutes * 60 * _FPS):
            minute, within = divmod(number, 60 * _FPS)
            guest = minute * _BUSY * _FPS + within - 20 * _FPS
            if busy:
                image = there[number % len(there)]
            elif 20 * _FPS <= within < (20 + _BUSY) * _FPS:
                image = there[guest % len(there)]
            else:
                step = number % (2 * len(nobody) - 2)  # there and back, so that it has no seam
                image = nobody[step if step < len(nobody) else 2 * len(nobody) - 2 - step]
            frame = av.VideoFrame.from_ndarray(cv2.resize(image, (640, 360)), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def measure(video: Path, detector: Detector) -> Cost:
    """The whole eye, then the two parts of the floor, in one run."""
    asked = Asked(detector)
    pipeline, ids = Pipeline("bench", "file", asked, Tuning(), uuid7), set()
    began_s = time.process_time()
    for frame in VideoFile(video, "file", NOON, sampled_fps=5):
        for told in pipeline.step(frame, READING):
            ids.add(told.event.event_id)
            if told.view:
                encode(told.view.image, told.view.box)
    pipeline.finish(READING)
    whole_s = time.process_time() - began_s
    began_s = time.process_time()
    for _ in VideoFile(video, "file", NOON, sampled_fps=5):
        pass
    decode_s = time.process_time() - began_s
    began_s = time.process_time()
    for image in asked.images:
        detector.detect(image)
    return Cost(decode_s, time.process_time() - began_s, whole_s, len(asked.images), len(ids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--minutes", type=int, default=1)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    share_heaps()  # as the agent does
    models = [asked.model] if asked.model else [best_available_model_path(), YOLOX]
    print(
        f"{'people in view':15} {'detector':34} {'looks':>6} {'events':>6} {'decode':>7} {'infer':>7}", end=""
    )
    print(f" {'whole':>7} {'/floor':>7} {'of a core':>9} {'/NVR':>6}   (CPU s per camera-minute)")
    with tempfile.TemporaryDirectory() as folder:
        for busy in (False, True):
            video = Path(folder) / f"sub-{busy}.mp4"
            sub_stream(asked.clip, video, asked.minutes, busy=busy)
            for model in models:
                _show("all the time" if busy else "a fifth", video, open_model(model), asked.minutes)


def _show(share: str, video: Path, detector: Detector, minutes: int) -> None:
    costs = [measure(video, detector) for _ in range(2)]
    decode_s = min(cost.decode_s for cost in costs) / minutes
    inference_s = min(cost.inference_s for cost in costs) / minutes
    whole_s = min(cost.whole_s for cost in costs) / minutes
    looks, events = costs[0].looks / minutes, costs[0].events
    row = f"{share:15} {detector.name:34} {looks:6.0f} {events:6} {decode_s:7.2f} {inference_s:7.2f}"
    ratio = whole_s / (decode_s + inference_s)
    print(f"{row} {whole_s:7.2f} {ratio:7.3f} {whole_s / 60:9.1%} {whole_s / NVR_S:6.2f}", flush=True)


if __name__ == "__main__":
    main()
