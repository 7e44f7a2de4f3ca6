"""A model is what its manifest says, to the byte, or it does not run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.detectors import (
    EngineUnknown,
    ModelMissing,
    ModelUnknown,
    engines,
    folder_in_force,
    known,
    model_in_force,
    open_detector,
    put_in_force,
)
from agent.detectors import installed as models_here
from agent.detectors.manifest import Manifest, ModelChanged
from agent.settings import AgentSettings
from shared.errors import FileUnreadable
from shared.messages import Kind

CONTENT = b"weights"


def manifest(name: str = "small") -> Manifest:
    return Manifest(
        name=name,
        file="model.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="MIT",
        source="a test",
        family="yolo",
        precision="fp32",
        width=64,
        height=64,
        classes=("person", "dog"),
        thresholds={Kind.PERSON: 0.3},
    )


def installed(home: Path, name: str = "small") -> Path:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(CONTENT)
    manifest(name).save(folder)
    return folder


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a package would lay its model; empty, whatever this machine has installed."""
    folder = tmp_path / "package"
    monkeypatch.setenv("ANNINH_PACKAGED_MODELS", str(folder / "models"))
    return folder


def packaged(package: Path, name: str) -> Path:
    folder = installed(package, name)
    (folder.parent / "in-force").write_text(f"{name}\n")
    return folder


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    assert Manifest.load(folder) == manifest()
    assert Manifest.load(folder).checked_bytes(folder) == CONTENT


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    (folder / "model.onnx").write_bytes(CONTENT + b"!")
    with pytest.raises(ModelChanged) as refused:
        Manifest.load(folder).checked_bytes(folder)
    assert "agent model prepare" in refused.value.hint()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    (folder / "model.onnx").unlink()
    with pytest.raises(FileUnreadable):
        Manifest.load(folder).checked_bytes(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": {}},
        {"thresholds": {"person": 0.3, "car": 0.3}},  # the model knows no car
        {"thresholds": {"person": 1.5}},
        {"classes": ("dog", "cat"), "thresholds": {}},
        {"file": "../../etc/passwd"},
        {"name": "../up"},
        {"sha256": "abc"},
        {"family": "face-recognition"},
        {"colour": "blue"},
    ],
    ids=str,
)
def test_a_manifest_that_cannot_be_true_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**manifest().model_dump(), **wrong})


def test_a_broken_manifest_says_what_is_wrong(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    (folder / "manifest.json").write_text('{"name": "small"}')
    with pytest.raises(FileUnreadable, match="Field required"):
        Manifest.load(folder)


def test_without_a_model_the_person_is_told_to_prepare_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as missing:
        model_in_force(tmp_path, AgentSettings())
    assert "agent model prepare" in missing.value.hint()


def test_the_model_put_in_force_is_the_one_opened_and_the_setting_overrules(tmp_path: Path) -> None:
    installed(tmp_path, "small")
    installed(tmp_path, "other")
    put_in_force(tmp_path, "small")
    assert model_in_force(tmp_path, AgentSettings()).name == "small"
    assert model_in_force(tmp_path, AgentSettings(model="other")).name == "other"


@pytest.mark.parametrize("name", ["absent", "../small", "."])
def test_a_model_that_is_not_there_cannot_be_put_in_force(tmp_path: Path, name: str) -> None:
    installed(tmp_path)
    with pytest.raises(ModelUnknown):
        put_in_force(tmp_path, name)
    with pytest.raises(ModelUnknown):
        folder_in_force(tmp_path, AgentSettings(model=name))


def test_a_changed_model_cannot_be_put_in_force(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelChanged):
        put_in_force(tmp_path, "small")


def test_an_engine_nobody_wrote_is_named_with_those_there_are(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    manifest().model_copy(update={"engine": "abacus"}).save(folder)
    put_in_force(tmp_path, "small")
    with pytest.raises(EngineUnknown) as unknown:
        open_detector(tmp_path, AgentSettings())
    assert "onnxruntime" in unknown.value.hint()


def test_the_settings_know_every_engine_there_is_a_file_for() -> None:
    for engine in engines():
        assert AgentSettings(engine=engine).engine == engine


def test_every_known_model_makes_a_manifest() -> None:
    for sha256, model in known.KNOWN.items():
        made = model.manifest("file.onnx", sha256)
        assert set(made.thresholds) == set(Kind)
        assert made.accuracy is None or made.accuracy.person_ap50 > 0.6
    assert len(known.COCO_CLASSES) == len(set(known.COCO_CLASSES)) == 80


def test_a_packages_model_is_in_force_until_somebody_chooses_another(tmp_path: Path, package: Path) -> None:
    home = tmp_path / "home"
    folder = packaged(package, "brought")
    assert folder_in_force(home, AgentSettings()) == folder
    assert [one.name for one in models_here(home)] == ["brought"]
    own = installed(home, "own")
    assert folder_in_force(home, AgentSettings()) == folder
    put_in_force(home, "own")
    assert folder_in_force(home, AgentSettings()) == own
    assert [one.name for one in models_here(home)] == ["brought", "own"]
    put_in_force(home, "brought", "onnxruntime")
    assert folder_in_force(home, AgentSettings()) == folder


def test_the_boxs_own_model_goes_before_the_packages_of_the_same_name(tmp_path: Path, package: Path) -> None:
    packaged(package, "small")
    own = installed(tmp_path / "home", "small")
    assert folder_in_force(tmp_path / "home", AgentSettings()) == own
    assert len(models_here(tmp_path / "home")) == 1


def test_a_package_that_brings_another_model_does_not_stop_the_box(tmp_path: Path, package: Path) -> None:
    home = tmp_path / "home"
    old = packaged(package, "old")
    put_in_force(home, "old")
    shutil.rmtree(old)
    new = packaged(package, "new")
    assert folder_in_force(home, AgentSettings()) == new
    with pytest.raises(ModelUnknown):
        folder_in_force(home, AgentSettings(model="old"))
    shutil.rmtree(new.parent)
    with pytest.raises(ModelUnknown, match="old"):
        folder_in_force(home, AgentSettings())


def test_a_changed_model_of_a_package_is_refused(tmp_path: Path, package: Path) -> None:
    (packaged(package, "brought") / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelChanged):
        put_in_force(tmp_path / "home", "brought")
