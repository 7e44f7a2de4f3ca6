"""How long does it hold? python -m tests.fuzz --seconds 600 | --monsters | --atheris jpeg --seconds 60

Without a name every border in turn gets its part of the time. --monsters: everything that is large in
some way, under limits of memory and processor time. --atheris: libFuzzer, guided by what is reached
(`pip install --group fuzz`); its findings go to .build/fuzz.
"""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.conftest import REPOSITORY
from tests.fuzz.border import Border, Taker, refused_or_taken
from tests.fuzz.borders import BORDERS
from tests.fuzz.spoilt import documents, monsters

_MEMORY_BYTES = 512 << 20  # above what the program has when it begins
_PROCESSOR_S = 20.0  # for one input; the slowest takes two
_MOST_BYTES = 512 << 10  # what grows with the square of it shows
_DRAWN_AT_ONCE = 500
_FOLDER = REPOSITORY / ".build" / "fuzz"


class TooLongError(Exception):
    """One input has used up its processor time."""


def main() -> int:
    logging.disable(logging.CRITICAL)  # millions of refusals are not news here
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--seconds", type=float, default=60)
    reader.add_argument("--border", action="append", choices=[border.name for border in BORDERS])
    reader.add_argument("--monsters", action="store_true")
    reader.add_argument("--atheris", choices=[border.name for border in BORDERS])
    said = reader.parse_args()
    chosen = [border for border in BORDERS if not said.border or border.name in said.border]
    if said.atheris:
        return _guided(next(border for border in BORDERS if border.name == said.atheris), said.seconds)
    if said.monsters:
        return _fed_with_monsters(chosen)
    return sum(_drawn(border, said.seconds / len(chosen)) for border in chosen)


def _drawn(border: Border, seconds: float) -> int:
    """Draw until the time is over; return 1 when something broke."""
    until_s, inputs = time.monotonic() + seconds, 0
    with border.opened() as take:

        @settings(
            max_examples=_DRAWN_AT_ONCE, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(documents(border.seeds))
        def spoil(data: bytes) -> None:
            nonlocal inputs
            inputs += 1
            refused_or_taken(border, take, data)

        try:
            while time.monotonic() < until_s:
                spoil()
        except Exception:  # noqa: BLE001 -- a finding: the other borders want their turn too
            traceback.print_exc()
            return 1
        finally:
            print(f"{border.name:34} {inputs:8} inputs", flush=True)
    return 0


def _fed_with_monsters(borders: Sequence[Border]) -> int:
    signal.signal(signal.SIGVTALRM, _too_long)
    program_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (program_bytes + _MEMORY_BYTES,) * 2)
    return sum(_fed(border) for border in borders)


def _fed(border: Border) -> int:
    began_s, slowest_s, failed = time.process_time(), 0.0, 0
    size = min(border.max_bytes, _MOST_BYTES)
    with border.opened() as take:
        for name, data in (pair for seed in border.seeds[:1] for pair in monsters(seed, size)):
            before_s = time.process_time()
            failed += _eaten(border, take, name, data)
            slowest_s = max(slowest_s, time.process_time() - before_s)
    print(f"{border.name:34} {time.process_time() - began_s:6.1f} s, slowest {slowest_s:5.2f} s", flush=True)
    return failed


def _eaten(border: Border, take: Taker, name: str, data: bytes) -> int:
    signal.setitimer(signal.ITIMER_VIRTUAL, _PROCESSOR_S)
    try:
        refused_or_taken(border, take, data)
    except Exception as error:  # noqa: BLE001 -- a finding: there may be more
        print(f"! {border.name}, {name}: {error!r:.200}")
        traceback.print_exc(limit=-4)
        return 1
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return 0


def _too_long(*_: object) -> None:
    raise TooLongError


def _guided(border: Border, seconds: float) -> int:
    """Run in a process of its own: libFuzzer ends its process when it is done."""
    corpus = _FOLDER / border.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(border.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds:.0f}", f"-max_len={min(border.max_bytes, 65_536)}",
               "-rss_limit_mb=2048", "-timeout=20", f"-artifact_prefix={_FOLDER}/{border.name}-"]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", border.name, *options, str(corpus)], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(min(main(), 1))
