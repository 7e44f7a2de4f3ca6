"""Which command goes out now? What is not answered is said again whenever its site comes back.

Configurations lie with the broker, retained; they are laid there again on every new connection, for the
broker may have been started anew.
What to send is decided by `due`, which computes and does nothing else. Everything is on disk: who
died in between says a command once more, and the agent knows which it has obeyed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from collector.archive.configurations import Configurations
from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.archive.reading import reading
from shared.clock import Clock, moment
from shared.signing import canonical
from shared.topics import down_command, down_configuration

log = logging.getLogger(__name__)

LOOK_S = 0.5  # a technician waits at the screen
AGAIN = timedelta(seconds=60)  # a site heard this long after the last try, without an answer, is asked again
CLEAN_S = 600.0  # how often pictures that are too old are looked for
SLOW_S = 5.0  # how long the broker on this machine may take


class Line(Protocol):
    """How something reaches a site; the subscriber in the field."""

    @property
    def connection(self) -> int: ...

    def tell(self, topic: str, body: bytes, expiry_s: int, timeout_s: float) -> bool: ...

    def lay(self, topic: str, body: bytes, timeout_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Presence:
    """When a site was last heard, and which process of its box that was."""

    heard: datetime | None
    session: str | None


def due(orders: list[Order], present: Mapping[str, Presence], now: datetime) -> list[Order]:
    """Return what to send: what never went out, and what a site that came back has not answered."""
    return [order for order in orders if _is_due(order, present.get(order.command.site), now)]


def _is_due(order: Order, site: Presence | None, now: datetime) -> bool:
    if order.outcome(now) is not None:
        return False
    if order.sent is None:
        return True
    if site is None:
        return False
    return site.session != order.session or (site.heard is not None and site.heard >= order.sent + AGAIN)


class Dispatch:
    """Owns its thread, and in it a connection to the register."""

    def __init__(self, folder: StationFolder, line: Line, clock: Clock) -> None:
        self._folder, self._line, self._clock = folder, line, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
        self._cleaned_s = -CLEAN_S
        self._laid = dict[str, int]()  # the revision that lies with the broker, by site
        self._laid_on = 0  # the connection they were laid on

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * SLOW_S)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            database = self._folder.open_station()
            orders, configurations = Orders(database), Configurations(database)
            while not self._stop.wait(LOOK_S):
                try:
                    self._look(orders)
                    self._lay(configurations)
                except (OSError, sqlite3.Error) as error:
                    log.error("cannot send commands, trying again", extra={"cause": error})  # noqa: TRY400 -- a full disk needs no traceback
            database.close()
        except Exception:  # the thread's loop: the service sees it dead and ends, systemd starts it anew
            log.exception("dispatch ended")

    def _look(self, orders: Orders) -> None:
        now = self._clock.now()
        if self._clock.monotonic() - self._cleaned_s >= CLEAN_S:
            self._cleaned_s = self._clock.monotonic()
            orders.forget_frames(now)
        waiting = orders.waiting(now)
        if not waiting:
            return
        present = self._present()
        for order in due(waiting, present, now):
            command = order.command
            expiry_s = max(1, int((command.not_after - now).total_seconds()))
            if self._stop.is_set() or not self._line.tell(
                down_command(command.site), canonical(command), expiry_s, SLOW_S
            ):
                return
            site = present.get(command.site)
            orders.sent(command.id, site.session if site else None, now)
            log.info("command sent", extra={"site": command.site, "verb": command.errand.verb})

    def _lay(self, configurations: Configurations) -> None:
        if self._laid_on != self._line.connection:
            self._laid_on = self._line.connection
            self._laid.clear()
        for desired in configurations.all():
            wish = desired.wish
            if self._laid.get(wish.site) == wish.revision:
                continue
            if self._stop.is_set() or not self._line.lay(
                down_configuration(wish.site), canonical(wish), SLOW_S
            ):
                return
            self._laid[wish.site] = wish.revision
            log.info("configuration laid", extra={"site": wish.site, "revision": wish.revision})

    def _present(self) -> dict[str, Presence]:
        with reading(self._folder.archive_database) as archive:
            rows = archive.execute("SELECT site, heard_us, session FROM agents").fetchall()
        return {
            site: Presence(moment(heard_us) if heard_us is not None else None, session)
            for site, heard_us, session in rows
        }
