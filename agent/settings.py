"""What may the operator of a box change? Defaults that need no file at all; every field says its unit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shared.settings import Settings

DEFAULT_HOME = Path("/var/lib/anninh-agent")  # systemd's StateDirectory


class AgentSettings(Settings):
    """`agent.toml` in the agent's home folder."""

    model: Annotated[str, Field(description="Model in force: a folder name under models/.")] = ""
    engine: Annotated[
        Literal["auto", "onnxruntime", "ultralytics"],
        Field(description="Engine that runs the model; auto takes what the model's manifest names."),
    ] = "auto"
    detector_threads: Annotated[int, Field(ge=1, le=16, description="Threads of one inference.")] = 1
    detect_fps: Annotated[
        float, Field(gt=0, le=30, description="Frames per second looked at per camera while something moves.")
    ] = 5.0
    heartbeat_s: Annotated[float, Field(ge=1, le=3600, description="Seconds between heartbeats.")] = 60.0
    outbox_mb: Annotated[
        int, Field(ge=16, le=100_000, description="Disk the outbox may take, in megabytes.")
    ] = 2000
    window_kb: Annotated[
        int, Field(ge=16, le=4096, description="Unacknowledged kilobytes on the wire at most.")
    ] = 64
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="What the journal is told.")
    ] = "INFO"


def home() -> Path:
    """Return the agent's home folder: ANNINH_HOME, or where systemd puts it."""
    return Path(os.environ.get("ANNINH_HOME", DEFAULT_HOME))
