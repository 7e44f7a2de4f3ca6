"""What does a household's network look like to the agent? A real one, of network namespaces (needs root).

    switch ── bridge          agent ── 10.77.0.1          cam1, cam2, … ── 10.77.0.11, .12, …

Every member has its own stack, MAC (02:cc:00:00:…) and address; none can reach the outside, and nothing of
the machine's own network is touched. Names carry the process id, so several runs may stand side by side, and
what a killed run left behind is swept away by the next.

    with Lan(cameras=2) as lan:
        lan.run_in("agent", ["agent", "discover", "--json"], check=True)  # waits
        child = lan.start_in("cam1", ["python", "-m", "http.server", "80"])  # stopped with the LAN
        ready = lan.start_camera("cam2", ["--video", "street.avi"])     # the JSON line it printed
        with lan.inside("cam1"):        # THIS thread is in there: sockets and threads made here stay there,
            camera = VirtualCamera(clip, address=lan.address("cam1"), onvif_port=80, rtsp_port=554).start()
        with lan.inside("agent"):       # …so faults, counters stay at hand. Main thread only where the code
            discover()                  # reads /proc/net (psutil, ARP): /proc/self is the main thread's
        lan.lose(0.2, "cam1", protocol="tcp")   # packets dropped where they arrive, each way (no netem here)
        lan.unplug("cam1"), lan.plug("cam1")    # carrier gone: a cut cable or power, no FIN, no RST
        lan.make("cam2", "78:c1:ae:00:00:07")   # a MAC of some maker's (here EZVIZ)
        lan.move("cam1", "10.77.0.212")         # DHCP gave another address; the MAC stays
        lan.multicast(on=False)                 # as guest Wi-Fi and "IGMP" switches do

`pytest.mark.root` and the fixture `needs_root` belong on every test that uses it; `lose` needs iptables
(`needs_iptables()`).
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

AGENT = "agent"
PREFIX = 24
_SWITCH = "switch"
_NET = "10.77.0"
_FIRST_CAMERA = 11
_MOST_CAMERAS = 200
_CLONE_NEWNET = 0x40000000  # setns(2); Python has os.setns from 3.12
_PATIENCE_S = 10.0
_FAMILY = "anlan"
_counter = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class Lan:
    """Context manager: a bridge, an agent and cameras, gone on the way out whatever happened."""

    def __init__(self, cameras: int) -> None:
        assert 0 <= cameras <= _MOST_CAMERAS
        self.cameras = tuple(f"cam{number}" for number in range(1, cameras + 1))
        self._family = f"{_FAMILY}-{os.getpid()}-{next(_counter)}"
        self._index = {name: index for index, name in enumerate((AGENT, *self.cameras))}
        self._address = {AGENT: f"{_NET}.1"} | {
            name: f"{_NET}.{_FIRST_CAMERA + index}" for index, name in enumerate(self.cameras)
        }
        self._mac: dict[str, str] = {}
        self._losses: dict[str, tuple[str, float]] = {}
        self._children: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        _sweep_away_leftovers()
        atexit.register(self._down)
        with ExitStack() as undo:
            undo.callback(self._down)
            self._up()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._down()
        atexit.unregister(self._down)

    # who is who

    def namespace(self, name: str) -> str:
        return f"{self._family}-{name}"

    def address(self, name: str) -> str:
        return self._address[name]

    def mac(self, name: str) -> str:
        return self._mac.get(name, f"02:cc:00:00:00:{self._index[name]:02x}")

    @property
    def network(self) -> str:
        return f"{_NET}.0/{PREFIX}"

    # to be there

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Put the calling thread into a member's network; threads and sockets made there stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(f"/run/netns/{self.namespace(name)}", os.O_RDONLY)
            try:
                _enter(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)

    def run_in(self, name: str, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run to its end, with subprocess.run's options; "python" and "agent" are this environment's."""
        return subprocess.run(self._command(name, command), **options)  # noqa: PLW1510 -- the caller says

    def start_in(self, name: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start and go on; the program ends with the LAN at the latest. Its pid is the program's own."""
        child = subprocess.Popen(self._command(name, command), **({"start_new_session": True} | options))
        self._children.append(child)
        return child

    def start_camera(
        self, name: str, options: Sequence[str], environment: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Start `python -m tests.virtual_camera` there on ports 80 and 554; wait until it is ready."""
        command = ["python", "-m", "tests.virtual_camera", "--name", name, "--address", self.address(name)]
        child = self.start_in(
            name,
            [*command, "--onvif-port", "80", "--rtsp-port", "554", *options],
            env=os.environ | (environment or {}),
            cwd=Path(__file__).resolve().parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        line = child.stdout.readline()
        assert line, f"the camera {name} ended before it was ready"
        return json.loads(line) | {"pid": child.pid}

    # what happens to a network

    def make(self, name: str, mac: str) -> None:
        """Give a member the MAC of some maker, before anybody has heard the old one."""
        self._ip("-n", self.namespace(name), "link", "set", "eth0", "address", mac)
        self._mac[name] = mac

    def lose(self, fraction: float, *names: str, protocol: str = "all") -> None:
        """Drop this share of packets at each camera, and again on their way back at the agent; 0 heals.

        Dropped where they arrive: the sender never knows, as on a real wire. No name means every camera.
        """
        for name in names or self.cameras:
            self._losses[name] = (protocol, fraction)
            self._filter(name, [_drop(protocol, fraction)])
        self._filter_agent()

    def unplug(self, name: str) -> None:
        self._ip("-n", self.namespace(_SWITCH), "link", "set", self._port(name), "down")

    def plug(self, name: str) -> None:
        self._ip("-n", self.namespace(_SWITCH), "link", "set", self._port(name), "up")

    def move(self, name: str, address: str) -> None:
        """Give a member another address; programs there must bind again, as after a DHCP change."""
        there = self.namespace(name)
        self._ip("-n", there, "addr", "flush", "dev", "eth0")
        self._ip("-n", there, "-batch", "-", feed=_addressing(address))
        self._address[name] = address
        self._filter_agent()

    def multicast(self, *, on: bool) -> None:
        """Let the switch forward multicast, or not. Broadcast (ARP) goes through either way."""
        switch, flood = self.namespace(_SWITCH), "on" if on else "off"
        feed = "".join(f"link set dev {self._port(name)} mcast_flood {flood}\n" for name in self._index)
        subprocess.run(["bridge", "-n", switch, "-batch", "-"], input=feed, text=True, check=True)

    # building and clearing away

    def _up(self) -> None:
        switch = self.namespace(_SWITCH)
        everybody = (_SWITCH, *self._index)
        self._ip("-batch", "-", feed="".join(f"netns add {self.namespace(name)}\n" for name in everybody))
        links = "link add br0 type bridge mcast_snooping 0 forward_delay 0\nlink set br0 up\n"
        for name in self._index:
            port, there = self._port(name), self.namespace(name)
            links += f"link add {port} type veth peer name eth0 address {self.mac(name)} netns {there}\n"
            links += f"link set {port} master br0 up\n"
        self._ip("-n", switch, "-batch", "-", feed=links)
        for name in self._index:
            feed = f"link set lo up\nlink set eth0 up\n{_addressing(self.address(name))}"
            self._ip("-n", self.namespace(name), "-batch", "-", feed=feed)

    def _down(self) -> None:
        for child in reversed(self._children):
            _end(child)
        self._children.clear()
        _remove([name for name in _namespaces() if name.startswith(f"{self._family}-")])

    def _filter_agent(self) -> None:
        if self._losses:
            back = [f"-s {self.address(name)} {_drop(*loss)}" for name, loss in self._losses.items()]
            self._filter(AGENT, back)

    def _filter(self, name: str, rules: list[str]) -> None:
        table = "".join(f"-A INPUT {rule}\n" for rule in rules)
        subprocess.run(
            ["ip", "netns", "exec", self.namespace(name), "iptables-restore"],
            input=f"*filter\n:INPUT ACCEPT [0:0]\n{table}COMMIT\n",
            text=True,
            check=True,
        )

    def _port(self, name: str) -> str:
        return f"v{self._index[name]}"

    def _command(self, name: str, command: Sequence[str]) -> list[str]:
        ours = Path(sys.executable).with_name(command[0])  # python, agent, collector: of this environment
        program = str(ours) if ours.exists() else command[0]
        return ["ip", "netns", "exec", self.namespace(name), program, *command[1:]]

    def _ip(self, *arguments: str, feed: str | None = None) -> None:
        subprocess.run(["ip", *arguments], input=feed, text=True, check=True)


def _drop(protocol: str, fraction: float) -> str:
    return f"-p {protocol} -m statistic --mode random --probability {fraction} -j DROP"


def _addressing(address: str) -> str:
    # the routes of a household: one gateway, multicast included
    return f"addr add {address}/{PREFIX} brd {_NET}.255 dev eth0\nroute replace 224.0.0.0/4 dev eth0\n"


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _end(child: subprocess.Popen[Any]) -> None:
    """Ask, then insist; a stopped (SIGSTOP) program must be woken to hear it."""
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.terminate()
        try:
            child.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            pipe.close()


def _namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line]


def _remove(names: list[str]) -> None:
    for name in names:
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        for pid in inside.stdout.split():
            if int(pid) != os.getpid():
                os.kill(int(pid), signal.SIGKILL)
    feed = "".join(f"netns del {name}\n" for name in names)
    subprocess.run(["ip", "-force", "-batch", "-"], input=feed, text=True, check=False)


def _sweep_away_leftovers() -> None:
    """Remove what runs left behind that were killed: their process id, in the name, is no more."""
    ours = [name.split("-") for name in _namespaces() if name.startswith(f"{_FAMILY}-")]
    _remove(["-".join(parts) for parts in ours if not Path(f"/proc/{parts[1]}").exists()])


def needs_iptables() -> None:
    """Skip where packets cannot be lost."""
    if shutil.which("iptables-restore") is None:
        pytest.skip("needs iptables (packets are lost with it)")
