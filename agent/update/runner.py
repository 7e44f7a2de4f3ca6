"""What does root do with a signed update? Check, unpack beside, switch, wait for proof, or switch back.

Started by systemd at boot and when the agent has put a request down; by the package's own
installation as `installed VERSION`. Every step leaves a version that starts, whenever the power goes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from agent.update.decide import Box, Trial, Verdict, judge, refusal
from agent.update.versions import Versions
from shared import update_manifest as manifests
from shared.update_manifest import Manifest, UnreadableError, numbers

log = logging.getLogger("anninh-updater")

PACKAGE = "anninh-agent"
REQUEST, BUNDLE, SIGNED = "request", "bundle.deb", "bundle.update"  # in `update/` of the agent's home
PROOF = "update-proof.json"
_LOOK_EVERY_S = 1.0
_CHUNK_BYTES = 1 << 20
_LARGEST_PROOF_BYTES = 4096
_ROOM = 4  # times the package: how much an unpacked version takes beside it


class RefusedError(Exception):
    """The text is a code: of `decide.refusal`, or of what is wrong with the files."""


def restart_agent() -> None:
    """Let the version in force run; a box whose agent is stopped by hand stays so."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "try-restart", "anninh-agent.service"], check=False)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are; a test has its own."""

    versions: Path = Path("/opt/anninh-agent")
    home: Path = Path("/var/lib/anninh-agent")
    keys: tuple[Path, ...] = (
        Path("/etc/anninh-agent/update-key.pem"),  # the installer's choice comes first
        Path("/usr/lib/anninh-agent/update-key.pem"),
    )
    restart: Callable[[], None] = restart_agent


class Updater:
    """One run of it. `did` is told every step that is on disk: the tests cut the power there."""

    def __init__(self, places: Places, did: Callable[[str], None] = lambda _step: None) -> None:
        self._places = places
        self._versions = Versions(places.versions)
        self._did = did

    def resume(self) -> None:
        """After a start: a trial goes on, a request is carried out, a link into nothing is mended."""
        self._versions.clear_unfinished()
        if trial := self._versions.trial:
            self._versions.write_trial(trial.resumed())
        elif not self._versions.current and (name := self._versions.newest()):
            log.warning("nothing was in force: %s now is", name)
            self._versions.switch_to(name)
        self._take_request()
        self.conclude()

    def installed(self, version: str) -> None:
        """Put what dpkg has just brought in force, on trial where there is something to lose."""
        self._versions.packaged(version)
        trial = self._versions.trial
        old = trial.old if trial else self._versions.current
        before = self._versions.version_in(old) if old else ""
        if before and numbers(before) > numbers(version):
            log.warning("%s stays in force: it is newer than %s", before, version)
        elif not before or before == version or not (self._places.home / "identity").is_dir():
            self._versions.end_trial()
            self._versions.switch_to(version)
        else:
            self._begin(version, version, old)

    def conclude(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Wait for the station's word on a version on trial; without it the old one returns."""
        waited_s = 0.0
        while trial := self._versions.trial:
            self._put_in_force(trial.old if trial.is_returning else trial.new, trial)
            verdict = judge(trial, self._proof(), waited_s)
            if verdict is Verdict.KEEP:
                self._keep(trial)
            elif verdict is Verdict.RETURN:
                self._return(trial)
            else:
                wait(_LOOK_EVERY_S)
                waited_s += _LOOK_EVERY_S

    def _put_in_force(self, name: str, trial: Trial) -> None:
        """The switch itself, also the one that a power cut prevented."""
        if self._versions.current == name:
            return
        if not self._versions.version_in(name):
            name = trial.old
        self._versions.switch_to(name)
        self._did("switched")
        self._places.restart()

    def _keep(self, trial: Trial) -> None:
        log.info("%s has proven itself", trial.version)
        self._versions.note(trial.version, "proven")
        self._did("noted")
        self._versions.end_trial()
        self._did("ended")
        self._versions.forget_others(trial.new, trial.old)

    def _return(self, trial: Trial) -> None:
        log.warning("no proof of %s: back to %s", trial.version, self._versions.version_in(trial.old))
        if not trial.is_returning:
            self._versions.note(trial.version, "returned")
            self._did("noted")
            trial = replace(trial, is_returning=True)
            self._versions.write_trial(trial)
            self._did("returning")
        self._put_in_force(trial.old, trial)
        self._versions.end_trial()
        self._did("ended")
        self._versions.forget_others(trial.old)

    def _begin(self, version: str, new: str, old: str) -> None:
        self._versions.write_trial(Trial(version, new, old, secrets.token_hex(16)))
        self._did("trial")
        self._put_in_force(new, Trial(version, new, old, ""))

    def _take_request(self) -> None:
        folder = self._places.home / "update"
        try:
            place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            if REQUEST in os.listdir(place) and not self._versions.trial:  # noqa: PTH208 -- of an open folder
                self._carry_out(place)
        finally:
            for name in (REQUEST, BUNDLE, SIGNED):
                with suppress(OSError):  # never there, or a folder somebody put in its place
                    os.unlink(name, dir_fd=place)
            os.close(place)

    def _carry_out(self, place: int) -> None:
        try:
            manifest = self._checked(place)
        except (RefusedError, UnreadableError) as error:
            log.warning("update refused: %s", error)
            self._versions.note("", f"refused:{error}")
            return
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("update not unpacked: %s", error)
            self._versions.note("", "refused:unpacking")
            return
        self._begin(manifest.version, manifest.version, self._versions.current)

    def _checked(self, place: int) -> Manifest:
        """Believe nothing that the agent's user can still change: all is checked on root's own copy."""
        content = _read(place, SIGNED, manifests.LONGEST_BYTES)
        line, signature = manifests.split(content)
        if not any(_is_signed(line, signature, key) for key in self._places.keys if key.exists()):
            raise RefusedError("signature")
        manifest = manifests.parse(line)
        current = self._versions.version_in(self._versions.current)
        box = Box(self._site(), PACKAGE, _architecture(), current, self._versions.returns(manifest.version))
        if why := refusal(manifest, box, datetime.now(UTC)):
            raise RefusedError(why)
        if shutil.disk_usage(self._places.versions).free < manifest.size * _ROOM:
            raise RefusedError("no-room")
        self._unpack(place, manifest)
        return manifest

    def _unpack(self, place: int, manifest: Manifest) -> None:
        """Beside the old one, under another name until every byte is on disk."""
        folder = self._places.versions / f".unpacking-{manifest.version}"
        folder.mkdir(mode=0o755)
        deb = folder / "bundle.deb"
        if _copy(place, BUNDLE, deb, manifest.size) != manifest.sha256:
            shutil.rmtree(folder)
            raise RefusedError("damaged")
        self._did("copied")
        subprocess.run(["dpkg-deb", "--extract", deb, folder / "root"], check=True, timeout=600)
        unpacked = folder / "root" / "opt" / PACKAGE / manifest.version
        if (unpacked / "version").read_text(encoding="utf-8").strip() != manifest.version:
            raise RefusedError("for-another")
        self._did("unpacked")
        os.sync()
        target = self._places.versions / manifest.version
        if target.exists():  # left by a trial that failed; never what is in force, which is older
            target.rename(folder / "before")
        unpacked.rename(target)
        self._versions.sync()
        self._did("placed")
        shutil.rmtree(folder)

    def _site(self) -> str:
        try:
            facts = json.loads((self._places.home / "identity" / "station.json").read_text(encoding="utf-8"))
            return str(facts["site"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _proof(self) -> tuple[str, str] | None:
        try:
            place = os.open(self._places.home, os.O_RDONLY | os.O_DIRECTORY)
            try:
                facts = json.loads(_read(place, PROOF, _LARGEST_PROOF_BYTES))
            finally:
                os.close(place)
            return str(facts["version"]), str(facts["nonce"])
        except (OSError, ValueError, KeyError, TypeError, RefusedError):
            return None


def _architecture() -> str:
    return subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()


def _read(place: int, name: str, most_bytes: int) -> bytes:
    """Read a small file of the agent's, never through a link it could have laid."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise RefusedError("too-large")
    return content


def _copy(place: int, name: str, target: Path, size: int) -> str:
    """Copy exactly `size` bytes and return their SHA-256: empty when there are more or fewer."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    digest, copied = hashlib.sha256(), 0
    with os.fdopen(descriptor, "rb") as source, target.open("wb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            copied += len(chunk)
            if copied > size:
                return ""
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest() if copied == size else ""


def _is_signed(line: bytes, signature: bytes, key: Path) -> bool:
    """ECDSA P-256 by Debian's openssl: the agent's own libraries are what is being replaced."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", file.name]
        return subprocess.run(command, input=line, capture_output=True, check=False).returncode == 0


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    updater = Updater(Places())
    match sys.argv[1:]:
        case []:
            updater.resume()
        case ["installed", version]:
            updater.installed(version)
        case _:
            sys.exit(2)
