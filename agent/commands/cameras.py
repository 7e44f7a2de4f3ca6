"""`agent cameras add | list | remove | login`: which cameras this box watches, and with which login."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer
from pydantic import SecretStr
from rich.table import Table

from agent.cameras import credentials, register
from agent.cameras.credentials import Credential
from agent.cameras.discover import Candidate, discover, sweep
from agent.cameras.look import StreamFacts, look
from agent.cameras.onvif import Camera, VideoSource, know
from agent.cameras.register import CameraEntry
from agent.cameras.stream import StreamAddress, StreamRefused, StreamStalled, StreamUnreachable
from agent.commands.enroll import make_home
from agent.commands.run import is_running
from agent.settings import home
from shared.clock import SystemClock
from shared.errors import NeedsFixing, TryLater
from shared.terminal import out, say
from shared.texts import both, text

_USUAL_PORTS = (80, 8080, 8000, 8899, 2020)  # 2020: Tapo; 8899: Xiongmai and its many names
_ASKED_DIRECTLY_S = 1.0  # one host on the same network answers in milliseconds
_CLOCK_OFF_S = 2.0  # what a viewer notices when two recordings are laid side by side

app = typer.Typer(no_args_is_help=True)


class NoCameraFound(TryLater):
    key = "no-camera-found"


class CameraUnknown(NeedsFixing):
    key = "camera-unknown"


class LoginMissing(NeedsFixing):
    """Standard input ended before a user name and a password."""

    key = "login-missing"


@app.command(help=both("help.cameras.add"))
def add(
    address: Annotated[str, typer.Argument(help=both("help.cameras.address"))] = "",
) -> None:
    folder = home()
    make_home(folder)
    chosen = [_candidate_at(address)] if address else _chosen(folder)
    login = _ask_login()
    for candidate in chosen:
        _add_one(folder, candidate, login)
    if is_running(folder):
        say("cameras.restart")


@app.command("list", help=both("help.cameras.list"))
def list_cameras(
    *, as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False
) -> None:
    folder = home()
    entries = register.load(folder)
    logins = {entry.name: credentials.load(folder, entry.name) for entry in entries}
    if as_json:
        plain = [
            entry.model_dump(mode="json")
            | {
                "login": (login := logins[entry.name]) is not None,
                "login_refused": bool(login and login.refused),
            }
            for entry in entries
        ]
        out.print(json.dumps(plain, indent=2), markup=False)
        return
    if not entries:
        say("cameras.none")
        return
    table = Table(box=None, padding=(0, 2))
    for column in ("name", "model", "address", "login"):
        table.add_column(text(f"cameras.{column}"), overflow="fold")
    for entry in entries:
        maker = f"{entry.manufacturer} {entry.model}".strip()
        table.add_row(
            entry.name, maker, entry.detect_url, text(f"cameras.login-{_judge(logins[entry.name])}")
        )
    out.print(table)


@app.command(help=both("help.cameras.remove"))
def remove(name: Annotated[str, typer.Argument(help=both("help.cameras.name"))]) -> None:
    folder = home()
    entry = _entry(folder, name)
    register.save(folder, [other for other in register.load(folder) if other != entry])
    credentials.remove(folder, name)
    say("cameras.removed", name=name)


@app.command(help=both("help.cameras.login"))
def login(name: Annotated[str, typer.Argument(help=both("help.cameras.name"))]) -> None:
    """One try with what was typed; it is kept only if the camera takes it."""
    folder = home()
    entry = _entry(folder, name)
    typed = _ask_login()
    facts = look(entry.detect_address(typed), SystemClock())
    if typed:
        credentials.save(folder, name, typed)
    else:
        credentials.remove(folder, name)
    say("cameras.login-taken", name=name, stream=_written(facts))


def _candidate_at(typed: str) -> Candidate:
    """Understand `192.168.1.20`, `192.168.1.20:8080` or a whole ONVIF address; ask it who it is."""
    url = typed if "://" in typed else f"http://{typed}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host:
        raise NoCameraFound(where=typed)
    if parts.path.strip("/"):
        urls = [url]
    else:
        ports = (port,) if port else _USUAL_PORTS
        urls = [f"http://{host}:{number}/onvif/device_service" for number in ports]
    said = sweep([host], _ASKED_DIRECTLY_S)
    if not port:
        urls = [found for candidate in said for found in candidate.urls] + urls
    same = [candidate for candidate in said if set(candidate.urls) & set(urls)]
    endpoint = same[0].endpoint if len(same) == 1 else None
    return Candidate(host, endpoint, tuple(dict.fromkeys(urls)), same[0].name if same else "")


def _chosen(folder: Path) -> list[Candidate]:
    """Discover, and let the person say which; all new ones when there is nobody to ask."""
    say("cameras.searching")
    known = {entry.endpoint for entry in register.load(folder) if entry.endpoint}
    found = [candidate for candidate in discover() if candidate.endpoint not in known]
    if sys.stdin.isatty():
        found = [one for one in found if typer.confirm(_question(one), default=True)]
    if not found:
        raise NoCameraFound(where="multicast")
    return found


def _question(candidate: Candidate) -> str:
    about = " ".join(part for part in (candidate.name, candidate.hardware) if part) or "?"
    return text("cameras.ask-add", None, address=candidate.sender, about=about)


def _ask_login() -> Credential | None:
    """Prompt, or two lines of standard input: never argv. No user name: a camera without a login."""
    if sys.stdin.isatty():
        username = typer.prompt(text("cameras.ask-user"), default="admin")
        password = typer.prompt(text("cameras.ask-password"), hide_input=True, default="", show_default=False)
    else:
        username, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
        if username and not password:
            raise LoginMissing
    return Credential(username, SecretStr(password)) if username else None


def _add_one(folder: Path, candidate: Candidate, login: Credential | None) -> None:
    """Know the camera, see its streams, and only then keep it and its login."""
    clock = SystemClock()
    camera = know(candidate.urls, login, clock)
    failure: StreamRefused | StreamStalled | StreamUnreachable | None = None
    added = 0
    for source in camera.sources:
        entry = _entry_of(folder, camera, source, candidate)
        try:
            facts = [look(address, clock) for address in _addresses(entry, login)]
        except (StreamRefused, StreamStalled, StreamUnreachable) as error:
            failure = error  # a recorder's channel without a camera
            continue
        entries = register.merged(register.load(folder), entry)
        kept = next(one for one in entries if one.is_same_camera(entry))
        if login:
            credentials.save(folder, kept.name, login)
        register.save(folder, entries)
        added += 1
        _show_added(kept, facts)
    if failure and not added:
        raise failure
    if failure:
        say("cameras.channels-left-out", channels=len(camera.sources) - added)


def _addresses(entry: CameraEntry, login: Credential | None) -> list[StreamAddress]:
    detect, picture = entry.detect_address(login), entry.picture_address(login)
    return [detect] if detect.url == picture.url else [detect, picture]


def _entry_of(folder: Path, camera: Camera, source: VideoSource, candidate: Candidate) -> CameraEntry:
    wish = camera.identity.name or candidate.name
    if len(camera.sources) > 1:
        wish = f"{wish or 'cam'}-{camera.sources.index(source) + 1}"
    endpoint: UUID | None = candidate.endpoint
    return CameraEntry(
        name=register.free_name(wish, (entry.name for entry in register.load(folder))),
        endpoint=endpoint,
        mac=camera.identity.mac,
        manufacturer=camera.identity.manufacturer,
        model=camera.identity.model,
        serial=camera.identity.serial,
        source=source.token,
        onvif_url=camera.url,
        detect_url=source.detect_url,
        picture_url=source.picture_url,
        clock_offset_s=camera.clock_offset_s,
    )


def _show_added(entry: CameraEntry, facts: list[StreamFacts]) -> None:
    say("cameras.added", name=entry.name, model=f"{entry.manufacturer} {entry.model}".strip() or "?")
    say("cameras.detect-stream", stream=_written(facts[0]))
    say("cameras.picture-stream", stream=_written(facts[-1]))
    if entry.clock_offset_s is not None and abs(entry.clock_offset_s) > _CLOCK_OFF_S:
        say("cameras.clock-off", seconds=round(entry.clock_offset_s))


def _written(facts: StreamFacts) -> str:
    return f"{facts.width}x{facts.height} {facts.codec} {facts.fps:g} fps"


def _entry(folder: Path, name: str) -> CameraEntry:
    entries = {entry.name: entry for entry in register.load(folder)}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1, cutoff=0.0)
        raise CameraUnknown(name=name, near=near[0] if near else "—")
    return entries[name]


def _judge(login: Credential | None) -> str:
    if login is None:
        return "none"
    return "refused" if login.refused else "kept"
