"""Nobody starves, whatever arrives when: the promise of `agent.vision.turns`."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.vision.turns import Turns

Pattern = list[tuple[set[int], set[int]]]  # per look: who has a new frame since the last, who is in a hurry


def patterns(count: int) -> st.SearchStrategy[Pattern]:
    cameras = st.sets(st.integers(0, count - 1))
    return st.lists(st.tuples(cameras, cameras), min_size=1, max_size=120)


towns = st.integers(1, 9).flatmap(lambda count: st.tuples(st.just(count), patterns(count)))


@given(towns)
def test_nobody_who_waits_sees_more_than_twice_everybodys_looks_go_to_others(
    town: tuple[int, Pattern],
) -> None:
    count, pattern = town
    turns, waited = Turns(count), dict[int, int]()
    for arrived, hurried in pattern:
        for camera in arrived:
            waited.setdefault(camera, 0)
        taken = turns.next(waited, hurried)
        assert (taken is None) == (not waited)
        if taken is None:
            continue
        assert taken in waited
        del waited[taken]
        for camera in waited:
            waited[camera] += 1
            assert waited[camera] <= 2 * count - 2


@given(towns)
def test_two_are_never_let_past_one_after_the_other(town: tuple[int, Pattern]) -> None:
    count, pattern = town
    turns, order, favours = Turns(count), list(range(count)), list[bool]()
    for arrived, hurried in pattern:
        taken = turns.next(arrived, hurried)
        if taken is None:
            continue
        favours.append(taken != next(camera for camera in order if camera in arrived))
        order.remove(taken)
        order.append(taken)
    assert not any(one and other for one, other in pairwise(favours))


@given(st.integers(2, 9), st.data())
def test_when_all_always_wait_looks_are_even_whoever_hurries(count: int, data: st.DataObject) -> None:
    hurried = data.draw(st.sets(st.integers(0, count - 1)))
    turns = Turns(count)
    looks = Counter(turns.next(range(count), hurried) for _ in range(200 * count))
    assert len(looks) == count
    assert min(looks.values()) >= 0.8 * max(looks.values())


def test_skips_are_even_when_frames_come_at_random() -> None:
    """Eight cameras at 5 fps on a detector of 15 looks a second: each is looked at about as often."""
    chance, turns, waiting = random.Random(4), Turns(8), set[int]()
    looks: Counter[int] = Counter()
    for _ in range(15 * 600):
        waiting |= {camera for camera in range(8) if chance.random() < 5 / 15}
        taken = turns.next(waiting, {0} if chance.random() < 0.5 else ())
        if taken is not None:
            waiting.remove(taken)
            looks[taken] += 1
    assert min(looks.values()) >= 0.8 * max(looks.values())


def test_who_confirms_is_let_past_twice_and_then_waits_its_turn() -> None:
    turns = Turns(4)
    taken = [turns.next(range(4), {3}) for _ in range(12)]
    assert taken == [3, 0, 3, 1, 2, 0, 3, 1, 2, 0, 3, 1]


def test_favours_come_back_with_looks() -> None:
    turns = Turns(3)
    first = [turns.next(range(3), {2}) for _ in range(5)]
    assert first == [2, 0, 2, 1, 0]
    for camera in [*[2] * 10, 0, 1, 2]:
        turns.next({camera})
    assert turns.next(range(3), {2}) == 2


def test_whoever_never_waits_costs_nothing() -> None:
    turns = Turns(3)
    assert [turns.next({1}) for _ in range(3)] == [1, 1, 1]
    assert turns.next(()) is None
    assert turns.next({0, 1, 2}) == 0
