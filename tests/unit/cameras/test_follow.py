from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras import register
from agent.cameras.follow import Followed, Follower, Sighting, found_again
from agent.cameras.identity import Traits, normal_mac
from agent.cameras.register import CameraEntry
from agent.cameras.skew import clock_offset
from tests.fakes import FakeClock

MAC, OTHER_MAC = "aa:bb:cc:00:11:22", "aa:bb:cc:00:11:33"
GATE = CameraEntry(
    name="gate",
    mac=MAC,
    endpoint=UUID(int=1),
    serial="S1",
    model="M",
    onvif_url="http://10.0.0.7:8080/onvif/device_service",
    detect_url="rtsp://10.0.0.7:8554/sub?a=1",
    picture_url="rtsp://10.0.0.7/main",
)
traits = st.builds(
    Traits,
    mac=st.sampled_from(["", MAC, OTHER_MAC]),
    endpoint=st.sampled_from([None, UUID(int=1), UUID(int=2)]),
    serial=st.sampled_from(["", "S1", "S2"]),
    model=st.sampled_from(["M", "N"]),
)


def seen(host: str, mac: str = "", endpoint: int | None = None) -> Sighting:
    return Sighting(host, Traits(mac=mac, endpoint=UUID(int=endpoint) if endpoint else None))


@given(traits, traits)
def test_being_the_same_is_mutual_and_certain_only_with_a_trait_in_common(one: Traits, other: Traits) -> None:
    assert one.is_same(other) is other.is_same(one)
    assert one.is_same(one) in {True, None}


@pytest.mark.parametrize(
    ("sightings", "host"),
    [
        ([seen("10.0.0.9", MAC, 1)], "10.0.0.9"),
        ([seen("10.0.0.9", MAC)], "10.0.0.9"),  # speaks no WS-Discovery: known by its MAC alone
        ([seen("10.0.0.9", "", 1)], "10.0.0.9"),  # the other side of a router
        ([seen("10.0.0.9", MAC, 2)], "10.0.0.9"),  # draws a new UUID at every start
        ([seen("10.0.0.9", OTHER_MAC, 2)], None),
        ([seen("10.0.0.9", MAC), seen("10.0.0.7", MAC)], "10.0.0.9"),  # the kernel still remembers it
        ([seen("10.0.0.7", MAC, 1)], None),  # where it was: it has not moved
        ([seen("10.0.0.9", MAC, 2), seen("10.0.0.8", MAC, 3)], None),  # a repeater's MAC tells nothing
        ([seen("10.0.0.9", MAC, 1), seen("10.0.0.8", MAC, 3)], "10.0.0.9"),  # but the UUID does
        ([seen("10.0.0.9", "", 1), seen("10.0.0.8", "", 1)], None),  # two say they are it
        ([seen("10.0.0.9")], None),
        ([], None),
    ],
)
def test_where_a_lost_camera_is(sightings: list[Sighting], host: str | None) -> None:
    assert found_again([GATE], sightings).get("gate") == host


def test_two_that_swapped_addresses_are_both_found() -> None:
    yard = GATE.model_copy(update={"name": "yard", "mac": OTHER_MAC, "endpoint": UUID(int=2)}).moved_to(
        "10.0.0.8"
    )
    hosts = found_again([GATE, yard], [seen("10.0.0.7", OTHER_MAC, 2), seen("10.0.0.8", MAC, 1)])
    assert hosts == {"gate": "10.0.0.8", "yard": "10.0.0.7"}


def test_only_the_host_changes_when_a_camera_moves() -> None:
    moved = GATE.moved_to("10.0.0.9")
    assert moved.onvif_url == "http://10.0.0.9:8080/onvif/device_service"
    assert moved.detect_url == "rtsp://10.0.0.9:8554/sub?a=1"
    assert moved.picture_url == "rtsp://10.0.0.9/main"
    assert (
        moved.model_copy(
            update={field: getattr(GATE, field) for field in ("onvif_url", "detect_url", "picture_url")}
        )
        == GATE
    )


class Watched:
    """A camera as the follower sees it: a cause, and where it was told to go."""

    def __init__(self, home: Path) -> None:
        register.save(home, [GATE])
        self.cause = "ok"
        self.moves: list[str] = []
        self.searches = 0
        self.seen: tuple[Sighting, ...] = ()
        self.clock = FakeClock()
        followed = Followed(GATE, lambda: self.cause, lambda entry: self.moves.append(entry.host))
        self.follower = Follower(home, [followed], self.clock, self._look)

    def _look(self) -> tuple[Sighting, ...]:
        self.searches += 1
        return self.seen

    def round_after(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.follower.round(self.clock.monotonic())


def test_nobody_is_looked_for_while_all_is_well_or_for_a_short_while(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.round_after(100)
    watched.cause = "unreachable"
    watched.round_after(1)
    watched.round_after(10)
    watched.cause = "ok"
    watched.round_after(1)
    watched.cause = "unreachable"
    watched.round_after(10)
    assert watched.searches == 0


@pytest.mark.parametrize("cause", ["unreachable", "refused", "camera-swapped"])
def test_a_lost_camera_is_followed_and_the_register_says_so(tmp_path: Path, cause: str) -> None:
    watched = Watched(tmp_path)
    watched.cause, watched.seen = cause, (seen("10.0.0.9", MAC, 1),)
    watched.round_after(1)
    watched.round_after(20)
    assert watched.moves == ["10.0.0.9"]
    assert register.load(tmp_path)[0] == GATE.moved_to("10.0.0.9")


def test_a_camera_that_is_gone_for_good_is_looked_for_ever_less_often(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.cause = "unreachable"
    for _ in range(3600):
        watched.round_after(2)
    assert 10 <= watched.searches <= 20
    assert watched.moves == []


def test_what_a_person_wrote_into_the_register_is_taken_up(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    register.save(tmp_path, [GATE.moved_to("10.0.0.50")])
    watched.round_after(2)
    watched.round_after(2)
    assert watched.moves == ["10.0.0.50"]


def test_a_mac_of_nobody_is_none() -> None:
    assert normal_mac("00:00:00:00:00:00") == ""


@pytest.mark.parametrize(
    ("said_s", "dated_s", "offset_s", "in_doubt"),
    [
        (0.2, 0.3, 0.2, False),
        (3600.0, 3600.0, 3600.0, False),  # an hour off in truth: both say so
        (25_200.0, 0.4, 0.4, False),  # Vietnam's time called UTC
        (-20_700.0, 0.4, 0.4, False),
        (25_200.0, None, 25_200.0, True),  # no date to tell by
        (100.0, None, 100.0, False),
        (0.4, 25_200.0, 0.4, False),  # the date of the answer is the liar
        (86_400.0, 0.2, 86_400.0, False),  # no time zone is a day wide
        (None, 90.0, 90.0, False),
        (None, None, None, False),
    ],
)
def test_which_clock_is_believed(
    said_s: float | None, dated_s: float | None, offset_s: float | None, in_doubt: bool
) -> None:
    assert clock_offset(said_s, dated_s) == (offset_s, in_doubt)
