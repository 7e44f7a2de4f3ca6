"""Which part of a camera's picture concerns us, and which objects are too small or too unsure to tell?

What counts is the foot of an object, the middle of its lower edge: where it stands on the ground, not
what it covers. Inside an ignored zone nothing begins; where there are zones to enter, an object must
have set foot in one of them before anybody is told. What was once told is told to its end, wherever it
goes: one passage stays one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.geometry import Box
from shared.messages import Kind

Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Point = tuple[Part, Part]

_LEAST_AREA = 1e-4  # of the frame: 5 x 5 pixels of 640x360; smaller, and no foot will ever be in it


def area(points: Sequence[Point]) -> float:
    """Area of a polygon (the shoelace formula), as a part of the frame."""
    turned = (*points[1:], points[0])
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, turned, strict=True))) / 2


def _has_area(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if area(points) < _LEAST_AREA:
        message = "a zone without area"
        raise ValueError(message)
    return points


Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64), AfterValidator(_has_area)]
ZoneName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
Zones = Annotated[dict[ZoneName, Polygon], Field(max_length=16)]


class CameraZones(BaseModel):
    """One camera's rules, in fractions of its frame, origin top left; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    must_enter: Zones = Field(default_factory=dict)
    ignore: Zones = Field(default_factory=dict)
    min_height: Part = 0.0  # of the frame; lower objects are not told of
    min_score: dict[Kind, Part] = Field(default_factory=dict)  # of the median; for kinds not as usual

    def is_ignored(self, box: Box) -> bool:
        """Does it stand where nothing concerns us?"""
        return any(is_inside(foot(box), polygon) for polygon in self.ignore.values())

    def is_entered(self, box: Box) -> bool:
        """Does it stand where it must have been? Always, when no zone says so."""
        return self.is_entered_at(foot(box))

    def is_entered_at(self, point: tuple[float, float]) -> bool:
        """The same of a foot's place in the frame."""
        return not self.must_enter or any(is_inside(point, polygon) for polygon in self.must_enter.values())

    def is_tall_enough(self, box: Box) -> bool:
        return box.h >= self.min_height

    def least_score(self, kind: Kind, usual: Mapping[Kind, float]) -> float:
        return self.min_score.get(kind, usual[kind])


EVERYWHERE = CameraZones()


def foot(box: Box) -> tuple[float, float]:
    """Where it stands: the middle of the lower edge."""
    return box.x + box.w / 2, min(box.bottom, 1.0)


def is_inside(point: tuple[float, float], polygon: Sequence[Point]) -> bool:
    """Is the point in the polygon, its border included? (Even-odd rule.)"""
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if _is_between(point, (x0, y0), (x1, y1)):
            return True
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def _is_between(point: tuple[float, float], start: Point, end: Point) -> bool:
    """Does it lie on this side? A zone drawn to the frame's edge holds the feet that are cut there."""
    (x, y), (x0, y0), (x1, y1) = point, start, end
    off = abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    within = min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1)
    return within and off < 1e-9  # noqa: PLR2004 -- rounding, not a distance
