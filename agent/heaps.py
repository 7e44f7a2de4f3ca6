"""Where do pictures live? In pages of their own, given back when let go of; not in a heap per thread.

glibc gives each thread a heap, up to eight per core, and returns nothing of one while a single piece
in it lives; pictures, made in one thread and let go of in another, filled them all. It also learns
from the first large piece it frees to keep all of that size: `_PICTURE` holds it to the small ones.
What is small still leaves holes: each heap keeps the pages of its largest moment, and as hours go by
moments get larger. `give_back` lets go of every page nothing lives in.

A page of one's own has a price: the kernel clears it at the first touch, and takes it back at the end.
The gate's scratch pictures come and go twenty times a frame; in pages of their own they made 765 faults
a frame and two thirds of its time (measured: 3.6 ms instead of 1.2). So they stay in the heaps, and a
heap keeps some room at its end between two frames.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_HEAPS = 2
_PICTURE = 256 * 1024  # bytes: a sub-stream's frame is 700,000, the gate's largest scratch picture 230,400
_ROOM = 16 * 1024 * 1024  # bytes free at a heap's end before it gives back by itself; glibc's own are 128 kB


def share_heaps() -> None:
    """Before any thread starts. A C library without heaps per thread (musl) has nothing to be told."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(_M_ARENA_MAX, _HEAPS)
        tell(_M_MMAP_THRESHOLD, _PICTURE)
        tell(_M_TRIM_THRESHOLD, _ROOM)


def give_back() -> None:
    """Once a minute; 3 ms of CPU for 120 MB of heaps (glibc). The GIL is free meanwhile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
