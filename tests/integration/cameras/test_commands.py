from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from agent.cameras import credentials, register
from agent.cameras.soap import CameraUnreachable
from agent.cameras.stream import WrongPassword
from agent.commands import cameras
from agent.commands.cameras import CameraUnknown, LoginMissing
from shared.errors import AnninhError
from shared.texts import text
from tests.conftest import free_port
from tests.integration.cameras.conftest import PASSWORD, USER, StartCamera
from tests.virtual_camera import VirtualCamera

RIGHT, WRONG = f"{USER}\n{PASSWORD}\n", f"{USER}\nwrong\n"
Command = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNINH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def command(home: Path) -> Command:
    """`agent cameras …` with what is typed on standard input; errors come out as they were raised."""
    app = typer.Typer()
    app.add_typer(cameras.app, name="cameras")

    def call(*arguments: str, typed: str = "") -> Result:
        result = CliRunner().invoke(app, ["cameras", *arguments], input=typed)
        if isinstance(result.exception, AnninhError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def test_a_camera_is_added_once_both_its_streams_were_seen(
    command: Command, home: Path, start_camera: StartCamera
) -> None:
    camera = start_camera(discoverable=True)
    shown = command("add", camera.onvif_url, typed=RIGHT).output
    assert "640x480 h264" in shown
    assert "768x576 h264" in shown
    assert camera.counters.rtsp_plays == 2
    (entry,) = register.load(home)
    assert entry.endpoint == camera.identity.endpoint
    assert entry.mac == camera.identity.mac
    assert PASSWORD not in (home / register.FILE).read_text()
    assert PASSWORD not in shown
    login = credentials.load(home, entry.name)
    assert login is not None
    assert login.password.get_secret_value() == PASSWORD


def test_host_and_port_are_address_enough(command: Command, home: Path, camera: VirtualCamera) -> None:
    command("add", f"127.0.0.1:{camera.onvif_port}", typed=RIGHT)
    assert register.load(home)[0].onvif_url == camera.onvif_url


def test_a_wrong_password_adds_nothing_and_is_said_once(
    command: Command, home: Path, camera: VirtualCamera
) -> None:
    with pytest.raises(WrongPassword):
        command("add", camera.onvif_url, typed=WRONG)
    assert register.load(home) == ()
    assert camera.counters.soap_credentialed == 1
    assert camera.counters.rtsp_credentialed == 0


def test_a_camera_added_twice_is_one_camera(command: Command, home: Path, camera: VirtualCamera) -> None:
    command("add", camera.onvif_url, typed=RIGHT)
    command("add", camera.onvif_url, typed=RIGHT)
    assert len(register.load(home)) == 1


def test_a_recorder_adds_a_camera_per_source(command: Command, home: Path, camera: VirtualCamera) -> None:
    camera.faults.video_sources = 2
    command("add", camera.onvif_url, typed=RIGHT)
    assert [entry.name for entry in register.load(home)] == ["cam1-1", "cam1-2"]
    first, second = (credentials.load(home, entry.login_name) for entry in register.load(home))
    assert first is second, "one device, one login"


def test_a_camera_without_a_login_is_added_without(
    command: Command, home: Path, start_camera: StartCamera
) -> None:
    camera = start_camera(login=None)
    command("add", camera.onvif_url, typed="\n\n")
    assert credentials.load(home, register.load(home)[0].name) is None


def test_half_a_login_is_asked_for_again(command: Command, camera: VirtualCamera) -> None:
    with pytest.raises(LoginMissing):
        command("add", camera.onvif_url, typed="admin\n")
    assert camera.counters.soap_requests == 0


def test_nobody_at_the_address_is_said_so(command: Command) -> None:
    with pytest.raises(CameraUnreachable):
        command("add", f"127.0.0.1:{free_port()}", typed=RIGHT)


def test_the_list_tells_whether_the_login_was_refused(
    command: Command, home: Path, camera: VirtualCamera
) -> None:
    command("add", camera.onvif_url, typed=RIGHT)
    (listed,) = json.loads(command("list", "--json").output)
    assert (listed["name"], listed["login"], listed["login_refused"]) == ("cam1", True, False)
    login = credentials.load(home, "cam1")
    assert login is not None
    login.refuse()
    (listed,) = json.loads(command("list", "--json").output)
    assert listed["login_refused"]
    assert text("cameras.login-refused").split(":")[0] in command("list").output


def test_a_new_login_is_kept_only_if_the_camera_takes_it(
    command: Command, home: Path, camera: VirtualCamera
) -> None:
    command("add", camera.onvif_url, typed=RIGHT)
    before = camera.counters.rtsp_wrong
    with pytest.raises(WrongPassword):
        command("login", "cam1", typed=WRONG)
    assert camera.counters.rtsp_wrong == before + 1
    kept = credentials.load(home, "cam1")
    assert kept is not None
    assert kept.password.get_secret_value() == PASSWORD
    kept.refuse()
    command("login", "cam1", typed=RIGHT)
    kept = credentials.load(home, "cam1")
    assert kept is not None
    assert not kept.refused


def test_a_removed_camera_leaves_no_login_behind(command: Command, home: Path, camera: VirtualCamera) -> None:
    command("add", camera.onvif_url, typed=RIGHT)
    command("remove", "cam1")
    assert register.load(home) == ()
    assert PASSWORD not in (home / credentials.FILE).read_text()


def test_a_misspelt_name_is_answered_with_the_nearest(command: Command, camera: VirtualCamera) -> None:
    command("add", camera.onvif_url, typed=RIGHT)
    with pytest.raises(CameraUnknown) as caught:
        command("remove", "can1")
    assert caught.value.facts["near"] == "cam1"
