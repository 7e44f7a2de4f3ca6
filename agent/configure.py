"""Which of the station's wishes are in force here? The last good ones, kept for a start without network.

`Desired.hear` decides; what changes is handed to whoever applies it. A configuration is whole: one error,
and none of it is obeyed, the one before stays, and the station reads why in words in every heartbeat.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from agent import zone_file
from agent.settings import AgentSettings
from agent.vision.zones import EVERYWHERE, CameraZones
from shared.configuration import MAX_CONFIGURATION_BYTES, Configuration
from shared.disk import write_atomically
from shared.messages import ConfigurationReport
from shared.texts import both

log = logging.getLogger(__name__)

FILE = "configuration.json"
_MOST_ERRORS, _LONGEST_ERROR = 16, 300  # as `ConfigurationReport` has room for

_PLAIN = ("uplink_kbps", "quiet_hours", "detect_fps")  # as in `agent.toml`
_Zones = TypeAdapter(CameraZones)


class _Kept(BaseModel):
    """On disk: what is obeyed, and what was heard last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    station: str = ""  # SHA-256 of its authority: another station counts its own revisions
    obeyed: Configuration | None = None
    report: ConfigurationReport = ConfigurationReport()


class InForce(BaseModel):
    """What the agent goes by: the station's word where it has said one, else the box's own files."""

    model_config = ConfigDict(frozen=True)

    uplink_kbps: int
    quiet_hours: str
    detect_fps: float
    zones: dict[str, CameraZones]  # by camera; not named: everywhere

    def zones_of(self, camera: str) -> CameraZones:
        return self.zones.get(camera, EVERYWHERE)


class Desired:
    """Heard by the thread `orders`; read by any."""

    def __init__(
        self, home: Path, settings: AgentSettings, site: str, authority: bytes, cameras: Iterable[str]
    ) -> None:
        """Raises what `agent.zone_file.load` raises."""
        self._home, self._settings, self._site = home, settings, site
        self._cameras = frozenset(cameras)
        station = hashlib.sha256(authority).hexdigest()
        self._own_zones = zone_file.load(home / zone_file.FILE)  # once, as that file says of itself
        kept = _read(home)
        self._kept = kept if kept.station == station else _Kept(station=station)
        self.garbage = 0

    @property
    def report(self) -> ConfigurationReport:
        return self._kept.report

    def in_force(self) -> InForce:
        """The household's own zones of a camera stand above the station's."""
        wish, own = self._kept.obeyed, self._settings
        said = {name: getattr(wish, name) for name in _PLAIN} if wish else {}
        plain = {name: getattr(own, name) if said.get(name) is None else said[name] for name in _PLAIN}
        wished = _understood(wish.zones) if wish else {}
        return InForce.model_validate(plain | {"zones": wished | self._own_zones})

    def hear(self, payload: bytes) -> bool:
        """Take what lies on `down/cfg`; true when there is something new to tell."""
        if len(payload) > MAX_CONFIGURATION_BYTES:
            return self._ignore("too long")
        try:
            wish = Configuration.model_validate_json(payload)
        except ValidationError as error:
            return self._hear_nonsense(payload, error)
        if wish.site != self._site:
            return self._ignore("another site's")
        if wish.revision <= self.report.revision:
            return False
        try:
            digest = wish.digest()
        except ValueError as error:  # a number that JSON as we sign it does not know
            return self._ignore(str(error))
        errors = self._errors(wish)
        report = ConfigurationReport(
            revision=wish.revision, sha256=digest, in_force=not errors, errors=errors
        )
        return self._keep(report, self._kept.obeyed if errors else wish)

    def _hear_nonsense(self, payload: bytes, error: ValidationError) -> bool:
        """Not a configuration as we know one, perhaps of a newer station: if it has a number, say so."""
        try:
            said = json.loads(payload)
            revision, site = said["revision"], said["site"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._ignore(error.errors()[0]["type"])
        if site != self._site or type(revision) is not int or revision <= self.report.revision:
            return self._ignore("not for us, or old")
        self.garbage += 1
        errors = tuple(
            _words("configuration.field", where=_place(found["loc"]), reason=found["msg"])
            for found in error.errors()[:_MOST_ERRORS]
        )
        return self._keep(
            ConfigurationReport(revision=revision, in_force=False, errors=errors), self._kept.obeyed
        )

    def _errors(self, wish: Configuration) -> tuple[str, ...]:
        errors: list[str] = []
        for camera, table in wish.zones.items():
            if camera not in self._cameras:
                errors.append(_words("configuration.camera", camera=camera))
                continue
            try:
                _Zones.validate_python(table)
            except ValidationError as error:
                errors += [
                    _words(
                        "configuration.zones",
                        camera=camera,
                        where=_place(found["loc"]),
                        reason=found["msg"],
                    )
                    for found in error.errors()
                ]
        return tuple(errors[:_MOST_ERRORS])

    def _keep(self, report: ConfigurationReport, obeyed: Configuration | None) -> bool:
        self._kept = _Kept(station=self._kept.station, obeyed=obeyed, report=report)
        try:
            write_atomically(self._home / FILE, self._kept.model_dump_json(exclude_none=True).encode())
        except OSError as error:  # obeyed all the same; after a restart it is heard again
            log.warning("configuration not written", extra={"reason": error})
        facts = {"revision": report.revision, "in_force": report.in_force, "errors": len(report.errors)}
        log.info("configuration", extra=facts)
        return True

    def _ignore(self, reason: str) -> bool:
        self.garbage += 1
        log.warning("not a configuration for us", extra={"reason": reason, "count": self.garbage})
        return False


def kept(home: Path) -> tuple[ConfigurationReport, tuple[str, ...]]:
    """For `agent doctor`: the newest report, and for which cameras the station has said zones."""
    found = _read(home)
    return found.report, tuple(found.obeyed.zones) if found.obeyed else ()


def _read(home: Path) -> _Kept:
    try:
        return _Kept.model_validate_json((home / FILE).read_bytes())
    except FileNotFoundError:
        return _Kept()
    except (OSError, ValidationError) as error:
        log.warning("kept configuration not readable", extra={"reason": error})
        return _Kept()


def _understood(tables: dict[str, JsonValue]) -> dict[str, CameraZones]:
    """They were checked when they came; a table that a newer version finds wrong is left out."""
    zones: dict[str, CameraZones] = {}
    for camera, table in tables.items():
        try:
            zones[camera] = _Zones.validate_python(table)
        except ValidationError:
            log.warning("zones of the station left out", extra={"camera": camera})
    return zones


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts if part != "[key]")[:80]


def _words(key: str, **facts: object) -> str:
    """Both languages: who reads it sits at the station."""
    return both(key, **facts)[:_LONGEST_ERROR]
