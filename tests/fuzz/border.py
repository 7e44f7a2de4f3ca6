"""What is a border? A place where bytes of somebody else's become something of ours, or are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

Taker = Callable[[bytes], object]


@dataclass(frozen=True)
class Border:
    """`refusals`: what it is documented to raise. Anything else that comes out of it is a fault of ours."""

    name: str
    opened: Callable[[], AbstractContextManager[Taker]]
    seeds: tuple[bytes, ...]  # sound messages, to be spoilt
    refusals: tuple[type[Exception], ...] = ()
    max_bytes: int = 262_144  # what can come at once: the broker's packet, unless something else limits it


def simply(take: Taker) -> Callable[[], AbstractContextManager[Taker]]:
    """A border that needs nothing but the bytes."""

    @contextmanager
    def opened() -> Iterator[Taker]:
        yield take

    return opened


def refused_or_taken(border: Border, take: Taker, data: bytes) -> bool:
    """Return whether it was taken; what the border may not raise comes through."""
    try:
        take(data[: border.max_bytes])
    except border.refusals:
        return False
    return True
