"""How do Ultralytics' own weights become a file for the light engine? It fetches and exports them."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

from agent.detectors.engine_ultralytics import library
from shared.errors import TryLater

WEIGHTS = "yolo11n.pt"  # the smallest: 2.6 million parameters; n at 416 is what a box without a GPU carries
LICENCE = "AGPL-3.0"
_OPSET = 17  # read by every ONNX Runtime since 1.14
_SMALLEST_BYTES = 100_000  # an error page is smaller


class UltralyticsNotReached(TryLater):
    """Ultralytics is installed but could not fetch its weights."""

    key = "ultralytics-not-reached"


def is_installed() -> bool:
    return importlib.util.find_spec("ultralytics") is not None


def fetch(folder: Path) -> Path:
    """Let Ultralytics fetch its weights into this folder.

    Raises UltralyticsNotReached with its reason, ExtraMissing where it is not installed.
    """
    library()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        weights = Path(attempt_download_asset(str(folder / WEIGHTS)))
    except (
        OSError,
        MemoryError,
    ) as error:  # ConnectionError is an OSError; MemoryError is its word for a full disk
        raise UltralyticsNotReached(reason=str(error).splitlines()[0].strip(" ❌.")[:160]) from error
    if not weights.is_file() or weights.stat().st_size < _SMALLEST_BYTES:
        raise UltralyticsNotReached(reason=f"{WEIGHTS} did not arrive")
    return weights


def export(weights: str | Path, side: int) -> bytes:
    """Return weights (a .pt that Ultralytics fetched, or one of its own .yaml architectures) as ONNX.

    The file is written beside the weights, as Ultralytics does, in a folder that is the caller's.
    """
    model = library().YOLO(str(weights), task="detect")
    path = model.export(
        format="onnx",
        imgsz=side,
        opset=_OPSET,
        dynamic=False,
        simplify=importlib.util.find_spec("onnxslim") is not None,
        device="cpu",
        verbose=False,
    )
    return Path(path).read_bytes()


def class_names(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names Ultralytics writes into an exported file, () where there are none."""
    try:
        names = ast.literal_eval(metadata.get("names", "{}"))
    except (SyntaxError, ValueError):
        return ()
    return tuple(str(names[number]) for number in sorted(names)) if isinstance(names, dict) else ()
