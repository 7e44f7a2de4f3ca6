from __future__ import annotations

import pytest

from agent.cameras.identity import normal_mac
from agent.cameras.media2 import Profile
from agent.cameras.onvif import choose, clean_stream_url


def profiles(*sizes: tuple[int, int], encoding: str = "H264") -> list[Profile]:
    return [Profile(f"{width}x{height}", width, height, encoding) for width, height in sizes]


@pytest.mark.parametrize(
    ("offered", "detect", "picture"),
    [
        ([(2560, 1440), (640, 360)], "640x360", "2560x1440"),
        ([(640, 360), (2560, 1440), (1280, 720)], "640x360", "2560x1440"),
        ([(1920, 1080), (352, 288)], "1920x1080", "1920x1080"),  # 352 shows nobody at 20 m
        ([(352, 288), (320, 240)], "352x288", "352x288"),
        ([(704, 576), (480, 270), (1920, 1080)], "480x270", "1920x1080"),
        ([(1920, 1080)], "1920x1080", "1920x1080"),
    ],
)
def test_the_small_stream_is_looked_at_and_the_large_one_gives_pictures(
    offered: list[tuple[int, int]], detect: str, picture: str
) -> None:
    chosen = choose(profiles(*offered))
    assert (chosen[0].token, chosen[1].token) == (detect, picture)


def test_motion_jpeg_is_only_taken_when_there_is_nothing_else() -> None:
    jpeg = profiles((640, 360), encoding="JPEG")
    assert choose([*jpeg, *profiles((1280, 720))])[0].encoding == "H264"
    assert choose(jpeg)[0].encoding == "JPEG"


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("rtsp://192.168.1.9:554/live", "rtsp://10.0.0.7:554/live"),
        ("\n rtsp://0.0.0.0/live/ch1 \n", "rtsp://10.0.0.7/live/ch1"),
        ("rtsp://x/cam?channel=1&amp;subtype=0", "rtsp://10.0.0.7/cam?channel=1&subtype=0"),
        ("rtsp://admin:secret@192.168.1.9/live", "rtsp://10.0.0.7/live"),
        ("http://192.168.1.9/live", ""),
        ("rtsp://[bad/live", ""),
        ("rtsp://a:99999/live", ""),
        ("", ""),
    ],
)
def test_stream_addresses_of_real_firmware_are_made_usable(uri: str, url: str) -> None:
    assert clean_stream_url(uri, "10.0.0.7") == url


def test_a_mac_is_written_one_way() -> None:
    assert normal_mac("AA-BB-CC-00-11-22") == "aa:bb:cc:00:11:22"
    assert normal_mac("aabb.cc00.1122") == "aa:bb:cc:00:11:22"
    assert normal_mac("none") == ""
