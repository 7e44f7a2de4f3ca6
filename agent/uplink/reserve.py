"""What keeps a full disk from being the end? A file that can be given up, so that there is room to tidy.

SQLite needs room even to delete. Two megabytes, written at the start, are given up when a write
fails: enough to drop old pictures, whose pages then serve for new events.
"""

from __future__ import annotations

import os
from pathlib import Path

_SIZE_BYTES = 2_000_000  # the write-ahead log at its largest, twice


class Reserve:
    """One file beside the outbox."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def give_up(self) -> None:
        self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Make it again if there is room; if there is none, the next start tries again."""
        if self._path.exists():
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _SIZE_BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)
