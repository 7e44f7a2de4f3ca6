"""What does libFuzzer find when it sees which branches of ours an input reaches? `tests.fuzz` starts it."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["agent", "collector", "shared"]):
    from tests.fuzz.border import refused_or_taken
    from tests.fuzz.borders import BORDERS


def main() -> None:
    logging.disable(logging.CRITICAL)
    name = sys.argv.pop(1)
    border = next(border for border in BORDERS if border.name == name)
    with border.opened() as take:
        atheris.Setup(sys.argv, lambda data: refused_or_taken(border, take, data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
