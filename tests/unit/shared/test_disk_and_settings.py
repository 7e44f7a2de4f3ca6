from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.settings import AgentSettings
from collector.settings import StationSettings
from shared.disk import write_atomically
from shared.errors import FileUnreadable, SettingInvalid, SettingUnknown


def test_a_secret_file_is_only_ours_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomically(path, b"x", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("settings", [AgentSettings, StationSettings])
def test_every_setting_explains_itself(settings: type[AgentSettings | StationSettings]) -> None:
    for name, field in settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_an_unknown_setting_is_refused_with_the_nearest_known(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("heartbeats = 5\n")
    with pytest.raises(SettingUnknown, match="heartbeat_s"):
        AgentSettings.load(path)


def test_a_setting_out_of_bounds_says_which_and_why(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("detect_fps = 0\n")
    with pytest.raises(SettingInvalid, match="detect_fps"):
        AgentSettings.load(path)


def test_a_file_that_is_no_toml_says_so(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("= = =")
    with pytest.raises(FileUnreadable, match=r"agent\.toml"):
        AgentSettings.load(path)


def test_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.toml"
    assert AgentSettings.load(path).heartbeat_s == 60
    path.write_text("heartbeat_s = 30\n")
    assert AgentSettings.load(path).heartbeat_s == 30
    monkeypatch.setenv("ANNINH_HEARTBEAT_S", "5")
    assert AgentSettings.load(path).heartbeat_s == 5
