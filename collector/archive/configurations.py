"""What is wished of which site's agent, and since which revision? Every revision ever, in `station.db`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlite_utils

from shared.clock import microseconds, moment
from shared.configuration import Configuration
from shared.messages import ConfigurationReport

_NEWEST = "SELECT body, made_us, made_by, max(revision) FROM configurations"


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
        """Keep a new revision. One that exists already is refused by the database: never rewritten."""
        with self._database.atomic():
            self._database.execute(
                "INSERT INTO configurations VALUES (?, ?, ?, ?, ?)",
                (wish.site, wish.revision, wish.model_dump_json(exclude_none=True), microseconds(now), by),
            )

    def _desired(self, query: str, *values: object) -> list[Desired]:
        rows = self._database.execute(query, values).fetchall()
        return [
            Desired(Configuration.model_validate_json(body), moment(made_us), by)
            for body, made_us, by, _ in rows
        ]
