"""How does a camera stand in a room of its own? `python -m tests.virtual_camera --video FILE`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tests.virtual_camera.camera import VirtualCamera
from tests.virtual_camera.clip import DEFAULT_FOLDER, prepare
from tests.virtual_camera.state import Login


def main() -> int:
    """Play the video as a camera until SIGTERM or SIGINT; one JSON line says when it is ready."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    clip = prepare(options.video, options.cache, _show_progress)
    password = _password(options)
    camera = VirtualCamera(
        clip,
        options.name,
        address=options.address,
        onvif_port=options.onvif_port,
        rtsp_port=options.rtsp_port,
        login=Login(options.user, password) if password else None,
        discoverable=not options.no_discovery,
    )
    with camera:
        ready = {
            "name": options.name,
            "address": options.address,
            "onvif_port": camera.onvif_port,
            "rtsp_port": camera.rtsp.port,
            "onvif": camera.onvif_url,
            "main": camera.stream_url("main"),
            "sub": camera.stream_url("sub"),
            "endpoint": str(camera.identity.endpoint),
            "mac": camera.identity.mac,
        }
        print(json.dumps(ready), flush=True)
        stop.wait()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.virtual_camera", description=__doc__)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--onvif-port", type=int, default=0)
    parser.add_argument("--rtsp-port", type=int, default=0)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", type=Path, help="or the environment: VIRTUAL_CAMERA_PASSWORD")
    parser.add_argument("--name", default="cam1")
    parser.add_argument("--cache", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--no-discovery", action="store_true")
    return parser.parse_args()


def _password(options: argparse.Namespace) -> str:
    if options.password_file:
        return options.password_file.read_text(encoding="utf-8").strip()
    return os.environ.get("VIRTUAL_CAMERA_PASSWORD", "")


def _show_progress(fraction: float) -> None:
    if sys.stderr.isatty() or fraction in {0.0, 1.0}:
        end = "\n" if fraction == 1.0 or not sys.stderr.isatty() else ""
        print(f"\rpreparing the clip: {fraction:4.0%}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
