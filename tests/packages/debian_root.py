"""What happens to the packages on a clean Debian? Install, enrol, upgrade, return, remove, purge.

    python -m tests.packages.debian_root [--patience 300]

Needs root, debootstrap and five minutes (the clean root and the packages are kept in `.build`). The
station and the camera run outside, the packages' programs inside a chroot. No systemd runs in there:
this program restarts the agent when `current` moves, as the updater asks systemd to.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conftest import REPOSITORY, VTEST
from tests.e2e.street import CAMERA_USER
from tests.models import YOLO11N_INT8
from tests.packages.clean_debian import BUILD, OURS, Running, broken, build, clean_root, deb, keys
from tests.station import Station

_HOME = "var/lib/anninh-agent"
_UPDATER = (
    "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, '/usr/lib/anninh-agent');"
    " from agent.update import decide;"
    " decide.PATIENCE_S = {patience}; from agent.update.runner import main; main()"
)


class Rehearsal:
    """The steps in their order; each says what it proved."""

    def __init__(self, folder: Path, patience_s: float, *, reuse: bool) -> None:
        self.folder, self._patience_s = folder, patience_s
        self._done: list[tuple[str, float]] = []
        self._private, public = keys(folder)
        self._stranger, _ = keys(Path(tempfile.mkdtemp(dir=folder)))
        self._began_s = time.monotonic()
        for version, halves in {
            "0.9.0": ("agent", "collector", "model"),
            "0.9.1": ("agent", "collector"),
            "0.9.3": ("agent",),
        }.items():
            if not reuse:
                build(version, public, *halves)
        if not reuse:
            broken(deb("0.9.1"), "0.9.2")
            if YOLO11N_INT8.is_file():
                build("0.9.1", public, "model", model=YOLO11N_INT8)
        self.say("packages built")
        self.root = clean_root(folder / "root")
        (self.root.folder / "etc/anninh-agent").mkdir()  # the installer's own key goes before the package's
        shutil.copy(public, self.root.folder / "etc/anninh-agent/update-key.pem")
        self.agent = Running(self.root)
        self.say("clean Debian")

    def say(self, what: str) -> None:
        took_s = time.monotonic() - self._began_s
        self._done.append((what, took_s))
        print(f"✓ {what} ({took_s:.1f} s)", flush=True)
        self._began_s = time.monotonic()

    def print_table(self) -> None:
        table = Table("step", "s", box=None)
        for what, took_s in self._done:
            table.add_row(what, f"{took_s:.1f}")
        table.add_row("all", f"{sum(took_s for _, took_s in self._done):.1f}")
        Console(width=110).print(table)

    def install_and_enrol(self, station: Station, camera: dict[str, object], password: str) -> None:
        self.root.install(deb("0.9.0"))
        assert self.root.current == "0.9.0"
        for unit in ("anninh-agent.service", "anninh-agent-updater.service", "anninh-agent-updater.path"):
            assert (self.root.folder / "etc/systemd/system/multi-user.target.wants" / unit).is_symlink(), unit
        said = self.root.run("anninh-agent", "doctor", "--json", fine=(2,))
        assert {problem["code"] for problem in json.loads(said)["problems"]} >= {
            "not-enrolled",
            "model-missing",
        }
        self.say("installed; doctor says what is missing")
        self.model()
        code = json.loads(station.command("site", "add", "nha-ong-ba", "--json"))["code"]
        self.root.run("anninh-agent", "enroll", station.url, typed=f"{code}\n")
        self.root.run(
            "anninh-agent", "cameras", "add", str(camera["onvif"]), typed=f"{CAMERA_USER}\n{password}\n"
        )
        owner = (self.root.folder / _HOME / "identity/site.key").stat()
        assert (owner.st_uid, owner.st_mode & 0o777) != (0, 0o644)
        self.say("enrolled, camera added")

    def model(self) -> None:
        """From its package alone: this Debian has no npm, and for these commands no network."""
        self.root.install(deb("0.9.0", "model"))
        assert self._in_force() == "centernet-512"
        said = self.root.run("anninh-agent", "doctor", "--json", fine=(2,), offline=True)
        codes = {problem["code"] for problem in json.loads(said)["problems"]}
        assert "not-enrolled" in codes
        assert not {code for code in codes if code.startswith("model")}
        documents = self.root.folder / "usr/share/doc/anninh-model"
        assert "MIT License" in (documents / "copyright").read_text()
        listed = json.loads((documents / "sbom.cdx.json").read_text())
        assert [one["type"] for one in listed["components"]] == ["machine-learning-model"]
        said = self.root.run("anninh-agent", "bench", "--quick", "--json", "--use", offline=True)
        tier = json.loads(said)["tiers"][0]
        assert json.loads(said)["choice"]["model"] == "centernet-512"
        self.say(f"the model's package, no network: found, unchanged, measured ({tier['cpu_ms']:.0f} ms)")
        if deb("0.9.1", "model").exists():
            self.root.install(deb("0.9.1", "model"))
            assert self._in_force() == "yolo11n-416-int8"
            self.say("the next version of it brings another model: the box goes on with that")

    def _in_force(self) -> str:
        listed = json.loads(self.root.run("anninh-agent", "model", "list", "--json", offline=True))
        return next(one["name"] for one in listed if one["in_force"])

    def wait(self, condition: Callable[[], bool], what: str, patience_s: float = 60) -> None:
        deadline_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline_s, what
            self.agent.tend()
            time.sleep(0.2)

    def reported(self, station: Station, version: str) -> bool:
        return any(version in json.dumps(row) for row in station.agents_json())

    def conclude(self) -> str:
        """Run root's updater to its end while the agent is kept running."""
        program = _UPDATER.format(patience=self._patience_s)
        updater = subprocess.Popen(
            self.root.command("/usr/bin/python3", "-I", "-c", program),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while updater.poll() is None:
            self.agent.tend()
            time.sleep(0.1)
        assert updater.stdout
        said = updater.stdout.read().decode()
        assert updater.returncode == 0, said
        return said

    def upgrade(self, station: Station) -> None:
        self.wait(lambda: self.reported(station, "0.9.0"), "the station hears of 0.9.0")
        self.root.install(deb("0.9.1"))
        assert self.root.current == "0.9.1"
        assert "proven itself" in self.conclude()
        assert self.root.current == "0.9.1"
        assert (self.root.folder / "opt" / OURS / "0.9.0+kept/version").exists()
        self.wait(lambda: self.reported(station, "0.9.1"), "the station hears of 0.9.1")
        self.say("upgraded by apt, proven to the station")

    def hand_in(self, package: Path, key: Path, *, damage: bool = False) -> str:
        """As the agent puts down what it fetched."""
        subprocess.run(["packaging/sign-update", package, key], cwd=REPOSITORY, check=True)
        folder = self.root.folder / _HOME / "update"
        folder.mkdir(exist_ok=True)
        shutil.copy(package, folder / "bundle.deb")
        shutil.copy(f"{package}.update", folder / "bundle.update")
        if damage:
            with (folder / "bundle.deb").open("r+b") as file:
                file.seek(100_000)
                file.write(b"damaged")
        (folder / "request").touch()
        return self.conclude()

    def refuse(self) -> None:
        assert "refused: signature" in self.hand_in(deb("0.9.3"), self._stranger)
        assert "refused: not-newer" in self.hand_in(deb("0.9.0"), self._private)
        assert "refused: damaged" in self.hand_in(deb("0.9.3"), self._private, damage=True)
        assert self.root.current == "0.9.1"
        self.say("refused: a stranger's signature, an older version, a damaged file")

    def fail_and_return(self, station: Station) -> None:
        began_s = time.monotonic()
        said = self.hand_in(deb("0.9.2"), self._private)
        assert "no proof of 0.9.2: back to 0.9.1" in said, said
        assert self.root.current == "0.9.1"
        took_s = time.monotonic() - began_s
        before = len(station.agents_json())
        self.wait(lambda: bool(before) and self.reported(station, "0.9.1"), "the old version speaks again")
        self.say(f"a signed version that does not start: the old one returned after {took_s:.0f} s")

    def fail_by_apt(self, station: Station) -> None:
        self.root.install(deb("0.9.2"))
        assert self.root.current == "0.9.2"
        assert "back to 0.9.1" in self.conclude()
        assert self.root.current == "0.9.1+kept"
        self.root.run("anninh-agent", "--help")
        self.say("the same by apt: the old one returned, though dpkg has taken its files")

    def update(self, station: Station) -> None:
        assert "0.9.3 has proven itself" in self.hand_in(deb("0.9.3"), self._private)
        assert self.root.current == "0.9.3"
        self.wait(lambda: self.reported(station, "0.9.3"), "the station hears of 0.9.3")
        self.say("a signed version over the line, proven to the station")

    def remove_and_purge(self) -> None:
        self.agent.stop()
        self.root.run("apt-get", "remove", "-y", "-q", OURS)
        assert not (self.root.folder / "opt" / OURS).exists() or not any(
            (self.root.folder / "opt" / OURS).iterdir()
        )
        assert (self.root.folder / _HOME / "identity/site.key").exists()
        assert not list((self.root.folder / "etc/systemd/system").rglob("anninh*"))
        self.root.install(deb("0.9.3"))
        assert self.root.current == "0.9.3"
        self.root.run("anninh-agent", "doctor", "--json", fine=(0, 2, 75))
        self.root.run("apt-get", "purge", "-y", "-q", OURS)
        left = [path for path in self._files() if "anninh-agent" in path]
        assert not left, left
        assert "anninh-agent" not in (self.root.folder / "etc/passwd").read_text()
        self.root.run("apt-get", "purge", "-y", "-q", "anninh-model")
        assert not [path for path in self._files() if "anninh-model" in path or "share/anninh" in path]
        self.say("removed (identity kept), installed again, purged: nothing is left")

    def collector(self) -> None:
        self.root.install(deb("0.9.0", "collector"))
        ports = {"broker": 18883, "enrolment": 18443, "console": 18444}
        given = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
        self.root.run("anninh-collector", "init", "--host", "localhost", "--bind", "127.0.0.1", *given)
        self._station_runs("site", "add", "nha-ba-tu")
        self.say("collector: installed, station made, READY")
        self.root.install(deb("0.9.1", "collector"))
        assert (self.root.folder / "opt/anninh-collector/current").readlink() == Path("0.9.1")
        assert not (self.root.folder / "opt/anninh-collector/0.9.0").exists()
        assert "nha-ba-tu" in self._station_runs("site", "list")
        self.say("collector: upgraded, READY again, its sites are there")

    def collector_leaves(self) -> None:
        kept = self.root.folder / "var/lib/anninh-collector/station/station.db"
        self.root.run("apt-get", "remove", "-y", "-q", "anninh-collector")
        assert kept.exists()
        said = self.root.run("apt-get", "purge", "-y", "-q", "anninh-collector")
        assert kept.exists()
        assert "rm -r /var/lib/anninh-collector" in said
        self.root.install(deb("0.9.1", "collector"))
        assert "nha-ba-tu" in self._station_runs("site", "list")
        self.say("collector: removed and purged, the archive kept; installed again, it runs")
        word = self.root.folder / "etc/anninh-collector/purge-archive"
        word.parent.mkdir()
        word.touch()
        self.root.run("apt-get", "purge", "-y", "-q", "anninh-collector")
        left = [path for path in self._files() if "anninh-collector" in path]
        assert not left, left
        assert "anninh-collector" not in (self.root.folder / "etc/passwd").read_text()
        self.say("collector: purged with the word for it: nothing is left")

    def _station_runs(self, *command: str) -> str:
        """Run the station until it is READY, and one command against it."""
        station = subprocess.Popen(
            self.root.command("/usr/bin/anninh-collector", "run"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert station.stdout
        try:
            heard = ""
            while "READY" not in heard:
                line = station.stdout.readline().decode()
                assert line, heard
                heard += line
            return self.root.run("anninh-collector", *command)
        finally:
            os.killpg(station.pid, signal.SIGKILL)
            station.wait(30)

    def _files(self) -> list[str]:
        """Everything of this Debian but what dpkg and apt write of anybody."""
        found = self.root.run("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-print")
        return [
            path
            for path in found.splitlines()
            if not path.startswith(("/var/log/", "/var/cache/apt", "/var/lib/apt"))
        ]


def start_camera(folder: Path, password: str) -> tuple[subprocess.Popen[bytes], dict[str, object]]:
    log = folder / "camera.log"
    command = [
        sys.executable,
        "-m",
        "tests.virtual_camera",
        "--video",
        str(VTEST),
        "--user",
        CAMERA_USER,
        "--name",
        "c",
    ]
    with log.open("wb") as output:
        camera = subprocess.Popen(
            command,
            env=os.environ | {"VIRTUAL_CAMERA_PASSWORD": password, "PYTHONPATH": str(REPOSITORY)},
            stdout=output,
        )
    while not (lines := [line for line in log.read_text().splitlines() if line.startswith("{")]):
        assert camera.poll() is None
        time.sleep(0.1)
    return camera, json.loads(lines[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--patience", type=float, default=25, help="the updater's, in seconds; 300 in the field"
    )
    parser.add_argument("--reuse", action="store_true", help="packages of the run before")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("skipped: needs root and debootstrap (Debian)")
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "agent.log").write_bytes(b"")
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        folder = Path(name)
        rehearsal = Rehearsal(folder, options.patience, reuse=options.reuse)
        camera, facts = start_camera(folder, "mat-khau")
        try:
            with Station(folder / "station") as station:
                rehearsal.install_and_enrol(station, facts, "mat-khau")
                rehearsal.upgrade(station)
                rehearsal.refuse()
                rehearsal.fail_and_return(station)
                rehearsal.fail_by_apt(station)
                rehearsal.update(station)
                rehearsal.remove_and_purge()
            rehearsal.collector()
            rehearsal.collector_leaves()
            rehearsal.print_table()
        finally:
            rehearsal.agent.stop()
            camera.terminate()
            camera.wait(30)


if __name__ == "__main__":
    main()
