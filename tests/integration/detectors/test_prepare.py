"""`agent model prepare` for real: npm's registry, a file, pictures to calibrate with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.detectors import known, npm, open_model, put_in_force
from agent.detectors.engine_onnxruntime import ModelUnfit
from agent.detectors.prepare import Described, LicenceMissing, Workshop, from_file, from_npm, to_ncnn
from agent.detectors.quantize import TooFewPictures
from shared.messages import Kind
from tests.bench.detectors.accuracy import curve, labelled_pictures, look


class Told:
    """Collects what the person would read."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, key: str, **facts: object) -> None:
        self.keys.append(key)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def yolo11n(shared_data: Path) -> Path:
    return shared_data / "models/yolo11n/yolo11n_416.onnx"


@pytest.fixture(scope="module")
def npm_answers() -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    asked = subprocess.run(
        ["npm", "view", npm.PACKAGE, "version"], capture_output=True, timeout=60, check=False
    )
    if asked.returncode:
        pytest.skip("npm's registry does not answer")


@pytest.mark.usefixtures("npm_answers")
def test_npms_model_arrives_is_converted_and_is_the_one_that_was_measured(tmp_path: Path, told: Told) -> None:
    pytest.importorskip("onnx")
    manifest = from_npm(Workshop(tmp_path, told))
    folder = tmp_path / "models" / manifest.name
    assert manifest.sha256 in known.KNOWN, "another onnx release orders bytes anew: measure and add its hash"
    assert manifest.licence == "MIT"
    assert b"MIT License" in (folder / "LICENSE").read_bytes()
    assert open_model(folder).detect(np.zeros((360, 640, 3), np.uint8)) == []
    assert "model.npm-fetching" in told.keys

    told.keys.clear()
    assert from_npm(Workshop(tmp_path, told)) == manifest
    assert told.keys == ["model.there"]  # a second run fetches nothing


def test_without_npm_the_person_is_told_what_to_install(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(npm.NpmMissing) as missing:
        from_npm(Workshop(tmp_path, told))
    assert "apt install npm" in missing.value.hint()


def test_a_registry_that_is_not_there_means_try_later(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # discard: nobody listens
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(npm.NpmFailed) as failed:
        from_npm(Workshop(tmp_path, told))
    assert failed.value.exit_code == 75


@pytest.mark.shared_data
def test_a_known_file_is_taken_in_with_what_was_measured(tmp_path: Path, told: Told, yolo11n: Path) -> None:
    manifest = from_file(Workshop(tmp_path, told), yolo11n, Described())
    assert manifest.name == "yolo11n-416"
    assert manifest.accuracy is not None
    assert put_in_force(tmp_path, "yolo11n-416") == manifest
    told.keys.clear()
    from_file(Workshop(tmp_path, told), yolo11n, Described())
    assert told.keys == ["model.there"]


@pytest.mark.shared_data
def test_a_file_nobody_measured_tells_its_family_size_and_classes_itself(
    tmp_path: Path, told: Told, yolo11n: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(yolo11n))
    model.doc_string = "changed, so that no table knows it"
    strange = tmp_path / "Của tôi.onnx"
    onnx.save(model, str(strange))
    manifest = from_file(Workshop(tmp_path, told), strange, Described(threshold=0.35))
    assert (manifest.family, manifest.size, len(manifest.classes)) == ("yolo", (416, 416), 80)
    assert manifest.licence == "AGPL-3.0 License"
    assert manifest.accuracy is None
    assert set(manifest.thresholds.values()) == {0.35}


@pytest.mark.shared_data
def test_a_file_without_a_licence_is_not_taken_in(tmp_path: Path, told: Told, shared_data: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(shared_data / "models/yolox_nano_416x416.onnx"))
    model.doc_string = "changed"
    path = tmp_path / "mine.onnx"
    onnx.save(model, str(path))
    with pytest.raises(LicenceMissing):
        from_file(Workshop(tmp_path, told), path, Described())
    manifest = from_file(Workshop(tmp_path, told), path, Described(licence="Apache-2.0"))
    assert (manifest.family, manifest.licence) == ("yolox", "Apache-2.0")


def test_a_file_that_is_no_model_is_not_taken_in(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "holiday.onnx"
    path.write_bytes(b"\xff\xd8\xff\xe0 not a model")
    with pytest.raises(ModelUnfit):
        from_file(Workshop(tmp_path, told), path, Described(licence="MIT"))
    assert not (tmp_path / "models").exists()


@pytest.mark.shared_data
def test_int8_made_here_sees_nearly_as_many_persons(
    tmp_path: Path, told: Told, yolo11n: Path, shared_data: Path
) -> None:
    pytest.importorskip("onnx")
    few = tmp_path / "pictures"
    few.mkdir()
    for path in sorted((shared_data / "coco_train128").rglob("*.jpg"))[:24]:
        shutil.copy(path, few)
    manifest = from_file(Workshop(tmp_path, told), yolo11n, Described(), calibrate=few)
    assert manifest.precision == "int8"
    assert manifest.accuracy is None  # another file than the one measured
    folder = tmp_path / "models" / manifest.name
    assert (folder / manifest.file).stat().st_size < yolo11n.stat().st_size / 2
    pictures = labelled_pictures(shared_data / "coco_val128", 32)
    everything = dict.fromkeys(Kind, 0.01)
    full, small = (
        curve(pictures, look(open_model(path, thresholds=everything), pictures), [Kind.PERSON])
        for path in (yolo11n, folder)
    )
    assert small.average_precision > full.average_precision - 0.04  # measured on 128 pictures: 0.005


@pytest.mark.shared_data
def test_too_few_pictures_are_refused(tmp_path: Path, told: Told, yolo11n: Path) -> None:
    with pytest.raises(TooFewPictures):
        from_file(Workshop(tmp_path, told), yolo11n, Described(), calibrate=tmp_path)


@pytest.mark.shared_data
def test_opening_a_detector_brings_in_neither_torch_nor_a_word_on_stderr(yolo11n: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from agent.detectors import open_model; "
        f"open_model(Path({str(yolo11n)!r})); "
        "assert not {'torch', 'ultralytics', 'onnx'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_model_in_floats_has_an_ncnn_twin_that_finds_the_same(
    tmp_path: Path, told: Told, shared_data: Path, yolo11n: Path
) -> None:
    pytest.importorskip("ncnn")
    if find_spec("pnnx") is None:
        pytest.skip("pnnx is not installed (packaging/check installs it)")
    workshop = Workshop(tmp_path, told)
    parent = from_file(workshop, yolo11n, Described())
    twin = to_ncnn(workshop, parent.name)
    assert (twin.engine, twin.name) == ("ncnn", "yolo11n-416-ncnn")
    labelled = labelled_pictures(shared_data / "coco_val128", 20)
    picture = cv2.imread(str(max(labelled, key=lambda one: len(one.objects)).path))
    assert picture is not None
    ours, theirs = (
        open_model(tmp_path / "models" / name).detect(picture) for name in (parent.name, twin.name)
    )
    assert ours
    assert [one.kind for one in ours] == [one.kind for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.box.overlap(other.box) > 0.95
        assert one.confidence == pytest.approx(other.confidence, abs=0.02)


def test_int8_cannot_become_ncnns(tmp_path: Path, told: Told, yolo11n: Path) -> None:
    workshop = Workshop(tmp_path, told)
    int8 = from_file(workshop, yolo11n.with_name("yolo11n_416_ortint8.onnx"), Described())
    with pytest.raises(ModelUnfit):
        to_ncnn(workshop, int8.name)


def test_a_model_of_two_files_is_taken_whole_and_only_if_it_is_known(
    tmp_path: Path, told: Told, yolo11n: Path
) -> None:
    pytest.importorskip("openvino")
    known_one = from_file(Workshop(tmp_path, told), yolo11n.with_name("yolo11n_416_int8.xml"), Described())
    assert known_one.weights
    assert (tmp_path / "models" / known_one.name / known_one.weights.file).is_file()
    (tmp_path / "strange.xml").write_text("<net/>")
    with pytest.raises(ModelUnfit):
        from_file(Workshop(tmp_path, told), tmp_path / "strange.xml", Described())


def test_agent_bench_measures_chooses_and_puts_in_force(
    tmp_path: Path, told: Told, yolo11n: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for file in (yolo11n, yolo11n.with_name("yolo11n_416_ortint8.onnx")):
        from_file(Workshop(home, told), file, Described())
    monkeypatch.setenv("ANNINH_HOME", str(home))
    command = [
        str(Path(sys.executable).parent / "agent"),
        "bench",
        "--quick",
        "--json",
        "--use",
        "--cameras=2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    by_name = {(tier["model"], tier["engine"]): tier for tier in said["tiers"]}
    floats, int8 = by_name["yolo11n-416", "onnxruntime"], by_name["yolo11n-416-int8", "onnxruntime"]
    assert int8["cpu_ms"] < floats["cpu_ms"]
    assert 20 < int8["memory_mb"] < 600
    assert floats["cameras_moving_a_fifth"] > floats["cameras_moving_always"] >= 0
    assert said["choice"]["model"] in {"yolo11n-416", "yolo11n-416-int8"}
    assert (home / "models/in-force").read_text().split() == [
        said["choice"]["model"],
        said["choice"]["engine"],
    ]
