"""Which parts is a running agent made of, and who is wired to whom? The only file that knows all."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import psutil
from uuid6 import uuid7

from agent import zone_file
from agent.cameras import credentials, guard, register
from agent.cameras.attention import Attention
from agent.cameras.camera_events import CameraEvents, HintMark
from agent.cameras.clock_watch import ClockWatch
from agent.cameras.follow import Followed, Follower
from agent.cameras.frigate import Frigate, open_frigate
from agent.cameras.listening import listeners
from agent.cameras.masks import LiveMasks
from agent.cameras.pictures import MainPictures
from agent.cameras.reference import ImageCheck
from agent.cameras.register import CameraEntry
from agent.cameras.rtsp import CameraStream
from agent.detectors import open_detector
from agent.examine import STATUS, newest_heartbeat
from agent.lookout import Lookout
from agent.on_trial import Trial
from agent.settings import AgentSettings
from agent.still_store import StillStore
from agent.supervisor import Watched as WatchedThread
from agent.supervisor import late
from agent.update.runner import Places
from agent.uplink import identity
from agent.uplink.heartbeat import Growth, vitals
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from agent.uplink.renew import Renewal
from agent.vision.event import EventTuning
from agent.vision.pipeline import Pipeline, Tuning
from agent.watch import TimedDetector, Watch, Watched
from shared.clock import Clock, SystemClock, boot_id, is_synchronised
from shared.disk import write_atomically
from shared.errors import NeedsFixing, TryLater
from shared.localtime import Hours
from shared.messages import CameraHealth, CameraState, ClockQuality, Heartbeat
from shared.systemd import notify

log = logging.getLogger(__name__)

_VISION_DEADLINE_S = 60.0  # the slowest inference known on a Pi 4 is 0.4 s; eight cameras, and a margin
_FAULTY_DEADLINE_S = 600.0  # a thread that turns but fails each time does nothing; a full disk may last
_UPLINK_DEADLINE_S = 60.0  # a full disk may hold a commit for seconds, never for a minute
_TICK_S = 1.0


class NoCameras(NeedsFixing):
    key = "no-cameras"


class CameraTwice(NeedsFixing):
    """The same name in the register and in `[frigate]`, or twice in the latter."""

    key = "camera-twice"


class ThreadLate(TryLater):
    """A part hangs; starting anew is the cure, and systemd does it."""

    key = "thread-late"


@dataclass(slots=True)
class _Camera:
    entry: CameraEntry
    lookout: Lookout
    pipeline: Pipeline
    stream: CameraStream
    pictures: MainPictures | None
    image_check: ImageCheck
    hints: HintMark
    listener: CameraEvents | None = None

    def health(self, now_s: float) -> CameraHealth:
        """The stream's own trouble comes first: without a stream the picture is an old one."""
        health, cause = self.stream.health(now_s), self.image_check.cause
        if not cause and self.lookout.is_behind():
            cause = "detector-behind"
        if not cause and self.listener:
            cause = self.listener.cause(self.entry.source)
        if health.state is not CameraState.OK or not cause:
            return health
        return health.model_copy(update={"state": CameraState.DEGRADED, "cause": cause})

    def told(self, now_s: float) -> CameraHealth:
        """The same with the figures of the last minutes, for a heartbeat."""
        figures = self.lookout.figures()
        late = {
            "late_p50_ms": figures.p50_ms,
            "late_p99_ms": figures.p99_ms,
            "frames_looked": figures.looked,
            "frames_skipped": figures.skipped,
        }
        return self.health(now_s).model_copy(update=late)


class Agent:
    """Everything that runs. Built whole or not at all; `run` blocks until `stop` is set."""

    def __init__(self, home: Path, settings: AgentSettings, clock: Clock | None = None) -> None:
        self._home = home
        self._settings = settings
        self._clock = clock or SystemClock()
        self._growth = Growth(self._clock.monotonic())
        self._started_s = self._clock.monotonic()
        self._boot_id = boot_id()
        self._process = psutil.Process()
        self._identity = identity.load_here(home)
        self._arrived = threading.Event()
        self._boot_told = False
        self._states: tuple[tuple[CameraState, str], ...] = ()
        entries = register.load(home)
        self._frigate = self._open_frigate({entry.name for entry in entries})
        if not entries and not self._frigate:
            raise NoCameras
        self._detector = TimedDetector(open_detector(home, settings), self._clock)
        self._cameras = [self._camera(entry) for entry in entries]
        self._follower = Follower(home, [self._followed(camera) for camera in self._cameras], self._clock)
        self._clock_watch = ClockWatch(home, self._clock, is_synchronised)
        self._listeners = self._listen()
        signer = identity.Signer(self._identity)
        speaker = Speaker(self._identity.site, uuid7, signer)
        self._outbox = Outbox(home / "outbox.db", speaker, budget_bytes=settings.outbox_mb * 1_000_000)
        wire = MqttWire(self._identity, self._clock, self._outbox.arrived)
        self._renewal = Renewal(home, self._identity, self._clock, connection=wire, signer=signer)
        self._publisher = Publisher(
            self._outbox,
            wire,
            self._clock,
            line=Line(
                settings.window_kb * 1024,
                settings.uplink_kbps * 125 or None,
                Hours.parse(settings.quiet_hours),
            ),
            heartbeat=(self._heartbeat, settings.heartbeat_s),
        )
        self._watched_cameras = {camera.entry.name: self._watched(camera) for camera in self._cameras}
        self._watch = Watch(
            list(self._watched_cameras.values()),
            self._outbox,
            self._clock,
            self._boot_id,
            arrived=self._arrived,
            is_synchronised=is_synchronised,
        )
        self._watch.heed(lambda: self._publisher.wishes)
        self._watch.remember_in(StillStore(home))
        self._trial = Trial(home, version("anninh"), self._outbox, self._clock, Places())
        before = newest_heartbeat(home)
        self._saw_before = before and any(camera.state is CameraState.OK for camera in before.cameras)
        if self._frigate:
            self._watch.add_claims(self._frigate, self._detector, self._identity.site)

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
                self._tell_news()
                self._tell_boot()
                self._trial.step(self._identity.site, sees=self._sees)
        finally:
            notify("STOPPING=1")
            self._stop()

    def _tell_news(self) -> None:
        """A camera whose state or cause changed is worth a heartbeat of its own."""
        now_s = self._clock.monotonic()
        states = tuple((health.state, health.cause) for health in self._camera_healths(now_s))
        if states != self._states:
            self._states = states
            self._publisher.tell_soon()

    def _tell_boot(self) -> None:
        """Once the clock is right, the station can date what was made before it was."""
        if not self._boot_told and is_synchronised():
            now = self._clock.now()
            started_at = now - timedelta(seconds=self._clock.monotonic())
            self._outbox.put_boot(self._boot_id, started_at, now)
            self._boot_told = True

    def _sees(self) -> bool:
        """Does any camera give pictures, where one did before this start?"""
        healths = self._camera_healths(self._clock.monotonic())
        return not self._saw_before or any(health.state is not CameraState.DOWN for health in healths)

    def _camera_healths(self, now_s: float) -> tuple[CameraHealth, ...]:
        return (*(camera.health(now_s) for camera in self._cameras), *self._frigate_healths())

    def _frigate_healths(self) -> tuple[CameraHealth, ...]:
        return tuple(self._frigate.health()) if self._frigate else ()

    def _start(self) -> None:
        self._publisher.start()
        self._renewal.start()
        self._watch.start()
        for camera in self._cameras:
            camera.stream.start()
            if camera.pictures:
                camera.pictures.start()
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
            camera.stream.ask_to_stop()
            if camera.pictures:
                camera.pictures.ask_to_stop()
        for camera in self._cameras:
            camera.stream.stop()
            if camera.pictures:
                camera.pictures.stop()
        for listener in self._listeners:
            listener.stop()
        if self._frigate:
            self._frigate.stop()
        self._watch.stop()
        self._renewal.stop()
        self._publisher.stop()
        self._outbox.close()

    def _threads(self) -> tuple[WatchedThread, ...]:
        return (
            WatchedThread("vision", lambda: self._watch.mark_s, _VISION_DEADLINE_S),
            WatchedThread("uplink", lambda: self._publisher.mark_s, _UPLINK_DEADLINE_S),
            WatchedThread("frames", lambda: self._watch.done_s, _FAULTY_DEADLINE_S),
            WatchedThread("outbox", lambda: self._publisher.done_s, _FAULTY_DEADLINE_S),
        )

    def _camera(self, entry: CameraEntry) -> _Camera:
        credential = credentials.load(self._home, entry.login_name)
        tuning = Tuning(event=EventTuning(zones=zone_file.of(self._home, entry.name)))
        pipeline = Pipeline(self._identity.site, entry.name, self._detector, tuning, uuid7)
        attention = Attention()
        hints = HintMark(attention)
        lookout = Lookout(pipeline, self._clock, arrived=self._arrived, attention=attention, hints=hints)
        masks = LiveMasks(self._home, entry.name, self._clock)
        stream = CameraStream(
            entry.name,
            guard.detect_address(entry, credential, self._clock),
            self._clock,
            slot=lookout,
            sampled_fps=self._settings.detect_fps,
            masks=masks,
        )
        if self._settings.decode == "auto":
            stream.be_thrifty(attention, is_only_stream=entry.picture_url == entry.detect_url)
        pictures = None
        if entry.picture_url != entry.detect_url:
            address = guard.picture_address(entry, credential, self._clock)
            pictures = MainPictures(entry.name, address, self._clock, masks)
        check = ImageCheck(self._home, entry.name, masks)
        return _Camera(entry, lookout, pipeline, stream, pictures, check, hints)

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

    def _listen(self) -> set[CameraEvents]:
        """Hear what the cameras themselves have seen."""
        lenses = [(lambda camera=camera: camera.entry, camera.hints) for camera in self._cameras]
        by_name = listeners(self._home, lenses, self._clock)
        for camera in self._cameras:
            camera.listener = by_name.get(camera.entry.name)
        return set(by_name.values())

    def _followed(self, camera: _Camera) -> Followed:
        return Followed(
            camera.entry,
            cause=lambda: camera.stream.health(self._clock.monotonic()).cause,
            move_to=lambda entry: self._move(camera, entry),
        )

    def _move(self, camera: _Camera, entry: CameraEntry) -> None:
        """The camera is elsewhere now, or a person has changed what the register says of it."""
        is_elsewhere = (
            entry.model_copy(update={"clock_offset_s": camera.entry.clock_offset_s}) != camera.entry
        )
        camera.entry = entry
        self._watched_cameras[entry.name].clock_offset_s = entry.clock_offset_s
        if not is_elsewhere:
            return  # its clock was measured again
        credential = credentials.load(self._home, entry.login_name)
        camera.stream.move_to(guard.detect_address(entry, credential, self._clock))
        if camera.pictures:
            camera.pictures.move_to(guard.picture_address(entry, credential, self._clock))

    def _watched(self, camera: _Camera) -> Watched:
        return Watched(
            camera=camera.entry.name,
            lookout=camera.lookout,
            pictures=camera.pictures,
            pipeline=camera.pipeline,
            clock_offset_s=camera.entry.clock_offset_s,
            seen_s=self._clock.monotonic(),
            image_check=camera.image_check,
        )

    def _heartbeat(self) -> Heartbeat:
        now_s, now = self._clock.monotonic(), self._clock.now()
        waiting = self._outbox.waiting()
        body = vitals(self._process, self._home)
        oldest_s = now.timestamp() - waiting.oldest_us / 1e6 if waiting.oldest_us else None
        growth_mb_h = self._growth.add(body.memory_mb, now_s)
        p50_ms = self._detector.p50_ms
        heartbeat = Heartbeat(
            site=self._identity.site,
            sent_at=now,
            boot_id=self._boot_id,
            agent_version=version("anninh"),
            uptime_s=round(now_s - self._started_s, 1),
            clock_quality=ClockQuality.SYNCED if is_synchronised() else ClockQuality.UNSYNCED,
            outbox_waiting=waiting.messages,
            outbox_oldest_s=oldest_s and round(max(oldest_s, 0), 1),
            outbox_refused=waiting.refused,
            outbox_dropped=waiting.dropped,
            instance=waiting.instance,
            sequence_next=waiting.sequence_next,
            sequence_waiting=waiting.sequence_waiting,
            detector=self._detector.name,
            detect_p50_ms=p50_ms and round(p50_ms, 1),
            frames_skipped=sum(camera.lookout.dropped for camera in self._cameras),
            cpu_percent=body.cpu_percent,
            memory_mb=body.memory_mb,
            disk_free_mb=body.disk_free_mb,
            temperature_c=body.temperature_c,
            undervoltage=body.power.undervoltage,
            undervoltage_seen=body.power.undervoltage_seen,
            throttled=body.power.throttled,
            disk_worn=body.disk_worn,
            memory_growth_mb_h=growth_mb_h,
            causes=body.causes(growth_mb_h),
            cameras=tuple(
                health.model_copy(update={"last_event_at": self._watch.last_event_at.get(health.camera)})
                for health in (*(camera.told(now_s) for camera in self._cameras), *self._frigate_healths())
            ),
        )
        self._write_status(heartbeat)
        return heartbeat

    def _write_status(self, heartbeat: Heartbeat) -> None:
        """A courtesy to `agent doctor`; a full disk must not cost the heartbeat itself."""
        try:
            write_atomically(self._home / STATUS, heartbeat.model_dump_json(exclude_none=True).encode())
        except OSError as error:
            log.warning("status not written", extra={"reason": error})
