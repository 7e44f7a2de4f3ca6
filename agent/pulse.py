"""What does the next heartbeat say? The agent's figures, and the box's, put together."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from agent.examine import STATUS
from agent.uplink.heartbeat import Growth, Vitals, vitals
from agent.uplink.outbox import Waiting
from shared.clock import Clock, is_synchronised
from shared.disk import write_atomically
from shared.messages import CameraHealth, ClockQuality, ConfigurationReport, Heartbeat

log = logging.getLogger(__name__)

_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's word → the packages'


@dataclass(frozen=True, slots=True)
class Condition:
    """How the parts of the agent are at this moment."""

    waiting: Waiting
    detector: str
    detect_p50_ms: float | None
    frames_skipped: int
    cameras: tuple[CameraHealth, ...]
    configuration: ConfigurationReport
    paused_by_household: bool
    update: tuple[str, ...] = ()  # how it goes with a version that is to come


@dataclass(slots=True)
class Pulse:
    """Makes heartbeats, and writes each down for `agent doctor`."""

    home: Path
    site: str
    boot_id: str
    clock: Clock
    condition: Callable[[], Condition]
    _started_s: float = field(init=False)
    _growth: Growth = field(init=False)
    _process: psutil.Process = field(init=False, default_factory=psutil.Process)

    def __post_init__(self) -> None:
        self._started_s = self.clock.monotonic()
        self._growth = Growth(self._started_s)

    def beat(self) -> Heartbeat:
        now_s, now = self.clock.monotonic(), self.clock.now()
        condition, body = self.condition(), vitals(self._process, self.home)
        growth_mb_h = self._growth.add(body.memory_mb, now_s)
        p50_ms = condition.detect_p50_ms
        heartbeat = Heartbeat(
            site=self.site,
            sent_at=now,
            boot_id=self.boot_id,
            agent_version=version("anninh"),
            architecture=_DEBIAN.get(platform.machine(), platform.machine()),
            uptime_s=round(now_s - self._started_s, 1),
            clock_quality=ClockQuality.SYNCED if is_synchronised() else ClockQuality.UNSYNCED,
            detector=condition.detector,
            detect_p50_ms=p50_ms and round(p50_ms, 1),
            frames_skipped=condition.frames_skipped,
            memory_growth_mb_h=growth_mb_h,
            causes=(*body.causes(growth_mb_h), *condition.update),
            cameras=condition.cameras,
            configuration=condition.configuration,
            paused_by_household=condition.paused_by_household,
            **_of_the_outbox(condition.waiting, now.timestamp()),
            **_of_the_box(body),
        )
        self._write_down(heartbeat)
        return heartbeat

    def _write_down(self, heartbeat: Heartbeat) -> None:
        """A courtesy to `agent doctor`; a full disk must not cost the heartbeat itself."""
        try:
            write_atomically(self.home / STATUS, heartbeat.model_dump_json(exclude_none=True).encode())
        except OSError as error:
            log.warning("status not written", extra={"reason": error})


def _of_the_outbox(waiting: Waiting, now_s: float) -> dict[str, Any]:
    oldest_s = now_s - waiting.oldest_us / 1e6 if waiting.oldest_us else None
    return {
        "outbox_waiting": waiting.messages,
        "outbox_oldest_s": oldest_s and round(max(oldest_s, 0), 1),
        "outbox_refused": waiting.refused,
        "outbox_dropped": waiting.dropped,
        "instance": waiting.instance,
        "sequence_next": waiting.sequence_next,
        "sequence_waiting": waiting.sequence_waiting,
    }


def _of_the_box(body: Vitals) -> dict[str, Any]:
    return {
        "cpu_percent": body.cpu_percent,
        "memory_mb": body.memory_mb,
        "disk_free_mb": body.disk_free_mb,
        "temperature_c": body.temperature_c,
        "undervoltage": body.power.undervoltage,
        "undervoltage_seen": body.power.undervoltage_seen,
        "throttled": body.power.throttled,
        "disk_worn": body.disk_worn,
    }
