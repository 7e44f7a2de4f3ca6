"""Who carries the messages? A mosquitto of the station's own: written, started, watched and stopped here.

Debian's 2.0.11, as measured: a PUBACK never means stored; every site has its own topics by one ACL
pattern on its certificate's name; a box cannot take another's connection, because the broker takes
the client id from the certificate too.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from collector.archive.folder import StationFolder
from collector.archive.register import Register
from collector.intake.authority import Authority
from collector.intake.listening import listen
from collector.settings import StationSettings
from shared.disk import write_atomically
from shared.errors import NeedsFixing, TryLater
from shared.identity import COLLECTOR
from shared.topics import COLLECTOR_STATE, ROOT

log = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0  # measured: 0.09 s; a busy Raspberry Pi takes its time
STOP_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0  # agents wait anyway; do not burn the processor
HEALTHY_S = 60.0  # a broker that lived this long starts again at once

_CONFIGURATION = """\
# Written anew by `collector run` at every start: change collector.toml instead.
per_listener_settings false
listener {port} {bind}
cafile {ca}
certfile {certificate}
keyfile {key}
crlfile {revoked}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {acl}

# 192 kB of JPEG and its properties; a larger packet ends the connection. The default lets 256 MB in.
max_packet_size 262144
# The collector's window; a site limits itself to 64 kB.
max_inflight_messages 1000
# What waits for a collector busy with its disk. More is dropped, and sent again by the agents.
max_queued_messages 10000
max_queued_bytes 67108864
max_keepalive 300
# Small packets go at once: held back for company they meet the other end's delayed ACK, 40 ms each way.
set_tcp_nodelay true

# Only the retained states and the acknowledgements for boxes out of reach: evidence never rests here.
persistence true
persistence_location {data}/
autosave_interval 60
persistent_client_expiration 14d

pid_file {pid}
log_dest stdout
log_type error
log_type warning
connection_messages false
"""


class BrokerMissing(NeedsFixing):
    """No mosquitto on this machine."""

    key = "broker-missing"


class BrokerWillNotStart(TryLater):
    """Mosquitto ended, or did not listen in time; its own words are in the log."""

    key = "broker-will-not-start"


def write_configuration(folder: StationFolder, settings: StationSettings) -> None:
    content = _CONFIGURATION.format(
        port=settings.broker_port,
        bind=settings.bind,
        ca=folder.ca_certificate,
        certificate=folder.server_certificate,
        key=folder.server_key,
        revoked=folder.revocation_list,
        acl=folder.broker_acl,
        data=folder.broker_data,
        pid=folder.broker_pid,
    )
    if os.geteuid() == 0:
        # Mosquitto would change to a user who may not read the keys, and then outlive its parent:
        # the kernel forgets the death signal when the user changes. The service has its own user.
        content += "user root\n"
    write_atomically(folder.broker_configuration, content.encode(), mode=0o600)


def access_rules(revoked_sites: Sequence[str]) -> str:
    """Return who may speak where: one pattern for all sites, nothing for the revoked."""
    shut_out = [f"user {site}\ntopic deny #\n" for site in revoked_sites]
    patterns = [
        f"pattern write {ROOT}/%u/up/#",
        f"pattern read {ROOT}/%u/down/#",
        f"pattern read {COLLECTOR_STATE}",
    ]
    return "\n".join([f"user {COLLECTOR}\ntopic readwrite {ROOT}/#\n", *shut_out, *patterns]) + "\n"


def write_access(folder: StationFolder, register: Register, authority: Authority, now: datetime) -> None:
    """Tell the broker who is shut out: by certificate for new connections, by name for open ones.

    Under the register's lock: whoever writes last has read last.
    """
    with register.writing():
        rules = access_rules(register.revoked_sites())
        write_atomically(folder.broker_acl, rules.encode(), mode=0o600)
        before = folder.revocation_list.read_bytes() if folder.revocation_list.exists() else None
        revoked = authority.revocation_list(register.revoked_certificates(now), now, before=before)
        write_atomically(folder.revocation_list, revoked)
        if (pid := running_broker(folder)) is not None:
            os.kill(pid, signal.SIGHUP)


def running_broker(folder: StationFolder) -> int | None:
    """Return the process id of this station's broker, and of no other process that got its number."""
    try:
        pid = int(folder.broker_pid.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(folder.broker_configuration).encode() in command else None


class Broker:
    """The child process and the thread that owns it; starts it again with growing pauses."""

    def __init__(self, folder: StationFolder, settings: StationSettings) -> None:
        self._folder, self._settings = folder, settings
        self._stop = threading.Event()
        self._up = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="broker", daemon=True)
        self.restarts = 0

    def start(self) -> None:
        """Return when the broker listens. Raises BrokerMissing, PortTaken, BrokerWillNotStart."""
        _program("mosquitto")
        _end_orphan(self._folder)
        listen(self._settings.bind, self._settings.broker_port, "broker_port").close()
        self._thread.start()
        if not self._up.wait(START_TIMEOUT_S):
            self.stop()
            raise BrokerWillNotStart(port=self._settings.broker_port)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S * 2)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _supervise(self) -> None:
        # The thread that starts the child must live as long as it: the death signal is the thread's.
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started_s = time.monotonic()
            self._child = self._spawn()
            self._watch(self._child)
            if self._stop.is_set():
                break
            if time.monotonic() - started_s > HEALTHY_S:
                pause_s = FIRST_PAUSE_S
            self.restarts += 1
            log.error("broker ended", extra={"exit_code": self._child.returncode, "again_in_s": pause_s})
            self._stop.wait(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        if self._child is not None:
            _end(self._child)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # setpriv asks the kernel to end the broker with us, even when we are killed with -9.
        command = [_program("setpriv"), "--pdeathsig", "TERM", _program("mosquitto")]
        return subprocess.Popen([*command, "-c", str(self._folder.broker_configuration)])

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        while not self._stop.is_set():
            if not self._up.is_set() and _listens(self._settings):
                self._up.set()
            try:
                child.wait(timeout=0.2 if self._up.is_set() else 0.02)
            except subprocess.TimeoutExpired:
                continue
            return


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")  # Debian's PATH for users
    if found is None:
        raise BrokerMissing(program=name)
    return found


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _end_orphan(folder: StationFolder) -> None:
    """End a broker that outlived its collector; the lock on the folder says there is no other one."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        pid = running_broker(folder)
        if pid is None:
            return
        log.warning("broker of an earlier run ended", extra={"pid": pid, "signal": sign.name})
        os.kill(pid, sign)
        while running_broker(folder) == pid and time.monotonic() < deadline_s:
            time.sleep(0.02)


def _listens(settings: StationSettings) -> bool:
    here = "127.0.0.1" if settings.bind in {"0.0.0.0", "::"} else settings.bind  # noqa: S104 -- compared, not bound
    try:
        socket.create_connection((here, settings.broker_port), timeout=1).close()
    except OSError:
        return False
    return True
