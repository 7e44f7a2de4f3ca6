"""What every engine with every model must do, on real pictures. One suite, whatever is installed here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.detectors import engine_file, open_model
from agent.detectors import is_installed as library_is_here
from agent.detectors.engine_ultralytics import library
from agent.detectors.ultralytics_export import is_installed
from agent.engines import engines
from agent.vision.detect import Detection, Detector
from shared.messages import Kind
from tests.bench.detectors.accuracy import Labelled, curve, labelled_pictures, look

MODELS = {
    "yolo11n-416-int8": "yolo11n/yolo11n_416_ortint8.onnx",
    "yolo11n-416": "yolo11n/yolo11n_416.onnx",
    "yolox-nano-416": "yolox_nano_416x416.onnx",
    "centernet-512": "centernet",
    "yolo11n-416-int8-openvino": "yolo11n/yolo11n_416_int8.xml",
    "yolo11n-320-ncnn": "yolo11n/ncnn_320/model.ncnn.param",
    "nanodet-plus-416-ncnn": "nanodet_plus_ncnn/nanodet-plus-coco-416.param",
}
ONNX = ("yolo11n-416-int8", "yolo11n-416", "yolox-nano-416", "centernet-512")
PERSON_RECALL_AT_LEAST = 0.40  # measured 0.52 to 0.60 on 128 pictures; a broken decoder gives 0.00
PERSON_PRECISION_AT_LEAST = 0.65  # measured 0.80 and more

pytestmark = pytest.mark.shared_data


def model_path(name: str, shared_data: Path, converted: Path) -> Path:
    if name == "centernet-512":
        return converted
    path = shared_data / "models" / MODELS[name]
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    return path


@pytest.fixture(scope="module")
def converted(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CenterNet of npm, converted by our own converter from the same bytes npm would bring."""
    pytest.importorskip("onnx")
    from agent.detectors import npm, tfjs

    source = shared_data / "models/centernet"
    topology, weights = (source / f"centernet.{ending}" for ending in ("json", "bin"))
    path = tmp_path_factory.mktemp("centernet") / "centernet.onnx"
    path.write_bytes(tfjs.convert(topology.read_bytes(), weights.read_bytes(), npm.OUTPUTS))
    return path


@pytest.fixture(
    scope="module",
    params=[
        *(("onnxruntime", m) for m in ONNX),
        *(("openvino", m) for m in (*ONNX, "yolo11n-416-int8-openvino")),
        *(("ncnn", m) for m in ("yolo11n-320-ncnn", "nanodet-plus-416-ncnn")),
        ("ultralytics", "yolo11n-416"),
    ],
    ids="-".join,
)
def detector(request: pytest.FixtureRequest, shared_data: Path, converted: Path) -> Detector:
    engine, name = request.param
    if not library_is_here(engine_file(engine)):
        pytest.skip(f"{engine} is not installed here")
    return open_model(model_path(name, shared_data, converted), engine=engine)


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> list[Labelled]:
    return labelled_pictures(shared_data / "coco_val128", 32)


@pytest.fixture(scope="module")
def seen(detector: Detector, pictures: list[Labelled]) -> list[list[Detection]]:
    return look(detector, pictures)


def test_it_finds_the_persons_of_32_labelled_pictures(
    pictures: list[Labelled], seen: list[list[Detection]]
) -> None:
    persons = curve(pictures, seen, [Kind.PERSON])
    assert persons.objects > 50
    recall, precision = persons.at(0.0)
    assert recall >= PERSON_RECALL_AT_LEAST
    assert precision >= PERSON_PRECISION_AT_LEAST


def test_every_box_is_in_the_frame_and_the_most_confident_comes_first(seen: list[list[Detection]]) -> None:
    for found in seen:
        confidences = [d.confidence for d in found]
        assert confidences == sorted(confidences, reverse=True)
        for detection in found:
            assert isinstance(detection.kind, Kind)
            assert 0 < detection.confidence <= 1
            assert detection.box.area > 0
            assert detection.box.right <= 1.001
            assert detection.box.bottom <= 1.001


@pytest.mark.parametrize("grey", [0, 114, 255])
def test_an_empty_picture_holds_nobody(detector: Detector, grey: int) -> None:
    assert detector.detect(np.full((360, 640, 3), grey, np.uint8)) == []


def test_the_same_picture_gives_the_same_detections(detector: Detector, pictures: list[Labelled]) -> None:
    image = pictures[1].image()
    assert detector.detect(image) == detector.detect(image)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (2560, 1440), (33, 17), (1, 1)])
def test_any_size_and_shape_of_picture_will_do(detector: Detector, width: int, height: int) -> None:
    detector.detect(np.zeros((height, width, 3), np.uint8))


def test_a_view_into_a_larger_picture_will_do(detector: Detector, pictures: list[Labelled]) -> None:
    image = pictures[1].image()
    wide = np.concatenate((image, image), axis=1)
    assert detector.detect(wide[:, : image.shape[1]]) == detector.detect(image)


def test_a_person_is_found_at_the_same_place_in_a_picture_twice_as_large(
    detector: Detector, pictures: list[Labelled]
) -> None:
    picture = max(pictures, key=lambda p: max((b.area for k, b in p.objects if k is Kind.PERSON), default=0))
    image = picture.image()
    twice = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    (small,) = [d for d in detector.detect(image) if d.kind is Kind.PERSON][:1]
    (large,) = [d for d in detector.detect(twice) if d.kind is Kind.PERSON][:1]
    assert small.box.overlap(large.box) > 0.85


def test_it_says_which_model_and_engine_it_is(detector: Detector) -> None:
    assert detector.name.endswith(tuple(f"({engine})" for engine in engines()))


@pytest.mark.parametrize("name", ["yolo11n-416", "yolox-nano-416"])
def test_two_engines_with_the_same_weights_see_the_same(
    name: str, shared_data: Path, converted: Path, pictures: list[Labelled]
) -> None:
    if not library_is_here(engine_file("openvino")):
        pytest.skip("openvino is not installed here")
    path = model_path(name, shared_data, converted)
    one, other = (open_model(path, engine=engine) for engine in ("onnxruntime", "openvino"))
    for picture in pictures[:8]:
        ours, theirs = one.detect(picture.image()), other.detect(picture.image())
        assert [d.kind for d in ours] == [d.kind for d in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a.confidence == pytest.approx(b.confidence, abs=0.005)
            assert a.box.overlap(b.box) > 0.98


def test_ultralytics_missing_is_said_with_the_command_that_installs_it() -> None:
    if is_installed():
        pytest.skip("Ultralytics is installed here")
    from shared.errors import ExtraMissing

    with pytest.raises(ExtraMissing, match=r"anninh\[yolo\]"):
        library()
