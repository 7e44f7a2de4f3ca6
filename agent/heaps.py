"""How many heaps may this program have? Two: pictures made in one thread are let go of in another.

glibc gives each thread a heap of its own, up to eight per core, and returns nothing of one while a
single piece in it lives. With eight cameras that was 4 GB an hour, measured, until all heaps were full.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h
_HEAPS = 2


def share_heaps() -> None:
    """Before any thread starts. A C library without heaps per thread (musl) has nothing to be told."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(_M_ARENA_MAX, _HEAPS)
