from __future__ import annotations

import errno
import stat
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from agent.cameras import credentials, register
from agent.cameras.credentials import Credential
from agent.cameras.register import CameraEntry
from agent.cameras.stream import StreamAddress
from shared.errors import FileUnreadable
from shared.identity import site_name

GATE = CameraEntry(
    name="cong-chinh",
    endpoint=UUID(int=1),
    mac="aa:bb:cc:00:11:22",
    manufacturer='Hik"vision\\',
    model="Cổng",
    serial="S1",
    source="VS1",
    onvif_url="http://10.0.0.7/onvif/device_service",
    detect_url="rtsp://10.0.0.7/sub?a=1&b=2",
    picture_url="rtsp://10.0.0.7/main",
    clock_offset_s=-3.5,
)


def other(**changes: object) -> CameraEntry:
    return GATE.model_copy(update=changes)


def test_the_register_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    entries = (GATE, other(name="cam-2", endpoint=None, mac="", clock_offset_s=None, source="VS2"))
    register.save(tmp_path, entries)
    assert register.load(tmp_path) == entries


def test_no_register_yet_means_no_cameras(tmp_path: Path) -> None:
    assert register.load(tmp_path) == ()


@pytest.mark.parametrize("content", ["[[camera", '[[camera]]\nname = "Bad Name"', "[[camera]]\nunknown = 1"])
def test_a_damaged_register_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / register.FILE).write_text(content)
    with pytest.raises(FileUnreadable):
        register.load(tmp_path)


def test_no_login_can_get_into_the_register() -> None:
    with pytest.raises(ValidationError):
        CameraEntry.model_validate(GATE.model_dump() | {"detect_url": "rtsp://admin:secret@10.0.0.7/sub"})


@pytest.mark.parametrize(
    ("known", "new", "same"),
    [
        (GATE, other(endpoint=UUID(int=9), onvif_url="http://10.0.0.99/x"), True),  # moved, new UUID
        (GATE, other(mac="aa:bb:cc:00:11:33"), True),  # from cable to Wi-Fi: UUID and serial stay
        (GATE, other(mac="aa:bb:cc:00:11:33", endpoint=None), False),  # one serial for a whole model
        (GATE, other(endpoint=UUID(int=2), serial="S2"), False),  # a repeater lends both its MAC
        (other(mac=""), other(endpoint=UUID(int=2)), False),  # all Tapo C200 have one serial
        (other(mac="", endpoint=None), GATE, True),
        (other(mac="", endpoint=None, serial=""), other(mac="", endpoint=None, serial=""), False),
        (GATE, other(source="VS2"), False),  # another lens of the same recorder
    ],
)
def test_who_is_the_same_camera(known: CameraEntry, new: CameraEntry, same: bool) -> None:
    assert known.is_same_camera(new) is same
    assert new.is_same_camera(known) is same


def test_a_camera_added_again_keeps_its_name_and_place() -> None:
    moved = other(name="cam-9", onvif_url="http://10.0.0.99/onvif/device_service")
    second = other(name="cam-2", mac="aa:bb:cc:00:11:33")
    merged = register.merged((GATE, second), moved)
    assert [entry.name for entry in merged] == ["cong-chinh", "cam-2"]
    assert merged[0].onvif_url == moved.onvif_url


@pytest.mark.parametrize(
    ("wish", "taken", "name"),
    [
        ("", (), "cam-1"),
        ("", ("cam-1", "cam-2"), "cam-3"),
        ("IPCAM Gate 2", (), "ipcam-gate-2"),
        ("IPCAM", ("ipcam",), "ipcam-2"),
        ("Cổng", (), "c-ng"),
        ("x", (), "cam-1"),
        ("---", (), "cam-1"),
    ],
)
def test_names_are_made_of_what_the_camera_calls_itself(wish: str, taken: tuple[str, ...], name: str) -> None:
    assert register.free_name(wish, taken) == name


@given(st.text(max_size=100))
def test_every_name_made_is_valid(wish: str) -> None:
    first = register.free_name(wish, ())
    second = register.free_name(wish, (first,))
    assert site_name(first) != site_name(second)


LOGIN = Credential("admin", SecretStr('pa"ss\\ wörd @:/'))


def test_only_the_agent_can_read_the_logins(tmp_path: Path) -> None:
    credentials.save(tmp_path, "gate", LOGIN)
    assert stat.S_IMODE((tmp_path / credentials.FILE).stat().st_mode) == 0o600


def test_a_login_comes_back_as_it_was_typed(tmp_path: Path) -> None:
    credentials.save(tmp_path, "gate", LOGIN)
    credentials.save(tmp_path, "yard", Credential("u", SecretStr("p")))
    credentials.remove(tmp_path, "yard")
    loaded = credentials.load(tmp_path, "gate")
    assert loaded is not None
    assert (loaded.username, loaded.password, loaded.refused) == ("admin", LOGIN.password, False)
    assert credentials.load(tmp_path, "yard") is None


def test_a_refusal_outlives_the_program_until_a_person_types_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.save(tmp_path, "gate", LOGIN)
    running = credentials.load(tmp_path, "gate")
    assert running is not None
    running.refuse()
    monkeypatch.setattr(credentials, "_shared", WeakValueDictionary())  # as after a restart
    restarted = credentials.load(tmp_path, "gate")
    assert restarted is not None
    assert restarted is not running
    assert restarted.refused
    assert running.renewed() is None
    credentials.save(tmp_path, "gate", LOGIN)  # the same password: it was the camera that was locked
    fresh = running.renewed()
    assert fresh is not None
    assert not fresh.refused


def test_everybody_who_loads_a_login_shares_it_until_it_is_typed_anew(tmp_path: Path) -> None:
    credentials.save(tmp_path, "recorder-1", LOGIN)
    first, second = credentials.load(tmp_path, "recorder-1"), credentials.load(tmp_path, "recorder-1")
    assert first is second
    credentials.save(tmp_path, "recorder-1", LOGIN)
    assert credentials.load(tmp_path, "recorder-1") is not first


def test_a_full_disk_does_not_make_a_refused_password_good_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.save(tmp_path, "gate", LOGIN)
    running = credentials.load(tmp_path, "gate")
    assert running is not None

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(credentials, "write_atomically", full)
    running.refuse()
    assert running.renewed() is None


def test_a_login_leaves_with_the_channel_it_was_named_after_only_in_name(tmp_path: Path) -> None:
    credentials.save(tmp_path, "recorder-1", LOGIN)
    credentials.rename(tmp_path, "recorder-1", "recorder-2")
    assert credentials.load(tmp_path, "recorder-1") is None
    kept = credentials.load(tmp_path, "recorder-2")
    assert kept is not None
    assert kept.password == LOGIN.password


def test_a_late_refusal_does_not_touch_the_login_typed_since(tmp_path: Path) -> None:
    credentials.save(tmp_path, "gate", LOGIN)
    running = credentials.load(tmp_path, "gate")
    assert running is not None
    credentials.save(tmp_path, "gate", Credential("admin", SecretStr("new")))
    running.refuse()
    stored = credentials.load(tmp_path, "gate")
    assert stored is not None
    assert not stored.refused


def test_a_damaged_file_of_logins_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / credentials.FILE).write_text('[gate]\nusername = "admin"\npassword = ["hunter2"]\n')
    with pytest.raises(FileUnreadable) as caught:
        credentials.load(tmp_path, "gate")
    assert "hunter2" not in str(caught.value)


def test_the_password_shows_nowhere_but_in_the_address_for_ffmpeg() -> None:
    address = StreamAddress("rtsp://10.0.0.7:554/sub?a=1", LOGIN)
    assert "pa" not in f"{address!r} {LOGIN!r} {address.host}".replace("password", "").replace(
        "StreamAddress", ""
    )
    assert address.with_login() == "rtsp://admin:pa%22ss%5C%20w%C3%B6rd%20%40%3A%2F@10.0.0.7:554/sub?a=1"
