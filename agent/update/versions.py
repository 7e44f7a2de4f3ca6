"""Which versions are on this disk, and which one is in force? `current`, a link that is never half made."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.update.decide import Trial
from shared.update_manifest import UnreadableError, numbers

_TRIAL, _OUTCOME, _PACKAGED = "trial.json", "outcome.json", "packaged"


class Versions:
    """The folder `/opt/anninh-agent`; only root writes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def current(self) -> str:
        """The folder in force, by name; empty when there is none that could start."""
        try:
            name = str((self.folder / "current").readlink())
        except OSError:
            return ""
        return name if self.version_in(name) else ""

    def version_in(self, name: str) -> str:
        """Return which version a folder holds, whole; empty when it does not."""
        try:
            version = (self.folder / name / "version").read_text(encoding="utf-8").strip()
            numbers(version)
        except (OSError, UnreadableError):
            return ""
        return version

    def switch_to(self, name: str) -> None:
        """Put a version in force: a power cut leaves the one before or this one."""
        unfinished = self.folder / ".current"
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(name)
        unfinished.rename(self.folder / "current")
        self.sync()

    def newest(self) -> str:
        """Return the folder of the newest version that is whole; empty when there is none."""
        found = [(numbers(self.version_in(name)), name) for name in self._names() if self.version_in(name)]
        return max(found, default=((0, 0, 0), ""))[1]

    def forget_others(self, *kept: str) -> None:
        """Remove every version but these, what dpkg brought, and what is in force."""
        wanted = {*kept, self.current, self._read(_PACKAGED).get("folder", "")}
        for name in self._names():
            if name not in wanted:
                shutil.rmtree(self.folder / name)
        self.sync()

    def clear_unfinished(self) -> None:
        """Whatever a power cut left of an unpacking."""
        for path in self.folder.glob(".unpacking*"):
            shutil.rmtree(path, ignore_errors=True)

    @property
    def trial(self) -> Trial | None:
        facts = self._read(_TRIAL)
        try:
            return Trial(**facts) if facts else None
        except TypeError:
            return None

    def write_trial(self, trial: Trial) -> None:
        self._write(_TRIAL, asdict(trial))

    def end_trial(self) -> None:
        (self.folder / _TRIAL).unlink(missing_ok=True)
        self.sync()

    def packaged(self, name: str) -> None:
        """Remember which folder is dpkg's: only dpkg takes it away."""
        self._write(_PACKAGED, {"folder": name})

    def returns(self, version: str) -> int:
        """How often has this version failed here?"""
        counted = self._read(_OUTCOME).get("returns")
        return int(counted.get(version, 0)) if isinstance(counted, dict) else 0

    def result(self) -> str:
        """Return how the newest attempt went, as `note` was told; empty where there was none."""
        return str(self._read(_OUTCOME).get("result", ""))

    def note(self, version: str, result: str) -> None:
        """Say how it went: `agent doctor` and the station may read it."""
        counted = self._read(_OUTCOME).get("returns")
        returns = dict(counted) if isinstance(counted, dict) else {}
        if result == "returned":
            returns[version] = self.returns(version) + 1
        self._write(_OUTCOME, {"version": version, "result": result, "returns": returns})

    def sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _names(self) -> list[str]:
        folders = (path for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink())
        return [path.name for path in folders if not path.name.startswith(".")]

    def _read(self, name: str) -> dict[str, Any]:
        try:
            facts = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def _write(self, name: str, facts: dict[str, object]) -> None:
        """As `shared.disk.write_atomically`, which is not here: this folder travels alone."""
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).rename(self.folder / name)
        self.sync()
