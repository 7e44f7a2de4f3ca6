"""What is wished of which site's agent, and since which revision? Every revision ever, in `station.db`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlite_utils
from pydantic import ValidationError

from shared.clock import microseconds, moment
from shared.configuration import Configuration
from shared.errors import NeedsFixing
from shared.messages import ConfigurationReport
from shared.texts import both, catalogue

PLAIN = ("uplink_kbps", "quiet_hours", "detect_fps")  # what is said in a line; zones are tables
_NEWEST = "SELECT body, made_us, made_by, max(revision) FROM configurations"


class ConfigurationWrong(NeedsFixing):
    """A name or a value that no agent takes; the rule for `where` is `config.rule.<where>`."""

    key = "configuration-wrong"


class ConfigurationChanged(NeedsFixing):
    """Somebody else made a new revision since this one was looked at."""

    key = "configuration-changed"


class Standing(StrEnum):
    """How a wish and what a box reports of it compare."""

    WAITING = "waiting"  # the box has not said that it has heard it
    IN_FORCE = "in-force"
    FAULTY = "faulty"  # heard, and not obeyed: the report says why


@dataclass(frozen=True, slots=True)
class Desired:
    """The newest revision of one site, when it was made and by whom."""

    wish: Configuration
    made: datetime
    by: str

    def compared(self, report: ConfigurationReport | None) -> Standing:
        if report is None or report.revision != self.wish.revision:
            return Standing.WAITING
        if not report.in_force:
            return Standing.FAULTY
        return Standing.IN_FORCE if report.sha256 == self.wish.digest() else Standing.WAITING


def changed(before: Desired | None, site: str, changes: dict[str, Any]) -> Configuration:
    """Return the next revision: whole, with what was wished before. Raises ConfigurationWrong."""
    kept = before.wish.model_dump() if before else {"site": site}
    revision = before.wish.revision + 1 if before else 1
    try:
        return Configuration.model_validate(kept | {"revision": revision} | changes)
    except ValidationError as error:
        fault = error.errors()[0]
        rule = f"config.rule.{fault['loc'][0] if fault['loc'] else ''}"
        reason = both(rule) if rule in catalogue() else fault["msg"]
        raise ConfigurationWrong(where=".".join(map(str, fault["loc"])), reason=reason) from error


class Configurations:
    """One thread's; the connection is the caller's."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database

    def newest(self, site: str) -> Desired | None:
        return next(iter(self._desired(f"{_NEWEST} WHERE site = ? GROUP BY site", site)), None)

    def all(self) -> list[Desired]:
        """Return the newest of every site that has one and may hear it."""
        return self._desired(f"{_NEWEST} JOIN sites USING (site) WHERE status = 'enrolled' GROUP BY site")

    def keep(self, wish: Configuration, by: str, now: datetime) -> None:
        """Keep a new revision; one that exists is never rewritten. Raises ConfigurationChanged."""
        with self._database.atomic():
            kept = self._database.execute(
                "INSERT INTO configurations VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (wish.site, wish.revision, wish.model_dump_json(exclude_none=True), microseconds(now), by),
            ).rowcount
        if not kept:
            raise ConfigurationChanged(site=wish.site)

    def _desired(self, query: str, *values: object) -> list[Desired]:
        rows = self._database.execute(query, values).fetchall()
        return [
            Desired(Configuration.model_validate_json(body), moment(made_us), by)
            for body, made_us, by, _ in rows
        ]
