"""Who writes into the station's TLS connection to its broker? One thread, or OpenSSL's records break."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from collector.archive.folder import StationFolder
from collector.service import Service
from shared.clock import SystemClock
from tests.bench.fleet.papers import issue
from tests.station import Box, Station, an_event

EVENTS = 60


def test_what_the_committer_confirms_and_acknowledges_is_written_by_the_subscriber_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: set[str] = set()
    send = ssl.SSLSocket.send

    def noted(self: ssl.SSLSocket, *words: Any) -> int:
        writers.add(threading.current_thread().name)
        return send(self, *words)

    monkeypatch.setattr(ssl.SSLSocket, "send", noted)
    station = Station(tmp_path / "station", start=False)
    (papers,) = issue(station.folder, ["nha-ong-ba"], tmp_path / "papers")
    folder, stop = StationFolder.existing(station.folder), threading.Event()
    service = Service(folder, folder.settings(), SystemClock())
    running = threading.Thread(target=service.run, args=(stop,))
    running.start()
    try:
        with Box(papers, station.broker_port) as box:
            events = [an_event("nha-ong-ba") for _ in range(EVENTS)]
            for event in events:
                box.send_event(event)
            box.wait_for(*(event.id for event in events))
    finally:
        stop.set()
        running.join(30)
    assert "subscriber" in writers
    assert not writers & {"committer", "commands", "liveness", running.name}
