"""Do the units run as they are written, shut in as they are? Debian's own systemd starts them, as process 1.

    python -m tests.packages.under_systemd

Needs root, debootstrap, three minutes. Packages on a clean Debian, one station and one box in one machine of
their own (namespaces, no network but its own loopback); secrets handed over, one of them sealed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import REPOSITORY, VTEST
from tests.e2e.street import CAMERA_USER
from tests.packages.clean_debian import BUILD, Root, build, clean_root, deb, keys

_VERSION = "0.9.5"
_AGENT, _COLLECTOR, _CONSOLE = "anninh-agent", "anninh-collector", "anninh-console"
_STATION = "/var/lib/anninh-collector/station"
_PASSWORD = "mat-khau-camera"
_ALARM = "json://tram:bi-mat-bao-dong@127.0.0.1:9/"  # discard: nobody listens

# The kernel gives no user namespace (PrivateUsers=) to what lives in a chroot: the root is turned instead.
# Shared, because systemd mounts credentials aside and moves them to where the service sees them.
_BOOT = """
set -e
ip link set lo up
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p old
pivot_root . old
umount -l old
rmdir old
mount --make-rshared /
exec env -i container=private PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /lib/systemd/systemd
"""


class Machine:
    """A Debian that systemd runs."""

    def __init__(self, root: Root) -> None:
        apart = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--kill-child"]
        self._unshare = subprocess.Popen(
            [*apart, "sh", "-c", _BOOT, str(root.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        wait(lambda: bool(children.read_text().strip()), "a process 1")
        self.first = children.read_text().split()[0]
        bus = Path(f"/proc/{self.first}/root/run/systemd/private")
        wait(bus.exists, "systemd")

    def run(self, *words: str, typed: str = "", fine: tuple[int, ...] = (0,)) -> str:
        inside = ["nsenter", "--target", self.first, "--mount", "--pid", "--net", "--uts", "--ipc"]
        done = subprocess.run(
            [*inside, "--root", "--wd", *words],
            input=typed,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode in fine, f"{words} → {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def shown(self, unit: str, what: str) -> str:
        return self.run("systemctl", "show", "--value", "-p", what, unit).strip()

    def is_active(self, unit: str) -> bool:
        return self.shown(unit, "ActiveState") == "active"

    def camera(self, log: Path) -> subprocess.Popen[bytes]:
        """A camera in the machine's own network."""
        module = [sys.executable, "-m", "tests.virtual_camera", "--video", str(VTEST)]
        with log.open("wb") as output:
            return subprocess.Popen(
                ["nsenter", "--target", self.first, "--net", *module, "--user", CAMERA_USER, "--name", "c"],
                env=os.environ | {"VIRTUAL_CAMERA_PASSWORD": _PASSWORD, "PYTHONPATH": str(REPOSITORY)},
                stdout=output,
            )

    def stop(self) -> None:
        self._unshare.kill()  # and with it everything within
        self._unshare.wait(30)


def wait(condition: Callable[[], bool], what: str, patience_s: float = 60) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.3)


def installed(folder: Path, *, reuse: bool) -> Root:
    """A clean Debian with systemd, all three packages, and a station whose secrets lie outside its folder."""
    if not reuse:
        _, public = keys(folder)
        build(_VERSION, public, "agent", "collector", "model")
    root = clean_root(folder / "root")
    root.run("apt-get", "install", "-y", "-q", "--no-install-recommends", "systemd")
    for half in ("agent", "collector", "model"):
        root.install(deb(_VERSION, half))
    root.run("systemctl", "mask", "mosquitto.service")  # the station runs its own
    root.run("anninh-collector", "init", "--host", "localhost")
    for store in ("credstore", "credstore.encrypted"):
        (root.folder / "etc" / store).mkdir(mode=0o700, exist_ok=True)
    lay(root, "anninh_alarms", f"{_ALARM}\n")
    key, sealed = f"{_STATION}/ca/ca.key", "/etc/credstore.encrypted/anninh_authority_key"
    root.run("systemd-creds", "setup")
    root.run("systemd-creds", "encrypt", "--with-key=host", "--name=anninh_authority_key", key, sealed)
    (root.folder / key[1:]).unlink()
    drop_in = root.folder / "etc/systemd/system/anninh-collector.service.d/sealed.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nLoadCredentialEncrypted=anninh_authority_key\n")
    return root


def lay(root: Root, name: str, content: str) -> None:
    path = root.folder / "etc/credstore" / name
    path.write_text(content)
    path.chmod(0o600)


def station_runs(machine: Machine) -> None:
    wait(lambda: machine.is_active(_COLLECTOR) and machine.is_active(_CONSOLE), "the station's units")
    said = machine.run("journalctl", "-u", _COLLECTOR)
    for name in ("anninh_alarms", "anninh_authority_key"):
        assert f"/run/credentials/anninh-collector.service/{name}" in said
    assert "bi-mat-bao-dong" not in machine.run("journalctl")
    assert "anninh_alarms" in machine.run("anninh-collector", "alarm", "test", fine=(75,))
    console = machine.shown(_CONSOLE, "MainPID")
    seen = machine.run("ls", f"/proc/{console}/root/run/credentials/", fine=(0, 2))
    assert not seen.strip() or not machine.run(
        "ls", f"/proc/{console}/root/run/credentials/anninh-collector.service", fine=(0, 2)
    )


def box_runs(machine: Machine, root: Root, onvif: str) -> None:
    code = json.loads(machine.run("anninh-collector", "site", "add", "nha-ba-tu", "--json"))["code"]
    machine.run("anninh-agent", "enroll", "https://localhost:8443", typed=f"{code}\n")
    machine.run("anninh-agent", "cameras", "add", onvif, typed=f"{CAMERA_USER}\n{_PASSWORD}\n")
    typed = root.folder / "var/lib/anninh-agent/credentials.toml"
    lay(root, "anninh_cameras", typed.read_text())
    typed.unlink()
    machine.run("systemctl", "restart", _AGENT)  # returns when it has said READY
    since_s = time.monotonic()
    wait(
        lambda: "nha-ba-tu" in machine.run("anninh-collector", "search", "--json"), "an event at the station"
    )
    logins = json.loads(machine.run("anninh-agent", "doctor", "--json", fine=(0, 2, 75)))["logins"]
    assert set(logins.values()) == {"/run/credentials/anninh-agent.service/anninh_cameras"}
    wait(lambda: time.monotonic() - since_s > 75, "a watchdog's time and more", 90)
    for unit in (_AGENT, _COLLECTOR, _CONSOLE):
        assert machine.is_active(unit), unit
        assert machine.shown(unit, "NRestarts") == "0" or unit == _AGENT, unit
    assert "status=31/SYS" not in machine.run("journalctl")
    found = subprocess.run(
        ["grep", "-rl", _PASSWORD, root.folder / "var"], capture_output=True, text=True, check=False
    )
    assert not found.stdout, found.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", action="store_true", help="packages of the run before")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("skipped: needs root and debootstrap (Debian)")
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        folder = Path(name)
        root = installed(folder, reuse=options.reuse)
        print("✓ a clean Debian with systemd and the packages; the authority's key sealed", flush=True)
        machine = Machine(root)
        camera = machine.camera(folder / "camera.log")
        try:
            station_runs(machine)
            print(
                "✓ station: both units run; secrets read from systemd, and hidden from the pages", flush=True
            )
            wait(lambda: '"onvif"' in (folder / "camera.log").read_text(), "the camera")
            told = next(line for line in (folder / "camera.log").read_text().splitlines() if line[:1] == "{")
            box_runs(machine, root, json.loads(told)["onvif"])
            print(
                "✓ box: enrolled, runs longer than its watchdog, events at the station; no password on disk"
            )
            units = (_AGENT, _COLLECTOR, _CONSOLE, "anninh-agent-updater")
            for unit in units:
                judged = machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service")
                print(judged.strip().splitlines()[-1])
        finally:
            camera.terminate()
            camera.wait(30)
            machine.stop()


if __name__ == "__main__":
    main()
