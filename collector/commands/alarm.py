"""Do alarms arrive? Sends a test to every address, and says where they were read."""

from __future__ import annotations

import typer

from collector.archive.folder import StationFolder
from collector.commands import DEFAULT_STATION, StationOption
from collector.liveness.sender import check, send
from shared.errors import NeedsFixing, TryLater
from shared.terminal import say
from shared.texts import Language, both, text

app = typer.Typer(help=both("help.collector.alarm"), no_args_is_help=True)
app.callback()(lambda: None)  # keeps it a group while it has a single command


class AlarmNotSent(TryLater):
    key = "alarm-not-sent"


class AlarmsNone(NeedsFixing):
    key = "alarms-none"


@app.command("test", help=both("help.collector.alarm-test"))
def send_test(station: StationOption = DEFAULT_STATION) -> None:
    folder = StationFolder.existing(station)
    settings = folder.settings()
    origin = settings.origin("alarms", folder.configuration)
    if not settings.alarms:
        raise AlarmsNone
    check(settings.alarms, origin)
    say("alarm.origin", origin=origin)
    body = "\n\n".join(text("alarm.test", language) for language in Language)
    failed: list[AlarmNotSent] = []
    for number, address in enumerate(settings.alarms, start=1):
        scheme = address.get_secret_value().partition(":")[0]  # all that may be told of it
        if send(address, settings.name, body):
            say("alarm.sent", number=number, scheme=scheme)
        else:
            failed.append(AlarmNotSent(number=number, scheme=scheme, origin=origin))
    if failed:
        raise failed[0]
