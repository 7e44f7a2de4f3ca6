"""Does this processor multiply bytes without losing any? Only there is INT8 as good as it was measured.

An x86 processor without VNNI adds two products of bytes in sixteen bits. 2 x 255 x 127 does not fit: what is
over is cut off, and a bright place under large weights comes out darker than it is. VNNI (Intel since 2019 in
notebooks and 2021 in small boxes, AMD since Zen 4) adds in thirty-two bits; so does every Arm.
"""

from __future__ import annotations

import platform
from pathlib import Path

_X86 = {"x86_64", "amd64", "i686", "i386"}
_ADDS_WIDE = {"avx512_vnni", "avx_vnni"}
_TOLD = Path("/proc/cpuinfo")


def is_exact() -> bool:
    """Is it so here? Where the system does not tell: no."""
    try:
        told = _TOLD.read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    return tells_exact(told, platform.machine())


def tells_exact(cpuinfo: str, machine: str) -> bool:
    """Read it off what Linux says of a processor."""
    if machine.lower() not in _X86:
        return True
    flags = (line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags"))
    return not _ADDS_WIDE.isdisjoint(next(flags, []))
