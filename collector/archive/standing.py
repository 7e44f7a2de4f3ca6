"""How is everybody, since when, why, and what is to be done? Longest broken first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.archive import flips as book
from collector.archive import troubles, uptime
from collector.archive.fleet import AgentReport, agents
from collector.archive.flips import SHARED, Flip, State, Subject
from collector.archive.folder import StationFolder
from shared.clock import microseconds, moment
from shared.messages import CameraHealth, CameraState

_UNJUDGED = timedelta(minutes=10)  # a station that never judged: silent by the same limit
_BROKEN = {State.SILENT, State.DEAD, State.UNSTABLE, State.DOWN}
_UNWELL = {State.LATE, State.DEGRADED}
_RAW = {CameraState.OK: State.UP, CameraState.DEGRADED: State.DEGRADED, CameraState.DOWN: State.DOWN}
_STALE = timedelta(minutes=2)  # a watcher looks every 10 s


@dataclass(frozen=True, slots=True)
class CameraStanding:
    health: CameraHealth
    state: State
    since: datetime | None
    why: str
    uptime: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """One site; `state` is a State, or "never", or "revoked"."""

    report: AgentReport
    state: str
    since: datetime | None  # when it was last heard, for who is silent
    why: str
    cameras: tuple[CameraStanding, ...]
    uptime: tuple[float | None, ...]

    @property
    def worst(self) -> CameraStanding | None:
        """The camera that is broken longest; None: all are well."""
        bad = [camera for camera in self.cameras if camera.state not in (State.UP, State.PAUSED)]
        return min(bad, key=lambda one: (one.state in _UNWELL, _age(one.since)), default=None)

    @property
    def trouble(self) -> tuple[str, str]:
        """What to mend first: a code and the camera it is about; empty: nothing."""
        if self.why or self.worst is None:
            return self.why, ""
        return self.worst.why, self.worst.health.camera

    @property
    def trouble_since(self) -> datetime | None:
        return self.since if self.why or self.worst is None else self.worst.since


@dataclass(frozen=True, slots=True)
class Whole:
    """The one alarm, if there is one, and until when somebody listened."""

    alarm: Flip | None
    fallen: int  # sites that fell with it
    deaf_since: datetime | None


def standings(folder: StationFolder, now: datetime) -> list[Standing]:
    latest = book.latest(folder)
    shares = uptime.by_subject(book.history(folder), microseconds(now))
    found = [_standing(report, latest, shares, now) for report in agents(folder)]
    return sorted(found, key=_order)


def whole(folder: StationFolder, now: datetime) -> Whole:
    alarm = book.latest(folder).get(("", ""))
    mark_us = book.listened_until(folder)
    listened = moment(mark_us) if mark_us is not None else None
    is_outage = alarm is not None and alarm.state is State.OUTAGE
    return Whole(
        alarm if is_outage else None,
        len(book.who_fell(folder, alarm.at_us)) if is_outage and alarm else 0,
        listened if listened is not None and now - listened > _STALE else None,
    )


def by_hamlet(
    found: list[Standing], folder: StationFolder, now: datetime
) -> dict[str, tuple[float | None, ...]]:
    """Return the uptime of each hamlet's sites taken together."""
    shares = uptime.by_subject(book.history(folder), microseconds(now))
    hamlets: dict[str, list[tuple[uptime.Share, ...]]] = {}
    for one in found:
        if own := shares.get((one.report.site, "")):
            hamlets.setdefault(one.report.hamlet, []).append(own)
    return {
        name: tuple(uptime.together(column) for column in zip(*rows, strict=True))
        for name, rows in sorted(hamlets.items())
    }


def _standing(
    report: AgentReport,
    latest: dict[Subject, Flip],
    shares: dict[Subject, tuple[uptime.Share, ...]],
    now: datetime,
) -> Standing:
    state, since, why = _site(report, latest.get((report.site, "")), now)
    beat = report.heartbeat
    cameras = tuple(
        _camera(
            health, latest.get((report.site, health.camera)), shares.get((report.site, health.camera), ())
        )
        for health in (beat.cameras if beat else ())
    )
    return Standing(report, state, since, why, cameras, _fractions(shares.get((report.site, ""), ())))


def _site(report: AgentReport, flip: Flip | None, now: datetime) -> tuple[str, datetime | None, str]:
    if report.status == "revoked":
        return "revoked", report.heard_at, "revoked"
    if report.heard_at is None:
        return "never", None, "never"
    if flip is None:
        state = State.SILENT if now - report.heard_at > _UNJUDGED else State.UP
        flip = Flip(report.site, "", state, "", microseconds(report.heard_at))
    if flip.state in (State.SILENT, State.DEAD):
        why = troubles.of_silence(report.heartbeat, report.certificate_expires, now, online=report.online)
        return flip.state, report.heard_at, flip.cause if flip.cause in SHARED else why
    why = {State.UNSTABLE: "flapping", State.LATE: "late"}.get(flip.state, "")
    first = report.heartbeat.causes[0] if report.heartbeat and report.heartbeat.causes else ""
    return flip.state, moment(flip.at_us), why or first


def _camera(health: CameraHealth, flip: Flip | None, shares: tuple[uptime.Share, ...]) -> CameraStanding:
    state = flip.state if flip is not None else _RAW[health.state]
    state = State.PAUSED if health.is_paused else state
    is_old = flip is not None and health.state is CameraState.OK  # well again, but not yet believed
    said = flip.cause if is_old and flip else health.cause
    why = "" if state is State.UP else said or (flip.cause if flip else "") or state.value
    since = moment(flip.at_us) if flip is not None else None
    return CameraStanding(health, state, since, why, _fractions(shares))


def _fractions(shares: tuple[uptime.Share, ...]) -> tuple[float | None, ...]:
    return tuple(uptime.together([one]) for one in shares) or (None,) * len(uptime.DAYS)


def _order(one: Standing) -> tuple[int, float, str]:
    """Broken before unwell before never heard before well; each by how long."""
    worst = one.worst
    states = {one.state, worst.state if worst else State.UP}
    if one.state == "revoked":
        rank = 4
    elif states & _BROKEN:
        rank = 0
    elif states & _UNWELL or one.why not in ("", "never"):
        rank = 1
    else:
        rank = 2 if one.state == "never" else 3
    since = one.since if one.state in _BROKEN or worst is None else worst.since
    return rank, _age(since) if rank < 2 else 0.0, one.report.site  # noqa: PLR2004 -- the two ranks of trouble


def _age(since: datetime | None) -> float:
    return since.timestamp() if since is not None else float("inf")
