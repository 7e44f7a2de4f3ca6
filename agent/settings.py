"""What may the operator of a box change? Defaults that need no file at all; every field says its unit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.engines import AUTO, known_engine
from shared.identity import CameraName
from shared.localtime import Hours
from shared.settings import Settings


def _hours(text: str) -> str:
    """Hours a person typed, checked where the file is read and not when the night comes."""
    Hours.parse(text)
    return text


DEFAULT_HOME = Path("/var/lib/anninh-agent")  # systemd's StateDirectory
DEFAULT_PACKAGED = Path("/usr/share/anninh/models")  # where the package anninh-model lays its model


class FrigateSettings(BaseModel):
    """`[frigate]` in `agent.toml`: a Frigate that watches some of this site's cameras already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        str,
        Field(pattern=r"^https?://[^/@\s]+$", description="Its address, http://host:5000, without a login."),
    ]
    cameras: Annotated[
        dict[str, CameraName],
        Field(min_length=1, description="Its name of a camera, and ours, one word each."),
    ]
    mqtt_host: Annotated[str, Field(min_length=1, description="The broker it publishes to.")]
    mqtt_port: Annotated[int, Field(ge=1, le=65535, description="The broker's port.")] = 1883
    topic_prefix: Annotated[str, Field(pattern=r"^[^#+\s]+$", description="What its topics begin with.")] = (
        "frigate"
    )
    certificate: Annotated[
        Path | None, Field(description="PEM file of the certificate it shows, where it signed its own.")
    ] = None


class AgentSettings(Settings):
    """`agent.toml` in the agent's home folder."""

    model: Annotated[str, Field(description="Model in force: a folder name under models/.")] = ""
    engine: Annotated[
        str,
        AfterValidator(known_engine),
        Field(description="Engine that runs the model; auto: what `agent bench` chose, else the manifest's."),
    ] = AUTO
    detector_threads: Annotated[int, Field(ge=1, le=16, description="Threads of one inference.")] = 1
    detect_fps: Annotated[
        float, Field(gt=0, le=30, description="Frames per second looked at per camera while something moves.")
    ] = 5.0
    decode: Annotated[
        Literal["auto", "all"],
        Field(description="Pictures of a stream to decode; auto: fewer where the stream itself allows it."),
    ] = "auto"
    heartbeat_s: Annotated[float, Field(ge=1, le=3600, description="Seconds between heartbeats.")] = 60.0
    outbox_mb: Annotated[
        int, Field(ge=16, le=100_000, description="Disk the outbox may take, in megabytes.")
    ] = 2000
    window_kb: Annotated[
        int, Field(ge=16, le=4096, description="Unacknowledged kilobytes on the wire at most.")
    ] = 64
    uplink_kbps: Annotated[
        int, Field(ge=0, le=1_000_000, description="Kilobits per second of the line to use; 0: all of it.")
    ] = 0
    quiet_hours: Annotated[
        str,
        AfterValidator(_hours),
        Field(description="When pictures that waited long may be sent, 22:00-06:00; empty: always."),
    ] = ""
    frigate: Annotated[
        FrigateSettings | None, Field(description="A Frigate whose events are taken in, none by default.")
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="What the journal is told.")
    ] = "INFO"


def home() -> Path:
    """Return the agent's home folder: ANNINH_HOME, or where systemd puts it."""
    return Path(os.environ.get("ANNINH_HOME", DEFAULT_HOME))


def packaged_models() -> Path:
    """Return the folder of the models a package brought: ANNINH_PACKAGED_MODELS, or Debian's place."""
    return Path(os.environ.get("ANNINH_PACKAGED_MODELS", DEFAULT_PACKAGED))
