"""How are the boxes? Longest broken first: since when, why, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from collector.archive.folder import StationFolder
from collector.archive.gaps import Hole
from collector.archive.standing import CameraStanding, Standing, by_hamlet, standings, whole
from collector.archive.troubles import state_in_words, what_to_do, why
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.console.wording import ago, gap, number, offset, reason
from shared.clock import SystemClock, moment
from shared.localtime import shown
from shared.messages import CameraState
from shared.terminal import out, say
from shared.texts import both, text

SHOWN_HOLES = 3  # of each site, the newest; all of them are in --json


def agents(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
    hamlets: Annotated[bool, typer.Option("--hamlets", help=both("help.collector.hamlets"))] = False,  # noqa: FBT002 -- as above
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    found = standings(folder, now)
    if hamlets:
        _hamlets(by_hamlet(found, folder, now), is_json=json)
    elif json:
        out.print_json(data=[as_json(one, now) for one in found])
    elif not found:
        say("agents.none")
    else:
        say_whole(folder, now)
        out.print(_table(found, now))


def say_whole(folder: StationFolder, now: datetime) -> None:
    """Begin with what is no single site's fault."""
    state = whole(folder, now)
    if state.deaf_since is not None:
        say("liveness.stale", since=shown(state.deaf_since))
    if state.alarm is not None:
        sites = text("alarm.sites", count=state.fallen)
        told = f"{sites}: {state_in_words(state.alarm.state)} ({shown(moment(state.alarm.at_us))})"
        out.print(f"⚠ {told} → {what_to_do(state.alarm.cause)}", markup=False)


def percent(fractions: tuple[float | None, ...]) -> str:
    return " / ".join("–" if one is None else f"{number(one * 100, 1)} %" for one in fractions)


def _hamlets(found: dict[str, tuple[float | None, ...]], *, is_json: bool) -> None:
    if is_json:
        out.print_json(data=[{"hamlet": name, "uptime": list(up)} for name, up in found.items()])
        return
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column(text("console.hamlet"))
    table.add_column(text("liveness.uptime"))
    for name, up in found.items():
        table.add_row(Text(name or "–"), percent(up))
    out.print(table)


def _table(found: list[Standing], now: datetime) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), leading=1)
    for column in ("site", "state", "heard", "cameras", "waiting", "skew", "refused"):
        table.add_column(text(f"agents.column.{column}"), overflow="fold")
    for one in found:
        table.add_row(*(Text(cell) for cell in _row(one, now)))  # a title may hold [brackets]
    return table


def _row(one: Standing, now: datetime) -> tuple[str, ...]:
    report = one.report
    skew_s, title = report.clock_skew_s, report.title or text("agents.unregistered")
    return (
        "\n".join(dict.fromkeys(filter(None, (report.site, title, report.hamlet)))),  # title may be the name
        _state(one, now),
        ago(report.heard_at, now) if report.heard_at else text("agents.never"),
        _cameras(one),
        number(report.heartbeat.outbox_waiting) if report.heartbeat else "",
        offset(skew_s) if skew_s is not None else "",
        "\n".join(
            (
                *(f"{reason(refusal.reason)}: {refusal.count}" for refusal in report.refusals),
                *map(gap, report.holes[:SHOWN_HOLES]),
            )
        ),
    )


def _state(one: Standing, now: datetime) -> str:
    """State, since when, why, what to do."""
    code, camera = one.trouble
    worst = one.worst
    lines = [text(f"liveness.state.{worst.state if camera and worst else one.state}")]
    if code:
        since = one.trouble_since
        lines[0] += f" · {ago(since, now)}" if since else ""
        lines += [f"{camera}: {why(code)}" if camera else why(code), f"→ {what_to_do(code, camera)}"]
    return "\n".join(lines)


def _cameras(one: Standing) -> str:
    if one.report.heartbeat is None:
        return ""
    bad = [camera for camera in one.cameras if camera.health.state is not CameraState.OK]
    lines = [f"{one.report.cameras_ok}/{len(one.cameras)}"]
    return "\n".join(
        lines
        + [f"{bad_one.health.camera}: {why(bad_one.health.cause or bad_one.health.state)}" for bad_one in bad]
    )


def as_json(one: Standing, now: datetime) -> dict[str, Any]:
    report, beat = one.report, one.report.heartbeat
    code, camera = one.trouble
    return {
        "site": report.site,
        "title": report.title,
        "hamlet": report.hamlet,
        "status": report.status or None,
        "state": one.state,
        "since": _iso(one.since),
        "trouble": code or None,
        "trouble_camera": camera or None,
        "uptime": list(one.uptime),
        "online": report.online,
        "heard_at": _iso(report.heard_at),
        "heard_age_s": (now - report.heard_at).total_seconds() if report.heard_at else None,
        "clock_skew_s": report.clock_skew_s,
        "certificate_expires": _iso(report.certificate_expires),
        "cameras_ok": report.cameras_ok if beat else None,
        "cameras": [_camera_as_json(camera) for camera in one.cameras],
        "outbox_waiting": beat.outbox_waiting if beat else None,
        "heartbeat": beat.model_dump(mode="json", exclude={"cameras"}) if beat else None,
        "holes": [_hole_as_json(hole) for hole in report.holes],
        "refusals": {
            refusal.reason: {
                "count": refusal.count,
                "last_at": refusal.last_at.isoformat(),
                "last_detail": refusal.last_detail,
            }
            for refusal in report.refusals
        },
    }


def _hole_as_json(hole: Hole) -> dict[str, Any]:
    return {
        "instance": hole.instance,
        "reason": hole.reason,
        "events": hole.events,
        "thumbnails": hole.thumbnails,
        "messages": hole.messages,
        "since": hole.since.isoformat(),
        "until": hole.until.isoformat(),
    }


def _camera_as_json(camera: CameraStanding) -> dict[str, Any]:
    judged = {"judged": camera.state, "since": _iso(camera.since), "why": camera.why or None}
    return camera.health.model_dump(mode="json") | judged | {"uptime": list(camera.uptime)}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
