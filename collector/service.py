"""How does the station run? Builds broker, enrolment and intake, connects them, and watches over them.

Started in this order, stopped in the other: lock, broker, enrolment, committer, subscriber, commands,
liveness. A part that mends itself (the broker's process, the connection) is left to it; a thread that
dies ends the whole, and systemd starts it anew: nothing acknowledged is ever only in memory.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from collector.archive.folder import StationFolder
from collector.intake.broker import Broker
from collector.intake.committer import Committer
from collector.intake.dispatch import Dispatch
from collector.intake.enrolment_endpoint import EnrolmentEndpoint
from collector.intake.foundation import AUTHORITY_KEY, prepare
from collector.intake.inbox import Inbox
from collector.intake.ingest import Terms
from collector.intake.subscriber import Subscriber
from collector.liveness import metrics
from collector.liveness.sender import Sender, target_name
from collector.liveness.watcher import Watcher
from collector.settings import StationSettings
from shared import credentials, systemd
from shared.clock import Clock
from shared.disk import held
from shared.errors import NeedsFixing

log = logging.getLogger(__name__)

WATCH_S = 1.0  # how often the parts are looked at
STUCK_S = 60.0  # a commit that takes longer hangs in the kernel; systemd's watchdog is told no more
GARBAGE = (50_000, 20, 50)  # new objects before a look: a batch of 500 messages makes about as many
DRAIN_S = 20.0  # for the last batches of a clean stop


class StationRunning(NeedsFixing):
    """Another `collector run` holds this folder."""

    key = "station-running"


class Service:
    """Everything `collector run` consists of."""

    def __init__(self, folder: StationFolder, settings: StationSettings, clock: Clock) -> None:
        self._folder, self._settings, self._clock = folder, settings, clock
        authority = prepare(folder, settings, clock.now())
        self._inbox = Inbox()
        self._broker = Broker(folder, settings)
        self._subscriber = Subscriber(folder, settings, self._inbox, clock)
        self._committer = Committer(
            folder, self._inbox, self._subscriber, clock, Terms(settings.clock_suspect_s, settings.wishes)
        )
        listening = self._subscriber.listening.is_set
        self._watcher = Watcher(folder, map(target_name, settings.alarms), clock, listening)
        self._metrics: metrics.MetricsServer | None = None
        origin = settings.origin("alarms", folder.configuration)
        self._sender = Sender(folder, settings.name, settings.alarms, clock, origin)
        log.info(
            "secrets", extra={"alarms": origin, "authority": credentials.file(AUTHORITY_KEY) or folder.ca_key}
        )
        self._dispatch = Dispatch(folder, self._subscriber, clock)
        self._endpoint = EnrolmentEndpoint(folder, settings, authority, clock)

    def run(self, stop: threading.Event) -> bool:
        """Serve until told to stop; False when a part died and all must start anew."""
        _collect_garbage_seldom()
        self._broker.start()
        try:
            self._endpoint.start()
            self._committer.start()
            self._subscriber.start()
            self._dispatch.start()
            self._watcher.start()
            self._sender.start()
            self._metrics = metrics.serve(self._folder, self._settings.metrics_port, self._clock)
            return self._watch(stop)
        finally:
            self._stop()

    def _watch(self, stop: threading.Event) -> bool:
        is_ready = False
        while not stop.wait(WATCH_S if is_ready else 0.05):
            dead = [
                name
                for name, part in (
                    ("broker", self._broker),
                    ("enrolment", self._endpoint),
                    ("committer", self._committer),
                    ("subscriber", self._subscriber),
                    ("commands", self._dispatch),
                    ("liveness", self._watcher),
                    ("alarms", self._sender),
                )
                if not part.alive
            ]
            if dead:
                log.critical("a part died", extra={"parts": ",".join(dead)})
                return False
            if not is_ready and self._subscriber.listening.is_set():
                is_ready = True
                self._announce()
            if self._clock.monotonic() - self._committer.mark_s < STUCK_S:
                systemd.notify("WATCHDOG=1")
        return True

    def _announce(self) -> None:
        systemd.notify("READY=1")
        ports = {"broker_port": self._settings.broker_port, "enrolment_port": self._settings.enrolment_port}
        log.info("READY", extra={"station": str(self._folder.root), **ports})

    def _stop(self) -> None:
        systemd.notify("STOPPING=1")
        if self._metrics:
            self._metrics.stop()
        self._sender.stop()
        self._watcher.stop()
        self._endpoint.stop()
        self._dispatch.stop()
        self._subscriber.keeping(is_keeping=False)
        self._committer.stop(DRAIN_S)
        self._subscriber.stop()
        self._broker.stop()
        log.info("stopped")


def _collect_garbage_seldom() -> None:
    """What is loaded now stays: looking through it again and again took an eighth of intake's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


@contextmanager
def only_one(folder: StationFolder) -> Iterator[None]:
    """Hold the station's folder. Raises StationRunning."""
    try:
        with held(folder.run_lock):
            yield
    except BlockingIOError as error:
        raise StationRunning(path=folder.root) from error
