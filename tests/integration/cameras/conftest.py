"""Cameras for the tests of this folder: our own virtual one, on real sockets of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.cameras.credentials import Credential
from shared.clock import SystemClock
from tests.virtual_camera import Clip, VirtualCamera, prepare
from tests.virtual_camera.state import Login

USER, PASSWORD = "admin", "m@t kh:u/1"  # with letters that must be percent-encoded

StartCamera = Callable[..., VirtualCamera]


@pytest.fixture(scope="session")
def clip(street_clip: Path) -> Clip:
    return prepare(street_clip)


@pytest.fixture
def start_camera(clip: Clip) -> Iterator[StartCamera]:
    """Starts cameras that are gone after the test; with a login unless `login=None`."""
    with ExitStack() as cameras:

        def start(name: str = "cam1", **options: object) -> VirtualCamera:
            options = {"login": Login(USER, PASSWORD)} | options
            return cameras.enter_context(VirtualCamera(clip, name, **options))

        yield start


@pytest.fixture
def camera(start_camera: StartCamera) -> VirtualCamera:
    return start_camera()


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


def right_login() -> Credential:
    return Credential(USER, SecretStr(PASSWORD))


def wrong_login() -> Credential:
    return Credential(USER, SecretStr("wrong"))


def until(condition: Callable[[], object], what: str, patience_s: float = 60) -> None:
    """Wait for something that must come; the patience only bounds a failing test."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"never came: {what}"
        time.sleep(0.02)
