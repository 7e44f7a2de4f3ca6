"""What a station wishes of a site reaches a real agent's ear, and what it makes of it comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.configuration import Configuration
from shared.topics import down_configuration
from tests.station import Box, Papers, Station, wait_until

SITE = "nha-ba-tu"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Station, Papers]]:
    with Station(tmp_path_factory.mktemp("configuration") / "station") as station:
        yield station, station.enrol(SITE)


def heard_by(house: tuple[Station, Papers]) -> list[Configuration]:
    station, papers = house
    found: list[Configuration] = []

    def take() -> bool:
        found[:] = [
            Configuration.model_validate_json(body)
            for topic, body in list(one.heard.others)
            if topic == down_configuration(SITE)
        ]
        return bool(found)

    with Box(papers, station.broker_port, more_topics=(down_configuration(SITE),)) as one:
        wait_until(take)
    return found


def test_a_wish_lies_there_whenever_the_site_comes(house: tuple[Station, Papers]) -> None:
    station, _ = house
    station.command("config", SITE, "--set", "uplink_kbps=256", "--set", "quiet_hours=22:00-06:00")
    (wish,) = heard_by(house)
    assert (wish.revision, wish.uplink_kbps, wish.quiet_hours) == (1, 256, "22:00-06:00")
    assert heard_by(house) == [wish]  # a box that was away finds it too


def test_a_later_wish_keeps_what_was_said_before(house: tuple[Station, Papers], tmp_path: Path) -> None:
    station, _ = house
    zones = tmp_path / "zones.toml"
    zones.write_text("[cong-truoc]\nmin_height = 0.05\n")
    said = station.command("config", SITE, "--set", "uplink_kbps=", "--zones", str(zones), "--json")
    (shown,) = json.loads(said)
    assert shown["desired"]["revision"] == 2
    assert shown["desired"]["quiet_hours"] == "22:00-06:00"
    assert "uplink_kbps" not in shown["desired"]
    assert shown["standing"] == "waiting"
    wait_until(lambda: heard_by(house)[-1].revision == 2)
    assert heard_by(house)[-1].zones == {"cong-truoc": {"min_height": 0.05}}


@pytest.mark.parametrize("wrong", ["uplink_kbps=-1", "quiet_hours=late", "masks=none", "uplink_kbps"])
def test_a_wrong_wish_is_two_lines_and_nothing_is_kept(house: tuple[Station, Papers], wrong: str) -> None:
    station, _ = house
    before = station.command("config", SITE, "--json")
    refused = station.attempt("config", SITE, "--set", wrong)
    assert refused.returncode == 2
    assert wrong.partition("=")[0] in refused.stderr
    assert "Traceback" not in refused.stderr
    assert station.command("config", SITE, "--json") == before
