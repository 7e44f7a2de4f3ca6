"""`agent doctor`: what is in force, what is wrong, what to do; exit code 0, 75 or 2 by the worst of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from agent.examine import Examination, examine
from agent.health import Severity
from agent.only_one import is_running
from agent.settings import AgentSettings, home
from agent.standing import Standing
from shared.clock import SystemClock, is_synchronised
from shared.localtime import shown
from shared.terminal import out, say
from shared.texts import both, text

_EXIT = {Severity.FINE: 0, Severity.PASSING: 75, Severity.BROKEN: 2}
_MARK = {Severity.PASSING: "!", Severity.BROKEN: "✗"}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False) -> int:
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml")
    found = examine(
        folder,
        settings,
        SystemClock().now(),
        running=is_running(folder),
        synchronised=is_synchronised(),
    )
    if as_json:
        out.print(json.dumps(_as_dict(found), indent=2), markup=False)
    else:
        _show(found)
    worst = max((problem.severity for problem in found.problems), default=Severity.FINE)
    return _EXIT[worst]


def _show(found: Examination) -> None:
    if found.identity:
        say(
            "doctor.site", site=found.identity.site, host=found.identity.host, port=found.identity.broker_port
        )
    if found.model:
        say("doctor.model", name=found.model.name, engine=found.model.engine, accuracy=_accuracy(found))
    if found.heartbeat:
        for camera in found.heartbeat.cameras:
            state = text(f"camera-state.{'paused' if camera.is_paused else camera.state}")
            say("doctor.camera", camera=camera.camera, state=state, fps=round(camera.fps, 1))
            if camera.decoding:
                how, why = text(f"decoding.{camera.decoding}"), text(f"decoding-why.{camera.decoding_why}")
                say("doctor.decoding", how=how, why=why)
            if camera.late_p50_ms is not None and camera.late_p99_ms is not None:
                skipped = round(100 * camera.frames_skipped / (camera.frames_looked + camera.frames_skipped))
                p50, p99 = round(camera.late_p50_ms), round(camera.late_p99_ms)
                say("doctor.late", p50=p50, p99=p99, skipped=skipped)
        say("doctor.outbox", messages=found.heartbeat.outbox_waiting)
    for origin, names in _by_origin(found.logins).items():
        say("doctor.logins", origin=origin, names=", ".join(names))
    _show_standing(found.standing)
    if not found.problems:
        say("doctor.fine")
        return
    table = Table(box=None, show_header=False, padding=(0, 1))
    for problem in found.problems:
        table.add_row(_MARK[problem.severity], f"{problem.what()}\n→ {problem.do()}")
    out.print(table)


def _by_origin(logins: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, origin in sorted(logins.items()):
        found.setdefault(origin, []).append(name)
    return found


def _show_standing(standing: Standing) -> None:
    """What is in force by somebody's word, each in a line."""
    for whose, pause in standing.pauses:
        until = text("doctor.until", None, moment=shown(pause.until)) if pause.until else None
        open_end = text("doctor.until-further-notice")
        what = pause.camera or text("doctor.all-cameras")
        say(f"doctor.paused-{whose}", what=what, until=until or open_end)
    for hold in standing.holds:
        since, until = shown(hold.since), shown(hold.until)
        say("doctor.hold", camera=hold.camera, since=since, until=until, case=hold.case)
    for camera, by in standing.zones:
        if by:
            say(f"doctor.zones-{by}", camera=camera)
    report = standing.configuration
    if report.revision:
        state = "in-force" if report.in_force else "wrong"
        say(f"doctor.configuration-{state}", revision=report.revision)
        for error in report.errors:
            out.print(f"  {error}", markup=False)
    if standing.certificate_days is not None:
        say("doctor.certificate", days=standing.certificate_days)
    if standing.renewal:
        state = "failed" if standing.renewal.why_not else "done"
        say(f"doctor.renewal-{state}", moment=shown(standing.renewal.at), why=standing.renewal.words())


def _accuracy(found: Examination) -> str:
    if found.model is None or found.model.accuracy is None:
        return text("doctor.unmeasured")
    measured = found.model.accuracy
    return text(
        "doctor.accuracy",
        map50=f"{measured.map50:.2f}",
        person=f"{measured.person_ap50:.2f}",
        data_set=measured.data_set,
    )


def _as_dict(found: Examination) -> dict[str, object]:
    return {
        "site": found.identity and found.identity.site,
        "model": found.model and found.model.model_dump(mode="json", exclude={"classes"}),
        "heartbeat": found.heartbeat and found.heartbeat.model_dump(mode="json"),
        "logins": found.logins,
        **_standing_as_dict(found.standing),
        "problems": [
            {"code": problem.code, "subject": problem.subject, "severity": problem.severity.name.lower()}
            for problem in found.problems
        ],
    }


def _standing_as_dict(standing: Standing) -> dict[str, object]:
    renewal = standing.renewal
    return {
        "pauses": [{"by": whose.value} | pause.model_dump(mode="json") for whose, pause in standing.pauses],
        "holds": [hold.model_dump(mode="json") for hold in standing.holds],
        "configuration": standing.configuration.model_dump(mode="json"),
        "zones": {camera: by and by.value for camera, by in standing.zones},
        "certificate_days": standing.certificate_days,
        "renewal": renewal and {"at": renewal.at.isoformat(), "why_not": renewal.why_not},
    }
