"""The station's wishes: whole or not at all, newest first, the household's own file above."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.configure import FILE, Desired
from agent.settings import AgentSettings
from shared.configuration import Configuration
from shared.messages import ConfigurationReport
from shared.signing import canonical

SITE = "nha-ba"
YARD = [[0.1, 0.6], [0.9, 0.6], [1.0, 1.0], [0.0, 1.0]]


def desired(home: Path, authority: bytes = b"ca") -> Desired:
    return Desired(home, AgentSettings(uplink_kbps=100), SITE, authority, ["cong", "san"])


def wish(revision: int, **said: Any) -> bytes:
    return canonical(Configuration(site=SITE, revision=revision, **said))


def test_what_is_said_is_in_force_and_what_is_not_is_as_the_box_has_it(tmp_path: Path) -> None:
    ours = desired(tmp_path)
    assert ours.in_force().uplink_kbps == 100
    said = Configuration(site=SITE, revision=3, quiet_hours="22:00-06:00", detect_fps=2.5)
    assert ours.hear(canonical(said))
    now = ours.in_force()
    assert (now.uplink_kbps, now.quiet_hours, now.detect_fps) == (100, "22:00-06:00", 2.5)
    assert ours.report == ConfigurationReport(revision=3, sha256=said.digest(), in_force=True)
    assert ours.hear(wish(4, uplink_kbps=0))
    assert (ours.in_force().uplink_kbps, ours.in_force().detect_fps) == (0, 5.0)


def test_an_older_or_equal_revision_changes_nothing(tmp_path: Path) -> None:
    ours = desired(tmp_path)
    ours.hear(wish(3, uplink_kbps=64))
    assert not ours.hear(wish(3, uplink_kbps=32))
    assert not ours.hear(wish(2, uplink_kbps=32))
    assert (ours.in_force().uplink_kbps, ours.report.revision, ours.garbage) == (64, 3, 0)


def test_a_start_without_network_obeys_the_last_good_one(tmp_path: Path) -> None:
    desired(tmp_path).hear(wish(3, uplink_kbps=64, zones={"cong": {"must_enter": {"san": YARD}}}))
    again = desired(tmp_path)
    assert again.in_force().uplink_kbps == 64
    assert set(again.in_force().zones_of("cong").must_enter) == {"san"}
    assert again.report.revision == 3


def test_one_error_and_none_of_it_is_obeyed_the_one_before_stays_and_the_words_say_why(
    tmp_path: Path,
) -> None:
    ours = desired(tmp_path)
    ours.hear(wish(1, uplink_kbps=64))
    flat = {"ignore": {"duong": [[0, 0], [1, 1], [0.5, 0.5]]}}
    tables = {"cong": flat, "san": {"min_heigth": 0.1}, "bep": {}}
    assert ours.hear(wish(2, uplink_kbps=32, zones=tables))
    for now in (ours, desired(tmp_path)):
        assert now.in_force().uplink_kbps == 64
        assert (now.report.revision, now.report.in_force) == (2, False)
        told = "\n".join(now.report.errors)
        for word in ("cong", "duong", "min_heigth", "“bep”", "không có camera", "there is no camera"):
            assert word in told
    assert ours.hear(wish(3, uplink_kbps=16))
    assert (ours.in_force().uplink_kbps, ours.report.errors) == (16, ())


def test_a_newer_stations_wish_that_is_not_understood_is_answered_by_its_number(tmp_path: Path) -> None:
    ours = desired(tmp_path)
    newer = wish(7).replace(b'"revision":7', b'"revision":7,"paint_masks":true')
    assert ours.hear(newer)
    assert (ours.report.revision, ours.report.in_force) == (7, False)
    assert "paint_masks" in ours.report.errors[0]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff",
        b"[" * 60_000,
        b'{"revision":"x"}',
        b'{"revision":1e400,"site":"nha-ba"}',
        b"x" * 70_000,
        wish(5).replace(b"nha-ba", b"nha-tu"),
        b'{"v":1,"site":"nha-ba","revision":5,"zones":{"cong":{"min_height":NaN}}}',
    ],
)
def test_garbage_is_counted_and_changes_nothing(tmp_path: Path, garbage: bytes) -> None:
    ours = desired(tmp_path)
    ours.hear(wish(4, uplink_kbps=64))
    assert not ours.hear(garbage)
    assert (ours.garbage, ours.report.revision, ours.in_force().uplink_kbps) == (1, 4, 64)


def test_the_households_zones_of_a_camera_stand_above_the_stations(tmp_path: Path) -> None:
    (tmp_path / "zones.toml").write_text("[cong]\nmin_height = 0.2\n")
    ours = desired(tmp_path)
    ours.hear(wish(1, zones={"cong": {"min_height": 0.9}, "san": {"min_height": 0.4}}))
    now = ours.in_force()
    assert (now.zones_of("cong").min_height, now.zones_of("san").min_height) == (0.2, 0.4)


def test_another_station_begins_to_count_anew_and_a_broken_file_is_no_stop(tmp_path: Path) -> None:
    desired(tmp_path).hear(wish(9, uplink_kbps=64))
    moved = desired(tmp_path, b"another")
    assert moved.in_force().uplink_kbps == 100
    assert moved.hear(wish(1, uplink_kbps=32))
    (tmp_path / FILE).write_bytes(b"{")
    assert desired(tmp_path).report == ConfigurationReport()
