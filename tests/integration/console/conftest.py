"""One station with a street full of people, and the console a person would start, on a free port."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from collector.archive import accounts
from collector.archive.folder import StationFolder
from collector.archive.records import Refusal
from collector.settings import StationSettings
from shared.messages import CameraState, DetectionEvent, Kind
from tests import seed
from tests.conftest import free_port
from tests.integration.console.browser import Browser
from tests.seed import Seen

PASSWORD = "mùa xuân đến rồi"
_PATIENCE_S = 60


@dataclass(frozen=True)
class Served:
    folder: StationFolder
    port: int
    now: datetime
    pictures: list[bytes]
    events: list[DetectionEvent]  # newest first; the last of them has no picture yet
    account: str

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def browser(self) -> Browser:
        return Browser(self.port, self.folder.ca_certificate)

    def new_account(self, name: str) -> str:
        """Add an account as the command does; return its one-time password."""
        database = self.folder.open_station()
        try:
            return accounts.create(database, name, datetime.now(UTC))
        finally:
            database.close()


def street(count: int) -> list[bytes]:
    """Real JPEGs that differ: a bright shape walking over a dark street."""
    pictures = []
    for step in range(count):
        picture = np.full((288, 384, 3), (40, 44, 52), np.uint8)
        cv2.rectangle(picture, (20 + step * 5, 80), (60 + step * 5, 240), (80, 160, 230), -1)
        pictures.append(bytes(cv2.imencode(".jpg", picture)[1]))
    return pictures


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    now, port = datetime.now(UTC), free_port()
    settings = StationSettings(name="Công an xã Thử", host="localhost", bind="127.0.0.1", console_port=port)
    folder = seed.station(tmp_path_factory.mktemp("console") / "station", now, settings)
    account, one_time = seed.first_account(folder, now)
    database = folder.open_station()
    accounts.change_password(database, account, one_time, PASSWORD, now)
    database.close()
    pictures = street(60)
    events = _fill(folder, now, pictures)
    environment = os.environ | {"ANNINH_STATION": str(folder.root)}
    command = [str(Path(sys.executable).parent / "collector"), "console"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        try:
            _wait(child, folder, port)
            yield Served(folder, port, now, pictures, events, account)
        finally:
            child.terminate()
            said = child.communicate(timeout=30)[0].decode()
    assert child.returncode == 0, said
    assert "Traceback" not in said, said


def _fill(folder: StationFolder, now: datetime, pictures: list[bytes]) -> list[DetectionEvent]:
    named = {"nha-ong-ba": ("Nhà ông Ba <b>", "Thôn Đông"), "cho-moi": ("Chợ Mới", "")}
    seed.sites(folder, now, {**named, "kho-cu": ("Kho cũ, chưa lên tiếng", "")})
    seen = [
        Seen(
            now - timedelta(seconds=30 + 20 * number),
            Kind.CAR if number % 5 == 4 else Kind.PERSON,
            "cho-moi" if number % 3 == 2 else "nha-ong-ba",
            "cong" if number % 2 else "ngo",
            jpeg=picture,
            picture_came=number < len(pictures) - 1,
            suspect=number == 1,
        )
        for number, picture in enumerate(pictures)
    ]
    events = seed.passed(folder, seen)
    cameras = [seed.camera("cong"), seed.camera("ngo", CameraState.DOWN, "wrong-password")]
    refusals = [
        Refusal("nha-ong-ba", now, "not-a-jpeg", "begins with <script>"),
        Refusal("", now, "unknown-topic", "anninh/v2"),
    ]
    paused = seed.camera("ngo", CameraState.DOWN, "paused-household")
    beats = [
        seed.heartbeat("nha-ong-ba", now, cameras, waiting=1204),
        seed.heartbeat("cho-moi", now, [seed.camera("cong"), paused]),
    ]
    seed.keep(folder, beats, refusals)
    return events


def _wait(child: subprocess.Popen[bytes], folder: StationFolder, port: int) -> None:
    context = ssl.create_default_context(cafile=str(folder.ca_certificate))
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            urlopen(f"https://localhost:{port}/login", timeout=5, context=context).close()
        except URLError:
            assert child.poll() is None, child.communicate()[0].decode()
            assert time.monotonic() < deadline_s, "the console does not answer"
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def officer(served: Served) -> Browser:
    """Somebody who has signed in."""
    browser = served.browser()
    assert browser.sign_in(served.account, PASSWORD).status == 303
    return browser
