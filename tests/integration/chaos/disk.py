"""A small disk for a home or a station, that can be filled to the last byte. Root makes a tmpfs."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

_BLOCK = bytes(4096)


class Disk:
    """A folder; `can_fill` is false without root, for then it is part of everybody's disk."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.can_fill = os.geteuid() == 0
        if self.can_fill:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", folder], check=True)
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(_BLOCK)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.can_fill:
            subprocess.run(["umount", "-l", self.folder], check=False)
