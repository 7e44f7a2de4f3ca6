"""What is shipped is what was tested: the wheel, alone, in clean environments, half by half."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.timeout(900)  # three environments' worth of packages on two busy cores


def run(*command: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANNINH_", "PYTHON"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    made = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, REPOSITORY)
    assert made.returncode == 0, made.stderr
    return next(folder.glob("anninh-*.whl"))


def environment(folder: Path, *requirements: str) -> Path:
    run(sys.executable, "-m", "venv", folder)
    installed = run(folder / "bin" / "python", "-m", "pip", "install", "-q", *requirements)
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


@pytest.mark.parametrize(
    ("half", "other", "strangers"),
    [
        ("agent", "collector", ["starlette", "sqlite_utils", "granian", "argon2"]),
        ("collector", "agent", ["cv2", "onnxruntime", "av", "onvif", "numpy"]),
    ],
)
def test_each_half_starts_without_the_others_packages(
    wheel: Path, tmp_path: Path, half: str, other: str, strangers: list[str]
) -> None:
    commands = environment(tmp_path / "venv", f"{wheel}[{half}]")
    for stranger in strangers:
        assert run(commands / "python", "-c", f"import {stranger}").returncode != 0, stranger
    started = run(commands / half, "--help", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    refused = run(commands / other, "--help", cwd=tmp_path)
    assert refused.returncode == 2
    assert f"anninh[{other}]" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both halves in one environment, and what the tests need."""
    tools = "hypothesis", "pytest", "pytest-timeout", "trustme"
    return environment(tmp_path_factory.mktemp("whole") / "venv", f"{wheel}[agent,convert,collector]", *tools)


def test_nobody_else_owns_our_import_names(whole: Path, tmp_path: Path) -> None:
    asked = run(
        whole / "python",
        "-c",
        "from importlib.metadata import packages_distributions as p;"
        "print(*(sorted(set(p()[name])) for name in ('agent', 'collector', 'shared')))",
        cwd=tmp_path,
    )
    assert asked.stdout.strip() == "['anninh'] ['anninh'] ['anninh']"


def test_the_built_wheel_passes_the_unit_and_contract_tests(whole: Path, tmp_path: Path) -> None:
    """The tests are copied to a folder that has no source beside them, so only the wheel can answer."""
    place = tmp_path / "place"
    (tmp_path / "shared").symlink_to(REPOSITORY.parent / "shared")  # footage, where it is there
    shutil.copytree(REPOSITORY / "tests", place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", place)
    shutil.copytree(REPOSITORY / ".build" / "agent-home", place / ".build" / "agent-home")
    passed = run(
        whole / "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/unit",
        "tests/contract",
        cwd=place,
    )
    assert passed.returncode == 0, passed.stdout[-3000:]
    assert " passed" in passed.stdout
