"""Where in the picture? Fractions of the frame, so that no size is ever forgotten on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions of the frame (0..1), origin top left.

    Raises ValueError when it is not inside the frame, so a bad box stops where it is made.
    """

    x: float
    y: float
    w: float
    h: float

    def __post_init__(self) -> None:
        inside = 0 <= self.x <= 1 and 0 <= self.y <= 1 and self.w >= 0 and self.h >= 0
        slack = 1e-3  # rounding to four decimals may add that much
        if not (inside and self.x + self.w <= 1 + slack and self.y + self.h <= 1 + slack):
            message = f"box outside the frame: {self.x}, {self.y}, {self.w}, {self.h}"
            raise ValueError(message)

    @classmethod
    def from_corners(cls, left: float, top: float, right: float, bottom: float) -> Box:
        """Clip corners (fractions, in any order of magnitude) to the frame."""
        x0, y0 = min(max(left, 0.0), 1.0), min(max(top, 0.0), 1.0)
        x1, y1 = min(max(right, x0), 1.0), min(max(bottom, y0), 1.0)
        return cls(x0, y0, x1 - x0, y1 - y0)

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def area(self) -> float:
        return self.w * self.h

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        w = min(self.right, other.right) - max(self.x, other.x)
        h = min(self.bottom, other.bottom) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        common = w * h
        union = self.area + other.area - common
        return min(common / union, 1.0) if union > 0 else 0.0  # boxes too small for a number have no area

    def rounded(self) -> Box:
        """Four decimals: a tenth of a pixel on a 1080p frame, and short on the wire."""
        x, y = round(self.x, 4), round(self.y, 4)
        return Box(x, y, round(min(self.w, 1 - x), 4), round(min(self.h, 1 - y), 4))
