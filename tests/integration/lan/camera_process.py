"""What stands in the camera's network? One virtual camera as a process of its own, to kill and to stop.

Faults are written to its standard input, one `name = JSON` a line; `drop` resets every connection.
"""

from __future__ import annotations

import json
import sys
import time

from tests.conftest import VTEST
from tests.virtual_camera import VirtualCamera, prepare


def main() -> None:
    address = sys.argv[1]
    camera = VirtualCamera(prepare(VTEST), address=address, onvif_port=80, rtsp_port=554)
    _begin_with_the_machine(camera)
    with camera:
        print("ready", flush=True)
        for line in sys.stdin:
            name, _, value = line.strip().partition(" = ")
            if name == "drop":
                camera.rtsp.drop_connections()
            else:
                setattr(camera.faults, name, json.loads(value))


def _begin_with_the_machine(camera: VirtualCamera) -> None:
    """The street goes on while its camera is off: what is to be seen depends on the time alone."""
    camera.rtsp.epoch_s = 0.0
    for live in (camera.rtsp._main, camera.rtsp._sub):
        live._epoch_s, live._wall_s = 0.0, time.time() - time.monotonic()


if __name__ == "__main__":
    main()
