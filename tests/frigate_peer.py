"""What is a Frigate to our software? A real broker and a real HTTP server, speaking as documented."""
# ruff: noqa: E501 -- its rows are long

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import free_port

Row = dict[str, Any]


class FrigatePeer:
    """Keeps events, publishes them and serves them; `password`: the HTTP wants a login."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self.mqtt_port, self._folder, self._password = free_port(), folder, password
        self.rows: dict[str, Row] = {}
        self.pictures: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._boxes: dict[str, tuple[int, int, int, int]] = {}
        self.logins_refused = 0
        self.http_down = False
        self._broker: subprocess.Popen[bytes] | None = None
        self._speaker: mqtt.Client | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.start_broker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_broker()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    # MQTT

    def start_broker(self) -> None:
        config = self._folder / "mosquitto.conf"
        config.write_text(f"listener {self.mqtt_port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._broker = subprocess.Popen(
            [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._speaker = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="frigate")
        deadline_s = time.monotonic() + 20
        while True:
            try:
                self._speaker.connect("127.0.0.1", self.mqtt_port)
                break
            except OSError:
                assert time.monotonic() < deadline_s, "mosquitto did not start"
                time.sleep(0.05)
        self._speaker.loop_start()
        self.publish("frigate/available", b"online", retain=True)

    def stop_broker(self) -> None:
        if self._broker and self._speaker:
            self._speaker.disconnect()
            self._speaker.loop_stop()
            self._broker.terminate()
            self._broker.wait(10)
            self._broker = None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert self._speaker
        self._speaker.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    # what happens in front of its cameras

    def sees(
        self,
        key: str,
        *,
        picture: np.ndarray,
        box: tuple[int, int, int, int],
        label: str = "person",
        told: bool = True,
    ) -> None:
        """A new event; `told`: also over MQTT."""
        now_s = time.time()
        height, width = picture.shape[:2]
        x0, y0, x1, y1 = self._boxes[key] = box
        self.pictures[key] = cv2.imencode(".jpg", picture)[1].tobytes()
        self.rows[key] = {
            "id": key, "camera": "front_door", "label": label, "sub_label": "Nguyễn Văn Ba", "start_time": now_s,
            "end_time": None, "false_positive": None, "zones": ["yard"], "thumbnail": "", "has_clip": True,
            "has_snapshot": True, "plus_id": None, "retain_indefinitely": False, "top_score": None, "box": None,
            "data": {
                "type": "object", "score": 0.8, "top_score": 0.85, "attributes": [], "description": "a man",
                "box": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                "path_data": [[[0.2, 0.9], now_s], [[0.3, 0.9], now_s + 1]],
                "recognized_license_plate": "51F-123.45",
            },
        }  # fmt: skip
        if told:
            self.tell("new", key, box)

    def goes(self, key: str, *, told: bool = True) -> None:
        self.rows[key]["end_time"] = time.time()
        if told:
            self.tell("end", key, self._boxes[key])

    def tell(self, kind: str, key: str, box: tuple[int, int, int, int]) -> None:
        row = self.rows[key]
        after = {
            "id": key, "camera": row["camera"], "frame_time": time.time(), "label": row["label"],
            "sub_label": ["Nguyễn Văn Ba", 0.93], "top_score": 0.85, "false_positive": False, "box": list(box),
            "start_time": row["start_time"], "end_time": row["end_time"], "score": 0.8, "stationary": False,
            "has_clip": True, "has_snapshot": row["has_snapshot"], "current_zones": ["yard"], "thumbnail": None,
            "recognized_license_plate": "51F-123.45", "path_data": row["data"]["path_data"],
            "snapshot": {"frame_time": time.time(), "box": list(box), "area": 1, "score": 0.8, "attributes": []},
        }  # fmt: skip
        self.publish("frigate/events", json.dumps({"type": kind, "before": after, "after": after}).encode())

    # HTTP

    def _answer(self, path: str, cookie: str) -> tuple[int, str, bytes]:
        parts = urlsplit(path)
        if self.http_down:
            return 502, "text/plain", b""
        if self._password and "frigate_token=good" not in cookie:
            return 401, "application/json", b"{}"
        if parts.path == "/api/config":
            config = {"cameras": {"front_door": {"detect": {"width": 768, "height": 576, "fps": 5}}}}
            return 200, "application/json", json.dumps(config).encode()
        if parts.path == "/api/events":
            asked = {name: float(values[0]) for name, values in parse_qs(parts.query).items()}
            rows = [
                row for row in self.rows.values()
                if asked.get("after", 0) < row["start_time"] < asked.get("before", 1e12)
            ]  # fmt: skip
            rows.sort(key=lambda row: -row["start_time"])
            return 200, "application/json", json.dumps(rows[: int(asked.get("limit", 100))]).encode()
        _, _, _, key, *name = [*parts.path.split("/"), ""][:5]
        return self._of_event(key, name[0] if name else "")

    def _of_event(self, key: str, name: str) -> tuple[int, str, bytes]:
        if key not in self.rows:
            return 404, "application/json", b'{"success": false, "message": "Event not found"}'
        if not name:
            return 200, "application/json", json.dumps(self.rows[key]).encode()
        if name == "snapshot.jpg" and key in self.pictures:
            return 200, "image/jpeg", self.pictures[key]
        return 404, "application/json", b'{"success": false, "message": "Snapshot not available"}'

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                peer.asked.append(self.path)
                self._reply(*peer._answer(self.path, self.headers.get("Cookie", "")))

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                right = self.path == "/api/login" and said.get("password") == peer._password
                peer.logins_refused += not right
                self._reply(200 if right else 401, "application/json", b"{}", cookie=right)

            def _reply(self, status: int, kind: str, body: bytes, *, cookie: bool = False) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if cookie:
                    self.send_header("Set-Cookie", "frigate_token=good; HttpOnly; Path=/")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        return Handler
