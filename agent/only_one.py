"""Does an `agent run` hold this folder? One at a time; the kernel lets go of the lock however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.disk import held
from shared.errors import NeedsFixing


class AlreadyRunning(NeedsFixing):
    """Two agents with one identity would throw each other off the broker."""

    key = "already-running"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder. Raises AlreadyRunning."""
    try:
        with held(folder / "run.lock"):
            yield
    except BlockingIOError as error:
        raise AlreadyRunning from error


def is_running(folder: Path) -> bool:
    """True while an `agent run` holds the lock of this folder."""
    try:
        with only_one(folder):
            return False
    except AlreadyRunning:
        return True
    except OSError:
        return False
