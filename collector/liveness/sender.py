"""How does an alarm leave the house? Through Apprise, from the queue on disk, until each target has it."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterable

from pydantic import SecretStr

from collector.archive import flips as book
from collector.archive.fleet import titles
from collector.archive.flips import Flip, State
from collector.archive.folder import StationFolder
from collector.archive.schema import open_database
from collector.archive.troubles import state_in_words, what_to_do, why
from collector.liveness import queue
from shared.clock import Clock, microseconds, moment
from shared.errors import NeedsFixing
from shared.localtime import shown
from shared.texts import Language, text

log = logging.getLogger(__name__)

_LOOK_S = 5.0
_LINES = 20  # of one message; the rest is counted
_CLEAR = (State.UP, State.DEGRADED, State.PAUSED)


class AlarmAddressInvalid(NeedsFixing):
    """An address in `alarms` that Apprise does not understand; by its place, it may hold a password."""

    key = "alarm-address-invalid"


def target_name(address: SecretStr) -> str:
    """Name an address without telling it."""
    return hashlib.sha256(address.get_secret_value().encode()).hexdigest()[:16]


def send(address: SecretStr, title: str, body: str) -> bool:
    """Send one message now; True: the service has taken it. Blocks as long as the network does."""
    import apprise  # a second and 20 MB: only alarms are worth it

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines name hosts and users
    channel = apprise.Apprise()
    if not channel.add(address.get_secret_value()):
        return False
    return bool(channel.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT))


def check(addresses: Iterable[SecretStr]) -> None:
    """Raises AlarmAddressInvalid."""
    given = tuple(addresses)
    if not given:
        return
    import apprise  # a second and 20 MB: only alarms are worth it

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    for number, address in enumerate(given, start=1):
        if not apprise.Apprise().add(address.get_secret_value()):
            raise AlarmAddressInvalid(number=number)


class Sender:
    """Owns its thread; a network that is down delays alarms and nothing else."""

    def __init__(
        self, folder: StationFolder, name: str, addresses: Iterable[SecretStr], clock: Clock
    ) -> None:
        self._folder, self._name, self._clock = folder, name, clock
        self._addresses = {target_name(address): address for address in addresses}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        check(self._addresses.values())

    def start(self) -> None:
        if self._addresses:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() or not self._addresses

    def _run(self) -> None:
        database = open_database(self._folder.liveness_database, book.LIVENESS_MIGRATIONS)
        while not self._stop.wait(_LOOK_S):
            try:
                self.send_due(database.conn)
            except Exception:  # the thread's loop: a service's fault must not cost the next alarm
                log.exception("alarms not sent")
        database.close()

    def send_due(self, connection: sqlite3.Connection) -> int:
        """Send each target what it is due; return how many messages were taken."""
        taken = 0
        for target, address in self._addresses.items():
            told = queue.due(connection, target, microseconds(self._clock.now()))
            if not told.flips:
                continue
            is_sent = send(address, *self._message(told.flips))
            with connection:
                now_us = microseconds(self._clock.now())
                queue.settle(connection, target, told, now_us, is_sent=is_sent)
            taken += is_sent
            log.info("alarm", extra={"flips": len(told.flips), "sent": is_sent, "target": target})
        return taken

    def _message(self, flips: tuple[Flip, ...]) -> tuple[str, str]:
        names = titles(self._folder)
        lines = [text("alarm.title", language, station=self._name, count=len(flips)) for language in Language]
        body = [
            "\n".join(alarm_line(flip, names, language) for flip in flips[-_LINES:])
            + (f"\n… +{len(flips) - _LINES}" if len(flips) > _LINES else "")
            for language in Language
        ]
        return " · ".join(lines), "\n\n".join(body)


def alarm_line(flip: Flip, names: dict[str, tuple[str, str]], language: Language) -> str:
    """Who, how, since when, why, what to do; on one line."""
    title, hamlet = names.get(flip.site, (flip.site, ""))
    place = ", ".join(filter(None, (title or flip.site, hamlet))) or text("alarm.whole", language)
    if flip.camera and flip.site:
        place = f"{place} · {flip.camera}"
    told = f"{place}: {state_in_words(flip.state, language)} ({shown(moment(flip.at_us))})"
    if flip.state in _CLEAR:
        return told
    return f"{told} · {why(flip.cause, language)} → {what_to_do(flip.cause, flip.camera, language)}"
