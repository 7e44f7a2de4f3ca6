"""What was asked of which site, and what became of it? The commands of `station.db`, and their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlite_utils

from shared.clock import microseconds, moment
from shared.commands import Command, Outcome, Reply, TestFrame

FRAMES_KEPT = timedelta(days=7)  # enough to aim a camera by; a house's picture is nobody's archive


@dataclass(frozen=True, slots=True)
class Order:
    """A command, who gave it, when it last went out, and the site's answer."""

    command: Command
    by: str
    sent: datetime | None = None
    session: str | None = None  # the box's process it last went to
    reply: Reply | None = None

    def outcome(self, now: datetime) -> Outcome | None:
        """Return what became of it; None while that may still come."""
        if self.reply is not None:
            return self.reply.outcome
        return Outcome.EXPIRED if self.command.expired(now) else None


class Orders:
    """One thread's; the connection is the caller's."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database

    def give(self, command: Command, by: str) -> None:
        """Keep it; a form that is sent twice gives its command once."""
        with self._database.atomic():
            self._database.execute(
                "INSERT INTO commands (id, site, body, made_us, not_after_us, made_by)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (
                    command.id.bytes, command.site, command.model_dump_json(),
                    microseconds(command.made_at), microseconds(command.not_after), by,
                ),
            )  # fmt: skip

    def waiting(self, now: datetime) -> list[Order]:
        """Return what is neither answered nor too old, in the order it was given."""
        return self._orders("reply IS NULL AND not_after_us >= ? ORDER BY made_us", microseconds(now))

    def newest(self, site: str | None, limit: int) -> list[Order]:
        if site is None:
            return self._orders("1 ORDER BY made_us DESC LIMIT ?", limit)
        return self._orders("site = ? ORDER BY made_us DESC LIMIT ?", site, limit)

    def about_footage(self, site: str | None) -> list[Order]:
        """Return what was ever held or let go, at one site or at all; no camera's minutes are forgotten."""
        asked = "json_extract(body, '$.errand.verb') IN ('hold-footage', 'release-footage')"
        return self._orders(f"{asked} AND site = coalesce(?, site) ORDER BY made_us", site)

    def updates(self, version: str) -> list[Order]:
        """Return who was told to take this version, the first told first."""
        return self._orders("json_extract(body, '$.errand.version') = ? ORDER BY made_us", version)

    def one(self, command: UUID) -> Order | None:
        return next(iter(self._orders("id = ?", command.bytes)), None)

    def sent(self, command: UUID, session: str | None, now: datetime) -> None:
        with self._database.atomic():
            self._database.execute(
                "UPDATE commands SET sent_us = ?, session = ? WHERE id = ?",
                (microseconds(now), session, command.bytes),
            )

    def answered(self, reply: Reply) -> None:
        """Believe the first answer; an answer to what was never asked of this site says nothing."""
        with self._database.atomic():
            self._database.execute(
                "UPDATE commands SET reply = ? WHERE id = ? AND site = ? AND reply IS NULL",
                (reply.model_dump_json(), reply.command.bytes, reply.site),
            )

    def expects_frame(self, site: str, command: UUID, sha256: str) -> bool:
        """True when this site was asked for a picture, and has not announced another one."""
        order = self.one(command)
        if order is None or order.command.site != site or not isinstance(order.command.errand, TestFrame):
            return False
        announced = order.reply.picture if order.reply else None
        return order.reply is None or (announced is not None and announced.sha256 == sha256)

    def keep_frame(self, command: UUID, sha256: str, jpeg: bytes, now: datetime) -> None:
        with self._database.atomic():
            self._database.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?) ON CONFLICT (command) DO UPDATE SET"
                " sha256 = excluded.sha256, jpeg = excluded.jpeg, received_us = excluded.received_us"
                " WHERE sha256 <> excluded.sha256",
                (command.bytes, sha256, jpeg, microseconds(now)),
            )

    def frame(self, order: Order) -> bytes | None:
        """Return the picture that the answer announces, once it is here."""
        if order.reply is None or order.reply.picture is None:
            return None
        row = self._database.execute(
            "SELECT jpeg FROM frames WHERE command = ? AND sha256 = ?",
            (order.command.id.bytes, order.reply.picture.sha256),
        ).fetchone()
        return row[0] if row else None

    def forget_frames(self, now: datetime) -> None:
        with self._database.atomic():
            self._database.execute(
                "DELETE FROM frames WHERE received_us < ?", (microseconds(now - FRAMES_KEPT),)
            )

    def _orders(self, where: str, *values: object) -> list[Order]:
        rows = self._database.execute(
            f"SELECT body, made_by, sent_us, session, reply FROM commands WHERE {where}",  # noqa: S608 -- texts of this file
            values,
        )
        return [
            Order(
                Command.model_validate_json(body),
                by,
                moment(sent_us) if sent_us is not None else None,
                session,
                Reply.model_validate_json(reply) if reply is not None else None,
            )
            for body, by, sent_us, session, reply in rows.fetchall()
        ]
