"""Ultralytics itself: does our light engine see what it sees, and does `prepare` let it fetch and export?

packaging/yolo-environment && .venv-yolo/bin/python -m pytest -m yolo tests
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from agent.detectors import decode, known, open_model, prepare, ultralytics_export
from agent.detectors.engine_ultralytics import library
from agent.vision.detect import Detection
from shared.messages import Kind
from tests.bench.detectors.accuracy import Labelled, curve, labelled_pictures, look

pytestmark = pytest.mark.yolo
SAME_PLACE = (
    0.95  # overlap; the rest is half a pixel of rounding in Ultralytics' way back from 416 to the picture
)
SAME_SCORE = 0.01  # both run the same file on the same tensor; measured: under 0.001


@pytest.fixture(scope="module", autouse=True)
def _ultralytics_is_here() -> None:
    if not ultralytics_export.is_installed():
        pytest.skip("Ultralytics is not installed here (packaging/yolo-environment)")


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> list[Labelled]:
    return labelled_pictures(shared_data / "coco_val128", 32)


def assert_same(ours: list[Detection], theirs: list[Detection]) -> None:
    """The same objects, whatever the order of equals."""
    assert len(ours) == len(theirs)
    left = list(theirs)
    for one in ours:
        twin = max(left, key=lambda other: (other.kind is one.kind) + one.box.overlap(other.box))
        assert twin.kind is one.kind
        assert twin.box.overlap(one.box) > SAME_PLACE
        assert twin.confidence == pytest.approx(one.confidence, abs=SAME_SCORE)
        left.remove(twin)


@pytest.mark.shared_data
def test_the_light_engine_sees_what_ultralytics_predict_sees(
    shared_data: Path, pictures: list[Labelled]
) -> None:
    path = shared_data / "models/yolo11n/yolo11n_416.onnx"
    ours, theirs = open_model(path), open_model(path, engine="ultralytics")
    seen = 0
    for picture in pictures:
        image = picture.image()
        found = ours.detect(image)
        assert_same(found, theirs.detect(image))
        seen += len(found)
    assert seen > 50  # pictures full of people, not 32 times nothing


@pytest.fixture(scope="module")
def weights(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """yolo11n.pt as Ultralytics itself would save it: its architecture, the weights out of the ONNX file."""
    ultralytics = library()
    import onnx
    import torch

    graph = onnx.load(str(shared_data / "models/yolo11n/yolo11n_416.onnx")).graph
    known_weights = {one.name: onnx.numpy_helper.to_array(one).copy() for one in graph.initializer}
    model = ultralytics.YOLO("yolo11n.yaml", task="detect")
    model.model.fuse(verbose=False)  # the file's convolutions have their batch norms folded in
    names = model.model.state_dict().keys()
    model.model.load_state_dict({name: torch.from_numpy(known_weights[name]) for name in names})
    model.model.names = dict(enumerate(known.COCO_CLASSES))
    path = tmp_path_factory.mktemp("weights") / ultralytics_export.WEIGHTS
    model.save(path)
    return path


@pytest.fixture(scope="module")
def exported(weights: Path) -> bytes:
    """The same weights, exported by Ultralytics through the function `prepare` uses."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # torch's exporter warns of itself and of Ultralytics; not ours to mend
        return ultralytics_export.export(weights, 320)


@pytest.mark.shared_data
def test_what_ultralytics_exports_the_light_engine_sees_as_torch_does(
    weights: Path, exported: bytes, pictures: list[Labelled], tmp_path: Path
) -> None:
    light = prepare.describe("exported.onnx", exported, prepare.Described())
    heavy = light.model_copy(
        update={
            "file": weights.name,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "engine": "ultralytics",
        }
    )
    for folder, manifest, model in (("light", light, exported), ("heavy", heavy, weights.read_bytes())):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / manifest.file).write_bytes(model)
        manifest.save(tmp_path / folder)
    ours, theirs = open_model(tmp_path / "light"), open_model(tmp_path / "heavy")
    assert ours.name.endswith("(onnxruntime)")
    assert theirs.name.endswith("(ultralytics)")
    seen = 0
    for picture in pictures:
        found = ours.detect(picture.image())
        assert_same(found, theirs.detect(picture.image()))
        seen += len(found)
    assert seen > 40


@pytest.mark.shared_data
def test_an_exported_file_is_described_by_what_ultralytics_wrote_into_it(exported: bytes) -> None:
    manifest = prepare.describe("fresh.onnx", exported, prepare.Described())
    assert (manifest.family, manifest.size, manifest.precision) == ("yolo", (320, 320), "fp32")
    assert manifest.licence == "AGPL-3.0 License"
    assert manifest.classes == known.COCO_CLASSES
    assert manifest.source.startswith("Ultralytics YOLO11n")


@pytest.mark.shared_data
def test_through_ultralytics_as_many_persons_are_found(shared_data: Path, pictures: list[Labelled]) -> None:
    path = shared_data / "models/yolo11n/yolo11n_416.onnx"
    recall, precision = curve(
        pictures, look(open_model(path, engine="ultralytics"), pictures), [Kind.PERSON]
    ).at(0.0)
    assert recall > 0.4
    assert precision > 0.65


def github_answers() -> bool:
    try:
        socket.getaddrinfo("github.com", 443)
    except OSError:
        return False
    return True


@pytest.mark.filterwarnings("ignore")  # where there is internet, torch's exporter talks
def test_prepare_lets_ultralytics_fetch_or_says_why_not_and_goes_on(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    workshop = prepare.Workshop(tmp_path, lambda key, **facts: told.append((key, facts)))
    manifest = prepare.automatic(workshop, 320, None)
    keys = [key for key, _ in told]
    assert keys[0] == "model.ultralytics-fetching"
    if github_answers():
        assert manifest.name == "yolo11n-320"
        assert "model.ultralytics-exporting" in keys
    else:
        reason = next(facts["what"] for key, facts in told if key == "model.falling-back")
        assert "yolo11n.pt" in str(reason)
        assert manifest.name == "centernet-512"
    assert open_model(tmp_path / "models" / manifest.name).detect(np.zeros((90, 160, 3), np.uint8)) == []


def test_asked_for_ultralytics_alone_an_offline_box_is_told_to_try_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    for proxy in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # discard: nobody listens
    with pytest.raises(ultralytics_export.UltralyticsNotReached) as failed:
        prepare.from_ultralytics(prepare.Workshop(tmp_path, lambda *_, **__: None), 320)
    assert failed.value.exit_code == 75
    assert "--from npm" in failed.value.hint()


def test_ultralytics_reports_nothing_home_and_leaves_the_persons_settings_alone(tmp_path: Path) -> None:
    script = (
        "from agent.detectors.engine_ultralytics import library; library(); "
        "from ultralytics.utils.events import events; assert not events.enabled; "
        "from ultralytics.utils import AUTOINSTALL, USER_CONFIG_DIR; assert not AUTOINSTALL; "
        "assert 'anninh-ultralytics-' in str(USER_CONFIG_DIR), USER_CONFIG_DIR"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("YOLO_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**clean, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.shared_data
def test_only_its_own_family_goes_to_ultralytics(shared_data: Path) -> None:
    from agent.detectors.engine_onnxruntime import ModelUnfit

    with pytest.raises(ModelUnfit):
        open_model(shared_data / "models/yolox_nano_416x416.onnx", engine="ultralytics")
    assert decode.FAMILIES.keys() >= {"yolo", "yolox", "centernet"}
