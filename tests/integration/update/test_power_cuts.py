"""Whenever the power goes during an update, a version that starts is in force, and the next start ends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from agent import update
from agent.update import decide, runner
from agent.update.decide import Trial
from agent.update.runner import PROOF, Places, Updater
from agent.update.versions import Versions

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="needs dpkg-deb and openssl (Debian)"
)
PROVEN = ("copied", "unpacked", "placed", "trial", "switched", "noted", "ended")
RETURNED = ("trial", "switched", "noted", "returning", "switched again", "ended")


def run(*command: object, typed: bytes = b"") -> bytes:
    return subprocess.run(
        [str(word) for word in command], input=typed, check=True, capture_output=True
    ).stdout


@dataclass(frozen=True)
class Box:
    """A box of its own in a folder, and a maker who signs for it."""

    folder: Path
    places: Places
    key: Path

    @property
    def versions(self) -> Versions:
        return Versions(self.places.versions)

    def hand_in(self, version: str) -> None:
        tree = self.folder / "tree"
        home = tree / "opt/anninh-agent" / version
        home.mkdir(parents=True)
        (home / "version").write_text(f"{version}\n")
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(
            f"Package: anninh-agent\nVersion: {version}\nArchitecture: all\nMaintainer: x\nDescription: x\n"
        )
        deb = self.folder / "new.deb"
        run("dpkg-deb", "-b", tree, deb)
        shutil.rmtree(tree)
        facts = {
            "package": "anninh-agent",
            "architecture": run("dpkg", "--print-architecture").decode().strip(),
            "version": version,
            "sha256": sha256(deb.read_bytes()).hexdigest(),
            "size": deb.stat().st_size,
            "not_before": "2026-01-01T00:00:00+00:00",
            "wave_percent": 100,
        }
        line = json.dumps(facts).encode()
        signature = run("openssl", "dgst", "-sha256", "-sign", self.key, typed=line)
        encoded = run("base64", "-w0", typed=signature)
        update.request(self.places.home, deb, line + b"\n" + encoded + b"\n")

    def prove(self, trial: Trial) -> None:
        proof = {"version": trial.version, "nonce": trial.nonce}
        (self.places.home / PROOF).write_text(json.dumps(proof))

    def start_up(self, cut_at: str = "", *, works: bool) -> None:
        """What happens when the box starts, up to the power cut; a child, so that nothing is tidied up."""
        if (child := os.fork()) == 0:
            self._live(cut_at, works=works)
            os._exit(0)
        os.waitpid(child, 0)

    def _live(self, cut_at: str, *, works: bool) -> None:
        switched = 0

        def did(step: str) -> None:
            nonlocal switched
            switched += step == "switched"
            if (f"{step} again" if step == "switched" and switched > 1 else step) == cut_at:
                os._exit(1)

        decide.PATIENCE_S = 3.0
        updater = Updater(self.places, did)
        waited = self._answer if works else _silence
        conclude = updater.conclude
        updater.conclude = lambda: conclude(wait=waited)  # type: ignore[method-assign,assignment]
        updater.resume()

    def _answer(self, _seconds: float) -> None:
        if trial := self.versions.trial:
            self.prove(trial)


def _silence(_seconds: float) -> None:
    """The station says nothing."""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(runner, "_LOOK_EVERY_S", 1.0)
    home, versions = tmp_path / "home", tmp_path / "versions"
    (home / "identity").mkdir(parents=True)
    (home / "identity/station.json").write_text('{"site": "nha-ong-ba"}')
    (versions / "1.0.0").mkdir(parents=True)
    (versions / "1.0.0/version").write_text("1.0.0\n")
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    made = Box(tmp_path, Places(versions, home, (public,), lambda: None), key)
    made.versions.packaged("1.0.0")
    made.versions.switch_to("1.0.0")
    return made


def in_force(box: Box) -> str:
    return box.versions.version_in(box.versions.current)


@pytest.mark.parametrize("step", ["", *PROVEN])
def test_a_version_that_the_station_answers_is_in_force_after_any_cut(box: Box, step: str) -> None:
    box.hand_in("1.0.1")
    box.start_up(step, works=True)
    assert in_force(box) in {"1.0.0", "1.0.1"}
    box.start_up(works=True)
    assert in_force(box) == "1.0.1"
    assert box.versions.trial is None
    assert sorted(p.name for p in box.places.versions.iterdir() if p.is_dir() and not p.is_symlink()) == [
        "1.0.0",
        "1.0.1",
    ]


@pytest.mark.parametrize("step", ["", *RETURNED])
def test_a_version_that_nobody_answers_is_gone_after_any_cut(box: Box, step: str) -> None:
    box.hand_in("1.0.1")
    box.start_up(step, works=False)
    assert in_force(box) in {"1.0.0", "1.0.1"}
    box.start_up(works=False)
    assert in_force(box) == "1.0.0"
    assert box.versions.trial is None
    assert box.versions.returns("1.0.1") in {1, 2}  # a cut just before the note is counted again


def test_cuts_without_end_bring_the_old_version_back(box: Box) -> None:
    box.hand_in("1.0.1")
    for _ in range(8):
        box.start_up("switched", works=False)
        if box.versions.trial is None:
            break
        box.versions.write_trial(box.versions.trial.resumed())
    box.start_up(works=False)
    assert in_force(box) == "1.0.0"


@pytest.mark.parametrize("lay", [lambda path: path.symlink_to("/etc/hostname"), os.mkfifo, Path.mkdir])
def test_what_the_agents_user_lays_in_the_way_is_neither_followed_nor_waited_for(
    box: Box, lay: Callable[[Path], None]
) -> None:
    box.hand_in("1.0.1")
    bundle = box.places.home / "update" / "bundle.deb"
    bundle.unlink()
    lay(bundle)
    box.start_up(works=True)
    assert in_force(box) == "1.0.0"
    assert Path("/etc/hostname").exists()
    assert not (box.places.home / "update" / "request").exists()


def test_a_link_into_nothing_is_mended(box: Box) -> None:
    box.versions.switch_to("9.9.9")
    box.start_up(works=True)
    assert in_force(box) == "1.0.0"
