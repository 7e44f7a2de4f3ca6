"""What do people read? One catalogue, Vietnamese first, English second: the files in `catalogue/`.

A text is found by its key (`errors.camera-refused.hint`) and filled with named facts. A key that
is missing is a bug, so it raises; a test walks the catalogue and the code so that none is.
"""

from __future__ import annotations

import os
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Language(StrEnum):
    VI = "vi"
    EN = "en"


@cache
def catalogue() -> dict[str, dict[Language, str]]:
    """Return every text by its key, in both languages."""
    texts: dict[str, dict[Language, str]] = {}
    for file in sorted(files("shared").joinpath("catalogue").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            _flatten(tomllib.loads(file.read_text(encoding="utf-8")), "", texts)
    return texts


def _flatten(tree: dict[str, Any], prefix: str, into: dict[str, dict[Language, str]]) -> None:
    for name, branch in tree.items():
        key = f"{prefix}{name}"
        if branch.keys() == {"vi", "en"}:
            into[key] = {Language(code): text for code, text in branch.items()}
        else:
            _flatten(branch, f"{key}.", into)


def chosen_language() -> Language:
    """Return the language of this terminal: Vietnamese unless ANNINH_LANGUAGE says en."""
    return Language.EN if os.environ.get("ANNINH_LANGUAGE", "").lower() == "en" else Language.VI


def text(key: str, language: Language | None = None, /, **facts: object) -> str:
    """Return the text of this key in one language, its {facts} filled in."""
    return catalogue()[key][language or chosen_language()].format(**facts)


def both(key: str, /, **facts: object) -> str:
    """Return both languages on one line, Vietnamese first: for command help."""
    return f"{text(key, Language.VI, **facts)} · {text(key, Language.EN, **facts)}"
