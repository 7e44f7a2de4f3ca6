"""What does the officer look for? The search form's fields, as they stand in the address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from collector.archive.period import period
from collector.archive.search import Cursor, Question
from shared.errors import NeedsFixing
from shared.localtime import VIETNAM
from shared.messages import Colour, Kind

PAGE = 48  # cards: full rows of 2, 3, 4 and 6
_WRITTEN = "%d/%m/%Y %H:%M"


class FilterInvalid(NeedsFixing):
    """An address that our form cannot have made."""

    key = "filter-invalid"


@dataclass(frozen=True, slots=True)
class Filter:
    """The fields as typed, so that the form shows them again even when they make no sense."""

    since: str = ""
    until: str = ""
    kinds: tuple[str, ...] = ()
    site: str = ""
    camera: str = ""
    before: str = ""
    colours: tuple[str, ...] = ()

    @classmethod
    def read(cls, query: QueryParams) -> Filter:
        return cls(
            since=query.get("from", "").strip(),
            until=query.get("to", "").strip(),
            kinds=tuple(dict.fromkeys(query.getlist("kind"))),
            colours=tuple(dict.fromkeys(query.getlist("colour"))),
            site=query.get("site", "").strip(),
            camera=query.get("camera", "").strip(),
            before=query.get("before", "").strip(),
        )

    def question(self) -> Question:
        """Raises DateInvalid, PeriodReversed, FilterInvalid."""
        since, until = period(self.since, self.until)
        try:
            return Question(
                since=since,
                until=until,
                kinds=tuple(Kind(kind) for kind in self.kinds),
                colours=tuple(Colour(colour) for colour in self.colours),
                sites=(self.site,) if self.site else (),
                cameras=(self.camera,) if self.camera else (),
                before=Cursor.parse(self.before) if self.before else None,
                limit=PAGE,
            )
        except (ValueError, OverflowError) as error:
            raise FilterInvalid from error

    def query(self) -> str:
        """Return the part of an address behind the question mark; empty fields are left out."""
        fields = [
            ("from", self.since),
            ("to", self.until),
            *(("kind", kind) for kind in self.kinds),
            *(("colour", colour) for colour in self.colours),
            ("site", self.site),
            ("camera", self.camera),
            ("before", self.before),
        ]
        return urlencode([(name, value) for name, value in fields if value])

    def then(self, cursor: Cursor) -> Filter:
        return replace(self, before=cursor.written())

    @property
    def is_open(self) -> bool:
        """Say whether nothing is filtered."""
        return replace(self, before="") == Filter()


def quick_ranges(chosen: Filter, now: datetime) -> list[tuple[str, Filter]]:
    """Return the stretches officers ask for most, as filters with fixed times: a saved address stays true."""
    local = now.astimezone(VIETNAM)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    evening = midnight - timedelta(hours=6)
    ranges = {
        "hour": (local - timedelta(hours=1), None),
        "today": (midnight, None),
        "last-night": (evening, midnight + timedelta(hours=6)),
        "yesterday": (midnight - timedelta(days=1), midnight - timedelta(minutes=1)),
        "week": (midnight - timedelta(days=6), None),
    }
    return [
        (
            name,
            replace(
                chosen,
                since=since.strftime(_WRITTEN),
                until=until.strftime(_WRITTEN) if until else "",
                before="",
            ),
        )
        for name, (since, until) in ranges.items()
    ]
