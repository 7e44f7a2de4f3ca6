"""`agent enroll URL`: the installer types one code; green means the station has kept a test message."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from uuid6 import uuid7

from agent.only_one import AlreadyRunning, is_running
from agent.settings import home
from agent.uplink import identity, machine, stick
from agent.uplink.enroll import StationAddress, obtain_papers
from agent.uplink.identity import Identity, NotEnrolled, Papers
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from shared.clock import SystemClock
from shared.enrolment import Code
from shared.errors import NeedsFixing, TryLater
from shared.messages import TestMessage
from shared.terminal import say
from shared.texts import both, text

_TEST_PATIENCE = timedelta(seconds=30)  # a 4G line that has just come up; a LAN needs one
_WINDOW_BYTES = 64 * 1024


class CodeInvalid(NeedsFixing):
    key = "code-invalid"


class HomeNotWritable(NeedsFixing):
    key = "home-not-writable"


class TestNotAcknowledged(TryLater):
    key = "test-not-acknowledged"


def enroll(
    url: Annotated[str, typer.Argument(help=both("help.agent.enroll-url"))] = "",
    again: Annotated[bool, typer.Option("--again", help=both("help.agent.enroll-again"))] = False,  # noqa: FBT002 -- a flag on the command line
    request: Annotated[Path | None, typer.Option(help=both("help.agent.enroll-request"))] = None,
    bundle: Annotated[Path | None, typer.Option(help=both("help.agent.enroll-bundle"))] = None,
) -> None:
    folder = home()
    make_home(folder)
    if request is not None:
        _refuse_twice(folder, again=again)
        say("enroll.petition", path=request, code=stick.write_petition(folder, request))
        return
    if bundle is not None:
        _accept(folder, bundle, again=again)
        return
    if not url:
        raise typer.BadParameter("Missing argument 'url'.")
    ours = _enrolled(folder, StationAddress.parse(url), again=again)
    say("enroll.testing")
    _prove_the_way(ours, folder)
    say("enroll.green")


def _enrolled(folder: Path, station: StationAddress, *, again: bool) -> Identity:
    """Return the identity there is, or get one by a code."""
    before = _present(folder)
    if before is not None and not again:
        if before.host != station.host:
            raise identity.AlreadyEnrolled(site=before.site)
        machine.check(before.folder, before.site)
        _stop_first(folder, before)
        return before
    _stop_first(folder, before)
    code = _ask_code()
    say("enroll.proving", host=station.host)
    ours = _save(folder, obtain_papers(station, code), before)
    say("enroll.certified", site=ours.site)
    return ours


def _accept(folder: Path, path: Path, *, again: bool) -> None:
    _refuse_twice(folder, again=again)
    before = _present(folder)
    _stop_first(folder, before)
    carried = stick.read_bundle(path)
    papers = stick.accept(folder, carried, _typed("enroll.ask-bundle-code"), path)
    ours = _save(folder, papers, before)
    stick.forget_key(folder)
    say("enroll.bundled", site=ours.site, host=ours.host)


def _present(folder: Path) -> Identity | None:
    try:
        return identity.load(folder)
    except NotEnrolled:
        return None


def _refuse_twice(folder: Path, *, again: bool) -> None:
    before = _present(folder)
    if before is not None and not again:
        raise identity.AlreadyEnrolled(site=before.site)


def _stop_first(folder: Path, before: Identity | None) -> None:
    """A running agent would go on in its old name, and be thrown off the broker by the test message."""
    if before is None:
        return
    if is_running(folder):
        raise AlreadyRunning


def _save(folder: Path, papers: Papers, before: Identity | None) -> Identity:
    """What still waits for another site's station must never be sent in this one's name: it is set aside."""
    outbox = folder / "outbox.db"
    if before is not None and before.site != papers.site and outbox.exists():
        for part in folder.glob("outbox.db*"):
            part.rename(part.with_name(f"{before.site}-{part.name}"))
    ours = identity.save(folder, papers, replace=before is not None)
    identity.forget_previous(folder)  # the station ended it
    return ours


def make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise HomeNotWritable(home=folder, reason=error.strerror) from error


def _ask_code() -> Code:
    try:
        return Code.parse(_typed("enroll.ask-code"))
    except ValueError as error:
        raise CodeInvalid from error


def _typed(key: str) -> str:
    """From a prompt, or one line of stdin: never from argv, where `ps` and the history would keep it."""
    return str(typer.prompt(text(key))) if sys.stdin.isatty() else sys.stdin.readline()


def _prove_the_way(ours: Identity, folder: Path) -> None:
    """Send one test message down the whole way and wait for the collector's word by its id."""
    clock = SystemClock()
    outbox = Outbox(folder / "outbox.db", Speaker(ours.site, uuid7, ours.signer()))
    wire = MqttWire(ours, clock, outbox.arrived)
    publisher = Publisher(outbox, wire, clock, line=Line(_WINDOW_BYTES))
    test = TestMessage(id=uuid7(), site=ours.site, sent_at=clock.now())
    outbox.put_test(test)
    publisher.start()
    try:
        deadline_s = clock.monotonic() + _TEST_PATIENCE.total_seconds()
        while outbox.holds(test.id):
            if clock.monotonic() > deadline_s:
                raise TestNotAcknowledged(problem=publisher.problem or "…", port=ours.broker_port)
            clock.sleep(0.05)
        if reason := outbox.refusal(test.id):
            raise TestNotAcknowledged(problem=reason, port=ours.broker_port)
    finally:
        publisher.stop()
        outbox.close()
