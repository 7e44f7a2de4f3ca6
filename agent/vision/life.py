"""What is remembered of one object that may be, or is, an event? Its tracks, its path, its best view.

Mostly that is one track. A rider and his two-wheeler are two tracks of one life.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from agent.vision.colour import ColourVote
from agent.vision.frame import Frame
from agent.vision.riders import TWO_WHEELS
from agent.vision.side import entry_side, exit_side
from agent.vision.track import Track
from agent.vision.view import View, better_view
from shared.geometry import Box
from shared.messages import Colour, DetectionEvent, Kind, PathPoint, Side

_MAX_POINTS = 128  # DetectionEvent.path
_SCORES_KEPT = 4096  # 14 minutes at 5 fps, 16 kB: more looks move no median
_WAY_S = 1.0  # of walking tells a direction; longer, and there may have been a turn
_WAY_KEPT = 31  # looks: a second at the highest rate of looking there is


@dataclass(slots=True)
class Life:
    """One object. Owned by `agent.vision.event.Events`, which alone knows what was told of it."""

    tracks: dict[int, Track]  # by number
    born_s: float
    started_at: datetime  # wall time of the first look; all later times are this plus monotonic time
    path_step: float
    first: Box
    seen_s: float
    stood: Box | None = None  # where he got off: he is told of once he has left there
    best: View | None = None  # none while it rests unseen: a picture is large
    told_box: Box | None = None  # of the best view
    path: list[PathPoint] = field(default_factory=list)
    scores: array[float] = field(
        default_factory=lambda: array("f")
    )  # a list of floats takes eight times as much
    entry: Side | None = None
    way: deque[tuple[float, Box]] = field(default_factory=lambda: deque(maxlen=_WAY_KEPT))
    is_entered: bool = False  # has set foot where the zones want it
    event_id: UUID | None = None  # none: not yet worth a message
    revision: int = 0
    told_s: float = 0.0
    told_kind: Kind | None = None
    told_score: float = 0.0  # of the view last sent
    told_colour: Colour = Colour.UNKNOWN  # before a restart
    colours: ColourVote | None = None  # none until there was a look good enough

    @classmethod
    def of(cls, track: Track, frame: Frame, path_step: float) -> Life:
        """Begin with a track just born."""
        return cls({track.number: track}, track.at_s, frame.captured_at, path_step, track.box, track.at_s)

    @classmethod
    def resumed(cls, track: Track, event: DetectionEvent, path_step: float, told_score: float) -> Life:
        """Go on with an event told of before a restart."""
        return cls(
            {track.number: track},
            track.born_s,
            event.started_at,
            path_step,
            event.box,
            track.seen_s,
            told_box=event.box,
            path=list(event.path),
            scores=array("f", [event.confidence]),
            entry=event.entry_side,
            is_entered=True,
            event_id=event.event_id,
            revision=event.revision + 1,
            told_s=track.seen_s,
            told_kind=event.kind,
            told_score=told_score,
            told_colour=event.colour or Colour.UNKNOWN,
        )

    @property
    def lead(self) -> Track:
        """The track that speaks for all: the one seen last, the two-wheeler before its rider."""
        return max(self.tracks.values(), key=lambda track: (track.seen_s, track.kind in TWO_WHEELS))

    @property
    def kind(self) -> Kind:
        """By vote; who rides is a two-wheeler even while only he is seen of it."""
        wheels = [track.kind for track in self.tracks.values() if track.kind in TWO_WHEELS]
        if wheels:
            return wheels[0]
        return self.told_kind if self.told_kind in TWO_WHEELS else self.lead.kind

    @property
    def is_seen(self) -> bool:
        """Was it found in this look?"""
        return any(not track.missed for track in self.tracks.values())

    @property
    def has_moved(self) -> bool:
        return any(track.moved for track in self.tracks.values())

    @property
    def box(self) -> Box:
        """Around all of it that was found when it was last seen."""
        boxes = [track.box for track in self.tracks.values() if track.seen_s >= self.seen_s]
        boxes = boxes or [self.lead.box]
        left, top = min(box.x for box in boxes), min(box.y for box in boxes)
        return Box.from_corners(left, top, max(b.right for b in boxes), max(b.bottom for b in boxes))

    @property
    def colour(self) -> Colour:
        """The word of its good looks, else the one told before a restart."""
        return self.colours.word if self.colours else self.told_colour

    def at(self, monotonic_s: float) -> datetime:
        return self.started_at + timedelta(seconds=max(0.0, monotonic_s - self.born_s))

    def see(self, frame: Frame) -> None:
        """Take in a look that found it."""
        track = self.lead
        self.seen_s = max(self.seen_s, track.seen_s)
        box = self.box
        if better := better_view(frame, box, track.scores[-1], self.best):
            self.best = better
            self.colours = self.colours or ColourVote(self.kind)
            self.colours.add(frame.image, box, self.kind)
        self.told_box = self.best.place if self.best else self.told_box
        if len(self.scores) < _SCORES_KEPT:
            self.scores.append(track.scores[-1])
        self.way.append((self.seen_s, box))
        if self.seen_s - self.born_s <= _WAY_S:
            self.entry = entry_side(self.first, box, self.seen_s - self.born_s)
        self._extend(box)

    def left_by(self) -> Side | None:
        """Where it was going when it was last seen; None: not seen since a restart."""
        if not self.way:
            return None
        last_s, last = self.way[-1]
        earlier_s, earlier = next((at_s, box) for at_s, box in self.way if last_s - at_s <= _WAY_S)
        return exit_side(earlier, last, last_s - earlier_s)

    def _extend(self, box: Box) -> None:
        """Add where the foot is now, if it has gone a step; thin the path when it is full."""
        x, y, t = box.centre[0], min(box.bottom, 1.0), max(self.seen_s - self.born_s, 0.0)
        point = PathPoint(t=round(t, 2), x=round(x, 4), y=round(y, 4))
        if self.path:
            last = self.path[-1]
            if max(abs(point.x - last.x), abs(point.y - last.y)) < self.path_step:
                return
        if len(self.path) >= _MAX_POINTS:
            self.path = self.path[::2]
            self.path_step *= 1.5
        self.path.append(point)
