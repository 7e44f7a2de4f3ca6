"""How far had the outbox got, by a word outside its file? So that what the file forgot is not forgotten.

A broken file may not tell its last number; a card that lied about its last writes gives back a whole
file that is older than it was, and would number anew what the station has already; and what waits in
memory for a full disk dies with the program. One line beside the file, rewritten in place after each
change, says all three. It is not synced: a sync for each event would double the wear, and the kernel
writes it within half a minute. It needs no room on a full disk, for it never grows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SIZE_BYTES = 512  # one sector of a disk: written whole or not at all
_OTHERS_MOST = 12  # earlier lives that still have something to send; a card that breaks more often is dead


@dataclass(frozen=True, slots=True)
class Mark:
    """This life of the file and its next number; what is only in memory; earlier lives' next numbers."""

    instance: str = ""
    following: int = 0
    events: int = 0
    thumbnails: int = 0
    others: Mapping[str, int] = field(default_factory=dict)

    def ends(self) -> dict[str, int]:
        """Return the next number of each life that may still have something to lose."""
        return dict(self.others) | ({self.instance: self.following} if self.instance else {})


class MarkFile:
    """The line beside the outbox; a courtesy to the next start, so its own failures are none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mark:
        try:
            words = self._path.read_text(encoding="ascii").split()
            instance, following, events, thumbnails = (*words[:4], *("0",) * (4 - len(words[:4])))
            others = (word.split(":") for word in words[4:])
            return Mark(
                instance if words else "", int(following), int(events), int(thumbnails),
                {other: int(end) for other, end in others},
            )  # fmt: skip
        except (OSError, ValueError):
            return Mark()

    def write(self, mark: Mark) -> None:
        others = [f"{other}:{end}" for other, end in [*mark.others.items()][-_OTHERS_MOST:]]
        words = mark.instance, mark.following, mark.events, mark.thumbnails, *others
        line = " ".join(map(str, words)).ljust(_SIZE_BYTES - 1) + "\n"
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return
        try:
            os.pwrite(file, line.encode("ascii"), 0)
        except OSError:
            pass
        finally:
            os.close(file)
