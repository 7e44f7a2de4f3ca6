"""Whose word stands, for which camera, until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent import pauses
from agent.cameras import register
from agent.cameras.register import CameraEntry
from agent.commands.cameras import CameraUnknown
from agent.commands.pause import PauseLength, moment_to_come, pause
from agent.commands.resume import resume
from agent.examine import examine
from agent.pauses import LivePauses, Pause, Pauses, Whose
from agent.settings import AgentSettings
from tests.fakes import NOON

HOUR = timedelta(hours=1)


def household(home: Path, *said: Pause) -> None:
    for one in said:
        pauses.change(home, Whose.HOUSEHOLD, lambda before, one=one: before.paused(one))


def two_cameras(home: Path) -> None:
    url = "rtsp://192.0.2.7/1"
    entries = [
        CameraEntry(name=name, onvif_url=url, detect_url=url, picture_url=url) for name in ("cong", "san")
    ]
    register.save(home, entries)


def test_one_camera_is_paused_until_its_moment_and_the_other_is_not(tmp_path: Path) -> None:
    household(tmp_path, Pause(camera="cong", since=NOON, until=NOON + HOUR))
    live = LivePauses(tmp_path)
    assert live.cause("cong", NOON) == "paused-household"
    assert live.cause("san", NOON) == ""
    assert live.cause("cong", NOON + HOUR) == ""
    assert not live.by_household(NOON)


def test_a_running_agent_takes_up_what_is_said_and_a_new_one_finds_it_there(tmp_path: Path) -> None:
    live = LivePauses(tmp_path)
    household(tmp_path, Pause(since=NOON))
    assert live.cause("cong", NOON) == ""
    live.look()
    assert live.cause("cong", NOON) == "paused-household"
    assert live.by_household(NOON)
    assert LivePauses(tmp_path).by_household(NOON + 1000 * HOUR)


def test_the_stations_resume_leaves_the_households_pause_alone(tmp_path: Path) -> None:
    household(tmp_path, Pause(since=NOON))
    pauses.change(tmp_path, Whose.STATION, lambda before: before.paused(Pause(since=NOON, until=NOON + HOUR)))
    pauses.change(tmp_path, Whose.STATION, lambda before: before.resumed(None, ["cong"], NOON))
    live = LivePauses(tmp_path)
    assert live.cause("cong", NOON) == "paused-household"
    pauses.change(tmp_path, Whose.HOUSEHOLD, lambda before: before.resumed(None, ["cong"], NOON))
    live.look()
    assert live.cause("cong", NOON) == ""


def test_the_households_word_is_named_first_and_its_resume_leaves_the_stations(tmp_path: Path) -> None:
    pauses.change(tmp_path, Whose.STATION, lambda before: before.paused(Pause(since=NOON, until=NOON + HOUR)))
    household(tmp_path, Pause(camera="cong", since=NOON))
    live = LivePauses(tmp_path)
    assert (live.cause("cong", NOON), live.cause("san", NOON)) == ("paused-household", "paused-station")
    pauses.change(tmp_path, Whose.HOUSEHOLD, lambda before: before.resumed(None, [], NOON))
    live.look()
    assert live.cause("cong", NOON) == "paused-station"


def test_one_camera_out_of_all_is_resumed_and_the_others_stay_paused() -> None:
    everything = Pauses().paused(Pause(since=NOON, until=NOON + HOUR))
    left = everything.resumed("cong", ["cong", "san"], NOON)
    assert left.of("cong", NOON) is None
    san = left.of("san", NOON)
    assert san is not None
    assert san.until == NOON + HOUR


def test_a_pause_of_all_does_not_shorten_that_of_one_camera() -> None:
    said = Pauses().paused(Pause(camera="cong", since=NOON)).paused(Pause(since=NOON, until=NOON + HOUR))
    assert said.of("cong", NOON + 2 * HOUR)
    assert not said.of("san", NOON + 2 * HOUR)


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"pauses": 3}', b"\xff\xfe"])
def test_a_broken_file_lifts_nothing_and_at_the_start_pauses_everything(
    tmp_path: Path, garbage: bytes
) -> None:
    household(tmp_path, Pause(camera="cong", since=NOON))
    live, file = LivePauses(tmp_path), tmp_path / Whose.HOUSEHOLD.file
    file.write_bytes(garbage)
    live.look()
    assert (live.cause("cong", NOON), live.cause("san", NOON)) == ("paused-household", "")
    file.unlink()
    live.look()
    assert live.cause("cong", NOON) == "paused-household"
    file.write_bytes(garbage)
    assert LivePauses(tmp_path).cause("san", NOON) == "paused-household"
    pauses.change(tmp_path, Whose.HOUSEHOLD, lambda before: before.resumed(None, [], NOON))
    assert LivePauses(tmp_path).cause("san", NOON) == ""


def test_a_length_or_a_time_of_day_is_understood_and_nonsense_is_not() -> None:
    evening = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # 21:00 in Vietnam
    assert moment_to_come("2h", "", evening) == evening + 2 * HOUR
    assert moment_to_come("", "06:00", evening) == datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    assert moment_to_come("", "22:00", evening) == evening + HOUR
    assert moment_to_come("", "24/11/2026 06:00", evening) == datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    assert moment_to_come("", "", evening) is None
    for length, until in (("2", ""), ("-1h", ""), ("0h", ""), ("", "25:00"), ("", "22/11/2026"), ("", "mai")):
        with pytest.raises(PauseLength):
            moment_to_come(length, until, evening)


def test_the_household_types_it_and_the_doctor_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANNINH_HOME", str(tmp_path))
    two_cameras(tmp_path)
    pause("cong", length="2h")
    assert "không có dữ liệu nào" in capsys.readouterr().out
    now = datetime.now(UTC)
    ((whose, said),) = examine(
        tmp_path, AgentSettings(), now, running=False, synchronised=True
    ).standing.pauses
    assert (whose, said.camera) == (Whose.HOUSEHOLD, "cong")
    resume()
    assert examine(tmp_path, AgentSettings(), now, running=False, synchronised=True).standing.pauses == ()
    with pytest.raises(CameraUnknown):
        pause("cogn")
