from __future__ import annotations

import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent
import collector
import shared
from agent.health import KNOWN
from shared.errors import AnninhError, NeedsFixing, TryLater
from shared.texts import Language, both, catalogue, text

_CALL = re.compile(r'\b(?:text|both|say)\(\s*(f?)"([a-z0-9_.{}-]+?)"')
_VIETNAMESE = re.compile("[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]", re.IGNORECASE)
_VIETNAMESE_BY_RIGHT = {"collector/settings.py"}  # the station's default name is data, not a text

for room in (agent, collector, shared):  # here, because urllib3 tries IPv6 when it is imported
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def sources() -> Iterator[Path]:
    for room in (agent, collector, shared):
        yield from sorted(Path(room.__path__[0]).rglob("*.py"))


def place(path: Path) -> str:
    """The file's path as the repository or the wheel has it."""
    return str(path.relative_to(Path(agent.__path__[0]).parent))


def test_every_text_has_both_languages_with_the_same_facts() -> None:
    for key, texts in catalogue().items():
        assert texts[Language.VI].strip(), key
        assert texts[Language.EN].strip(), key
        assert fields(texts[Language.VI]) == fields(texts[Language.EN]), key


def test_every_key_in_the_code_is_in_the_catalogue() -> None:
    missing = []
    for path in sources():
        for formatted, key in _CALL.findall(path.read_text(encoding="utf-8")):
            if formatted:  # f"kind.{kind}": the part before the brace must be a branch
                found = any(known.startswith(key.split("{")[0]) for known in catalogue())
            else:
                found = key in catalogue()
            if not found and "." in key:
                missing.append(f"{place(path)}: {key}")
    assert missing == []


def test_no_vietnamese_sentence_hides_in_the_code() -> None:
    hidden = [
        place(path)
        for path in sources()
        if _VIETNAMESE.search(_without_docstrings(path.read_text(encoding="utf-8")))
    ]
    assert [name for name in hidden if name not in _VIETNAMESE_BY_RIGHT] == []


def _without_docstrings(source: str) -> str:
    return re.sub(r'"""(.*?)"""|#[^\n]*', "", source, flags=re.DOTALL)


def test_every_error_says_what_happened_and_what_to_do() -> None:
    leaves = [error for root in (NeedsFixing, TryLater) for error in _below(root)]
    assert len(leaves) > 10
    for error in leaves:
        for part in ("what", "hint"):
            assert f"errors.{error.key}.{part}" in catalogue(), error


def _below(error: type[AnninhError]) -> Iterator[type[AnninhError]]:
    for child in error.__subclasses__():
        if "key" in child.__dict__:
            yield child
        yield from _below(child)


def test_every_known_problem_has_a_sentence_and_something_to_do() -> None:
    for code in KNOWN:
        assert f"problems.{code}.what" in catalogue()
        assert f"problems.{code}.do" in catalogue()


def test_a_missing_key_is_a_bug_that_shows() -> None:
    with pytest.raises(KeyError):
        text("no.such.text")


def test_the_terminal_speaks_vietnamese_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNINH_LANGUAGE", raising=False)
    assert text("kind.person") == "người"
    monkeypatch.setenv("ANNINH_LANGUAGE", "en")
    assert text("kind.person") == "person"
    assert both("kind.person") == "người · person"
