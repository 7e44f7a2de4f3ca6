"""A whole commune on one machine: a station, a house with a virtual camera, a street that is walked.

`packaging/demo` runs this as a program; the end-to-end and kill tests use `Street` from Python. All
parts are the real ones, started by the commands a person would type.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2

from agent.cameras import register
from agent.cameras.register import CameraEntry
from tests.conftest import REPOSITORY, VTEST, free_port
from tests.e2e.children import Children

Answer = TypeVar("Answer")
BUILD = REPOSITORY / ".build"
PREPARED_MODELS = BUILD / "agent-home" / "models"
_COMMANDS = Path(sys.executable).parent
_PATIENCE_S = 120.0  # two busy cores; everything together takes a tenth of it
SITE, TITLE, CAMERA_USER = "nha-ong-ba", "Nhà ông Ba, ngõ 12", "admin"


class Failed(Exception):  # noqa: N818 -- reads as a sentence where it is raised
    """A step did not get where it should; the message says which and why."""


class Street:
    """Everything lives in one folder; `steps` remembers what was done and how long it took."""

    def __init__(self, folder: Path, video: Path, *, quiet: bool = False) -> None:
        self.folder = folder
        self.video = video
        self.station = folder / "station"
        self.home = folder / "agent"
        self.environment = {
            "ANNINH_STATION": str(self.station),
            "ANNINH_HOME": str(self.home),
            "ANNINH_HEARTBEAT_S": "5",
        }
        self.ports = {name: free_port() for name in ("broker", "enrolment", "console")}
        self.children = Children(folder / "logs")
        self.steps: list[tuple[str, float]] = []
        self.login: dict[str, str] = {}
        self._camera_password = secrets.token_urlsafe(9)
        self._tag = secrets.token_hex(2)  # two streets on one machine must not share a camera's identity
        self._quiet = quiet

    @property
    def console_url(self) -> str:
        return f"https://localhost:{self.ports['console']}/"

    def build(self) -> None:
        """From nothing to an agent that watches."""
        self.found_station()
        self.start_collector()
        with self.step("bảng điều khiển · console"):
            self.children.start("console", self.command("collector", "console"), self.environment)
            self.wait_until(self._console_answers, "the console answers")
        camera = self.start_camera()
        self.enrol()
        self.take_model()
        self.add_camera(camera)
        self.start_agent()

    def found_station(self) -> None:
        with self.step("lập trạm · collector init"):
            ports = [f"--{name}-port={port}" for name, port in self.ports.items()]
            made = self.call("collector", "init", "--host=localhost", "--bind=127.0.0.1", *ports, "--json")
            self.login = json.loads(made)

    def start_collector(self) -> subprocess.Popen[bytes]:
        with self.step("máy chủ · collector run"):
            child = self.children.start("collector", self.command("collector", "run"), self.environment)
            self.wait_until(self._enrolment_answers, "the enrolment endpoint answers")
        return child

    def start_camera(self, name: str = "camera") -> dict[str, Any]:
        with self.step("camera ảo · virtual camera"):
            self.children.start(
                name,
                [
                    sys.executable,
                    "-m",
                    "tests.virtual_camera",
                    "--video",
                    str(self.video),
                    "--user",
                    CAMERA_USER,
                    "--name",
                    f"{name}-{self._tag}",
                ],
                {"VIRTUAL_CAMERA_PASSWORD": self._camera_password, "PYTHONPATH": str(REPOSITORY)},
            )
            return json.loads(self.wait_until(lambda: self._camera_line(name), "the camera is ready"))

    def start_bare_camera(self, name: str) -> dict[str, Any]:
        """One without a login that does not announce itself: for `watch_bare_cameras`, many at once."""
        command = [sys.executable, "-m", "tests.virtual_camera", "--no-discovery"]
        self.children.start(
            name, [*command, "--video", str(self.video), "--name", name], {"PYTHONPATH": str(REPOSITORY)}
        )
        return json.loads(self.wait_until(lambda: self._camera_line(name), f"{name} plays"))

    def watch_bare_cameras(self, cameras: list[dict[str, Any]], *, main: bool = True) -> None:
        """Put them into the agent's register, without the discovery. `main`: with both their streams."""
        register.save(
            self.home,
            [
                CameraEntry(
                    name=camera["name"],
                    endpoint=camera["endpoint"],
                    onvif_url=camera["onvif"],
                    detect_url=camera["sub"],
                    picture_url=camera["main"] if main else camera["sub"],
                )
                for camera in cameras
            ],
        )

    def enrol(self) -> None:
        with self.step("thêm cơ sở · collector site add"):
            added = json.loads(self.call("collector", "site", "add", SITE, "--title", TITLE, "--json"))
        with self.step("đăng ký thiết bị · agent enroll"):
            url = f"https://localhost:{self.ports['enrolment']}"
            self.call("agent", "enroll", url, typed=added["code"] + "\n")

    def take_model(self) -> None:
        with self.step("mô hình · model"):
            shutil.copytree(PREPARED_MODELS, self.home / "models")

    def add_camera(self, camera: dict[str, Any]) -> None:
        with self.step("tìm camera · agent discover"):
            found = json.loads(self.call("agent", "discover", "--json"))
            if str(camera["onvif_port"]) not in json.dumps(found):
                raise Failed(f"discovery did not find {camera['onvif']}: {found}")
        with self.step("thêm camera · agent cameras add"):
            typed = f"{CAMERA_USER}\n{self._camera_password}\n"
            self.call("agent", "cameras", "add", camera["onvif"], typed=typed)

    def start_agent(self) -> subprocess.Popen[bytes]:
        before = self._times_watching()
        with self.step("theo dõi · agent run"):
            child = self.children.start("agent", self.command("agent", "run"), self.environment)
            self.wait_until(lambda: self._times_watching() > before, "the agent watches")
        return child

    def find_person(self) -> dict[str, Any]:
        """Wait until a search returns a person whose picture decodes; return the event."""
        with self.step("từ ống kính đến tìm kiếm · lens to search"):
            return self.wait_until(self._person_with_picture, "a person with a picture is found")

    def search(self, *options: str) -> list[dict[str, Any]]:
        return json.loads(self.call("collector", "search", *options, "--json"))

    def command(self, name: str, *arguments: str) -> list[str]:
        return [str(_COMMANDS / name), *arguments]

    def call(self, name: str, *arguments: str, typed: str = "") -> str:
        """Run a command as a person would; raises Failed with what it said."""
        done = subprocess.run(
            self.command(name, *arguments),
            env=os.environ | self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{name} {' '.join(arguments)} → {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began_s = time.monotonic()
        if not self._quiet:
            print(f"… {what}", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        yield
        took_s = time.monotonic() - began_s
        self.steps.append((what, took_s))
        if not self._quiet:
            print(f"✓ {what} ({took_s:.1f} s)", flush=True)

    def wait_until(self, ask: Callable[[], Answer], what: str, patience_s: float = _PATIENCE_S) -> Answer:
        """Ask until the answer is true; raises Failed when a child ended or patience did."""
        deadline_s = time.monotonic() + patience_s
        while not (answer := ask()):
            if dead := self.children.dead():
                tail = self.children.log(dead[0]).read_text()[-2000:]
                raise Failed(f"{dead[0]} ended while waiting until {what}:\n{tail}")
            if time.monotonic() > deadline_s:
                raise Failed(f"{patience_s:.0f} s were not enough until {what}")
            time.sleep(0.1)
        return answer

    def _times_watching(self) -> int:
        log = self.children.log("agent")
        return log.read_text().count(": watching ") if log.exists() else 0

    def _console_answers(self) -> bool:
        return _answers(self.console_url)

    def _enrolment_answers(self) -> bool:
        return _answers(f"https://localhost:{self.ports['enrolment']}/")

    def _camera_line(self, name: str) -> str:
        lines = self.children.log(name).read_text().splitlines()
        return next((line for line in lines if line.startswith("{")), "")

    def _person_with_picture(self) -> dict[str, Any] | None:
        pictures = self.folder / "pictures"
        for event in self.search("--kind", "person", "--limit", "5", "--thumbnails", str(pictures)):
            for path in pictures.glob(f"*{event['thumbnail'] or 'none'}*"):
                if cv2.imread(str(path)) is not None:
                    return event
        return None


def _answers(url: str) -> bool:
    """True when something speaks HTTP over TLS there; who it is, the tests ask elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        urllib.request.urlopen(url, timeout=2, context=context).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def main() -> int:
    options = _options()
    folder = BUILD / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # also when a shell in the background ignores them
        signal.signal(number, signal.default_int_handler)
    street = Street(folder, options.video)
    try:
        with street.children:
            street.build()
            event = street.find_person()
            print(f"✓ người · person: {event['id']}, {event['camera']}, {event['thumbnail'][:16]}…")
            if not options.check:
                _invite(street)
    except Failed as failure:
        print(f"\n✗ {failure}\n  → {folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n■ đã dừng · stopped")
        return 0 if not options.check else 130
    total_s = sum(seconds for _, seconds in street.steps)
    print(f"✓ tất cả · all: {total_s:.1f} s")
    return 0


def _invite(street: Street) -> None:
    """Tell the person where to go, and wait for Ctrl-C."""
    print(
        f"\n  Bảng điều khiển · console   {street.console_url}"
        f"\n  Tài khoản · account         {street.login['account']}"
        f"\n  Mật khẩu · password         {street.login['password']}"
        f"\n  (chứng thư do trạm tự cấp · the certificate is the station's own)"
        f"\n\n  collector search            ANNINH_STATION={street.station} {_COMMANDS}/collector search"
        f"\n  agent doctor                ANNINH_HOME={street.home} {_COMMANDS}/agent doctor"
        f"\n\n  Ctrl-C để dừng · to stop\n",
        flush=True,
    )
    while not street.children.dead():
        time.sleep(0.5)
    raise Failed(f"ended by itself: {', '.join(street.children.dead())}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="packaging/demo", description=__doc__)
    parser.add_argument(
        "--video", type=Path, default=VTEST, help="a clip of a street (default: Debian's vtest.avi)"
    )
    parser.add_argument("--check", action="store_true", help="end once a person is found, with the picture")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
