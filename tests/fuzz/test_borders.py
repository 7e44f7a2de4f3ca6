"""Whatever is said to us: a verdict or a refusal, never another exception, and no memory without end.

A few seconds here. The long form is `python -m tests.fuzz --seconds 600`, and atheris goes where no
strategy does: `python -m tests.fuzz --atheris jpeg --seconds 60`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings

from collector.intake.ingest import Refused
from tests.conftest import REPOSITORY
from tests.fuzz.border import Border, refused_or_taken
from tests.fuzz.borders import BORDERS
from tests.fuzz.found import FOUND
from tests.fuzz.spoilt import documents

_EXAMPLES = 40  # per border; thousands in the long form

all_borders = pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.name)


@all_borders
def test_what_is_sound_is_taken(border: Border) -> None:
    """Else the rest of this file would spoil what was never any good."""
    with border.opened() as take:
        for seed in border.seeds:
            verdict = take(seed) if border.name not in _REFUSED_SEEDS else None
            assert not isinstance(verdict, Refused), verdict


# a signature that stands in no file, and channels the station does not keep anything of yet
_REFUSED_SEEDS = frozenset({"ingest-envelope", "ingest-reply", "ingest-frame"})


@all_borders
def test_a_border_takes_or_refuses_and_does_nothing_else(border: Border) -> None:
    with border.opened() as take:

        @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(documents(border.seeds))
        def spoil(data: bytes) -> None:
            refused_or_taken(border, take, data)

        spoil()


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_once_broke_a_border_is_refused_today(name: str, data: bytes) -> None:
    border = next(border for border in BORDERS if border.name == name)
    with border.opened() as take:
        refused_or_taken(border, take, data)


@pytest.mark.timeout(300)
def test_nothing_that_can_come_at_once_takes_much_memory_or_time() -> None:
    """In a process of its own, which the kernel ends at a limit."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--monsters"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
