"""`agent enroll URL`: the installer types one code; green means the station has kept a test message."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from uuid6 import uuid7

from agent.settings import home
from agent.uplink import identity
from agent.uplink.enroll import StationAddress, obtain_papers
from agent.uplink.identity import Identity, NotEnrolled
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


def enroll(url: Annotated[str, typer.Argument(help=both("help.agent.enroll-url"))]) -> None:
    folder = home()
    make_home(folder)
    station = StationAddress.parse(url)
    try:
        ours = identity.load(folder)
    except NotEnrolled:
        code = _ask_code()
        say("enroll.proving", host=station.host)
        ours = identity.save(folder, obtain_papers(station, code))
        say("enroll.certified", site=ours.site)
    else:
        if ours.host != station.host:
            raise identity.AlreadyEnrolled(site=ours.site) from None
    say("enroll.testing")
    _prove_the_way(ours, folder)
    say("enroll.green")


def make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise HomeNotWritable(home=folder, reason=error.strerror) from error


def _ask_code() -> Code:
    """From a prompt, or one line of stdin: never from argv, where `ps` and the history would keep it."""
    asked = sys.stdin.isatty()
    typed = typer.prompt(text("enroll.ask-code")) if asked else sys.stdin.readline()
    try:
        return Code.parse(typed)
    except ValueError as error:
        raise CodeInvalid from error


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
