"""What does a Frigate say it has seen? Its events of MQTT and of its API, 0.13 to 0.18, as one plain record.

Read are kind, time, place and whether there is a picture. Names of faces (`sub_label`), number plates,
zones, speeds and everything else is not even looked at, so that it can be kept nowhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.geometry import Box
from shared.messages import Kind, PathPoint

MAX_PAYLOAD_BYTES = 64 * 1024  # measured: 3 kB, 4 at the most; a long path adds some
_ID = re.compile(r"[0-9]{9,11}\.[0-9]{1,9}-[a-z0-9]{2,16}")  # it becomes part of an address
_YEAR_2020_S, _YEAR_2100_S = 1_577_836_800.0, 4_102_444_800.0
_MAX_POINTS = 128  # DetectionEvent.path
_KINDS = {kind.value: kind for kind in Kind} | {"motorbike": Kind.MOTORCYCLE, "school_bus": Kind.BUS}

Size = tuple[int, int]


class FrigateGarbageError(ValueError):
    """Not one of Frigate's messages, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One of its events as known at one moment; times are its clock's, in seconds of the epoch."""

    key: str
    camera: str
    kind: Kind
    started_s: float
    seen_s: float
    ended: bool
    has_snapshot: bool
    box: Box | None  # in its snapshot
    path: tuple[PathPoint, ...] = ()


def from_mqtt(payload: bytes, sizes: Mapping[str, Size]) -> Sighting | None:
    """Read `frigate/events`; None: of no interest. `sizes`: what its cameras detect at, in pixels.

    Raises FrigateGarbageError.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        message = f"{len(payload)} bytes"
        raise FrigateGarbageError(message)
    try:
        whole = json.loads(payload)
        after, ended = whole["after"], whole["type"] == "end"
        if after.get("false_positive") is True:
            return None
        snapshot = after.get("snapshot") or {}
        corners = snapshot.get("box") or after.get("box")
        size = sizes.get(str(after["camera"]))
        box = _from_pixels(corners, size) if corners and size else None
        return _sighting(after, ended=ended or bool(after.get("end_time")), box=box)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise FrigateGarbageError(type(error).__name__) from None


def from_api(row: Any) -> Sighting | None:
    """Read one of `/api/events`; None: of no interest. Raises FrigateGarbageError."""
    try:
        if row.get("false_positive") is True:
            return None
        data = row.get("data") or {}
        if data.get("type", "object") != "object":
            return None  # a sound, or something a person filed by hand
        corners = data.get("box") or row.get("box")
        box = _from_fractions(corners) if corners else None
        return _sighting(row | {"path_data": data.get("path_data")}, ended=bool(row.get("end_time")), box=box)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FrigateGarbageError(type(error).__name__) from None


def _sighting(said: dict[str, Any], *, ended: bool, box: Box | None) -> Sighting | None:
    kind = _KINDS.get(said["label"]) if isinstance(said["label"], str) else None
    if kind is None:
        return None
    key = said["id"]
    if not _ID.fullmatch(key):
        message = "not an id"
        raise ValueError(message)
    started_s = _moment(said["start_time"])
    seen_s = _moment(said.get("end_time") or said.get("frame_time") or started_s)
    path = _path(said.get("path_data") or (), started_s)
    return Sighting(
        key, str(said["camera"]), kind, started_s, max(seen_s, started_s), ended,
        said.get("has_snapshot") is True, box, path,
    )  # fmt: skip


def _moment(value: Any) -> float:
    moment = float(value)
    if not _YEAR_2020_S < moment < _YEAR_2100_S:  # also refuses NaN
        message = "not a time"
        raise ValueError(message)
    return moment


def _from_pixels(corners: Any, size: Size) -> Box:
    left, top, right, bottom = (_finite(value) for value in corners)
    return Box.from_corners(left / size[0], top / size[1], right / size[0], bottom / size[1])


def _from_fractions(corners: Any) -> Box:
    x, y, w, h = (_finite(value) for value in corners)
    return Box.from_corners(x, y, x + w, y + h)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        message = "not a number"
        raise ValueError(message)
    return number


def _path(points: Any, started_s: float) -> tuple[PathPoint, ...]:
    """`[[[x, y], time], ...]` since 0.16; thinned to what an event may carry."""
    step = max(1, math.ceil(len(points) / _MAX_POINTS))
    path = []
    for (x, y), moment in points[::step]:
        t = max(_finite(moment) - started_s, 0.0)
        path.append(PathPoint(t=round(t, 2), x=_part(x), y=_part(y)))
    return tuple(path)


def _part(value: Any) -> float:
    return round(min(max(_finite(value), 0.0), 1.0), 4)
