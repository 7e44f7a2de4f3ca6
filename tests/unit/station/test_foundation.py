"""A station is made whole or not at all, and never over another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from collector.archive.folder import StationFolder, StationMissing
from collector.intake import foundation
from collector.intake.broker import access_rules, running_broker
from collector.settings import StationSettings
from shared.errors import SettingInvalid

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def made(root: Path, settings: StationSettings | None = None) -> StationFolder:
    making = foundation.begin(root)
    foundation.build(making, settings or StationSettings(), NOW)
    return foundation.finish(making, root)


def test_a_station_is_made_in_one_step_and_keeps_its_secrets(tmp_path: Path) -> None:
    root = tmp_path / "station"
    making = foundation.begin(root)
    foundation.build(making, StationSettings(name='Công an xã "Đông" \\ 1', host="tram.local"), NOW)
    assert not root.exists()
    with pytest.raises(StationMissing):
        StationFolder.existing(root)
    folder = foundation.finish(making, root)
    assert list(tmp_path.iterdir()) == [root]
    assert StationFolder.existing(root).settings().name == 'Công an xã "Đông" \\ 1'
    assert root.stat().st_mode & 0o777 == 0o700
    for secret in (folder.ca_key, folder.server_key, folder.collector_key):
        assert secret.stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate(folder.collector_certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=_collector"


def test_an_existing_station_is_not_overwritten(tmp_path: Path) -> None:
    folder = made(tmp_path / "station")
    key = folder.ca_key.read_bytes()
    with pytest.raises(foundation.StationExists):
        foundation.begin(tmp_path / "station")
    assert folder.ca_key.read_bytes() == key


def test_anything_at_all_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    for taken in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(foundation.StationExists):
            foundation.begin(taken)


def test_an_empty_folder_made_by_systemd_will_do(tmp_path: Path) -> None:
    (tmp_path / "station").mkdir()
    assert made(tmp_path / "station").configuration.is_file()


def test_an_interrupted_init_is_no_station_and_does_not_stand_in_the_way(tmp_path: Path) -> None:
    root = tmp_path / "station"
    foundation.build(foundation.begin(root), StationSettings(), NOW)  # and then the power went
    with pytest.raises(StationMissing):
        StationFolder.existing(root)
    made(root)
    assert list(tmp_path.iterdir()) == [root]


def test_settings_that_cannot_be_read_back_stop_before_there_is_a_station(tmp_path: Path) -> None:
    making = foundation.begin(tmp_path / "station")
    with pytest.raises(SettingInvalid):
        foundation.build(making, StationSettings().model_copy(update={"name": "x" * 200}), NOW)
    assert not (tmp_path / "station").exists()


def test_certificates_are_renewed_when_old_torn_or_for_another_host_and_else_left(tmp_path: Path) -> None:
    folder = made(tmp_path / "station")
    settings = StationSettings()
    first = folder.server_certificate.read_bytes()
    foundation.prepare(folder, settings, NOW + timedelta(days=700))
    assert folder.server_certificate.read_bytes() == first
    foundation.prepare(folder, settings, NOW + timedelta(days=750))
    second = folder.server_certificate.read_bytes()
    assert second != first
    foundation.prepare(folder, settings.model_copy(update={"host": "192.168.1.5"}), NOW)
    third = folder.server_certificate.read_bytes()
    assert third != second
    folder.server_key.write_bytes(folder.collector_key.read_bytes())  # half of a renewal
    foundation.prepare(folder, settings.model_copy(update={"host": "192.168.1.5"}), NOW)
    assert folder.server_certificate.read_bytes() != third


def test_the_rules_shut_out_the_revoked_before_any_pattern() -> None:
    rules = access_rules(["ke-gian"]).splitlines()
    assert rules.index("user ke-gian") + 1 == rules.index("topic deny #")
    assert rules[-3:] == [
        "pattern write anninh/v1/%u/up/#",
        "pattern read anninh/v1/%u/down/#",
        "pattern read anninh/v1/_collector/state",
    ]


def test_another_process_with_the_brokers_old_number_is_left_alone(tmp_path: Path) -> None:
    folder = made(tmp_path / "station")
    assert running_broker(folder) is None
    folder.broker_pid.write_text("1")
    assert running_broker(folder) is None
