"""`agent aim CAMERA`: turn it, mask what nobody must see, keep the reference view; beside `agent run`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import segno
import typer

from agent.cameras import credentials, masks, reference
from agent.cameras.aim import Aim
from agent.cameras.aim_server import AimServer
from agent.cameras.masks import CameraMasks
from agent.cameras.register import CameraEntry
from agent.commands.cameras import entry_of
from agent.only_one import is_running
from agent.settings import AgentSettings, home
from shared.clock import SystemClock
from shared.errors import TryLater
from shared.terminal import out, say
from shared.texts import both

_IDLE_S = 15 * 60.0  # the installer has gone home
_PATIENCE_S = 20.0  # connecting to a camera on bad Wi-Fi takes ten
_LINGER_S = 1.0  # the page shows what was saved before its server is gone


class AimIdle(TryLater):
    """Nobody looked for a quarter of an hour, so nothing was saved."""

    key = "aim-idle"


def aim(
    name: Annotated[str, typer.Argument(metavar="CAMERA", help=both("help.cameras.name"))],
    *,
    save: Annotated[bool, typer.Option("--save", help=both("help.aim.save"))] = False,
    mask: Annotated[list[str] | None, typer.Option("--mask", help=both("help.aim.mask"))] = None,
    clear_masks: Annotated[bool, typer.Option("--clear-masks", help=both("help.aim.clear-masks"))] = False,
    host: Annotated[str, typer.Option("--bind", help=both("help.aim.bind"))] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help=both("help.aim.port"))] = 0,
) -> None:
    folder = home()
    if mask or clear_masks:
        if not _is_frigates(folder, name):
            entry_of(folder, name)  # a mask for a name nobody has would hide nothing
        _draw(folder, name, mask or [], clear=clear_masks)
        if not save:
            return
    entry = entry_of(folder, name)
    if is_running(folder):
        say("aim.beside-run")
    with Aim(folder, entry, credentials.load(folder, name), SystemClock()) as session:
        session.picture(_PATIENCE_S)
        if not save:
            _serve(session, entry, host, port)
        else:
            for code in session.hints():
                say(f"aim.hint.{code}")
            session.save()
    say("aim.saved", camera=name, masks=len(masks.load(folder, name).polygons))


def _is_frigates(folder: Path, name: str) -> bool:
    """Frigate's cameras have no stream of ours to aim by, but masks hold for their pictures too."""
    frigate = AgentSettings.load(folder / "agent.toml").frigate
    return frigate is not None and name in frigate.cameras.values()


def _draw(folder: Path, name: str, typed: list[str], *, clear: bool) -> None:
    kept = () if clear else masks.load(folder, name).polygons
    drawn = CameraMasks(polygons=(*kept, *(masks.parsed(polygon) for polygon in typed)))
    masks.save(folder, name, drawn)
    reference.blacken(folder, name)
    say("aim.masks", camera=name, masks=len(drawn.polygons))


def _serve(session: Aim, entry: CameraEntry, host: str, port: int) -> None:
    """Show the page until it is saved. Ctrl-C ends it and changes nothing; so does nobody looking."""
    shown = host or _address_towards(entry.detect_address(None).host)
    with AimServer(session, SystemClock(), host or "0.0.0.0", port) as server:  # noqa: S104 -- for the LAN, on purpose
        url = server.url(shown)
        say("aim.open", url=url)
        if out.is_terminal:
            segno.make(url, error="m").terminal(compact=True)
        say("aim.end")
        while not server.saved.wait(1.0):
            if server.idle_s > _IDLE_S:
                raise AimIdle(minutes=round(_IDLE_S / 60))
        SystemClock().sleep(_LINGER_S)


def _address_towards(camera: str) -> str:
    """Which of our addresses does the camera's network know? Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((camera, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
