"""A Debian of one's own: made once, started from the same tar each time, and packages to put into it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.conftest import REPOSITORY

BUILD = REPOSITORY / ".build" / "debs"
CLEAN = BUILD / "debian-root.tar"
OURS = "anninh-agent"
_INCLUDED = "python3,openssl,adduser,util-linux,mosquitto,ca-certificates"


class Root:
    """A Debian of its own in a folder; every command in it has its own mounts and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *words: str, offline: bool = False) -> list[str]:
        inside = 'mount -t proc proc /proc; exec "$@"'
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(["--net"] if offline else [])]
        return [*alone, "chroot", str(self.folder), "sh", "-c", inside, "sh", *words]

    def run(self, *words: str, typed: str = "", fine: tuple[int, ...] = (0,), offline: bool = False) -> str:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            self.command(*words, offline=offline),
            input=typed,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode in fine, f"{words} → {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def install(self, deb: Path) -> str:
        shutil.copy(deb, self.folder / "tmp")
        try:
            return self.run("apt-get", "install", "-y", "-q", "--no-install-recommends", f"/tmp/{deb.name}")
        finally:
            (self.folder / "tmp" / deb.name).unlink()

    @property
    def current(self) -> str:
        link = self.folder / "opt" / OURS / "current"
        return str(link.readlink()) if link.is_symlink() else ""


class Running:
    """The agent as systemd would keep it: started again when it ends, and when `current` moves."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._version = ""

    def tend(self) -> None:
        if self._process and (self._process.poll() is not None or self._root.current != self._version):
            self.stop()
        if self._process is None and self._root.current:
            self._version = self._root.current
            with (BUILD / "agent.log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._root.command("/usr/bin/anninh-agent", "run"),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def stop(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):  # ended by itself: the broken version does
                os.killpg(self._process.pid, signal.SIGKILL)  # its own session: unshare and the agent within
            self._process.wait(30)
            self._process = None


def clean_root(folder: Path) -> Root:
    """A minimal Debian 12, from a tar after the first time."""
    if not CLEAN.exists():
        sources = Path("/etc/apt/sources.list.d/debian.sources")
        found = re.search(r"^URIs:\s*(\S+)", sources.read_text(), re.MULTILINE) if sources.exists() else None
        mirror = found[1] if found else "http://deb.debian.org/debian"
        making = Path(tempfile.mkdtemp(dir=BUILD))
        command = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", "bookworm", making, mirror]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-cf", CLEAN.with_suffix(".new"), "-C", making, "."], check=True)
        CLEAN.with_suffix(".new").rename(CLEAN)
        shutil.rmtree(making)
    folder.mkdir()
    subprocess.run(["tar", "-xf", CLEAN, "-C", folder], check=True)
    folder.chmod(0o755)  # the tar has the mode of a temporary folder
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return Root(folder)


def build(version: str, key: Path, *only: str, model: Path | None = None) -> None:
    chosen = [word for name in only for word in ("--only", f"{name}:{_architecture(name)}")]
    chosen += ["--model", str(model)] if model else []
    command = ["packaging/debs", "--quick", "--version", version, "--update-key", key, *chosen]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def deb(version: str, half: str = "agent") -> Path:
    return BUILD / "out" / f"anninh-{half}_{version}_{_architecture(half)}.deb"


def _architecture(half: str) -> str:
    return "all" if half == "model" else "amd64"


def broken(good: Path, version: str) -> Path:
    """The same package under a higher version, whose agent ends as soon as it starts."""
    folder = Path(tempfile.mkdtemp(dir=BUILD))
    subprocess.run(["dpkg-deb", "-R", good, folder], check=True)
    before = good.name.split("_")[1]
    home = folder / "opt" / OURS
    (home / before).rename(home / version)
    (home / version / "version").write_text(f"{version}\n")
    (home / version / "bin" / "agent").write_text("#!/bin/sh\nexit 1\n")
    for file in (folder / "DEBIAN").iterdir():
        file.write_text(file.read_text().replace(before, version))
    made = deb(version)
    subprocess.run(["dpkg-deb", "-Znone", "-b", folder, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)
    return made


def keys(folder: Path) -> tuple[Path, Path]:
    private, public = folder / "key.pem", folder / "update.pem"
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private], check=True
    )
    subprocess.run(
        ["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, capture_output=True
    )
    return private, public
