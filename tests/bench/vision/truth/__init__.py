"""What did really happen in a clip? Objects labelled by hand, and where each was at any second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.geometry import Box
from shared.messages import Kind

_FOLDER = Path(__file__).resolve().parent
TALL = 0.08  # of the frame's height: objects that the goals speak of


@dataclass(frozen=True, slots=True)
class Labelled:
    """One object in one clip; key points are (second, box), linear between."""

    name: str
    kind: Kind
    points: tuple[tuple[float, Box], ...]
    moves: bool
    judged: bool  # False: an event of it is neither right nor wrong (a passenger, a reflection)

    @property
    def first_s(self) -> float:
        return self.points[0][0]

    @property
    def last_s(self) -> float:
        return self.points[-1][0]

    @property
    def is_tall(self) -> bool:
        return max(box.h for _, box in self.points) > TALL

    def at(self, second: float) -> Box | None:
        """Where it is then; None: not in view."""
        if not self.first_s <= second <= self.last_s:
            return None
        for (a_s, a), (b_s, b) in pairwise(self.points):
            if a_s <= second <= b_s:
                part = (second - a_s) / max(b_s - a_s, 1e-6)
                x, y, right, bottom = (
                    one + (other - one) * part
                    for one, other in ((a.x, b.x), (a.y, b.y), (a.right, b.right), (a.bottom, b.bottom))
                )
                return Box.from_corners(x, y, right, bottom)
        return self.points[0][1]


@dataclass(frozen=True, slots=True)
class Truth:
    """A clip's objects."""

    clip: str
    seconds: float
    objects: tuple[Labelled, ...]


def truth_path(clip: str) -> Path:
    return _FOLDER / f"{clip}.json"


def load_truth(clip: str) -> Truth:
    """By the clip's file name without its ending."""
    told = json.loads(truth_path(clip).read_text())
    return Truth(told["clip"], told["seconds"], tuple(_labelled(entry) for entry in told["objects"]))


def _labelled(entry: dict[str, Any]) -> Labelled:
    points = tuple(
        (float(s), Box.from_corners(x, y, right, bottom)) for s, x, y, right, bottom in entry["points"]
    )
    return Labelled(
        entry["name"], Kind(entry["kind"]), points, entry["moves"], judged=entry.get("judged", True)
    )
