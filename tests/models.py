"""Which real detector can this machine's tests use? The measured one, else one prepared here, else skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.detectors import installed, open_model
from agent.vision.detect import Detector
from tests.conftest import REPOSITORY, SHARED_DATA

PREPARED = REPOSITORY / ".build"  # `ANNINH_HOME=.build agent model prepare` fills .build/models
YOLO11N_INT8 = SHARED_DATA / "models/yolo11n/yolo11n_416_ortint8.onnx"


def best_available_model_path() -> Path:
    """A model file or folder for `open_model`, or a skip with what would help."""
    if YOLO11N_INT8.is_file():
        return YOLO11N_INT8
    prepared = installed(PREPARED)
    if not prepared:
        pytest.skip("no model: ../shared/data is not here and .build/models is empty (agent model prepare)")
    return PREPARED / "models" / prepared[0].name


def best_available_model(tmp_path: Path, threads: int = 1) -> Detector:
    """An opened detector with the best model there is."""
    del tmp_path  # a model is only read
    return open_model(best_available_model_path(), threads)
