from __future__ import annotations

from pathlib import Path

import pytest

from shared.disk import held


def test_a_lock_is_held_by_one_and_free_again_afterwards(tmp_path: Path) -> None:
    with held(tmp_path / "lock"), pytest.raises(BlockingIOError), held(tmp_path / "lock"):
        pytest.fail("two held it")
    with held(tmp_path / "lock"):
        pass
