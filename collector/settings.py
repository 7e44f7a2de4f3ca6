"""What may the operator of a station change? Read from `collector.toml` in the station's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from shared.messages import Kind, Wishes
from shared.settings import Settings

DEFAULT_STATION = Path("/var/lib/anninh-collector")  # systemd's StateDirectory

Port = Annotated[int, Field(ge=1, le=65535)]


class StationSettings(Settings):
    """`collector.toml` in the station's folder; `collector init` writes the first one."""

    name: Annotated[str, Field(max_length=120, description="The station's name, on every page.")] = (
        "Công an xã"
    )
    host: Annotated[
        str, Field(description="Name or address by which boxes reach the station; in its certificate.")
    ] = "localhost"
    bind: Annotated[str, Field(description="Address the station listens on.")] = "0.0.0.0"  # noqa: S104 -- boxes come from other houses
    broker_port: Annotated[Port, Field(description="MQTT over mutual TLS.")] = 8883
    enrolment_port: Annotated[Port, Field(description="HTTPS, for enrolling boxes.")] = 8443
    console_port: Annotated[Port, Field(description="HTTPS, for officers.")] = 8444
    clock_suspect_s: Annotated[
        float,
        Field(gt=0, description="Seconds an agent's clock may differ before its events are flagged."),
    ] = 120.0
    colours: Annotated[
        Literal["none", "vehicles", "all"],
        Field(description="Whose coarse colour is kept: nobody's, vehicles', or people's clothes as well."),
    ] = "vehicles"
    tight_crops: Annotated[
        bool, Field(description="Keep a second picture of each event, the object alone, cut tightly.")
    ] = False
    alarms: Annotated[
        tuple[SecretStr, ...],
        Field(
            description="Whom to tell what is broken: addresses of Apprise, for example"
            " mailto://user:password@example.com or ntfy://ntfy.sh/topic. Secret; a credential may hold them."
        ),
    ] = ()
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Figures for Prometheus, on 127.0.0.1 only; 0 is off.")
    ] = 0
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="What the journal is told.")
    ] = "INFO"

    @property
    def wishes(self) -> Wishes:
        """What all boxes are told, and what is kept of what they send."""
        kinds = {"none": [], "vehicles": [kind for kind in Kind if kind is not Kind.PERSON], "all": [*Kind]}
        return Wishes(colour_of=tuple(kinds[self.colours]), tight_crops=self.tight_crops)


def station_folder() -> Path:
    """Return the station's folder: ANNINH_STATION, or where systemd puts it."""
    return Path(os.environ.get("ANNINH_STATION", DEFAULT_STATION))
