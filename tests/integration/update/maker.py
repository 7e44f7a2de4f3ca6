"""Whoever makes versions and signs them, as `packaging/debs` and `packaging/sign-update` do."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from agent.update.wish import Wanted
from tests.conftest import REPOSITORY


def run(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def architecture() -> str:
    return run("dpkg", "--print-architecture").strip()


@dataclass(frozen=True)
class Maker:
    """A key, and a folder to work in."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        run("openssl", "ec", "-in", self.key, "-pubout", "-out", self.public)

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def public(self) -> Path:
        return self.folder / "update.pem"

    def package(self, version: str, content: bytes) -> Path:
        """Make a signed package that carries these bytes."""
        tree = self.folder / "tree"
        home = tree / "opt/anninh-agent" / version
        home.mkdir(parents=True)
        (home / "version").write_text(f"{version}\n")
        (home / "content").write_bytes(content)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(
            f"Package: anninh-agent\nVersion: {version}\nArchitecture: {architecture()}\n"
            "Maintainer: x\nDescription: x\n"
        )
        deb = self.folder / f"anninh-agent_{version}.deb"
        run("dpkg-deb", "-Znone", "-b", tree, deb)
        shutil.rmtree(tree)
        self.sign(deb)
        return deb

    def sign(self, deb: Path) -> None:
        run(REPOSITORY / "packaging/sign-update", deb, self.key, 100, "2026-01-01T00:00:00+00:00")


def wanted(deb: Path) -> Wanted:
    content = deb.read_bytes()
    return Wanted(deb.stem.split("_")[1], sha256(content).hexdigest(), len(content))


def noise(size: int) -> bytes:
    return os.urandom(size)
