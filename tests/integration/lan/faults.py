"""What can happen to a camera, and how long until we know and see again? Measured on a virtual LAN.

Each fault is done to a real process behind a real (virtual) cable; what a frame shows is read from its
pixels, so a picture that is old cannot pass for new whatever its time stamp says.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.cameras.stream import StreamAddress
from agent.vision.frame import Frame
from shared.clock import SystemClock
from shared.messages import CameraState
from tests.integration.cameras.scene import Scene
from tests.lan import Lan
from tests.virtual_camera import Clip

ROOT = Path(__file__).resolve().parents[3]
FRESH_S = 3.0  # a frame older than this was handed on as if it were new
_PATIENCE_S = 30.0
_SETTLED_FRAMES = 15


@dataclass(frozen=True)
class Seen:
    """One frame as the consumer got it."""

    taken_s: float
    age_s: float  # by its pixels
    size: tuple[int, int]


@dataclass(frozen=True)
class Row:
    fault: str
    noticed_s: float | None
    recovered_s: float | None
    oldest_s: float
    longest_gap_s: float
    causes: tuple[str, ...]


@dataclass
class Street:
    """One camera on its LAN and one stream that watches it."""

    lan: Lan
    scene: Scene
    duration_s: float
    busy_s: float = 0.0  # how long the consumer works on a frame
    resized: bool = False  # only a frame of another size is one after the fault
    fault_s: float | None = None
    healed_s: float | None = None
    seen: list[Seen] = field(default_factory=list)
    health: list[tuple[float, CameraState, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._done = threading.Event()
        self.start_camera()
        self.slot = FrameSlot()
        self.stream = CameraStream("gate", self.address, SystemClock(), slot=self.slot, sampled_fps=10)

    @property
    def address(self) -> StreamAddress:
        return StreamAddress(f"rtsp://{self.lan.address('cam1')}:554/sub")

    # what is done to the camera

    def start_camera(self) -> None:
        command = ["python", "-m", "tests.integration.lan.camera_process", self.lan.address("cam1")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        self.camera = self.lan.start_in("cam1", command, **pipes)
        assert self.camera.stdout.readline() == "ready\n"

    def kill_camera(self) -> None:
        self.camera.kill()
        self.camera.wait()
        self.camera.stdin.close()
        self.camera.stdout.close()

    def forget_connections(self) -> None:
        """Not a packet more passes between the two ends of what stands now."""
        listed = self.lan.run_in(
            "cam1", ["ss", "-Htn", "state", "established"], capture_output=True, text=True
        )
        for line in listed.stdout.splitlines():
            port = line.split()[3].rpartition(":")[2]
            for rule in (("OUTPUT", "--dport"), ("INPUT", "--sport")):
                command = ["iptables", "-w", "-A", rule[0], "-p", "tcp", rule[1], port, "-j", "DROP"]
                self.lan.run_in("cam1", command, check=True)

    def signal_camera(self, number: int) -> None:
        os.kill(self.camera.pid, number)

    def tell_camera(self, line: str) -> None:
        self.camera.stdin.write(f"{line}\n")
        self.camera.stdin.flush()

    def begin(self) -> None:
        self.fault_s = time.monotonic()

    def heal(self) -> None:
        self.healed_s = time.monotonic()

    # what is seen

    def await_frames(self, more: int) -> None:
        wanted = len(self.seen) + more
        deadline_s = time.monotonic() + _PATIENCE_S
        while len(self.seen) < wanted and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert len(self.seen) >= wanted, f"no picture for {_PATIENCE_S} s: {self.health[-1]}"

    def await_down(self, patience_s: float = _PATIENCE_S) -> None:
        deadline_s = time.monotonic() + patience_s
        while self.noticed_s() is None and time.monotonic() < deadline_s:
            time.sleep(0.02)

    def noticed_s(self) -> float | None:
        assert self.fault_s is not None
        down = (at_s for at_s, state, _ in self.health if at_s > self.fault_s and state is CameraState.DOWN)
        return next((at_s - self.fault_s for at_s in down), None)

    def row(self, fault: str) -> Row:
        assert self.fault_s is not None
        since = [seen for seen in self.seen if seen.taken_s > self.fault_s]
        recovered_s = None
        if self.healed_s is not None:
            back = (seen.taken_s - self.healed_s for seen in since if self._is_after(seen))
            recovered_s = next(back, None)
        moments_s = [self.fault_s, *(seen.taken_s for seen in since)]
        causes = [cause for at_s, state, cause in self.health if at_s > self.fault_s and cause != "ok"]
        return Row(
            fault,
            self.noticed_s(),
            recovered_s,
            max((seen.age_s for seen in since), default=0.0),
            max((later - before for before, later in itertools.pairwise(moments_s)), default=0.0),
            tuple(dict.fromkeys(causes)),
        )

    def _is_after(self, seen: Seen) -> bool:
        after = self.healed_s is not None and seen.taken_s > self.healed_s and seen.age_s < FRESH_S
        return after and (not self.resized or seen.size != self.seen[0].size)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        threads = [threading.Thread(target=work, daemon=True) for work in (self._consume, self._ask)]
        with self.lan.inside("agent"):
            self.stream.start()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            self.stream.stop()
            for thread in threads:
                thread.join(10)
            with contextlib.suppress(ProcessLookupError):
                self.signal_camera(signal.SIGCONT)
            self.kill_camera()

    def _consume(self) -> None:
        while not self._done.is_set():
            if frame := self.slot.take(0.1):
                self.seen.append(self._judged(frame, time.monotonic()))
                time.sleep(self.busy_s)

    def _judged(self, frame: Frame, taken_s: float) -> Seen:
        """Every camera process shows the clip as if it had begun with the machine.

        It goes round, so an age is known up to half a round: 40 s to either side.
        """
        behind_s = taken_s - self.scene.moment_s(frame.image)
        half_s = self.duration_s / 2
        return Seen(taken_s, (behind_s + half_s) % self.duration_s - half_s, frame.size)

    def _ask(self) -> None:
        while not self._done.wait(0.02):
            now_s = time.monotonic()
            health = self.stream.health(now_s)
            self.health.append((now_s, health.state, health.cause))


def process_killed(street: Street) -> None:
    street.begin()
    street.kill_camera()
    time.sleep(12)
    street.start_camera()
    street.heal()


def power_cut(street: Street, away_s: float = 20) -> None:
    street.lan.unplug("cam1")
    street.begin()
    street.kill_camera()
    time.sleep(away_s)
    street.start_camera()
    street.lan.plug("cam1")
    street.heal()


def long_power_cut(street: Street) -> None:
    power_cut(street, away_s=75)


def half_open(street: Street) -> None:
    """Restarted so fast that nobody said goodbye: our connection is to a camera that has forgotten it."""
    street.begin()
    street.forget_connections()
    street.kill_camera()
    street.start_camera()
    street.heal()


def wifi_hole(street: Street) -> None:
    street.begin()
    street.lan.lose(1.0, "cam1")
    time.sleep(12)
    street.lan.lose(0, "cam1")
    street.heal()


def frozen_encoder(street: Street) -> None:
    street.begin()
    street.tell_camera("frozen = true")
    time.sleep(25)
    street.tell_camera("frozen = false")
    street.heal()


def firmware_hang(street: Street) -> None:
    street.begin()
    street.signal_camera(signal.SIGSTOP)
    time.sleep(25)
    street.signal_camera(signal.SIGCONT)
    street.heal()


def loss_5(street: Street) -> None:
    _lossy(street, 0.05)


def loss_20(street: Street) -> None:
    _lossy(street, 0.20)


def _lossy(street: Street, fraction: float) -> None:
    street.begin()
    street.lan.lose(fraction, "cam1")
    time.sleep(25)
    street.lan.lose(0, "cam1")
    street.heal()


def address_change(street: Street) -> None:
    """A new lease: the camera is elsewhere, and who found it tells the stream."""
    street.begin()
    street.kill_camera()
    street.lan.move("cam1", "10.77.0.212")
    street.await_down()
    street.start_camera()
    street.heal()
    street.stream.move_to(street.address)


def resolution_change(street: Street) -> None:
    street.resized = True
    street.begin()
    street.tell_camera("sub_shows_main = true")
    street.tell_camera("drop")
    street.heal()
    deadline_s = time.monotonic() + _PATIENCE_S
    while street.seen[-1].size == street.seen[0].size:
        assert time.monotonic() < deadline_s, "the new size never came"
        time.sleep(0.02)


def slow_detector(street: Street) -> None:
    street.busy_s = 0.2
    street.begin()
    time.sleep(25)


Fault = Callable[[Street], None]
FAULTS: tuple[Fault, ...] = (
    process_killed, power_cut, long_power_cut, half_open, wifi_hole, frozen_encoder, firmware_hang,
    loss_5, loss_20, address_change, resolution_change, slow_detector,
)  # fmt: skip


def measure(fault: Fault, clip: Clip, scene: Scene) -> Row:
    """Do it to a camera that is being watched, heal it, and tell how it went."""
    with Lan(cameras=1) as lan:
        street = Street(lan, scene, clip.duration_s)
        with street.watched():
            street.await_frames(_SETTLED_FRAMES)
            fault(street)
            street.await_frames(_SETTLED_FRAMES)
        return street.row(fault.__name__)
