"""One station for the tests that only look; those that kill make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.station import Papers, Station


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station(tmp_path_factory.mktemp("commune") / "station") as station:
        yield station


@pytest.fixture(scope="session")
def ba(station: Station) -> Papers:
    """The papers of a site."""
    return station.enrol("nha-ong-ba")


@pytest.fixture(scope="session")
def tu(station: Station) -> Papers:
    """The papers of another."""
    return station.enrol("nha-ba-tu")
