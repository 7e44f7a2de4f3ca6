"""Is all that was made at the station, once, or in a gap that was told? Both sides are counted apart."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from collector.archive.chain import broken
from collector.archive.gaps import UNEXPLAINED, Gaps, Hole
from collector.archive.media import PictureUnreadableError, ThumbnailPacks
from shared.messages import GapReason
from tests.integration.chaos.ledger import Ledger


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words, and the figures of a row. `lost` are those that no gap covers."""

    made: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0
    gaps_made: int = 0
    gaps_reported: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of what was reported
    breaches: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        for name in ("made", "stored", "lost", "twice", "gaps_made", "gaps_reported"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.breaches += other.breaches
        self.reasons += other.reasons


class Judge:
    """Reads the archive with the station's own eyes, and the ledger with its own."""

    def __init__(self, archive: sqlite3.Connection, packs: Path) -> None:
        self._archive, self._packs = archive, ThumbnailPacks(packs)

    def of(self, site: str, ledger: Ledger) -> Verdict:
        verdict = Verdict()
        holes = Gaps(self._archive).of([site])
        for hole in holes:
            verdict.reasons[hole.reason] += hole.messages or hole.events + hole.thumbnails
        self._judge_messages(site, ledger, holes, verdict)
        for instance in {*ledger.tried, *(hole.instance for hole in holes)}:
            self._judge_numbers(site, instance, ledger, holes, verdict)
        self._judge_unnumbered(ledger, holes, verdict)
        self._judge_pictures(site, verdict)
        verdict.breaches += [f"chain broken: {each}" for each in broken(self._archive, site)]
        refused = (
            "SELECT reason, count, last_detail FROM refusals WHERE site = ? AND reason != 'clock-suspect'"
        )
        verdict.breaches += [f"refused: {row}" for row in self._archive.execute(refused, (site,))]
        verdict.breaches = [f"{site}: {breach}" for breach in verdict.breaches]
        return verdict

    def _judge_messages(self, site: str, ledger: Ledger, holes: list[Hole], verdict: Verdict) -> None:
        bodies = [json.loads(body) for (body,) in self._select(site, "body", "ev")]
        stored = {UUID(body["id"]) for body in bodies}
        pictures = self._pictures(site)
        verdict.made, verdict.stored = len(ledger.made), len(stored)
        revisions = Counter((body["event_id"], body["revision"]) for body in bodies)
        numbers = Counter(
            self._archive.execute(
                "SELECT instance, sequence FROM messages WHERE site = ? AND sequence NOTNULL", (site,)
            )
        )
        for what, count in (*revisions.items(), *numbers.items()):
            if count > 1:
                verdict.twice += 1
                verdict.breaches.append(f"stored {count} times: {what}")
        verdict.breaches += [f"stored and never made: {each}" for each in stored - ledger.begun]
        told = {hole.instance for hole in holes if hole.reason != UNEXPLAINED and hole.messages}
        for each in ledger.made:
            lacks_event = each.id not in stored
            lacks_picture = each.picture is not None and (each.event_id, each.picture) not in pictures
            if each.sequence and (lacks_event or lacks_picture) and each.instance not in told:
                verdict.lost += 1
                verdict.breaches.append(f"lost: {each.instance} {each.sequence}, event: {lacks_event}")
        self._unnumbered = sum(
            (each.id not in stored)
            + (each.picture is not None and (each.event_id, each.picture) not in pictures)
            for each in ledger.made
            if not each.sequence
        )

    def _judge_numbers(
        self, site: str, instance: str, ledger: Ledger, holes: list[Hole], verdict: Verdict
    ) -> None:
        """Numbers that are not here, of those that were given out, against those the station shows.

        A number given out for a message that `put` never returned for may or may not have been kept
        when the kill came: for those alone there is a least and a most.
        """
        rows = self._archive.execute(
            "SELECT sequence FROM messages WHERE site = ? AND instance = ?", (site, instance)
        )
        came = {sequence for (sequence,) in rows}
        promised = {
            each.sequence + extra
            for each in ledger.made
            if each.instance == instance and each.sequence
            for extra in range(1 + (each.picture is not None))
        }
        top = max(promised | came, default=0)
        least = len(set(range(1, top + 1)) - came)
        most = len(set(range(1, max(top, *ledger.tried[instance], 0) + 1)) - came)
        mine = [hole for hole in holes if hole.instance == instance]
        shown = sum(hole.messages for hole in mine)
        verdict.gaps_made += min(max(shown, least), most)
        verdict.gaps_reported += shown
        if not least <= shown <= most:
            verdict.breaches.append(f"gap of {instance}: {least} to {most} missing, {shown} shown: {mine}")
        unexplained = [hole for hole in mine if hole.reason == UNEXPLAINED]
        verdict.breaches += [f"not told by the box: {hole}" for hole in unexplained]

    def _judge_unnumbered(self, ledger: Ledger, holes: list[Hole], verdict: Verdict) -> None:
        """What the disk took no more: told by count, for it has no numbers."""
        shown = sum(hole.events + hole.thumbnails for hole in holes if hole.reason == GapReason.NOT_WRITTEN)
        verdict.gaps_made += self._unnumbered
        verdict.gaps_reported += shown
        if shown != self._unnumbered:
            verdict.breaches.append(f"{self._unnumbered} never written, {shown} told")
            verdict.lost += max(0, self._unnumbered - shown)

    def _judge_pictures(self, site: str, verdict: Verdict) -> None:
        announced = {
            (UUID(event["event_id"]), event["thumbnail"]["sha256"])
            for (body,) in self._select(site, "body", "ev")
            if "thumbnail" in (event := json.loads(body))
        }
        for (event_id, digest), place in self._pictures(site).items():
            try:
                jpeg = self._packs.read(*place)
            except PictureUnreadableError as error:
                verdict.breaches.append(f"picture unreadable: {error}")
                continue
            if hashlib.sha256(jpeg).hexdigest() != digest:
                verdict.breaches.append(f"picture is another: {event_id}")
            if (event_id, digest) not in announced and not verdict.gaps_reported:
                verdict.breaches.append(f"picture nobody announced: {event_id}")

    def _pictures(self, site: str) -> dict[tuple[UUID, str], tuple[str, int, int]]:
        rows = self._archive.execute(
            "SELECT event_id, sha256, pack, position, size FROM thumbnails WHERE event_id IN"
            " (SELECT event_id FROM messages WHERE site = ?)",
            (site,),
        )
        return {(UUID(bytes=event_id), digest): (*place,) for event_id, digest, *place in rows}

    def _select(self, site: str, column: str, channel: str) -> sqlite3.Cursor:
        return self._archive.execute(
            f"SELECT {column} FROM messages WHERE site = ? AND channel = ?",
            (site, channel),
        )
