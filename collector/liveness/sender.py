"""How does an alarm leave the house? Through Apprise, from the queue on disk, until each target has it."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterable

from pydantic import SecretStr

from collector.archive import flips as book
from collector.archive.folder import StationFolder
from collector.archive.schema import open_database
from collector.liveness import queue
from collector.liveness.wording import message
from shared.clock import Clock, microseconds
from shared.errors import NeedsFixing

log = logging.getLogger(__name__)

_LOOK_S = 5.0


class AlarmAddressInvalid(NeedsFixing):
    """An address in `alarms` that Apprise does not understand; by its number, it may hold a password."""

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


def check(addresses: Iterable[SecretStr], origin: str) -> None:
    """Raises AlarmAddressInvalid, which names where they came from."""
    given = tuple(addresses)
    if not given:
        return
    import apprise  # a second and 20 MB: only alarms are worth it

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    for number, address in enumerate(given, start=1):
        if not apprise.Apprise().add(address.get_secret_value()):
            raise AlarmAddressInvalid(number=number, origin=origin)


class Sender:
    """Owns its thread; a network that is down delays alarms and nothing else."""

    def __init__(
        self,
        folder: StationFolder,
        name: str,
        addresses: Iterable[SecretStr],
        clock: Clock,
        origin: str = "collector.toml",
    ) -> None:
        self._folder, self._name, self._clock = folder, name, clock
        self._addresses = {target_name(address): address for address in addresses}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        check(self._addresses.values(), origin)

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
            is_sent = send(address, *message(self._folder, self._name, told.flips))
            with connection:
                now_us = microseconds(self._clock.now())
                queue.settle(connection, target, told, now_us, is_sent=is_sent)
            taken += is_sent
            log.info("alarm", extra={"flips": len(told.flips), "sent": is_sent, "target": target})
        return taken
