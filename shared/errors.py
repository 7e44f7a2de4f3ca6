"""What can go wrong, and what should a person do about it? The roots of the tree of errors.

    AnninhError
    ├── NeedsFixing      exit code 2: somebody must change something
    └── TryLater         exit code 75: the same command may well succeed later

Every concrete error lives beside the code that raises it, names its texts by `key` and carries
facts. The catalogue holds `errors.<key>.what` and `errors.<key>.hint` (the hint in the imperative);
a test walks the subclasses and fails when a text is missing.
"""

from __future__ import annotations

from typing import ClassVar

from shared.texts import Language, text


class AnninhError(Exception):
    """Something a person can act on; never raised itself."""

    key: ClassVar[str]
    exit_code: ClassVar[int]

    def __init__(self, **facts: object) -> None:
        super().__init__(self.key, facts)
        self.facts = facts

    def what(self, language: Language | None = None) -> str:
        return text(f"errors.{self.key}.what", language, **self.facts)

    def hint(self, language: Language | None = None) -> str:
        return text(f"errors.{self.key}.hint", language, **self.facts)

    def __str__(self) -> str:
        return f"{self.what(Language.EN)} {self.hint(Language.EN)}"


class NeedsFixing(AnninhError):  # noqa: N818 -- reads as a sentence where it is raised
    """The input, the configuration or the machine must change first."""

    exit_code = 2


class TryLater(AnninhError):  # noqa: N818
    """Nothing is wrong with what was asked; something else is not there right now (EX_TEMPFAIL)."""

    exit_code = 75


class SettingUnknown(NeedsFixing):
    key = "setting-unknown"


class SettingInvalid(NeedsFixing):
    key = "setting-invalid"


class FileUnreadable(NeedsFixing):
    key = "file-unreadable"


class ExtraMissing(NeedsFixing):
    """This half of An Ninh is not installed here."""

    key = "extra-missing"
