"""What is known of one site? Its state, its cameras, what to do, and how it was over the last months."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from collector.archive import flips as book
from collector.archive.configurations import Configurations
from collector.archive.folder import StationFolder
from collector.archive.register import SiteUnknown
from collector.archive.standing import Standing, standings
from collector.archive.troubles import state_in_words, what_to_do, why
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.commands.agents import as_json, percent, say_whole
from collector.commands.config import in_words
from collector.console.wording import ago, duration, gap, number, offset
from shared.clock import SystemClock, moment
from shared.localtime import shown
from shared.terminal import out
from shared.texts import both, text

_FLIPS = 20  # the newest shown


def agent(
    site: Annotated[str, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))],
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    one = next((one for one in standings(folder, now) if one.report.site == site and site), None)
    if one is None:
        raise SiteUnknown(site=site)
    flips = book.history(folder, site)
    if json:
        changes = [
            {
                "at": moment(flip.at_us).isoformat(),
                "camera": flip.camera or None,
                "state": flip.state,
                "cause": flip.cause,
            }
            for flip in flips
        ]
        out.print_json(data=as_json(one, now) | {"flips": changes})
        return
    say_whole(folder, now)
    desired = Configurations(folder.open_station()).newest(site)
    beat = one.report.heartbeat
    wished = in_words(site, desired, beat.configuration if beat else None)
    for line in [*_site(one, now), *_cameras(one, now), *_box(one, now), *(wished if desired else ())]:
        out.print(line, markup=False)
    for flip in flips[-_FLIPS:]:
        state = " · ".join(filter(None, (flip.camera, state_in_words(flip.state), why(flip.cause))))
        out.print(f"  {shown(moment(flip.at_us))}  {state}", markup=False)


def _site(one: Standing, now: datetime) -> list[str]:
    report = one.report
    place = ", ".join(dict.fromkeys(filter(None, (report.site, report.title, report.hamlet))))
    since = f" · {shown(one.since)} ({ago(one.since, now)})" if one.since else ""
    lines = [place, f"{text(f'liveness.state.{one.state}')}{since}"]
    if one.why:
        lines.append(f"  {why(one.why)} → {what_to_do(one.why)}")
    return [*lines, f"{text('liveness.uptime')}: {percent(one.uptime)}"]


def _cameras(one: Standing, now: datetime) -> list[str]:
    lines = []
    for camera in one.cameras:
        name, since = camera.health.camera, f" · {ago(camera.since, now)}" if camera.since else ""
        lines.append(f"{name}: {state_in_words(camera.state)}{since} · {percent(camera.uptime)}")
        if camera.why:
            lines.append(f"  {why(camera.why)} → {what_to_do(camera.why, name)}")
        if camera.health.last_event_at:
            lines.append(f"  {text('agent.last-event')}: {shown(camera.health.last_event_at)}")
    return lines


def _box(one: Standing, now: datetime) -> list[str]:
    report, beat = one.report, one.report.heartbeat
    facts: list[tuple[str, str]] = []
    if report.certificate_expires:
        left = report.certificate_expires - now
        facts.append(
            ("console.certificate-until", f"{shown(report.certificate_expires)} ({number(left.days)} d)")
        )
    if report.clock_skew_s is not None:
        facts.append(("agents.column.skew", offset(report.clock_skew_s)))
    if beat is not None:
        oldest = f" · {duration(timedelta(seconds=beat.outbox_oldest_s))}" if beat.outbox_oldest_s else ""
        facts.append(("agents.column.waiting", f"{number(beat.outbox_waiting)}{oldest}"))
        facts.append(("console.version", beat.agent_version))
        facts.append(("console.uptime", duration(timedelta(seconds=beat.uptime_s))))
        if beat.disk_free_mb is not None:
            facts.append(("console.disk-free", f"{number(beat.disk_free_mb / 1024, 1)} GB"))
        facts += [("agent.remark", f"{why(code)} → {what_to_do(code)}") for code in beat.causes]
    return [*(f"{text(key)}: {value}" for key, value in facts), *map(gap, report.holes)]
