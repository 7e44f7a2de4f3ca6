"""What does an installer who aims a camera see and save? The live picture, hints, masks, the reference view.

A connection of its own beside those of `agent run`; masks in force are black here as everywhere.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from agent.cameras import masks, reference
from agent.cameras.credentials import Credential
from agent.cameras.masks import CameraMasks, LiveMasks
from agent.cameras.pictures import MainPictures
from agent.cameras.reader import OK
from agent.cameras.register import CameraEntry
from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.vision.aim_hints import aim_hints
from agent.vision.frame import Frame, Image
from shared.clock import Clock
from shared.errors import TryLater

_FPS = 4.0  # what a person turns a camera by; the page asks for three
_FRESH_S = 3.0  # older than that, the camera is not showing anything now
_MAIN_PATIENCE_S = 10.0  # a key frame comes every two to four seconds, after connecting
_STEP_S = 0.1
_QUALITY = 80  # 40 kB of 640x360, three a second over the house's Wi-Fi


class NoPicture(TryLater):
    """The camera gives nothing to look at."""

    key = "no-picture"


class Aim:
    """One camera being aimed. Owns its stream; every method may be called from any thread."""

    def __init__(self, home: Path, entry: CameraEntry, credential: Credential | None, clock: Clock) -> None:
        """Raises FileUnreadable when the masks cannot be read."""
        self._home, self._entry, self._credential, self._clock = home, entry, credential, clock
        self._masks = LiveMasks(home, entry.name, clock)
        self._slot = FrameSlot()
        self._lock, self._main_lock = threading.Lock(), threading.Lock()
        self._newest: Frame | None = None
        self._stream = CameraStream(
            entry.name,
            entry.detect_address(credential),
            clock,
            slot=self._slot,
            sampled_fps=_FPS,
            masks=self._masks,
        )

    @property
    def name(self) -> str:
        return self._entry.name

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.stop()

    def picture(self, patience_s: float = _FRESH_S) -> Image:
        """Return what the camera shows now. Raises NoPicture with the cause."""
        with self._lock:
            is_fresh = self._newest and self._clock.monotonic() - self._newest.monotonic_s < 1 / _FPS
            self._newest = self._slot.take(0 if is_fresh else patience_s) or self._newest
            if self._newest and self._clock.monotonic() - self._newest.monotonic_s < _FRESH_S:
                return self._newest.image
        raise NoPicture(camera=self.name, cause=self.cause or "stalled")

    def main_picture(self) -> Image:
        """Return one picture of the main stream, opened for it alone: some cameras serve two streams only."""
        if self._entry.picture_url == self._entry.detect_url:
            return self.picture()
        with self._main_lock:
            address = self._entry.picture_address(self._credential)
            main = MainPictures(self.name, address, self._clock, self._masks)
            main.start()
            try:
                return self._first(main)
            finally:
                main.stop()

    @property
    def cause(self) -> str:
        """Why there is no picture, as a code of `agent.health`; empty when there is."""
        cause = self._stream.health(self._clock.monotonic()).cause
        return "" if cause == OK else cause

    def hints(self) -> tuple[str, ...]:
        return aim_hints(self.picture())

    def masks(self) -> CameraMasks:
        return masks.load(self._home, self.name)

    def save(self, drawn: CameraMasks | None = None) -> Image:
        """Keep these masks (None: those in force) and what the camera shows now; return the reference view.

        The masks are on disk before a picture is: a power cut between the two shows nobody anything.
        Raises NoPicture before it changes anything.
        """
        image = self.picture()
        if drawn is not None:
            masks.save(self._home, self.name, drawn)
        reference.save(self._home, self.name, image)
        return masks.blackened(image.copy(), self.masks())

    def _first(self, main: MainPictures) -> Image:
        deadline_s = self._clock.monotonic() + _MAIN_PATIENCE_S
        while self._clock.monotonic() < deadline_s:
            image = main.at(self._clock.monotonic())
            if image is not None:
                return image
            self._clock.sleep(_STEP_S)
        raise NoPicture(camera=self.name, cause=self.cause or "unreachable")


def jpeg(image: Image) -> bytes:
    """Encode for the page alone; nothing is kept of it."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
