"""`agent cameras add | list | remove | login`: which cameras this box watches, and with which login."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.table import Table

from agent import zone_file
from agent.cameras import adding, credentials, guard, masks, reference, register
from agent.cameras.adding import Added
from agent.cameras.brands import Brand, judge
from agent.cameras.credentials import Credential
from agent.cameras.discover import Candidate, sweep
from agent.cameras.identity import mac_of_neighbour
from agent.cameras.look import StreamFacts, look
from agent.cameras.register import CameraEntry, Entries
from agent.cameras.search import State, search
from agent.cameras.stream import WrongPassword
from agent.commands.enroll import make_home
from agent.only_one import is_running
from agent.settings import home
from shared.clock import SystemClock
from shared.errors import NeedsFixing, TryLater
from shared.terminal import out, say
from shared.texts import both, chosen_language, text

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


class SomeNotAdded(NeedsFixing):
    """Each has said why already."""

    key = "some-not-added"


@app.command(help=both("help.cameras.add"))
def add(
    address: Annotated[str, typer.Argument(help=both("help.cameras.address"))] = "",
) -> None:
    folder = home()
    make_home(folder)
    if address:
        _show_added(adding.add(folder, _candidate_at(address), _ask_login(), SystemClock()))
    else:
        _add_found(folder)
    if is_running(folder):
        say("cameras.restart")


@app.command("list", help=both("help.cameras.list"))
def list_cameras(
    *, as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False
) -> None:
    folder = home()
    entries = register.load(folder)
    logins = {entry.name: credentials.load(folder, entry.login_name) for entry in entries}
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
def remove(names: Annotated[list[str], typer.Argument(help=both("help.cameras.name"))]) -> None:
    folder = home()
    for entry in [entry_of(folder, name) for name in names]:
        _remove_one(folder, entry)
        say("cameras.removed", name=entry.name)


@app.command(help=both("help.cameras.login"))
def login(name: Annotated[str, typer.Argument(help=both("help.cameras.name"))]) -> None:
    """One try with what was typed; it is kept only if the camera takes it. A recorder's channels share it."""
    folder = home()
    entry = entry_of(folder, name)
    typed = _ask_login()
    facts = look(guard.detect_address(entry, typed, SystemClock()), SystemClock())
    if typed:
        credentials.save(folder, entry.login_name, typed)
    else:
        credentials.remove(folder, entry.login_name)
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


def _add_found(folder: Path) -> None:
    """Discover, and add one after the other: one that fails does not keep the next from being asked."""
    say("cameras.searching")
    entries = register.load(folder)
    known = {entry.endpoint for entry in entries if entry.endpoint} | {entry.onvif_url for entry in entries}
    everybody = search()
    found = [
        one.candidate
        for one in everybody
        if one.state is State.ONVIF and (one.candidate.endpoint or one.candidate.urls[0]) not in known
    ]
    for one in everybody:
        if one.needs_a_switch:
            say("discover.switch", address=one.candidate.sender, hint=text(f"discover.hint.{one.brand}"))
    if not found:
        raise NoCameraFound(where="multicast")
    logins = _Logins()
    failed = 0
    for candidate in found:
        if not sys.stdin.isatty() or typer.confirm(_question(candidate), default=True):
            failed += not _add_one(folder, candidate, logins)
    if failed:
        raise SomeNotAdded(count=failed)


def _add_one(folder: Path, candidate: Candidate, logins: _Logins) -> bool:
    """Add one that was found; a refused password may be typed again, by a person only."""
    while True:
        login = logins.ask(candidate)
        try:
            _show_added(adding.add(folder, candidate, login, SystemClock()))
        except (NeedsFixing, TryLater) as failure:
            say("cameras.not-added", address=candidate.sender, what=failure.what(chosen_language()))
            out.print(f"  → {failure.hint(chosen_language())}", markup=False)
            if not (isinstance(failure, WrongPassword) and sys.stdin.isatty()):
                return False
            if not typer.confirm(text("cameras.ask-again"), default=False):
                return False
        else:
            logins.took(candidate, login)
            return True


class _Logins:
    """What was typed in this run: cameras of one brand in one house often share a login."""

    def __init__(self) -> None:
        self._by_brand: dict[str, Credential | None] = {}
        self._piped: Credential | None = None if sys.stdin.isatty() else _ask_login()

    def ask(self, candidate: Candidate) -> Credential | None:
        if not sys.stdin.isatty():
            return self._piped and Credential(self._piped.username, self._piped.password)
        before = self._by_brand.pop(_brand(candidate), None)
        if before and typer.confirm(text("cameras.ask-same", None, user=before.username), default=True):
            return Credential(before.username, before.password)
        return _ask_login()

    def took(self, candidate: Candidate, login: Credential | None) -> None:
        self._by_brand[_brand(candidate)] = login


def _brand(candidate: Candidate) -> str:
    """By the maker of its network chip, else by how its model begins: DS-2CD…, IPC-HDW…"""
    brand = judge(mac_of_neighbour(candidate.sender)).brand
    if brand is not Brand.UNKNOWN:
        return brand.value
    return (candidate.hardware or candidate.name).lower().replace("-", " ").partition(" ")[0]


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


def _show_added(added: tuple[Added, ...]) -> None:
    for one in added:
        entry = one.entry
        if one.failure:
            say("cameras.channel-dead", name=entry.name, what=one.failure.what(chosen_language()))
            continue
        say("cameras.added", name=entry.name, model=f"{entry.manufacturer} {entry.model}".strip() or "?")
        say("cameras.detect-stream", stream=_written(one.facts[0]))
        say("cameras.picture-stream", stream=_written(one.facts[-1]))
        if one.replaced:
            say("cameras.replaced", name=entry.name)
        if entry.clock_offset_s is not None and abs(entry.clock_offset_s) > _CLOCK_OFF_S:
            say("cameras.clock-off", seconds=round(entry.clock_offset_s))
    if dead := [one.entry.name for one in added if one.failure]:
        say("cameras.channels-dead", names=" ".join(dead))


def _remove_one(folder: Path, gone: CameraEntry) -> None:
    """The rest of a recorder keeps the login the channels share, under a name that stays."""
    left = [entry for entry in register.load(folder) if entry.name != gone.name]
    heirs = [entry.name for entry in left if entry.login_name == gone.login_name]

    def edit(entries: Entries) -> Entries:
        return tuple(
            entry.model_copy(update={"login": None if entry.name == heirs[0] else heirs[0]})
            if gone.login is None and entry.name in heirs
            else entry
            for entry in entries
            if entry.name != gone.name
        )

    register.change(folder, edit)
    masks.remove(folder, gone.name)
    reference.remove(folder, gone.name)
    zone_file.remove(folder, gone.name)
    if not heirs:
        credentials.remove(folder, gone.login_name)
    elif gone.login is None:
        credentials.rename(folder, gone.name, heirs[0])


def _written(facts: StreamFacts) -> str:
    return f"{facts.width}x{facts.height} {facts.codec} {facts.fps:g} fps"


def entry_of(folder: Path, name: str) -> CameraEntry:
    entries = {entry.name: entry for entry in register.load(folder)}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1, cutoff=0.0)
        raise CameraUnknown(name=name, near=near[0] if near else "—")
    return entries[name]


def _judge(login: Credential | None) -> str:
    if login is None:
        return "none"
    return "refused" if login.refused else "kept"
