from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(
    not (REPOSITORY / "packaging").is_dir(), reason="the wheel is tested without the repository"
)
DOCUMENTS = sorted(
    path
    for path in REPOSITORY.rglob("*.md")
    if not {".venv", ".venv-yolo", ".build", "node_modules"} & set(path.relative_to(REPOSITORY).parts)
)
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)")
_FILE = re.compile(r"`((?:agent|collector|shared|tests|packaging|systemd)/[\w./-]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_and_every_file_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in _LINK.findall(text):
        assert (document.parent / target).exists(), target
    for target in _FILE.findall(text):
        assert (REPOSITORY / target).exists(), target


def test_every_room_says_its_rule_at_its_door() -> None:
    for room in ("agent", "collector", "shared"):
        assert "rule of this room" in (REPOSITORY / room / "README.md").read_text(encoding="utf-8")
