"""Who has fallen silent by now? Looks at what was heard, has it judged, and records each change once."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable

from collector.archive import flips as book
from collector.archive.flips import Flip, State, Subject
from collector.archive.folder import StationFolder
from collector.archive.reading import reading
from collector.archive.schema import open_database
from collector.liveness import queue, recall
from collector.liveness.judge import SECOND_US, CameraStanding, Fleet, deaf, judge, judge_camera, without
from shared.clock import Clock, microseconds
from shared.messages import Heartbeat

log = logging.getLogger(__name__)

LOOK_S = 10.0
_LAG_US = 5 * SECOND_US  # a heartbeat received just now may not be on disk yet
_DEAF_US = 60 * SECOND_US  # a longer pause between two looks is time in which nobody listened
_DEAF_TOLD_US = 300 * SECOND_US  # shorter ones are not worth a flip
_DAY_US = 86_400 * SECOND_US


class Watcher:
    """Owns its thread and `liveness.db`; `listening` says whether heartbeats can arrive at all."""

    def __init__(
        self, folder: StationFolder, targets: Iterable[str], clock: Clock, listening: Callable[[], bool]
    ) -> None:
        self._folder, self._targets, self._clock = folder, tuple(targets), clock
        self._listening = listening
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)
        self._fleet, self._cameras = Fleet(), dict[Subject, CameraStanding]()
        self._heard = dict[str, int]()
        self._mark_us: int | None = None
        self._forgot_day = 0
        open_database(folder.liveness_database, book.LIVENESS_MIGRATIONS).close()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(LOOK_S)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        database = open_database(self._folder.liveness_database, book.LIVENESS_MIGRATIONS)
        connection: sqlite3.Connection = database.conn
        try:
            self.remember(connection)
            while not self._stop.wait(LOOK_S if self._mark_us else 0.2):
                try:
                    self.look(connection)
                except sqlite3.OperationalError:  # a full disk, a lock: the next look sees the same again
                    log.exception("not looked")
                    self.remember(connection)
        except Exception:  # the thread's loop: the service sees it dead and ends, systemd starts it anew
            log.exception("liveness ended")
        finally:
            database.close()

    def remember(self, connection: sqlite3.Connection) -> None:
        """Take up the judgement where the last flips left it."""
        known = {subject[0] for subject in book.newest_of(connection) if not subject[1]}
        row = connection.execute("SELECT mark_us FROM watch").fetchone()
        self._mark_us = row[0] if row else None
        with reading(self._folder.archive_database) as archive:
            rows = archive.execute("SELECT site, heard_us FROM agents WHERE heard_us NOTNULL").fetchall()
        self._heard = {site: heard_us for site, heard_us in rows if site in known}
        if self._mark_us is not None:
            self._heard = {site: min(heard_us, self._mark_us) for site, heard_us in self._heard.items()}
        self._fleet = recall.fleet(connection, self._heard, self._mark_us)
        self._cameras = recall.cameras(connection)

    def look(self, connection: sqlite3.Connection) -> list[Flip]:
        """Judge up to now, and record what changed together with the alarms it calls for."""
        if not self._listening():
            return []
        now_us = microseconds(self._clock.now()) - _LAG_US
        flips = self._after_deafness(now_us)
        revoked = self._revoked()
        if gone := revoked.intersection(self._fleet.sites):
            self._fleet, ended = without(self._fleet, gone, now_us)
            flips += ended
        beats = self._new_beats(revoked)
        self._fleet, changed = judge(self._fleet, {site: (at_us,) for site, at_us, _ in beats}, now_us)
        flips += changed
        for site, at_us, body in beats:
            flips += self._judge_cameras(site, at_us, Heartbeat.model_validate_json(body))
        self._keep(connection, flips, now_us)
        return flips

    def _after_deafness(self, now_us: int) -> list[Flip]:
        since_us, self._mark_us = self._mark_us, now_us
        if since_us is None or now_us - since_us <= _DEAF_US:
            return []
        self._fleet = deaf(self._fleet, since_us, now_us)
        log.warning("nobody listened", extra={"seconds": (now_us - since_us) // SECOND_US})
        if now_us - since_us <= _DEAF_TOLD_US:
            return []
        return [
            Flip("", recall.STATION, State.DEAF, "not-listening", since_us),
            Flip("", recall.STATION, State.UP, "listening", now_us),
        ]

    def _new_beats(self, revoked: frozenset[str]) -> list[tuple[str, int, bytes]]:
        with reading(self._folder.archive_database) as archive:
            heard = archive.execute("SELECT site, heard_us FROM agents WHERE heard_us NOTNULL").fetchall()
            beats = [
                (
                    site,
                    at_us,
                    archive.execute("SELECT heartbeat FROM agents WHERE site = ?", (site,)).fetchone()[0],
                )
                for site, at_us in heard
                if at_us != self._heard.get(site) and site not in revoked
            ]
        self._heard |= {site: at_us for site, at_us, _ in beats}
        return beats

    def _revoked(self) -> frozenset[str]:
        with reading(self._folder.station_database) as station:
            return frozenset(
                row[0] for row in station.execute("SELECT site FROM sites WHERE status = 'revoked'")
            )

    def _judge_cameras(self, site: str, at_us: int, beat: Heartbeat) -> list[Flip]:
        flips: list[Flip] = []
        for health in beat.cameras:
            subject = (site, health.camera)
            self._cameras[subject], new = judge_camera(subject, self._cameras.get(subject), health, at_us)
            flips += new
        return flips

    def _keep(self, connection: sqlite3.Connection, flips: list[Flip], now_us: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if flips:
                before = book.newest_of(connection)
                book.record(connection, flips)
                queue.queue(connection, flips, before, self._targets)
            connection.execute(
                "INSERT INTO watch VALUES (1, ?) ON CONFLICT DO UPDATE SET mark_us = excluded.mark_us",
                (now_us,),
            )
            if now_us // _DAY_US != self._forgot_day:
                self._forgot_day = now_us // _DAY_US
                _forget(connection, now_us)
                queue.forget(connection, self._targets, now_us)
        for flip in flips:
            log.info(
                "flip",
                extra={"site": flip.site, "camera": flip.camera, "state": flip.state, "cause": flip.cause},
            )


def _forget(connection: sqlite3.Connection, now_us: int) -> None:
    """What is older than anybody asks for, but never the last word on a subject."""
    connection.execute(
        "DELETE FROM flips WHERE at_us < ? AND EXISTS (SELECT 1 FROM flips AS newer WHERE"
        " newer.site = flips.site AND newer.camera = flips.camera AND newer.at_us > flips.at_us)",
        (now_us - book.KEPT_DAYS * _DAY_US,),
    )
