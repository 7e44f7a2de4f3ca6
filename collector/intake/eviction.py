"""How is an open connection ended? By taking it over: the broker closes the older one of two.

Mosquitto asks for a certificate once, at the start; a revoked one keeps its connection for as long
as it likes. The broker names every connection by the certificate's site, so one made by the station
itself in that name, for a moment, ends the other; the revocation list keeps it from coming back.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from collector.archive.folder import StationFolder
from collector.intake.authority import Authority, key_pem
from collector.intake.broker import running_broker
from collector.settings import StationSettings

log = logging.getLogger(__name__)

_TIMEOUT_S = 2.0  # the broker is on this machine; a box out of reach of it needs no eviction


def evict(
    folder: StationFolder, settings: StationSettings, authority: Authority, site: str, now: datetime
) -> bool:
    """End whatever connection speaks in this site's name. Call after `write_access`."""
    if running_broker(folder) is None:
        return False
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=site, protocol=mqtt.MQTTv5)
    client.tls_set_context(_context(folder, authority, site, now))
    client.connect_timeout = _TIMEOUT_S
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind, settings.bind)  # noqa: S104 -- compared, not bound
    try:
        client.connect(host, settings.broker_port, clean_start=True)
        return _wait_until_in(client)
    except OSError as error:
        log.warning("connection not ended", extra={"site": site, "cause": error})
        return False
    finally:
        client.disconnect()


def _wait_until_in(client: mqtt.Client) -> bool:
    for _ in range(round(_TIMEOUT_S / 0.1)):
        if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
            return False
        if client.is_connected():
            return True
    return False


def _context(folder: StationFolder, authority: Authority, site: str, now: datetime) -> ssl.SSLContext:
    pem, key = authority.stand_in(site, now)
    context = ssl.create_default_context(cafile=folder.ca_certificate)
    with tempfile.TemporaryDirectory(dir=folder.broker) as scratch:  # mode 0700; OpenSSL wants a file
        both = Path(scratch) / "stand-in.pem"
        both.write_bytes(key_pem(key) + pem.encode())
        context.load_cert_chain(both)
    return context
