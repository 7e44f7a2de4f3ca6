"""How do both halves become Debian packages for two architectures on one machine? Wheels, unpacked.

Nothing is compiled: the wheels of the other architecture are unpacked as they are, and byte code is
the same everywhere. A box starts its own version from `/opt/anninh-<half>/current`.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import re
import shutil
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode

import model
import sbom
from pack import BUILD, HERE, OUT, PYTHON, ROOT, Half, made, pack, report, run

PLATFORMS = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
}
# The window system's half of cv2 has no place on a box without a screen, and would want libGL of it.
INSTEAD = {"opencv-python": "opencv-python-headless"}
ONLY_SOURCE = ("onvif-zeep",)  # no wheel on the index; pure Python, so one made here runs everywhere
_SECRETS = "systemd/README.md"
USELESS = ("tests", "test", "testing/tests", "*.pyi", "*.a", "*.h")  # of the wheels; a third of numpy
KEPT_TESTS = ("numpy/testing", "numpy/_core/tests/_natype.py")


_PYTHON_HERE = ("python3 (>= 3.11)", "python3 (<< 3.12)")
HALVES = {
    "agent": Half(
        "agent",
        ("agent", "shared"),
        (*_PYTHON_HERE, "adduser", "openssl", "util-linux", "libc6 (>= 2.28)"),
        "Camera an ninh: watches a house's own cameras, sends events to the station",
        ("anninh-model",),
    ),
    "collector": Half(
        "collector",
        ("collector", "shared"),
        (*_PYTHON_HERE, "adduser", "util-linux", "libc6 (>= 2.28)", "mosquitto (>= 2.0.11)"),
        "Camera an ninh: the station's broker, archive and pages",
    ),
}


def main() -> None:
    arguments = _arguments()
    began_s = time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    version = arguments.version or _project()["version"]
    wheel = _our_wheel(version)
    for half in HALVES.values():
        for architecture in PLATFORMS:
            if not arguments.only or f"{half.name}:{architecture}" in arguments.only:
                report(_build(half, architecture, version, wheel, arguments))
    if not arguments.only or "model:all" in arguments.only:
        _, libraries = _libraries(HALVES["agent"], model.host())
        wish = model.Wish(arguments.model, arguments.model_licence)
        report(model.build(version, libraries, wish, _compression(arguments)))
    print(f"{time.monotonic() - began_s:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", metavar="HALF:ARCHITECTURE")
    parser.add_argument("--version", help="another version than the project's, to try an upgrade with")
    parser.add_argument("--quick", action="store_true", help="not compressed: for a test")
    parser.add_argument("--model", type=Path, help="a model of one's own instead of npm's in anninh-model")
    parser.add_argument("--model-licence", default="", help="its licence, where the file does not say it")
    parser.add_argument("--update-key", type=Path, help="PEM of the public key that signs updates")
    return parser.parse_args()


def _compression(wishes: argparse.Namespace) -> str:
    return "none" if wishes.quick else "zstd"


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _our_wheel(version: str) -> Path:
    """Build from a copy of what git would ship, so that a version of one's own leaves no trace here."""
    source, folder = BUILD / "source", BUILD / "wheel"
    for old in (source, folder):
        shutil.rmtree(old, ignore_errors=True)
    source.mkdir(parents=True)
    for name in ("agent", "collector", "shared"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    project = (ROOT / "pyproject.toml").read_text()
    text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', project, count=1)
    assert count == 1
    (source / "pyproject.toml").write_text(text)
    here = ("--no-deps", "--no-build-isolation", "-w", folder)
    run(sys.executable, "-m", "pip", "wheel", "-q", *here, source)
    return next(folder.glob("anninh-*.whl"))


def _requirements(half: Half) -> list[str]:
    project = _project()
    wanted = [*project["dependencies"], *project["optional-dependencies"][half.name]]
    named = re.compile(r"^[A-Za-z0-9_.-]+")
    return sorted(named.sub(lambda found: INSTEAD.get(found[0], found[0]), line) for line in wanted)


def _libraries(half: Half, architecture: str) -> tuple[Path, Path]:
    """Return the wheels of others, and all of them unpacked; both kept until the wishes change."""
    wanted = _requirements(half)
    digest = hashlib.sha256(
        json.dumps([wanted, PLATFORMS[architecture], USELESS, "no pip, data"]).encode()
    ).hexdigest()[:12]
    wheels = BUILD / "wheels" / f"{half.name}-{architecture}-{digest}"
    libraries = BUILD / "libraries" / f"{half.name}-{architecture}-{digest}"
    if libraries.exists():
        return wheels, libraries
    shutil.rmtree(wheels, ignore_errors=True)
    platforms = [word for name in PLATFORMS[architecture] for word in ("--platform", name)]
    for_them = ("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms)
    pure = BUILD / "pure"
    if made_here := [line for line in wanted if line.startswith(ONLY_SOURCE)]:
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", pure, *made_here)
    made(pure)
    find = ("--find-links", pure)
    run(sys.executable, "-m", "pip", "download", "-q", *for_them, *find, "-d", wheels, *wanted)
    unfinished = libraries.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    here = ("--no-deps", "--no-compile", "--no-index", "--target", unfinished)
    run(sys.executable, "-m", "pip", "install", "-q", *here, *for_them, *sorted(wheels.glob("*.whl")))
    _add_data(unfinished, wheels)
    _slim(unfinished)
    _compile([unfinished])
    unfinished.rename(libraries)
    return wheels, libraries


def _add_data(libraries: Path, wheels: Path) -> None:
    """What a wheel puts beside its modules by absolute place (onvif-zeep's WSDL): pip's --target loses it."""
    inside = f".data/data/lib/python{PYTHON}/site-packages/"
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            found = [name for name in archive.namelist() if inside in name and not name.endswith("/")]
            places = [name.partition(inside)[2] for name in found]
            for name, place in zip(found, places, strict=True):
                (made((libraries / place).parent) / Path(place).name).write_bytes(archive.read(name))
        if places:
            record = next(libraries.glob(f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/RECORD"))
            lines = [
                line
                for line in record.read_text().splitlines()
                if not line.split(",")[0].endswith(tuple(places))
            ]
            record.write_text("\n".join([*lines, *(f"{place},," for place in places)]) + "\n")


def _slim(libraries: Path) -> None:
    """What no box runs: others' tests, type stubs, headers, commands."""
    for name in ("bin", "pip"):  # sqlite-utils brings pip along
        shutil.rmtree(libraries / name, ignore_errors=True)
    for pattern in USELESS:
        for path in sorted(libraries.rglob(pattern)):
            if any(kept in path.as_posix() for kept in KEPT_TESTS) or not path.exists():
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _build(half: Half, architecture: str, version: str, wheel: Path, wishes: argparse.Namespace) -> Path:
    wheels, libraries = _libraries(half, architecture)
    stage = BUILD / "stage" / f"{half.name}-{architecture}"
    shutil.rmtree(stage, ignore_errors=True)
    home = stage / "opt" / half.package / version
    run("cp", "-al", "--", libraries, made(home) / "lib")
    _add_ours(half, wheel, home, version)
    documents = made(stage / "usr/share/doc" / half.package)
    listed = sbom.write(half.package, version, architecture, home / "lib", wheels)
    (documents / "sbom.cdx.json").write_text(listed)
    places = {"README.md": f"{half.name}/README.md", "changelog.md": "CHANGELOG.md", "secrets.md": _SECRETS}
    for name, place in places.items():
        shutil.copy(ROOT / place, documents / name)
    shutil.copy(ROOT / "LICENSE", documents / "copyright")
    _add_system_files(half, stage, wishes.update_key)
    deb = pack(half, architecture, version, stage, _compression(wishes))
    deb.with_suffix(".cdx.json").write_text(listed)
    return deb


def _add_ours(half: Half, wheel: Path, home: Path, version: str) -> None:
    unpacked = BUILD / "ours"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(wheel, unpacked, "zip")
    for name in (*half.packages, *(folder.name for folder in unpacked.glob("*.dist-info"))):
        shutil.copytree(unpacked / name, home / "lib" / name)
    command = made(home / "bin") / half.name
    command.write_text((HERE / "start.in").read_text().replace("HALF", half.name))
    command.chmod(0o755)
    (home / "version").write_text(f"{version}\n")
    _compile(home / "lib" / name for name in half.packages)


def _compile(folders: Iterable[Path]) -> None:
    """Without time stamps in the byte code: the same sources give the same package."""
    for folder in folders:
        compileall.compile_dir(
            folder,
            stripdir=str(folder.parent),
            prependdir="lib",
            quiet=2,
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )


def _add_system_files(half: Half, stage: Path, update_key: Path | None) -> None:
    units = made(stage / "lib/systemd/system")
    names = [f"{half.package}.service"]
    names += ["anninh-agent-updater.service", "anninh-agent-updater.path"] if half.name == "agent" else []
    names += ["anninh-console.service"] if half.name == "collector" else []
    for name in names:
        shutil.copy(ROOT / "systemd" / name, units)
    command = made(stage / "usr/bin") / half.package
    command.write_text((HERE / "command.in").read_text().replace("HALF", half.name))
    command.chmod(0o755)
    if half.name == "agent":
        updater = made(stage / "usr/lib/anninh-agent/agent")
        shutil.copy(ROOT / "agent/__init__.py", updater)
        made(updater / "update")
        for file in (ROOT / "agent/update").glob("*.py"):
            shutil.copy(file, updater / "update")
        (updater.parent / "updater").write_text((HERE / "updater.in").read_text())
        for name in ("__init__.py", "update_manifest.py", "waves.py"):
            shutil.copy(ROOT / "shared" / name, made(updater.parent / "shared"))
        if update_key:
            shutil.copy(update_key, stage / "usr/lib/anninh-agent/update-key.pem")


if __name__ == "__main__":
    main()
