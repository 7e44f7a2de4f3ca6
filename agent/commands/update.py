"""`agent update PACKAGE`: hand a signed version to root's updater, from a stick or a download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent import update as updates
from agent.settings import home
from agent.update.runner import Places
from agent.update.versions import Versions
from shared.errors import FileUnreadable
from shared.terminal import say
from shared.texts import both
from shared.update_manifest import LONGEST_BYTES, UnreadableError, split


def update(package: Annotated[Path, typer.Argument(help=both("help.agent.update-package"))]) -> None:
    signed = package.with_name(f"{package.name}.update")
    try:
        with signed.open("rb") as file:
            content = file.read(LONGEST_BYTES + 1)
        split(content)
        updates.request(home(), package, content)
    except (OSError, UnreadableError) as error:
        raise FileUnreadable(path=getattr(error, "filename", None) or signed, reason=error) from error
    versions = Versions(Places().versions)
    say("update.handed-in", version=versions.version_in(versions.current) or "?")
