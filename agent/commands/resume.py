"""`agent resume [CAMERA]`: look again; the household's own pause ends, a station's does not."""

from __future__ import annotations

from typing import Annotated

import typer

from agent import pauses
from agent.commands.pause import known, names
from agent.pauses import Whose
from agent.settings import home
from shared.clock import SystemClock
from shared.terminal import say
from shared.texts import both


def resume(camera: Annotated[str, typer.Argument(help=both("help.pause.camera"))] = "") -> None:
    folder, now = home(), SystemClock().now()
    known(folder, camera)
    everybody = names(folder)
    pauses.change(folder, Whose.HOUSEHOLD, lambda before: before.resumed(camera or None, everybody, now))
    say("pause.resumed-camera" if camera else "pause.resumed", camera=camera)
