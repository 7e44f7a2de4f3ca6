"""Who is silent? A pure function of the moments at which the station received heartbeats.

A change happens at the moment its limit is reached, not when somebody looks: the same heartbeats
give the same flips in whatever portions they are judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from collector.archive.flips import Flip, State
from collector.liveness.outage import Together, came_back, gather
from shared.messages import CameraHealth, CameraState

SECOND_US = 1_000_000
LATE_US = 150 * SECOND_US  # 2.5 heartbeats missed
SILENT_US = 600 * SECOND_US  # a router's restart and a short cut of power are over by then
DEAD_US = 86_400 * SECOND_US
RETURN_BEATS, RETURN_US = 3, 300 * SECOND_US  # one heartbeat through a bad line is no return
FLAPPING, FLAPPING_US = 6, 3600 * SECOND_US  # changes within that time: "unstable"
CAMERA_DEGRADED_S, CAMERA_DOWN_S = 30.0, 300.0  # age of the newest frame

_LIMITS = {
    State.UP: (LATE_US, State.LATE),
    State.LATE: (SILENT_US, State.SILENT),
    State.SILENT: (DEAD_US, State.DEAD),
}
_GONE = (State.SILENT, State.DEAD)
_OF_A_CAMERA = {CameraState.OK: State.UP, CameraState.DEGRADED: State.DEGRADED, CameraState.DOWN: State.DOWN}


@dataclass(frozen=True, slots=True)
class Steady:
    """A state that is not told at each change once it changes too often."""

    state: State
    shown: State
    changes: tuple[int, ...] = ()  # moments, the newest last

    def to(self, state: State, at_us: int) -> Steady:
        changes = (*self.changes, at_us)[-FLAPPING:]
        is_wild = len(changes) == FLAPPING and at_us - changes[0] < FLAPPING_US
        shown = State.UNSTABLE if is_wild or self.shown is State.UNSTABLE else state
        return Steady(state, shown, changes)

    @property
    def calm_us(self) -> int | None:
        """When it will be believed again, if nothing changes; None: it is believed."""
        return self.changes[-1] + FLAPPING_US if self.shown is State.UNSTABLE else None

    def calmed(self) -> Steady:
        return Steady(self.state, self.state)


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """What is remembered of one site."""

    steady: Steady
    heard_us: int  # newest heartbeat counted
    quiet_us: int  # since when its silence counts: later than that by the time nobody listened
    returning: tuple[int, ...] = ()  # heartbeats since it fell silent, as far as they count together


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is remembered of all sites."""

    sites: Mapping[str, SiteStanding] = field(default_factory=dict)
    known: int = 0  # sites ever heard
    judged_us: int = 0  # what is told up to then is told: a heartbeat kept late counts as just after
    together: Together = field(default_factory=Together)


@dataclass(frozen=True, slots=True)
class CameraStanding:
    """What is remembered of one camera; `next` is what the last heartbeat said, if it said otherwise."""

    steady: Steady
    next: State | None = None


def judge(fleet: Fleet, heard: Mapping[str, Iterable[int]], until_us: int) -> tuple[Fleet, list[Flip]]:
    """Return the fleet as of that moment, and what changed; `heard` are new heartbeats by site."""
    sites, flips = dict(fleet.sites), []
    for site in {**sites, **heard}:
        new = [max(at_us, fleet.judged_us + 1) for at_us in heard.get(site, ())]
        standing, changed = judge_site(site, sites.get(site), new, until_us)
        flips += changed
        if standing is not None:
            sites[site] = standing
    fleet = replace(fleet, sites=sites, judged_us=max(fleet.judged_us, until_us))
    told: list[Flip] = []
    known, together = fleet.known, fleet.together
    for flip in sorted(flips, key=lambda one: (one.at_us, one.site)):
        known += flip.cause == "first-heard"
        together, whole = gather(together, flip, known)
        told += whole
    return replace(fleet, known=known, together=together), told


def without(fleet: Fleet, gone: Collection[str], at_us: int) -> tuple[Fleet, list[Flip]]:
    """Forget sites that are no sites any more; an outage of theirs may be over by that."""
    sites = {site: standing for site, standing in fleet.sites.items() if site not in gone}
    together, ended = came_back(fleet.together, gone, at_us)
    return replace(fleet, sites=sites, known=len(sites), together=together), ended


def judge_site(
    site: str, standing: SiteStanding | None, heard: Iterable[int], until_us: int
) -> tuple[SiteStanding | None, list[Flip]]:
    flips: list[Flip] = []
    for at_us in sorted(heard):
        if standing is None:
            flips.append(Flip(site, "", State.UP, "first-heard", at_us))
            standing = SiteStanding(Steady(State.UP, State.UP), at_us, at_us)
        elif at_us > standing.heard_us:
            standing = _heard(_time_passes(standing, at_us - 1, site, flips), at_us, site, flips)
    return (standing and _time_passes(standing, until_us, site, flips)), flips


def deaf(fleet: Fleet, since_us: int, until_us: int) -> Fleet:
    """Nobody listened in that time: it is nobody's silence, and no proof of calm either."""
    sites = {site: _spared(standing, since_us, until_us) for site, standing in fleet.sites.items()}
    return replace(fleet, sites=sites)


def _spared(standing: SiteStanding, since_us: int, until_us: int) -> SiteStanding:
    unheard_us = until_us - max(since_us, standing.quiet_us)
    return replace(standing, quiet_us=standing.quiet_us + max(0, unheard_us))


def judge_camera(
    subject: tuple[str, str], standing: CameraStanding | None, health: CameraHealth, at_us: int
) -> tuple[CameraStanding, list[Flip]]:
    """Believe a camera's new state when two heartbeats in a row agree on it."""
    state = camera_state(health)
    cause = health.cause or ("" if state is State.UP else state.value)
    if standing is None:
        return CameraStanding(Steady(state, state)), [Flip(*subject, state, cause, at_us)]
    flips: list[Flip] = []
    steady = standing.steady
    if steady.calm_us is not None and steady.calm_us <= at_us:
        flips.append(Flip(*subject, steady.state, cause, steady.calm_us))
        steady = steady.calmed()
    if state is steady.state:
        return CameraStanding(steady), flips
    if state is not standing.next:
        return CameraStanding(steady, state), flips
    # who pauses often is not unstable
    is_wish = State.PAUSED in (state, steady.state)
    after = Steady(state, state, steady.changes) if is_wish else steady.to(state, at_us)
    if after.shown is not steady.shown:
        flips.append(Flip(*subject, after.shown, cause, at_us))
    return CameraStanding(after), flips


def camera_state(health: CameraHealth) -> State:
    """Its own word, unless the age of its newest frame says worse."""
    if health.is_paused:
        return State.PAUSED
    age_s = health.frame_age_s or 0.0
    if health.state is CameraState.DOWN or age_s > CAMERA_DOWN_S:
        return State.DOWN
    return State.DEGRADED if age_s > CAMERA_DEGRADED_S else _OF_A_CAMERA[health.state]


def _heard(standing: SiteStanding, at_us: int, site: str, flips: list[Flip]) -> SiteStanding:
    state = standing.steady.state
    returning: tuple[int, ...] = ()
    if state in _GONE:
        returning = (*(one for one in standing.returning if at_us - one <= RETURN_US), at_us)
    standing = replace(standing, heard_us=at_us, quiet_us=at_us, returning=returning)
    if state is State.LATE or len(returning) >= RETURN_BEATS:
        return _changed(replace(standing, returning=()), State.UP, at_us, site, flips)
    return standing


def _time_passes(standing: SiteStanding, until_us: int, site: str, flips: list[Flip]) -> SiteStanding:
    """Let every limit before `until_us` be reached, in order."""
    while True:
        steady = standing.steady
        limit_us, after = _LIMITS.get(steady.state, (0, None))
        next_us = standing.quiet_us + limit_us if after else None
        calm_us = steady.calm_us
        if calm_us is not None and calm_us <= until_us and (next_us is None or calm_us <= next_us):
            flips.append(Flip(site, "", steady.state, "calm", calm_us))
            standing = replace(standing, steady=steady.calmed())
        elif after is not None and next_us is not None and next_us <= until_us:
            standing = _changed(standing, after, next_us, site, flips)
        else:
            return standing


def _changed(standing: SiteStanding, state: State, at_us: int, site: str, flips: list[Flip]) -> SiteStanding:
    steady = standing.steady.to(state, at_us)
    if steady.shown is not standing.steady.shown:
        cause = {State.UP: "heard", State.UNSTABLE: "flapping"}.get(steady.shown, "no-heartbeat")
        flips.append(Flip(site, "", steady.shown, cause, at_us))
    return replace(standing, steady=steady)
