"""How does a box get a new version, and its old one back? Standard library only: root runs this.

The updater is not part of the version it replaces: a copy of this folder, run by Debian's Python, so
that nothing in a broken version can stop the return to the one before.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agent.update.runner import BUNDLE, REQUEST, SIGNED


def request(home: Path, package: Path, signed: bytes) -> None:
    """Put an update down for root's updater, which judges it; `signed` is what came beside the package.

    For the agent's user. The last file is the one systemd waits for. Raises OSError.
    """
    folder = home / "update"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / REQUEST).unlink(missing_ok=True)
    if package != folder / BUNDLE:
        shutil.copyfile(package, folder / BUNDLE)
    (folder / SIGNED).write_bytes(signed)
    os.sync()
    (folder / REQUEST).touch()
