"""What every test may count on: footage when it is there, free ports, and no network in unit tests."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

with suppress(ImportError):
    import urllib3  # noqa: F401 -- tries a socket when it is imported: before any test forbids sockets

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of footage, labelled images and models, or a skip."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def street_clip() -> Path:
    """Debian's pedestrian clip: 768x576, 10 frames per second, 79 s."""
    if not VTEST.is_file():
        pytest.skip("Debian's opencv-doc is not installed (packaging/check installs it)")
    return VTEST


def free_port() -> int:
    """A port nobody listens on right now, and no other test process will be given before it is taken.

    Below the kernel's own range, from which any connection may take one: each process has its stretch.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _stretch() -> Iterator[int]:
    first = 10_000 + os.getpid() % 110 * 200  # two runs of several processes each do not meet
    return itertools.cycle(range(first, first + 200))


_PORTS = _stretch()


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "tests/unit/" in str(request.path):

        def refuse(*_: object) -> None:
            pytest.fail("a unit test opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(scope="session")
def needs_root() -> None:
    """Skip where network namespaces cannot be made: no root, no iproute2, or a chroot."""
    if os.geteuid() != 0:
        pytest.skip("needs root (network namespaces)")
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2 (packaging/check installs it)")
    name = f"an-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    used = subprocess.run(["ip", "-n", name, "link"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    if made.returncode or used.returncode:
        pytest.skip(f"no network namespaces here: {(made.stderr + used.stderr).strip()[-120:]}")
