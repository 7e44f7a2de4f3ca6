"""What may Prometheus ask? The fleet's figures, read when it asks; per site only what an alarm needs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collector.archive import flips as book
from collector.archive.fleet import AgentReport, agents
from collector.archive.folder import StationFolder
from shared.clock import Clock


class FleetFigures(Collector):
    """3,000 sites with 20 series each would be 60,000: cameras and causes are counted, not listed."""

    def __init__(self, folder: StationFolder, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    def collect(self) -> Iterator[Metric]:
        reports = [report for report in agents(self._folder) if report.site]
        now = self._clock.now()
        yield from _per_site(reports, now)
        yield from _counted(reports)
        states = Counter(
            ("camera" if camera else "site", flip.state)
            for (site, camera), flip in book.latest(self._folder).items()
            if site
        )
        judged = GaugeMetricFamily(
            "anninh_state", "Sites and cameras by their judged state.", labels=["what", "state"]
        )
        for (what, state), count in sorted(states.items()):
            judged.add_metric([what, state], count)
        yield judged

    def describe(self) -> Iterator[Metric]:
        """Say nothing at registration: the archive is read when it is asked for."""
        return iter(())


class MetricsServer:
    """The library's server and its thread."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server, self._thread = server, thread

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve(folder: StationFolder, port: int, clock: Clock) -> MetricsServer | None:
    """Answer on 127.0.0.1, in a thread; port 0: not at all."""
    if not port:
        return None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetFigures(folder, clock))
    return MetricsServer(*start_http_server(port, addr="127.0.0.1", registry=registry))


def _per_site(reports: list[AgentReport], now: datetime) -> Iterator[Metric]:
    seen = GaugeMetricFamily("anninh_site_last_seen_seconds", "Since the last heartbeat.", labels=["site"])
    oldest = GaugeMetricFamily(
        "anninh_site_outbox_oldest_seconds",
        "Age of the oldest message at the site.",
        labels=["site"],
    )
    days = GaugeMetricFamily("anninh_site_certificate_days", "Until it expires.", labels=["site"])
    for report in reports:
        if report.heard_at is not None:
            seen.add_metric([report.site], (now - report.heard_at).total_seconds())
        if report.heartbeat is not None:
            oldest.add_metric([report.site], report.heartbeat.outbox_oldest_s or 0.0)
        if report.certificate_expires is not None:
            days.add_metric([report.site], (report.certificate_expires - now).total_seconds() / 86_400)
    return iter((seen, oldest, days))


def _counted(reports: list[AgentReport]) -> Iterator[Metric]:
    refused = CounterMetricFamily("anninh_refused", "Messages refused or flagged.", labels=["reason"])
    counts = Counter[str]()
    for report in reports:
        counts.update({refusal.reason: refusal.count for refusal in report.refusals})
    for reason, count in sorted(counts.items()):
        refused.add_metric([reason], count)
    beats = [report.heartbeat for report in reports if report.heartbeat]
    waiting = GaugeMetricFamily("anninh_outbox_waiting", "Messages that wait at all sites.")
    waiting.add_metric([], sum(beat.outbox_waiting for beat in beats))
    ages = [camera.frame_age_s for beat in beats for camera in beat.cameras if camera.frame_age_s is not None]
    age = GaugeMetricFamily("anninh_cam_frame_age_seconds", "Oldest newest frame of any camera.")
    age.add_metric([], max(ages, default=0.0))
    return iter((refused, waiting, age))
