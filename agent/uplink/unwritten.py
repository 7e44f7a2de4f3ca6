"""What waits in memory because the disk takes nothing? So much and no more; the rest is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.uplink.losses import Loss
from shared.clock import microseconds
from shared.messages import DetectionEvent, GapReason
from shared.topics import Channel

_MOST = 200  # 6 MB with their pictures: what memory may hold while the disk takes nothing

Pictures = Mapping[Channel, bytes]  # by what they show: the object in its surroundings, or alone


@dataclass(slots=True)
class Unwritten:
    """Oldest first; what is given up is a loss that the disk has not been told of either."""

    waiting: deque[tuple[DetectionEvent, Pictures]] = field(default_factory=deque)
    given_up: list[Loss] = field(default_factory=list)

    def remember(self, event: DetectionEvent, pictures: Pictures) -> None:
        self.waiting.append((event, pictures))
        if len(self.waiting) > _MOST:
            oldest, lost = self.waiting.popleft()
            at_us = microseconds(oldest.seen_at)
            self.given_up.append(Loss(GapReason.NOT_WRITTEN, 0, 0, 1, len(lost), at_us, at_us))

    def died_before(self, events: int, thumbnails: int) -> None:
        """The program before was ended while it held so many."""
        if events or thumbnails:
            self.given_up.append(Loss(GapReason.NOT_WRITTEN, 0, 0, events, thumbnails))

    def counts(self) -> tuple[int, int]:
        """Return how many events and pictures would die with the program."""
        events = len(self.waiting) + sum(loss.events for loss in self.given_up)
        pictures = sum(len(pictures) for _, pictures in self.waiting)
        return events, pictures + sum(loss.thumbnails for loss in self.given_up)
