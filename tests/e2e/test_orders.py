"""From the station's terminal to the house and back: commands, wishes, and what no station may overrule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shared.localtime import shown
from tests.e2e.street import PREPARED_MODELS, SITE, Street

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def street(tmp_path: Path, street_clip: Path) -> Iterator[Street]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    street = Street(tmp_path / "street", street_clip, quiet=True)
    with street.children:
        street.build()
        yield street


def asked(street: Street, *words: str) -> dict[str, Any]:
    """Give a command, wait for the house's answer, and return it as the station lists it."""
    street.call("collector", "command", SITE, *words, "--wait")
    return json.loads(street.call("collector", "commands", SITE, "--json"))[0]


def standing(street: Street) -> str:
    (one,) = json.loads(street.call("collector", "config", SITE, "--json"))
    return one["standing"]


def camera_at_the_station(street: Street) -> dict[str, Any]:
    ((camera,),) = (one["cameras"] for one in json.loads(street.call("collector", "agents", "--json")))
    return camera


def test_a_station_asks_and_the_household_has_the_last_word(street: Street) -> None:
    (camera,) = (one["name"] for one in json.loads(street.call("agent", "cameras", "list", "--json")))

    street.call("collector", "config", SITE, "--set", "uplink_kbps=4000")
    street.wait_until(lambda: standing(street) == "in-force", "the wish is obeyed")

    picture = asked(street, "test-frame", camera)
    assert (picture["outcome"], picture["why"]) == ("done", "")
    frame = street.folder / "frames" / f"{picture['id']}.jpg"
    street.wait_until(lambda: is_written(street, frame), "the picture is at the station")
    assert np.ptp(cv2.imread(str(frame))) > 50, "a picture of a street is not one grey"

    evening = shown(datetime.now(UTC) + timedelta(hours=3))
    assert asked(street, "pause", camera, "--until", evening)["outcome"] == "done"
    street.wait_until(
        lambda: camera_at_the_station(street)["cause"] == "paused-station", "the station's pause"
    )
    assert asked(street, "resume", camera)["outcome"] == "done"
    street.wait_until(lambda: camera_at_the_station(street)["state"] == "ok", "it watches again")

    street.call("agent", "pause", camera)
    street.wait_until(lambda: camera_at_the_station(street)["cause"] == "paused-household", "the household's")
    asked(street, "resume", camera)
    assert asked(street, "test-frame", camera)["why"] == "paused-household"
    assert camera_at_the_station(street)["cause"] == "paused-household", "no command lifts it"
    assert camera_at_the_station(street)["judged"] == "paused", "and it is nobody's fault"

    street.call("agent", "resume", camera)
    street.wait_until(lambda: camera_at_the_station(street)["state"] == "ok", "the household's own word does")
    assert SITE in street.call("collector", "verify", SITE)


def is_written(street: Street, path: Path) -> bool:
    street.call("collector", "commands", SITE, "--pictures", str(path.parent))
    return path.exists()
