"""How does a model become NCNN's? Tencent's own converter, on this machine, in two seconds.

The converter (`pnnx`, a program in a wheel) writes files; it works in a folder of its own, which is gone
afterwards. Its wheel asks for torch, which the program does not need: installed by the extra it would
bring six gigabytes, so a person installs it alone (`--no-deps`). Weights are kept as halves: NCNN's own
habit, which costs no accuracy that 128 labelled pictures could tell.
"""

from __future__ import annotations

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from agent.detectors.tensor_detector import ModelUnfit
from shared.errors import NeedsFixing

_PATIENCE_S = 600  # two seconds here; a Pi with a slow card may take a minute


class ConverterMissing(NeedsFixing):
    """pnnx is not installed."""

    key = "converter-missing"


def convert(model: bytes, width: int, height: int, *, name: str) -> tuple[bytes, bytes]:
    """Return NCNN's .param and .bin of an ONNX model in floats. Raises ConverterMissing, ModelUnfit."""
    program = _program()
    with tempfile.TemporaryDirectory(prefix="anninh-ncnn-") as made:
        folder = Path(made)
        (folder / "model.onnx").write_bytes(model)
        done = subprocess.run(
            [str(program), "model.onnx", f"inputshape=[1,3,{height},{width}]"],
            cwd=folder,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        try:
            return (folder / "model.ncnn.param").read_bytes(), (folder / "model.ncnn.bin").read_bytes()
        except FileNotFoundError as error:
            reason = f"pnnx ended with {done.returncode}"
            raise ModelUnfit(name=name, reason=reason) from error


def _program() -> Path:
    """Found, not imported: importing the package asks for torch."""
    spec = find_spec("pnnx")
    if spec is None or not spec.submodule_search_locations:
        raise ConverterMissing
    return Path(spec.submodule_search_locations[0]) / "pnnx"
