"""What must nobody see? Polygons per camera, blacked out before anything else has the frame.

`masks.toml` in the agent's home, written by `agent aim`. A running agent takes a new one up within two
seconds. It stays on this box: no message carries a mask, and none can change one.

It fails shut: a file that turns unreadable, or is gone, leaves the masks in force that were in force.
"""

from __future__ import annotations

import logging
import threading
import tomllib
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.vision.frame import Image
from shared.clock import Clock
from shared.disk import write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.identity import CameraName

log = logging.getLogger(__name__)

FILE = "masks.toml"
_LOOK_S = 1.0  # how often the file's time is asked for; a person who saves looks up after two
_MARGIN = 0.004  # of the width, drawn around: a codec smears what lies on the border by some pixels

Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Point = tuple[Part, Part]


def _has_area(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Three points on a line hide nothing, and somebody would believe they do."""
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    if abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) < 1e-5:  # noqa: PLR2004 -- 2 pixels of 640x360
        message = "a mask without area"
        raise ValueError(message)
    return points


Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64), AfterValidator(_has_area)]
Polygons = Annotated[tuple[Polygon, ...], Field(max_length=32)]


class CameraMasks(BaseModel):
    """One camera's masks, in fractions of the frame, origin top left; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    polygons: Polygons = ()


_Tables = TypeAdapter(dict[CameraName, CameraMasks])
NONE = CameraMasks()


class MaskInvalid(NeedsFixing):
    """What was typed or drawn is no polygon inside the picture."""

    key = "mask-invalid"


def load(home: Path, camera: str) -> CameraMasks:
    """Return the camera's masks. Raises FileUnreadable: never "no masks" because a file is broken."""
    return _read(home).get(camera, NONE)


def save(home: Path, camera: str, masks: CameraMasks) -> None:
    """Replace the camera's masks. A camera without any keeps its table, so that the file stays."""
    tables = _read(home) | {camera: masks}
    plain = {name: table.model_dump(mode="json") for name, table in tables.items()}
    write_atomically(home / FILE, tomli_w.dumps(plain).encode())


def remove(home: Path, camera: str) -> None:
    """Forget a camera that is no longer here: the next of that name looks elsewhere."""
    tables = _read(home)
    if tables.pop(camera, None):
        plain = {name: table.model_dump(mode="json") for name, table in tables.items()}
        write_atomically(home / FILE, tomli_w.dumps(plain).encode())


def parsed(typed: str) -> Polygon:
    """Read "x,y x,y x,y". Raises MaskInvalid."""
    try:
        points = tuple(tuple(float(part) for part in point.split(",")) for point in typed.split())
        return TypeAdapter(Polygon).validate_python(points)
    except ValueError as error:  # pydantic's is one too
        raise MaskInvalid(mask=typed) from error


def blackened(image: Image, masks: CameraMasks) -> Image:
    """Return the picture with the masks black; in place where the picture lets itself be written to."""
    if not masks.polygons:
        return image
    whole = image if image.flags.writeable and image.flags.c_contiguous else image.copy()
    _fill(whole, masks, (0, 0, 0))
    return whole


def covered(masks: CameraMasks, width: int, height: int) -> NDArray[np.bool_]:
    """Return height x width: which pixels are black by us?"""
    ours = np.zeros((height, width), np.uint8)
    _fill(ours, masks, (1,))
    return ours.astype(np.bool_)


def _fill(image: Image, masks: CameraMasks, colour: tuple[int, ...]) -> None:
    height, width = image.shape[:2]
    margin = max(2, 2 * round(width * _MARGIN))
    for polygon in masks.polygons:
        points = np.round(np.array(polygon) * (width - 1, height - 1)).astype(np.int32)
        cv2.fillPoly(image, [points], colour)
        cv2.polylines(image, [points], isClosed=True, color=colour, thickness=margin)


class LiveMasks:
    """The masks in force for one camera, as the file has them now; for any thread."""

    def __init__(self, home: Path, camera: str, clock: Clock) -> None:
        """Raises FileUnreadable: an agent that cannot read its masks does not start."""
        self._home, self._camera, self._clock = home, camera, clock
        self._lock = threading.Lock()
        self._looked_s = clock.monotonic()
        self._stamp = _stamp(home)
        self._masks = load(home, camera)

    def blackened(self, image: Image) -> Image:
        return blackened(image, self.in_force())

    def in_force(self) -> CameraMasks:
        now_s = self._clock.monotonic()
        with self._lock:
            if now_s - self._looked_s >= _LOOK_S:
                self._looked_s = now_s
                self._look_again()
            return self._masks

    def _look_again(self) -> None:
        stamp = _stamp(self._home)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            log.warning("masks file gone; the masks stay", extra={"camera": self._camera})
            return
        try:
            masks = load(self._home, self._camera)
        except FileUnreadable as error:
            log.warning("masks stay as they were", extra={"camera": self._camera, "reason": error})
            return
        if masks != self._masks:
            self._masks = masks
            log.info("masks", extra={"camera": self._camera, "polygons": len(masks.polygons)})


def _stamp(home: Path) -> tuple[int, int, int] | None:
    try:
        found = (home / FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(home: Path) -> dict[str, CameraMasks]:
    path = home / FILE
    try:
        return _Tables.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FileUnreadable(path=path, reason=f"{where}: {first['msg']}") from error
