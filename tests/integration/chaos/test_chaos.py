"""One short seed of what `python -m tests.integration.chaos` does with ten long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.chaos.__main__ import one_seed


@pytest.mark.timeout(180)
def test_whatever_is_killed_cut_filled_or_broken_nothing_is_lost_untold_or_stored_twice(
    tmp_path: Path,
) -> None:
    outcome = one_seed(2, 8.0, tmp_path / "street")
    assert outcome.verdict.breaches == []
    assert outcome.verdict.lost == outcome.verdict.twice == 0
    assert outcome.verdict.stored > 0
    assert outcome.verdict.gaps_reported == outcome.verdict.gaps_made
    assert min(outcome.kills) > 0
