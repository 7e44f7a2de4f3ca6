"""How fast is every fault noticed and healed? Prints a table.

    sudo .venv/bin/python -m tests.integration.lan.fault_table [FAULT...]

`noticed`: from the fault until the camera's health says it is down. `recovered`: from the camera's return
until its first fresh frame is in the consumer's hands. `oldest`: of all frames from the fault on, by their
pixels. `gap`: the longest time without a frame.
"""

from __future__ import annotations

import logging
import sys

from tests.conftest import VTEST
from tests.integration.cameras.scene import Scene
from tests.integration.lan.faults import FAULTS, Row, measure
from tests.virtual_camera import prepare

HEAD = f"{'fault':18} {'noticed':>8} {'recovered':>9} {'oldest':>7} {'gap':>6}  causes"


def line(row: Row) -> str:
    """One row, seconds; a dash where the stream was never lost, or nothing had to come back."""
    noticed, recovered = (
        "-" if value is None else f"{value:.1f}" for value in (row.noticed_s, row.recovered_s)
    )
    times = f"{noticed:>8} {recovered:>9} {row.oldest_s:7.1f} {row.longest_gap_s:6.1f}"
    return f"{row.fault:18} {times}  {', '.join(row.causes)}"


def main() -> None:
    logging.disable(logging.WARNING)
    clip = prepare(VTEST)
    scene = Scene(clip.sub)
    print(HEAD, flush=True)
    for fault in FAULTS:
        if fault.__name__ in sys.argv[1:] or not sys.argv[1:]:
            print(line(measure(fault, clip, scene)), flush=True)


if __name__ == "__main__":
    main()
