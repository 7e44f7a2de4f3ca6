"""What did this camera see on the day it was put up? The reference view, and the check against it.

`reference/CAMERA.png` in the agent's home: lossless, so that what was masked is exactly black in it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from agent.cameras import masks
from agent.cameras.masks import CameraMasks, LiveMasks
from agent.vision.frame import Frame, Image
from agent.vision.image_health import FINE, ImageHealth
from shared.disk import write_atomically

log = logging.getLogger(__name__)

_FOLDER = "reference"
_OWNER_ONLY = 0o600  # a picture of somebody's gate
PERIOD_S = 10.0  # a reading costs some milliseconds; nothing it looks for happens faster


def path(home: Path, camera: str) -> Path:
    return home / _FOLDER / f"{camera}.png"


def save(home: Path, camera: str, image: Image) -> None:
    """Keep a frame as the reference view, blacked out by the masks in force."""
    target = path(home, camera)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    written, png = cv2.imencode(".png", masks.blackened(image.copy(), masks.load(home, camera)))
    if not written:
        raise OSError(target)
    write_atomically(target, png.tobytes(), mode=_OWNER_ONLY)
    if os.geteuid() == 0:  # `sudo agent aim`: the agent's user must be able to read it
        owner = home.stat()
        for made in (target.parent, target):
            os.chown(made, owner.st_uid, owner.st_gid)


def load(home: Path, camera: str) -> Image | None:
    """Return the reference view, or None when none was taken or it cannot be read."""
    try:
        content = path(home, camera).read_bytes()
    except OSError:
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return cast(Image, image) if image is not None else None


def remove(home: Path, camera: str) -> None:
    path(home, camera).unlink(missing_ok=True)


def blacken(home: Path, camera: str) -> None:
    """A mask drawn later hides its part of the reference view as well."""
    image = load(home, camera)
    if image is not None:
        save(home, camera, image)


class ImageCheck:
    """Compares one camera's frames with its reference view; owned by the vision thread.

    `cause` may be read by any thread: a code of `agent.health`, or empty.
    """

    def __init__(self, home: Path, camera: str, live_masks: LiveMasks) -> None:
        self._home, self._camera, self._masks = home, camera, live_masks
        self._due_s = float("-inf")
        self._stamp: tuple[int, int] | None = None
        self._health: ImageHealth | None = None
        self._drawn: CameraMasks = masks.NONE
        self.cause = FINE

    def aim(self) -> str:
        """Tell one reference view from the next: what was remembered under another is void."""
        try:
            found = path(self._home, self._camera).stat()
        except OSError:
            return ""
        return str(found.st_mtime_ns)

    def look(self, frame: Frame) -> None:
        """Take a reading when one is due."""
        if frame.monotonic_s < self._due_s:
            return
        self._due_s = frame.monotonic_s + PERIOD_S
        drawn = self._masks.in_force()
        self._take_up(drawn)
        if self._health is None:
            return
        reading = self._health.look(frame.image, masks.covered(drawn, *frame.size))
        if self._health.cause != self.cause:
            log.warning(
                "camera picture",
                extra={
                    "camera": self._camera,
                    "cause": self._health.cause or "ok",
                    "was": self.cause or "ok",
                },
            )
            self.cause = self._health.cause
        log.debug("reading", extra={"camera": self._camera, "cause": reading.cause or "ok"})

    def _take_up(self, drawn: CameraMasks) -> None:
        """Begin anew when the installer has taken another reference view, or drawn other masks."""
        try:
            found = path(self._home, self._camera).stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = None
        if (stamp, drawn) == (self._stamp, self._drawn):
            return
        self._stamp, self._drawn = stamp, drawn
        image = load(self._home, self._camera) if stamp else None
        self._health = ImageHealth(image, _blacked_out(image)) if image is not None else None
        self.cause = FINE


def _blacked_out(reference: Image) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where was it masked when it was taken? Exactly black, over more than a codec leaves so."""
    black = (reference.max(axis=2) == 0).astype(np.uint8)
    return cast(
        "np.ndarray[tuple[int, int], np.dtype[np.bool_]]",
        cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8)).astype(np.bool_),
    )
