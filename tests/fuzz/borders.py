"""Which borders are there? All of them, at the station and at the box."""

from __future__ import annotations

from tests.fuzz import at_the_box, at_the_station
from tests.fuzz.border import Border

BORDERS: tuple[Border, ...] = (*at_the_station.BORDERS, *at_the_box.BORDERS)
