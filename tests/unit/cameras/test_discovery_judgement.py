from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.brands import Brand, judge
from agent.cameras.discover import Candidate
from agent.cameras.networks import may_be_searched, on_link, parse_arp, searched_unasked
from agent.cameras.ports import Signs, banner_of
from agent.cameras.search import Found, State, judged, without_repeats
from shared.texts import catalogue

ONE, TWO = UUID(int=1), UUID(int=2)
HIKVISION_MAC, TPLINK_MAC, XIAOMI_MAC = "a4:14:37:00:00:01", "00:31:92:00:00:01", "04:7a:0b:00:00:01"


@pytest.mark.parametrize("brand", list(Brand))
def test_every_brand_has_its_switch_in_both_languages(brand: Brand) -> None:
    assert f"discover.hint.{brand}" in catalogue()


@pytest.mark.parametrize(
    ("mac", "ports", "banner", "brand", "is_camera"),
    [
        (HIKVISION_MAC, (), "", Brand.HIKVISION, True),
        (TPLINK_MAC, (80,), "", Brand.TAPO, False),  # as likely their router
        (TPLINK_MAC, (8800,), "", Brand.TAPO, True),
        (XIAOMI_MAC, (), "", Brand.XIAOMI, False),  # a bulb, a telephone
        (None, (8800,), "", Brand.UNKNOWN, False),
        (None, (80, 34567), "", Brand.XIONGMAI, True),
        (None, (80,), "App-webs/ index", Brand.HIKVISION, True),
        ("14:a7:8b:00:00:01", (80,), "KBVISION web", Brand.KBVISION, True),  # Dahua made its network chip
        (None, (80,), "nginx Welcome", Brand.UNKNOWN, False),
        (None, (80,), "Praxis Dr. Nguyen", Brand.UNKNOWN, False),
        (None, (80,), "Network Camera", Brand.UNKNOWN, True),
        (None, (), "", Brand.UNKNOWN, False),
    ],
)
def test_signs_make_a_brand(
    mac: str | None, ports: tuple[int, ...], banner: str, brand: Brand, is_camera: bool
) -> None:
    judgement = judge(mac, ports, banner)
    assert (judgement.brand, judgement.is_camera) == (brand, is_camera)


@pytest.mark.parametrize(
    ("signs", "mac", "state"),
    [
        (Signs("10.0.0.7", frozenset({80}), onvif_url="http://10.0.0.7:80/x"), None, State.ONVIF),
        (Signs("10.0.0.7", frozenset({554}), speaks_rtsp=True), None, State.RTSP_ONLY),
        (Signs("10.0.0.7", frozenset()), HIKVISION_MAC, State.CLOSED),
        (Signs("10.0.0.7", frozenset({80})), TPLINK_MAC, None),
        (Signs("10.0.0.7", frozenset({554})), None, None),  # open, but it does not speak RTSP
    ],
)
def test_what_a_host_shows_decides_its_state(signs: Signs, mac: str | None, state: State | None) -> None:
    found = judged(signs, mac)
    assert (found.state if found else None) is state
    if found:
        assert found.needs_a_switch == (state is not State.ONVIF)


def heard(sender: str, endpoint: UUID | None, mac: str | None = None, url: str = "") -> Found:
    return Found(State.ONVIF, Candidate(sender, endpoint, (url,) if url else ()), mac)


def test_one_camera_with_two_addresses_is_one() -> None:
    wired, linklocal = (
        heard("10.0.0.7", ONE, "02:00:00:00:00:01"),
        heard("10.0.0.9", ONE, "02:00:00:00:00:01"),
    )
    assert without_repeats([wired, linklocal]) == (wired,)


def test_a_camera_that_draws_a_new_endpoint_each_time_is_one() -> None:
    first, again = (heard("10.0.0.7", endpoint, url="http://10.0.0.7/x") for endpoint in (ONE, TWO))
    assert without_repeats([first, again]) == (first,)


def test_a_recorders_channels_stay_apart() -> None:
    channels = [heard("10.0.0.7", endpoint, "02:00:00:00:00:01") for endpoint in (ONE, TWO)]
    assert len(without_repeats(channels)) == 2


def test_cameras_behind_one_repeater_stay_apart() -> None:
    behind = [heard(f"10.0.0.{number}", None, "02:00:00:00:00:01") for number in (7, 8)]
    assert len(without_repeats(behind)) == 2


def test_clones_with_one_endpoint_stay_apart() -> None:
    clones = [heard(f"10.0.0.{number}", ONE, f"02:00:00:00:00:0{number}") for number in (7, 8)]
    assert len(without_repeats(clones)) == 2


def test_only_neighbours_that_answered_have_a_mac() -> None:
    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.168.1.20     0x1         0x2         A4:14:37:00:00:01     *        eth0\n"
        "192.168.1.21     0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "192.168.1.22     0x1         0x6         a4:14:37:00:00:02     *        eth0\n"
    )
    assert parse_arp(table) == {"192.168.1.20": "a4:14:37:00:00:01", "192.168.1.22": "a4:14:37:00:00:02"}
    assert parse_arp("") == {}


def test_of_a_large_network_only_the_part_around_us_is_searched() -> None:
    interfaces = [IPv4Interface(text) for text in ("192.168.1.5/24", "192.168.1.6/24", "10.1.9.9/8")]
    assert set(searched_unasked(interfaces)) == {IPv4Network("192.168.1.0/24"), IPv4Network("10.1.8.0/22")}


@pytest.mark.parametrize(
    ("network", "allowed"),
    [
        ("192.168.1.0/24", True),
        ("10.0.0.0/22", True),
        ("8.8.8.0/24", False),
        ("127.0.0.0/24", False),
        ("169.254.0.0/16", False),
        ("0.0.0.0/0", False),
        ("100.64.0.0/24", False),  # a provider's, behind carrier-grade NAT
        ("192.0.2.0/24", False),
    ],
)
def test_only_a_private_network_is_searched(network: str, allowed: bool) -> None:
    assert may_be_searched(IPv4Network(network)) == allowed


def test_a_neighbour_is_in_one_of_our_networks() -> None:
    ours = [IPv4Interface("192.168.1.5/24")]
    assert on_link(IPv4Interface("192.168.1.77/32").ip, ours)
    assert not on_link(IPv4Interface("192.168.2.77/32").ip, ours)


def test_a_banner_is_the_server_and_its_title() -> None:
    answer = "HTTP/1.1 200 OK\r\nServer: App-webs/\r\n\r\n<html><TITLE>\n  index </title>"
    assert banner_of(answer) == "App-webs/ index"


@given(st.text(max_size=400))
def test_no_banner_harms_a_terminal(text: str) -> None:
    banner = banner_of(f"HTTP/1.1 200\r\nServer: {text}\r\n\r\n<title>{text}</title>")
    assert len(banner) <= 80
    assert banner.isprintable()
