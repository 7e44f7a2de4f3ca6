"""How are the boxes? Each site's last heartbeat, its cameras, and what was refused from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from collector.archive.fleet import AgentReport
from collector.archive.fleet import agents as reports
from collector.archive.folder import StationFolder
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.console.wording import ago, cause, gap, number, offset, reason
from shared.clock import SystemClock
from shared.messages import CameraState
from shared.terminal import out, say
from shared.texts import text

SHOWN_HOLES = 3  # of each site, the newest; all of them are in --json


def agents(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    found, now = reports(StationFolder.existing(station)), SystemClock().now()
    if json:
        out.print_json(data=[_as_json(report, now) for report in found])
        return
    if not found:
        say("agents.none")
        return
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), leading=1)
    for column in ("site", "heard", "cameras", "waiting", "skew", "refused"):
        table.add_column(text(f"agents.column.{column}"), overflow="fold")
    for report in found:
        table.add_row(*(Text(cell) for cell in _row(report, now)))  # a title may hold [brackets]
    out.print(table)


def _row(report: AgentReport, now: datetime) -> tuple[str, ...]:
    skew_s, title = report.clock_skew_s, report.title or text("agents.unregistered")
    return (
        "\n".join(dict.fromkeys(filter(None, (report.site, title, report.hamlet)))),  # title may be the name
        ago(report.heard_at, now) if report.heard_at else text("agents.never"),
        _cameras(report),
        number(report.heartbeat.outbox_waiting) if report.heartbeat else "",
        offset(skew_s) if skew_s is not None else "",
        "\n".join(
            (
                *(f"{reason(one.reason)}: {one.count}" for one in report.refusals),
                *map(gap, report.holes[:SHOWN_HOLES]),
            )
        ),
    )


def _cameras(report: AgentReport) -> str:
    if report.heartbeat is None:
        return ""
    cameras = report.heartbeat.cameras
    lines = [f"{report.cameras_ok}/{len(cameras)}"]
    lines += [
        f"{camera.camera}: {cause(camera.cause or camera.state)}"
        for camera in cameras
        if camera.state is not CameraState.OK
    ]
    return "\n".join(lines)


def _as_json(report: AgentReport, now: datetime) -> dict[str, Any]:
    beat = report.heartbeat
    expires = report.certificate_expires
    return {
        "site": report.site,
        "title": report.title,
        "hamlet": report.hamlet,
        "status": report.status or None,
        "online": report.online,
        "heard_at": report.heard_at.isoformat() if report.heard_at else None,
        "heard_age_s": (now - report.heard_at).total_seconds() if report.heard_at else None,
        "clock_skew_s": report.clock_skew_s,
        "certificate_expires": expires.isoformat() if expires else None,
        "cameras_ok": report.cameras_ok if beat else None,
        "cameras": [camera.model_dump(mode="json") for camera in beat.cameras] if beat else [],
        "outbox_waiting": beat.outbox_waiting if beat else None,
        "heartbeat": beat.model_dump(mode="json", exclude={"cameras"}) if beat else None,
        "holes": [
            {
                "instance": hole.instance,
                "reason": hole.reason,
                "events": hole.events,
                "thumbnails": hole.thumbnails,
                "messages": hole.messages,
                "since": hole.since.isoformat(),
                "until": hole.until.isoformat(),
            }
            for hole in report.holes
        ],
        "refusals": {
            one.reason: {
                "count": one.count,
                "last_at": one.last_at.isoformat(),
                "last_detail": one.last_detail,
            }
            for one in report.refusals
        },
    }
