"""What is wrong with this box? One small question per function; each answers with known problems.

Nothing here logs in to a camera: a refused password must not be tried by a program, so the cameras'
state is read from what the running agent last wrote down.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from pydantic import ValidationError

from agent import zone_file
from agent.cameras import credentials, register
from agent.detectors import ModelMissing, folder_in_force, model_in_force
from agent.detectors.manifest import Manifest, ModelChanged
from agent.detectors.processor import is_exact
from agent.detectors.tiers import LOSS_LIMIT, worst_loss
from agent.health import KNOWN, Problem
from agent.settings import AgentSettings
from agent.standing import Standing, standing
from agent.uplink import identity
from agent.uplink.identity import Identity, NotEnrolled
from shared.errors import NeedsFixing
from shared.messages import CameraState, Heartbeat

STATUS = "status.json"  # the newest heartbeat, written by `agent run`

_RENEW_DAYS = 14  # a certificate lasts 90 days; two weeks are enough for one visit
_DISK_LOW_MB = 500
_CAMERA_CLOCK_OFF_S = 5.0  # more than a witness's watch; it is kept with every event anyway
_REACH_S = 5.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What `agent doctor` tells: the facts in force, and what is wrong."""

    identity: Identity | None
    model: Manifest | None
    heartbeat: Heartbeat | None
    problems: tuple[Problem, ...]
    standing: Standing
    logins: dict[str, str]  # of each camera's: where it is read from


def examine(
    home: Path, settings: AgentSettings, now: datetime, *, running: bool, synchronised: bool
) -> Examination:
    """Ask every question; the worst problem comes first."""
    ours, problems = _enrolment(home, now)
    model, found = _model(home, settings)
    heartbeat = newest_heartbeat(home) if running else None
    problems += found + _cameras(home, heartbeat, has_frigate=settings.frigate is not None) + _disk(home)
    problems += _zones(home, settings)
    if ours:
        problems += _station(ours)
    if not running and ours:
        problems.append(Problem("not-running"))
    if heartbeat:
        problems += [Problem(cause) for cause in heartbeat.causes if cause in KNOWN and cause != "disk-low"]
    if not synchronised:
        problems.append(Problem("clock-unsynchronised"))
    if heartbeat and heartbeat.outbox_refused:
        problems.append(Problem("messages-refused", facts={"count": heartbeat.outbox_refused}))
    ordered = sorted(problems, key=lambda problem: -problem.severity)
    in_force = standing(home, ours, now, _watched(home, settings))
    logins = credentials.origins(home)
    return Examination(ours, model, heartbeat, tuple(ordered), in_force, logins)


def newest_heartbeat(home: Path) -> Heartbeat | None:
    """Return what `agent run` last wrote down, or None."""
    try:
        return Heartbeat.model_validate_json((home / STATUS).read_bytes())
    except (OSError, ValidationError):
        return None


def _enrolment(home: Path, now: datetime) -> tuple[Identity | None, list[Problem]]:
    try:
        ours = identity.load(home)
        certificate = x509.load_pem_x509_certificate(ours.certificate.read_bytes())
    except (NotEnrolled, OSError, ValueError):
        return None, [Problem("not-enrolled")]
    days = (certificate.not_valid_after_utc - now).days
    if days < _RENEW_DAYS:
        return ours, [Problem("certificate-expiring", facts={"days": days})]
    return ours, []


def _model(home: Path, settings: AgentSettings) -> tuple[Manifest | None, list[Problem]]:
    try:
        manifest = model_in_force(home, settings)
        manifest.checked_bytes(folder_in_force(home, settings))
    except ModelMissing:
        return None, [Problem("model-missing")]
    except ModelChanged:
        return None, [Problem("model-changed")]
    if manifest.accuracy is None:
        return manifest, [Problem("model-unmeasured", manifest.name)]
    worst = worst_loss(manifest, is_exact=is_exact())
    if worst and worst[1] >= LOSS_LIMIT:
        return manifest, [Problem("model-loses", manifest.name, {"points": round(100 * worst[1], 1)})]
    return manifest, []


def _cameras(home: Path, heartbeat: Heartbeat | None, *, has_frigate: bool) -> list[Problem]:
    entries = register.load(home)
    if not entries and not has_frigate:
        return [Problem("no-cameras")]
    problems = [
        Problem("camera-clock-off", entry.name, {"seconds": round(entry.clock_offset_s)})
        for entry in entries
        if entry.clock_offset_s is not None and abs(entry.clock_offset_s) > _CAMERA_CLOCK_OFF_S
    ]
    if heartbeat:
        problems += [
            _camera_problem(camera.cause, camera.camera)
            for camera in heartbeat.cameras
            if camera.state is not CameraState.OK and camera.cause and not camera.is_paused
        ]
    return problems


def _zones(home: Path, settings: AgentSettings) -> list[Problem]:
    """Would the agent start with them, and do they speak of cameras we have?"""
    try:
        unknown = zone_file.unknown(home, _watched(home, settings))
        return [Problem("zones-unknown-camera", name) for name in unknown]
    except NeedsFixing as error:
        return [Problem("zones-invalid", facts={"reason": error.what()})]


def _watched(home: Path, settings: AgentSettings) -> tuple[str, ...]:
    """All cameras by our names, a Frigate's too."""
    ours = (entry.name for entry in register.load(home))
    return (*ours, *(settings.frigate.cameras.values() if settings.frigate else ()))


def _camera_problem(cause: str, camera: str) -> Problem:
    """A cause is a code of `agent.health`, except that a camera's connecting is not the station's."""
    code = {"connecting": "camera-connecting"}.get(cause, cause)
    return Problem(code, camera) if code in KNOWN else Problem("camera-other", camera, {"code": cause})


def _station(ours: Identity) -> list[Problem]:
    """Can the broker's port be reached at all? TLS and the rest are the running agent's to say."""
    try:
        with socket.create_connection((ours.host, ours.broker_port), timeout=_REACH_S):
            return []
    except OSError:
        where: dict[str, object] = {"host": ours.host, "port": ours.broker_port}
        return [Problem("station-unreachable", facts=where)]


def _disk(home: Path) -> list[Problem]:
    free_mb = shutil.disk_usage(home).free // 1_000_000
    return [Problem("disk-low", facts={"free_mb": free_mb})] if free_mb < _DISK_LOW_MB else []
