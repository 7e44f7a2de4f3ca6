"""What systemd hands over goes before our own file, is refused where others can read it, and stays untold."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.cameras import credentials as logins
from agent.cameras.credentials import Credential
from collector.archive.folder import StationFolder
from collector.intake import foundation
from collector.intake.foundation import AuthorityKeyForeign, AuthorityKeyMissing, open_authority
from collector.liveness.sender import AlarmAddressInvalid, check
from collector.settings import StationSettings
from shared.credentials import CredentialExposed
from shared.errors import FileUnreadable, SettingInvalid
from tests.fakes import NOON

ALARMS = "ntfy://ntfy.test/tram\nmailto://u:bi-mat@xa.test\n"


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that systemd would make: the service's own, files 0400."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def hand(folder: Path, name: str, content: str, mode: int = 0o400) -> Path:
    path = folder / f"anninh_{name}"
    path.unlink(missing_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    making = foundation.begin(tmp_path / "station")
    foundation.build(making, StationSettings(), NOON)
    return foundation.finish(making, tmp_path / "station")


def test_alarm_addresses_handed_over_go_before_the_files(tmp_path: Path, handed: Path) -> None:
    path = tmp_path / "collector.toml"
    path.write_text('alarms = ["ntfy://ntfy.test/old"]\nname = "Trạm"\n')
    assert [one.get_secret_value() for one in StationSettings.load(path).alarms] == ["ntfy://ntfy.test/old"]
    assert StationSettings.origin("alarms", path) == str(path)
    laid = hand(handed, "alarms", ALARMS)
    settings = StationSettings.load(path)
    assert [one.get_secret_value() for one in settings.alarms] == ALARMS.split()
    assert settings.name == "Trạm"
    assert StationSettings.origin("alarms", path) == str(laid)
    assert "bi-mat" not in repr(settings)


def test_the_environment_goes_before_a_credential(
    tmp_path: Path, handed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand(handed, "alarms", ALARMS)
    monkeypatch.setenv("ANNINH_ALARMS", '["ntfy://ntfy.test/now"]')
    path = tmp_path / "collector.toml"
    assert [one.get_secret_value() for one in StationSettings.load(path).alarms] == ["ntfy://ntfy.test/now"]
    assert StationSettings.origin("alarms", path) == "ANNINH_ALARMS"


def test_an_address_nobody_understands_is_named_with_the_credential_it_came_from(
    tmp_path: Path, handed: Path
) -> None:
    path = tmp_path / "collector.toml"
    laid = hand(handed, "alarms", "nonsense://u:bi-mat@x\n")
    with pytest.raises(AlarmAddressInvalid) as refused:
        check(StationSettings.load(path).alarms, StationSettings.origin("alarms", path))
    assert str(laid) in refused.value.what()
    assert "bi-mat" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o404, 0o444, 0o420, 0o402, 0o644])
def test_a_credential_that_others_can_read_or_change_is_refused(
    tmp_path: Path, handed: Path, station: StationFolder, mode: int
) -> None:
    hand(handed, "alarms", ALARMS, mode)
    hand(handed, "authority_key", station.ca_key.read_text(), mode)
    hand(handed, "cameras", '[cong]\nusername = "u"\npassword = "bi-mat"\n', mode)
    for read in (
        lambda: StationSettings.load(tmp_path / "collector.toml"),
        lambda: open_authority(station),
        lambda: logins.load(tmp_path, "cong"),
    ):
        with pytest.raises(CredentialExposed) as refused:
            read()
        assert f"{mode:04o}" in refused.value.what()


def test_the_group_bits_by_which_systemd_lets_the_user_in_are_no_exposure(
    tmp_path: Path, handed: Path
) -> None:
    hand(handed, "alarms", ALARMS, 0o440)
    assert len(StationSettings.load(tmp_path / "collector.toml").alarms) == 2


def test_without_credentials_everything_is_read_from_our_own_files(
    tmp_path: Path, station: StationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "never-made"))
    assert station.settings().alarms == ()
    assert open_authority(station).certificate


def test_a_value_that_is_not_valid_is_not_quoted(
    tmp_path: Path, handed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = hand(handed, "broker_port", "bi-mat\n")
    with pytest.raises(SettingInvalid) as refused:
        StationSettings.load(tmp_path / "collector.toml")
    assert str(laid) in refused.value.what()
    assert "bi-mat" not in str(refused.value) + str(refused.value.__cause__)


def test_the_key_that_makes_sites_may_lie_outside_the_stations_folder(
    station: StationFolder, handed: Path
) -> None:
    hand(handed, "authority_key", station.ca_key.read_text())
    station.ca_key.unlink()
    authority = foundation.prepare(station, StationSettings(), NOON)
    assert authority.key.public_key() == authority.certificate.public_key()
    assert not station.ca_key.exists()
    (handed / "anninh_authority_key").unlink()
    with pytest.raises(AuthorityKeyMissing) as missing:
        open_authority(station)
    assert "systemctl start anninh-collector" in missing.value.hint()


@pytest.mark.parametrize("content", ["not a key", ""])
def test_another_key_than_the_stations_is_refused(
    tmp_path: Path, station: StationFolder, handed: Path, content: str
) -> None:
    other = foundation.begin(tmp_path / "other")
    foundation.build(other, StationSettings(), NOON)
    for foreign in (content, other.ca_key.read_text()):
        laid = hand(handed, "authority_key", foreign)
        with pytest.raises(AuthorityKeyForeign) as refused:
            open_authority(station)
        assert str(laid) in refused.value.what()


def test_a_camera_login_handed_over_is_used_and_its_password_never_written(
    tmp_path: Path, handed: Path
) -> None:
    laid = hand(handed, "cameras", '[cong]\nusername = "u"\npassword = "bi-mat"\n')
    login = logins.load(tmp_path, "cong")
    assert login is not None
    assert (login.username, login.password.get_secret_value()) == ("u", "bi-mat")
    assert logins.load(tmp_path, "cong") is login
    assert logins.origins(tmp_path) == {"cong": str(laid)}
    login.refuse()
    assert "bi-mat" not in (tmp_path / logins.FILE).read_text()


def test_a_refused_login_stays_refused_over_restarts_until_another_is_handed_over(
    tmp_path: Path, handed: Path
) -> None:
    hand(handed, "cameras", '[cong]\nusername = "u"\npassword = "cu"\n')
    login = logins.load(tmp_path, "cong")
    assert login is not None
    login.refuse()
    del login  # what memory knew is gone
    again = logins.load(tmp_path, "cong")
    assert again is not None
    assert again.refused
    assert again.renewed() is None
    hand(handed, "cameras", '[cong]\nusername = "u"\npassword = "moi"\n')
    fresh = again.renewed()
    assert fresh is not None
    assert fresh.password.get_secret_value() == "moi"


def test_a_login_typed_on_the_box_goes_before_one_handed_over(tmp_path: Path, handed: Path) -> None:

    hand(
        handed, "cameras", '[cong]\nusername = "u"\npassword = "cu"\n[san]\nusername = "u"\npassword = "s"\n'
    )
    login = logins.load(tmp_path, "cong")
    assert login is not None
    login.refuse()
    logins.save(tmp_path, "cong", Credential("u", SecretStr("go-tay")))
    typed = logins.load(tmp_path, "cong")
    assert typed is not None
    assert (typed.password.get_secret_value(), typed.refused) == ("go-tay", False)
    assert logins.origins(tmp_path) == {
        "cong": str(tmp_path / logins.FILE),
        "san": str(handed / "anninh_cameras"),
    }


def test_logins_that_make_no_sense_are_not_quoted(tmp_path: Path, handed: Path) -> None:
    hand(handed, "cameras", '[cong]\nusername = "u"\npassword = ["bi-mat"]\n')
    with pytest.raises(FileUnreadable) as refused:
        logins.load(tmp_path, "cong")
    assert "bi-mat" not in str(refused.value)
