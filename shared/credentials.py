"""Which secrets did systemd hand to this program? One file each in $CREDENTIALS_DIRECTORY.

The units name them with `LoadCredential=`; what was not put into a store is simply not there. systemd lets
the service's own user read them and nobody else: a file that everybody can read was not laid by it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from shared.errors import FileUnreadable, NeedsFixing

VARIABLE = "CREDENTIALS_DIRECTORY"
PREFIX = (
    "anninh_"  # as pydantic looks for the secret of a setting: the environment's prefix, in small letters
)


class CredentialExposed(NeedsFixing):
    """Everybody can read it, or somebody else could have written it."""

    key = "credential-exposed"


def folder() -> Path | None:
    """Return where systemd laid them; None: this program was not started with any."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and Path(named).is_dir() else None


def file(name: str) -> Path | None:
    """Return the file of one, or None where there is none. Raises CredentialExposed, FileUnreadable."""
    laid = folder()
    if laid is None:
        return None
    path = laid / (PREFIX + name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error
    # the group's bits are those of the access list by which systemd lets the user in
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise CredentialExposed(path=path, mode=f"{stat.S_IMODE(mode):04o}")
    return path
