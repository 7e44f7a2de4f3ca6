"""While the agent watches, somebody draws a mask: from then on it is in every picture the station gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.vision.frame import Image
from tests.e2e.street import PREPARED_MODELS, Street

pytestmark = [pytest.mark.timeout(300)]
_BLACK = 24  # grey levels; JPEG rings a little beside an edge
_SETTLE = timedelta(seconds=5)  # the file's time is looked at once a second; the rest is a margin


@pytest.fixture
def street(tmp_path: Path, street_clip: Path) -> Iterator[Street]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    street = Street(tmp_path / "street", street_clip, quiet=True)
    with street.children:
        street.build()
        street.find_person()
        yield street


def black_columns(image: Image) -> float:
    """Share of the columns that are black from top to bottom."""
    return float((np.percentile(image.max(axis=2), 98, axis=0) < _BLACK).mean())


def pictures_of_new_people(street: Street, since: datetime, folder: Path) -> list[Image]:
    """Thumbnails of events that began after that moment."""
    found = []
    for event in street.search("--kind", "person", "--limit", "20", "--thumbnails", str(folder)):
        if datetime.fromisoformat(event["started_at"]) > since and event["thumbnail"]:
            found += [cv2.imread(str(path)) for path in folder.glob(f"*{event['thumbnail']}*")]
    return [image for image in found if image is not None]


def test_a_mask_drawn_while_the_agent_runs_is_in_every_picture_after(street: Street, tmp_path: Path) -> None:
    (camera,) = json.loads(street.call("agent", "cameras", "list", "--json"))
    fences = [f"{x:.2f},0 {x + 0.02:.2f},0 {x + 0.02:.2f},1 {x:.2f},1" for x in np.arange(0.02, 0.98, 0.06)]
    masks = [option for fence in fences for option in ("--mask", fence)]
    before = pictures_of_new_people(street, datetime(2026, 1, 1, tzinfo=UTC), tmp_path / "before")
    assert before
    assert max(map(black_columns, before)) < 0.05

    said = street.call("agent", "aim", camera["name"], *masks, "--save")
    assert "agent run" in said
    since = datetime.now(UTC) + _SETTLE

    def enough() -> list[Image]:
        seen = pictures_of_new_people(street, since, tmp_path / "after")
        return seen if len(seen) >= 3 else []

    after: Any = street.wait_until(enough, "three people behind the fence have a picture")
    assert min(map(black_columns, after)) > 0.15  # a third of the width is fence
