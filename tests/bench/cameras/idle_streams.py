"""What does watching cost while nothing happens? `python -m tests.bench.cameras.idle_streams`.

    .venv/bin/python -m tests.bench.cameras.idle_streams [--cameras 1 4 8] [--seconds 40] [--scene empty]
        [--alone]

The real agent (`agent run`, enrolled at a real station, model loaded, motion gate on) and Debian's
`motion` look in turn, in the same run, at the same sub streams: 640x360, 10 fps, H.264, RTSP over TCP.
CPU is what the kernel charged to the process; cameras and station are other processes. The floor is a
program that decodes the frames and does nothing with them. `parked`
shows a street full of standing cars, `--main` holds the 720p main stream open as well, as a house with
two streams per camera does (motion has no use for one). `--alone` measures the agent only. On an empty
street a camera should cost it less than 3 % of a core, and each further one less than 12 MB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agent.examine import STATUS
from tests.bench.cameras.idle_scene import record
from tests.conftest import REPOSITORY, SHARED_DATA, VTEST
from tests.e2e.street import BUILD, Street

_STREET = SHARED_DATA / "video" / "ozlu_input_video.mp4"
_SCENES = {"empty": (_STREET, 36.0), "parked": (_STREET, 0.0), "pedestrians": (VTEST, 0.0)}
_SETTLE_S = 15.0  # connect, learn the scene, end the first look's hold
_MB = 1e6
_GOAL_PERCENT, _GOAL_MB = 3.0, 12.0  # per camera on a quiet street; per further camera


@dataclass(frozen=True)
class Cost:
    """One system on so many cameras, over the measured time."""

    system: str
    cameras: int
    cpu_percent: float  # of one core
    rss_mb: float
    pss_mb: float
    threads: int
    note: str


def main() -> None:
    options = _options()
    if not options.alone and shutil.which("motion") is None:
        raise SystemExit("needs Debian's motion: apt-get install motion")
    folder = BUILD / "idle-streams"
    shutil.rmtree(folder, ignore_errors=True)
    street = Street(folder, record(*_SCENES[options.scene]), quiet=True)
    with street.children:
        street.found_station()
        street.start_collector()
        street.enrol()
        street.take_model()
        cameras = [
            street.start_bare_camera(f"idle-{number}") for number in range(1, max(options.cameras) + 1)
        ]
        costs = [
            measured
            for count in options.cameras
            for measured in _measurements(street, cameras[:count], options)
        ]
    print(f"\nscene {options.scene}, {options.seconds:g} s each, sub stream 640x360 at 10 fps")
    _report(costs)


def _measurements(
    street: Street, cameras: list[dict[str, Any]], options: argparse.Namespace
) -> Iterator[Cost]:
    yield _of_agent(street, cameras, options)
    if not options.alone:
        yield _of_motion(street, cameras, options.seconds)
        yield _of_decoding(street, cameras, options.seconds)


def _of_agent(street: Street, cameras: list[dict[str, Any]], options: argparse.Namespace) -> Cost:
    street.watch_bare_cameras(cameras, main=options.main)
    with _running(street, "agent", street.command("agent", "run")) as process:
        cost = _measured("agent", process, cameras, options.seconds)
        status = json.loads((street.home / STATUS).read_text())
    states = [f"{one['state']} {one['cause']} {one['fps']} fps" for one in status["cameras"]]
    # all began at once, each with its first looks; that is said for a minute, and each is watched
    if not all(one["state"] == "ok" or one["cause"] == "detector-behind" for one in status["cameras"]):
        raise SystemExit(f"not every camera was watched: {states}")
    p50 = status.get("detect_p50_ms")
    return Cost(**(vars(cost) | {"note": f"{min(states)}, inference p50 {p50} ms"}))


def _of_motion(street: Street, cameras: list[dict[str, Any]], seconds: float) -> Cost:
    folder = street.folder / f"motion-{len(cameras)}"
    configuration = _configure_motion(folder, [camera["sub"] for camera in cameras])
    with _running(street, "motion", ["motion", "-n", "-c", str(configuration)]) as process:
        return _measured("motion", process, cameras, seconds)


def _of_decoding(street: Street, cameras: list[dict[str, Any]], seconds: float) -> Cost:
    urls = [camera["sub"] for camera in cameras]
    with _running(
        street, "decoding", [sys.executable, "-m", "tests.bench.cameras.decode_only", *urls]
    ) as process:
        return _measured("decoding", process, cameras, seconds)


def _configure_motion(folder: Path, urls: list[str]) -> Path:
    """Debian's defaults, but nothing is written and nothing served."""
    folder.mkdir(parents=True)
    common = {
        "daemon": "off",
        "log_file": folder / "motion.log",
        "log_level": 6,
        "target_dir": folder,
        "width": 640,
        "height": 360,
        "framerate": 10,
        "netcam_params": "rtsp_transport=tcp",
        "picture_output": "off",
        "movie_output": "off",
        "webcontrol_port": 0,
        "stream_port": 0,
    }
    lines = [f"{name} {value}" for name, value in common.items()]
    for number, url in enumerate(urls, start=1):
        camera = folder / f"camera-{number}.conf"
        camera.write_text(f"camera_id {number}\nnetcam_url {url}\n")
        lines.append(f"camera {camera}")
    path = folder / "motion.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def _running(street: Street, name: str, command: list[str]) -> Iterator[psutil.Process]:
    environment = street.environment | {"PYTHONPATH": str(REPOSITORY)}
    child = street.children.start(name, command, environment)
    try:
        yield psutil.Process(child.pid)
    finally:
        street.children.stop(name)


def _measured(system: str, process: psutil.Process, cameras: list[dict[str, Any]], seconds: float) -> Cost:
    _sleep(process, _SETTLE_S)
    before, began_s = process.cpu_times(), time.monotonic()
    _sleep(process, seconds)
    after, took_s = process.cpu_times(), time.monotonic() - began_s
    spent_s = after.user + after.system - before.user - before.system
    ports = {camera["rtsp_port"] for camera in cameras}
    seen = {link.raddr.port for link in process.net_connections() if link.raddr} & ports
    if seen != ports:
        raise SystemExit(f"{system} is connected to {len(seen)} of {len(ports)} cameras")
    memory = process.memory_full_info()
    return Cost(
        system=system,
        cameras=len(cameras),
        cpu_percent=100 * spent_s / took_s,
        rss_mb=memory.rss / _MB,
        pss_mb=memory.pss / _MB,
        threads=process.num_threads(),
        note="",
    )


def _sleep(process: psutil.Process, seconds: float) -> None:
    time.sleep(seconds)
    if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
        raise SystemExit(f"{process.pid} ended by itself; see {BUILD / 'idle-streams' / 'logs'}")


def _report(costs: list[Cost]) -> None:
    print(
        f"{'system':9}{'cameras':>8}{'CPU % core':>12}{'per camera':>12}{'CPU s/cam-min':>15}"
        f"{'RSS MB':>8}{'PSS MB':>8}{'+RSS/cam':>10}{'threads':>9}"
    )
    first = {cost.system: cost for cost in reversed(costs)}
    for cost in costs:
        each, base = cost.cpu_percent / cost.cameras, first[cost.system]
        more = cost.cameras - base.cameras
        further = f"{(cost.rss_mb - base.rss_mb) / more:.1f}" if more else ""
        print(
            f"{cost.system:9}{cost.cameras:8}{cost.cpu_percent:12.1f}{each:12.2f}{each * 0.6:15.2f}"
            f"{cost.rss_mb:8.0f}{cost.pss_mb:8.0f}{further:>10}{cost.threads:9}   {cost.note}"
        )
    _report_goals([cost for cost in costs if cost.system == "agent"])
    for agent, *others in zip(*(costs[at :: len(first)] for at in range(len(first))), strict=True):
        for other in others:
            print(
                f"agent / {other.system} on {agent.cameras}: "
                f"CPU {agent.cpu_percent / other.cpu_percent:.2f}x   RSS {agent.rss_mb / other.rss_mb:.2f}x"
            )


def _report_goals(agents: list[Cost]) -> None:
    worst = max(cost.cpu_percent / cost.cameras for cost in agents)
    print(f"per camera: {worst:.2f} % of a core at most (goal < {_GOAL_PERCENT:g})")
    first, last = agents[0], agents[-1]
    if last.cameras > first.cameras:
        further = (last.rss_mb - first.rss_mb) / (last.cameras - first.cameras)
        print(f"per further camera: {further:.1f} MB (goal < {_GOAL_MB:g})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--scene", choices=sorted(_SCENES), default="empty")
    parser.add_argument("--alone", action="store_true", help="measure the agent only")
    parser.add_argument("--main", action="store_true", help="hold the main stream open as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
