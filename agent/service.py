"""Which parts is a running agent made of, and who is wired to whom? The only file that knows all."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from uuid6 import uuid7

from agent import camera_parts, heaps, holds
from agent.camera_parts import Surroundings
from agent.cameras import register
from agent.cameras.clock_watch import ClockWatch
from agent.cameras.follow import Follower
from agent.cameras.frigate import Frigate, open_frigate
from agent.configure import Desired, InForce
from agent.detectors import open_detector
from agent.errands import Errands, House
from agent.examine import newest_heartbeat
from agent.ledger import Ledger
from agent.obey import Obedience
from agent.on_trial import Trial
from agent.orders import Orders
from agent.pauses import LivePauses
from agent.pulse import Condition, Pulse
from agent.settings import AgentSettings
from agent.still_store import StillStore
from agent.supervisor import Watched as WatchedThread
from agent.supervisor import late
from agent.update.runner import Places
from agent.updates import Updates
from agent.uplink import identity
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from agent.uplink.renew import Renewal
from agent.vision.claim import Judge
from agent.vision.zones import CameraZones
from agent.watch import TimedDetector, Watch
from shared.clock import Clock, SystemClock, boot_id, is_synchronised
from shared.errors import FileUnreadable, NeedsFixing, TryLater
from shared.localtime import Hours
from shared.messages import CameraHealth, CameraState
from shared.systemd import notify
from shared.topics import down_command, down_configuration

log = logging.getLogger(__name__)

_VISION_DEADLINE_S = 60.0  # the slowest inference known on a Pi 4 is 0.4 s; eight cameras, and a margin
_FAULTY_DEADLINE_S = 600.0  # a thread that turns but fails each time does nothing; a full disk may last
_UPLINK_DEADLINE_S = 60.0  # a full disk may hold a commit for seconds, never for a minute
_TICK_S = 1.0
_GIVE_BACK_S = 60.0  # how long the heaps may keep the pages of their largest moment


class NoCameras(NeedsFixing):
    key = "no-cameras"


class CameraTwice(NeedsFixing):
    """The same name in the register and in `[frigate]`, or twice in the latter."""

    key = "camera-twice"


class ThreadLate(TryLater):
    """A part hangs; starting anew is the cure, and systemd does it."""

    key = "thread-late"


class Agent:
    """Everything that runs. Built whole or not at all; `run` blocks until `stop` is set."""

    def __init__(self, home: Path, settings: AgentSettings, clock: Clock | None = None) -> None:
        self._home, self._settings, self._clock = home, settings, clock or SystemClock()
        self._boot_id = boot_id()
        self._identity = identity.load_here(home)
        self._pauses = LivePauses(home)
        self._desired = self._load_desired()
        self._in_force = self._desired.in_force()
        self._arrived = threading.Event()  # a frame worth a look, or another's sighting
        self._boot_told = False
        self._give_back_due_s = self._clock.monotonic() + _GIVE_BACK_S
        self._news: tuple[object, ...] = ()
        self._build_eyes()
        self._build_uplink()
        self._watch = self._build_watch()
        self._orders = self._build_orders()
        self._trial = Trial(home, version("anninh"), self._outbox, self._clock, Places())
        self._updates = Updates(home, self._identity)
        before = newest_heartbeat(home)
        self._saw_before = before and any(camera.state is CameraState.OK for camera in before.cameras)
        self._heed_pauses()

    def _build_eyes(self) -> None:
        """The cameras, and what looks after them."""
        home, clock = self._home, self._clock
        entries = register.load(home)
        self._frigate = self._open_frigate({entry.name for entry in entries})
        if not entries and not self._frigate:
            raise NoCameras
        self._detector = TimedDetector(open_detector(home, self._settings), clock)
        around = Surroundings(
            home,
            self._settings,
            clock,
            self._identity.site,
            self._detector,
            self._arrived,
            zones_of=self._in_force.zones_of,
            detect_fps=self._in_force.detect_fps,
        )
        self._cameras = [camera_parts.made(entry, around) for entry in entries]
        self._listeners = camera_parts.listen(home, self._cameras, clock)
        followed = [camera_parts.followed(home, camera, clock) for camera in self._cameras]
        self._follower = Follower(home, followed, clock)
        self._clock_watch = ClockWatch(home, clock, is_synchronised)
        self._clock_watch.is_spared = self._is_paused

    def _build_uplink(self) -> None:
        settings, signer = self._settings, identity.Signer(self._identity)
        speaker = Speaker(self._identity.site, uuid7, signer)
        budget_bytes = settings.outbox_mb * 1_000_000
        self._outbox = Outbox(self._home / "outbox.db", speaker, budget_bytes=budget_bytes)
        wire = MqttWire(self._identity, self._clock, self._outbox.arrived)
        self._renewal = Renewal(self._home, self._identity, self._clock, connection=wire, signer=signer)
        self._pulse = Pulse(self._home, self._identity.site, self._boot_id, self._clock, self._condition)
        heartbeat = self._pulse.beat, settings.heartbeat_s
        line = self._line(self._in_force)
        self._publisher = Publisher(self._outbox, wire, self._clock, line=line, heartbeat=heartbeat)

    def _line(self, wished: InForce) -> Line:
        quiet_hours = Hours.parse(wished.quiet_hours)
        return Line(self._settings.window_kb * 1024, wished.uplink_kbps * 125 or None, quiet_hours)

    def _build_watch(self) -> Watch:
        watch = Watch(
            [camera.watched for camera in self._cameras],
            self._outbox,
            self._clock,
            self._boot_id,
            arrived=self._arrived,
            is_synchronised=is_synchronised,
        )
        watch.heed(lambda: self._publisher.wishes)
        watch.remember_in(StillStore(self._home))
        if self._frigate:
            self._frigate.is_spared = self._is_paused
            watch.add_claims(self._frigate, Judge(self._detector, self._identity.site, self._zones_of, uuid7))
        return watch

    def _zones_of(self, camera: str) -> CameraZones:
        """As they are in force when somebody asks."""
        return self._in_force.zones_of(camera)

    def _build_orders(self) -> Orders:
        """What the station may say here, and who does it."""
        site = self._identity.site
        house = House(
            self._home,
            self._clock,
            {camera.entry.name: camera for camera in self._cameras},
            self._names(),
            self._pauses,
            self._identity.is_being_installed,
            self._outbox.keep,
        )
        with suppress(FileUnreadable):  # `agent doctor` says so; nothing is forgotten by it
            self._outbox.keep((hold.camera, hold.since, hold.until) for hold in holds.load(self._home))
        obedience = Obedience(site, Ledger(self._home), Errands(house), self._outbox, self._clock, uuid7)
        orders = Orders(obedience, self._desired, self._reconfigure)
        self._publisher.hear(down_command(site), orders.command)
        self._publisher.hear(down_configuration(site), orders.configuration)
        return orders

    def _load_desired(self) -> Desired:
        authority = self._identity.ca.read_bytes()
        return Desired(self._home, self._settings, self._identity.site, authority, self._names())

    def _names(self) -> tuple[str, ...]:
        frigate = self._settings.frigate
        ours = (entry.name for entry in register.load(self._home))
        return (*ours, *(frigate.cameras.values() if frigate else ()))

    def _reconfigure(self) -> None:
        """Rebuild what the station's new word changes, and nothing else; in the thread `orders`."""
        before, after = self._in_force, self._desired.in_force()
        if (before.uplink_kbps, before.quiet_hours) != (after.uplink_kbps, after.quiet_hours):
            self._publisher.take_line(self._line(after))
        for camera in self._cameras:
            name = camera.entry.name
            if before.detect_fps != after.detect_fps:
                camera.stream.resample(after.detect_fps)
            if before.zones_of(name) != after.zones_of(name):
                camera.pipeline.heed(after.zones_of(name))
        self._in_force = after
        self._publisher.tell_soon()

    def run(self, stop: threading.Event) -> None:
        """Start every part, feed the watchdog while all make progress, stop in order.

        Raises ThreadLate when a part hangs.
        """
        self._start()
        notify("READY=1")
        log.info("watching", extra={"site": self._identity.site, "cameras": len(self._cameras)})
        try:
            while not stop.wait(_TICK_S):
                if hanging := late(self._threads(), self._clock.monotonic()):
                    raise ThreadLate(threads=", ".join(hanging))
                notify("WATCHDOG=1")
                self._pauses.look()
                self._heed_pauses()
                self._tell_news()
                self._tell_boot()
                self._trial.step(self._identity.site, sees=self._sees)
                self._give_back(self._clock.monotonic())
        finally:
            notify("STOPPING=1")
            self._stop()

    def _give_back(self, now_s: float) -> None:
        if now_s >= self._give_back_due_s:
            self._give_back_due_s = now_s + _GIVE_BACK_S
            heaps.give_back()

    def _is_paused(self, camera: str) -> bool:
        return bool(self._pauses.cause(camera, self._clock.now()))

    def _heed_pauses(self) -> None:
        """Hang up, or come back, where somebody has said so or a pause is over."""
        now = self._clock.now()
        for camera in self._cameras:
            camera.pause(self._pauses.cause(camera.entry.name, now))
        for listener in self._listeners:
            lenses = (camera for camera in self._cameras if camera.listener is listener)
            listener.hold(held=all(camera.paused for camera in lenses))

    def _tell_news(self) -> None:
        """A camera whose state or cause changed is worth a heartbeat of its own; a pause is too."""
        healths = self._camera_healths(self._clock.monotonic())
        states = ((health.camera, health.state, health.cause) for health in healths)
        news = (*states, self._pauses.by_household(self._clock.now()))
        if news != self._news:
            self._news = news
            self._publisher.tell_soon()

    def _tell_boot(self) -> None:
        """Once the clock is right, the station can date what was made before it was."""
        if not self._boot_told and is_synchronised():
            now = self._clock.now()
            started_at = now - timedelta(seconds=self._clock.monotonic())
            self._boot_told = self._outbox.put_boot(self._boot_id, started_at, now)

    def _sees(self) -> bool:
        """Does any camera give pictures, where one did before this start, and may?"""
        healths = self._camera_healths(self._clock.monotonic())
        watched = [health for health in healths if not self._is_paused(health.camera)]
        return not (self._saw_before and watched) or any(
            health.state is not CameraState.DOWN for health in watched
        )

    def _camera_healths(self, now_s: float) -> tuple[CameraHealth, ...]:
        return (*(camera.health(now_s) for camera in self._cameras), *self._frigate_healths())

    def _frigate_healths(self) -> tuple[CameraHealth, ...]:
        now = self._clock.now()
        healths = self._frigate.health() if self._frigate else ()
        return tuple(
            health.model_copy(update={"state": CameraState.DOWN, "cause": cause})
            if (cause := self._pauses.cause(health.camera, now))
            else health
            for health in healths
        )

    def _condition(self) -> Condition:
        now_s, seen = self._clock.monotonic(), self._watch.last_event_at
        told = (*(camera.told(now_s) for camera in self._cameras), *self._frigate_healths())
        return Condition(
            waiting=self._outbox.waiting(),
            detector=self._detector.name,
            detect_p50_ms=self._detector.p50_ms,
            frames_skipped=sum(camera.lookout.dropped for camera in self._cameras),
            cameras=tuple(
                health.model_copy(update={"last_event_at": seen.get(health.camera)}) for health in told
            ),
            configuration=self._desired.report,
            paused_by_household=self._pauses.by_household(self._clock.now()),
            update=self._updates.causes(),
        )

    def _start(self) -> None:
        self._publisher.start()
        self._orders.start()
        self._renewal.start()
        self._updates.start()
        self._watch.start()
        for camera in self._cameras:
            camera.start()
        for listener in self._listeners:
            listener.start()
        if self._frigate:
            self._frigate.start()
        self._follower.start()
        self._clock_watch.start()

    def _stop(self) -> None:
        for listener in self._listeners:
            listener.ask_to_stop()
        self._clock_watch.stop()
        self._follower.stop()
        for camera in self._cameras:
            camera.ask_to_stop()
        for camera in self._cameras:
            camera.stop()
        for listener in self._listeners:
            listener.stop()
        if self._frigate:
            self._frigate.stop()
        self._watch.stop()
        self._orders.stop()
        self._renewal.stop()
        self._updates.stop()
        self._publisher.stop()
        self._outbox.close()

    def _threads(self) -> tuple[WatchedThread, ...]:
        return (
            WatchedThread("vision", lambda: self._watch.mark_s, _VISION_DEADLINE_S),
            WatchedThread("uplink", lambda: self._publisher.mark_s, _UPLINK_DEADLINE_S),
            WatchedThread("frames", lambda: self._watch.done_s, _FAULTY_DEADLINE_S),
            WatchedThread("outbox", lambda: self._publisher.done_s, _FAULTY_DEADLINE_S),
        )

    def _open_frigate(self, ours: set[str]) -> Frigate | None:
        """A camera is watched by one of us: watched by both, everybody would be told of twice."""
        settings = self._settings.frigate
        if settings is None:
            return None
        names = list(settings.cameras.values())
        if twice := [name for name in names if name in ours or names.count(name) > 1]:
            raise CameraTwice(name=twice[0])
        client_id = f"anninh-{self._identity.site}"
        return open_frigate(self._home, settings, self._clock, arrived=self._arrived, client_id=client_id)
