"""How long from the household's word until nobody looks? `python -m tests.bench.house.pause VIDEO`.

A running agent, a virtual camera and a real broker; ten pauses, each until both streams have said goodbye
and until the station's desk reads it in a heartbeat.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from agent.commands.pause import pause
from agent.commands.resume import resume
from shared.messages import CameraState
from tests.e2e.street import PREPARED_MODELS
from tests.integration.orders.house import Broker, Desk, House
from tests.station import Station, wait_until
from tests.virtual_camera import VirtualCamera, prepare

PAUSES = 10


def main(video: Path) -> None:
    with tempfile.TemporaryDirectory() as name, VirtualCamera(prepare(video), "pause") as camera:
        folder = Path(name)
        with Station(folder / "station") as station:
            house = House(folder / "home", station, camera, PREPARED_MODELS)
        os.environ["ANNINH_HOME"] = str(house.home)
        with Broker(station), Desk(station) as desk:
            house.start()
            try:
                for number in range(PAUSES):
                    wait_until(lambda: desk.heartbeats and desk.camera().state is CameraState.OK, 60)
                    time.sleep(1.0 + 0.37 * number)  # anywhere in the second between two looks
                    print(*(f"{seconds:.2f}" for seconds in _one_pause(camera, desk)), sep="\t")
            finally:
                house.stop()


def _one_pause(camera: VirtualCamera, desk: Desk) -> tuple[float, float]:
    """Seconds until both streams are closed, and until the heartbeat says so."""
    before, began_s = camera.counters.rtsp_teardowns, time.monotonic()
    pause()
    wait_until(lambda: camera.counters.rtsp_teardowns >= before + 2)
    closed_s = time.monotonic() - began_s
    wait_until(lambda: desk.heartbeats[-1].paused_by_household)
    told_s = time.monotonic() - began_s
    resume()
    wait_until(lambda: not desk.heartbeats[-1].paused_by_household)
    return closed_s, told_s


if __name__ == "__main__":
    main(Path(sys.argv[1]))
