"""Where does a station keep its things? One folder, its files named here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from collector.archive.schema import ARCHIVE_MIGRATIONS, STATION_MIGRATIONS, open_database
from collector.settings import StationSettings
from shared.errors import NeedsFixing


class StationMissing(NeedsFixing):
    """There is no station in this folder."""

    key = "station-missing"


@dataclass(frozen=True, slots=True)
class StationFolder:
    """The paths of one station; nothing is opened before it is asked for."""

    root: Path

    @classmethod
    def existing(cls, root: Path) -> StationFolder:
        """Return the station in this folder. Raises StationMissing."""
        folder = cls(root.resolve())
        if not folder.configuration.is_file():
            raise StationMissing(path=root)
        return folder

    @property
    def configuration(self) -> Path:
        return self.root / "collector.toml"

    @property
    def station_database(self) -> Path:
        return self.root / "station.db"

    @property
    def archive_database(self) -> Path:
        return self.root / "archive.db"

    @property
    def liveness_database(self) -> Path:
        return self.root / "liveness.db"

    @property
    def thumbnails(self) -> Path:
        return self.root / "thumbnails"

    @property
    def authority(self) -> Path:
        return self.root / "ca"

    @property
    def ca_certificate(self) -> Path:
        return self.authority / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.authority / "ca.key"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def server_certificate(self) -> Path:
        return self.tls / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.tls / "server.key"

    @property
    def collector_certificate(self) -> Path:
        return self.tls / "collector.crt"

    @property
    def collector_key(self) -> Path:
        return self.tls / "collector.key"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def broker_configuration(self) -> Path:
        return self.broker / "mosquitto.conf"

    @property
    def broker_acl(self) -> Path:
        return self.broker / "acl"

    @property
    def broker_pid(self) -> Path:
        return self.broker / "mosquitto.pid"

    @property
    def broker_data(self) -> Path:
        return self.broker / "data"

    @property
    def revocation_list(self) -> Path:
        return self.broker / "crl.pem"

    @property
    def shelf(self) -> Path:
        return self.root / "shelf"

    @property
    def run_lock(self) -> Path:
        return self.root / "run.lock"

    def settings(self) -> StationSettings:
        return StationSettings.load(self.configuration)

    def open_station(self) -> sqlite_utils.Database:
        """Open the register for writing; the connection belongs to the calling thread."""
        return open_database(self.station_database, STATION_MIGRATIONS)

    def open_archive(self) -> sqlite_utils.Database:
        """Open the archive for writing; only the committer does."""
        return open_database(self.archive_database, ARCHIVE_MIGRATIONS)
