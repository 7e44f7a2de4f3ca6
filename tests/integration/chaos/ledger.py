"""What did a site make? Written line by line beside the agent, on a disk that nobody fills or breaks."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID


class LedgerWriter:
    """What is noted with `last` is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, *, last: bool = False, **facts: Any) -> None:
        os.write(self._file, json.dumps(facts).encode() + b"\n")
        if last:
            os.fsync(self._file)


@dataclass(frozen=True, slots=True)
class Made:
    """One event message that `Outbox.put` returned for; number 0: kept in memory, the disk took nothing."""

    id: UUID
    event_id: UUID
    instance: str
    sequence: int
    picture: str | None  # SHA-256; its number is the next one


@dataclass(slots=True)
class Ledger:
    """Everything one site's sources wrote, over all their lives."""

    begun: set[UUID] = field(default_factory=set)  # ids handed to `put`, returned or not
    made: list[Made] = field(default_factory=list)
    tried: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # numbers by instance

    @classmethod
    def read(cls, path: Path) -> Ledger:
        ledger = cls()
        for line in path.read_text().splitlines() if path.exists() else ():
            facts = json.loads(line)
            if facts["what"] == "begun":
                ledger.begun.add(UUID(facts["id"]))
            elif facts["what"] == "signed":
                ledger.tried[facts["instance"]] |= {
                    facts["sequence"] + n for n in range(1 + facts["pictures"])
                }
            else:
                ledger.made.append(
                    Made(
                        UUID(facts["id"]), UUID(facts["event_id"]), facts["instance"], facts["sequence"],
                        facts["picture"],
                    )
                )  # fmt: skip
        return ledger
