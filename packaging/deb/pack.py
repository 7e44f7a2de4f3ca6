"""What do both builders of packages share? Where things lie, and how a folder becomes a .deb."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BUILD = ROOT / ".build" / "debs"
OUT = BUILD / "out"
PYTHON = "3.11"  # Debian 12's; Debian 13 needs a build of its own


@dataclass(frozen=True)
class Half:
    """One of our packages: a half of the program, or the model."""

    name: str
    packages: tuple[str, ...]  # of our wheel
    depends: tuple[str, ...]
    summary: str
    recommends: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        return f"anninh-{self.name}"


def run(*command: object, surroundings: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], env=surroundings, check=True)


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pack(half: Half, architecture: str, version: str, stage: Path, compression: str) -> Path:
    scripts = {}
    for name in ("preinst", "postinst", "prerm", "postrm"):
        template = HERE / f"{half.name}.{name}"
        if template.exists():
            script = BUILD / f"{half.name}-{name}"
            script.write_text(template.read_text().replace("VERSION", version))
            scripts[
                {"pre": "pre", "pos": "post"}[name[:3]]
                + {"inst": "install", "rm": "remove"}[name.removeprefix("pre").removeprefix("post")]
            ] = str(script)
    described = {
        "name": half.package,
        "arch": architecture,
        "version": version,
        "version_schema": "none",  # ours is Debian's already
        "section": "net",
        "priority": "optional",
        "maintainer": "An Ninh maintainers <anninh@localhost>",
        "description": half.summary,
        "license": "AGPL-3.0-or-later",
        "depends": list(half.depends),
        "recommends": list(half.recommends),
        "contents": [{"src": str(stage), "dst": "/", "type": "tree"}],
        "scripts": scripts,
        "deb": {"compression": compression},
    }
    recipe = BUILD / f"{half.name}-{architecture}.yaml"
    recipe.write_text(json.dumps(described))  # every JSON is YAML
    deb = OUT / f"{half.package}_{version}_{architecture}.deb"
    nfpm = Path(sys.executable).parent / "nfpm"
    run(nfpm, "package", "--config", recipe, "--packager", "deb", "--target", deb)
    return deb


def report(deb: Path) -> None:
    installed_kb = subprocess.check_output(["dpkg-deb", "--field", deb, "Installed-Size"], text=True)
    size_mb, installed_mb = deb.stat().st_size / 1e6, int(installed_kb) / 1e3
    print(f"{deb.relative_to(ROOT)}  {size_mb:.1f} MB, installed {installed_mb:.0f} MB")
