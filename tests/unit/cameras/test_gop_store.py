from __future__ import annotations

from agent.cameras.pictures import NEAR_S, GopStore, KeptPacket


def fill(store: GopStore, packets: int, *, gop: int = 10, size: int = 100, fps: float = 10) -> None:
    for number in range(packets):
        store.add(KeptPacket(bytes(size), number, number % gop == 0, number / fps))


def test_the_group_of_the_nearest_picture_is_found() -> None:
    store = GopStore()
    fill(store, 50)
    found = store.around(2.34)
    assert found is not None
    group, wanted = found
    assert wanted == 23
    assert [packet.number for packet in group] == list(range(20, 30))
    assert group[0].is_key


def test_a_moment_too_far_from_any_picture_has_none() -> None:
    store = GopStore()
    assert store.around(1) is None
    fill(store, 20)
    assert store.around(1.9 + NEAR_S + 0.01) is None
    assert store.around(1.9 + NEAR_S - 0.01) is not None


def test_whole_groups_go_when_there_is_no_room() -> None:
    store = GopStore(max_bytes=2500)
    fill(store, 40)
    assert store.around(0.5) is None
    kept = store.around(3.5)
    assert kept is not None
    oldest = store.around(2.0)
    assert oldest is not None
    assert oldest[0][0].is_key


def test_one_group_larger_than_the_budget_is_not_kept() -> None:
    store = GopStore(max_bytes=500)
    fill(store, 10)
    assert store.around(0.9) is None
    fill(store, 3)
    assert store.around(0.1) is not None


def test_nothing_is_kept_before_a_key_frame() -> None:
    store = GopStore()
    store.add(KeptPacket(b"x", 1, is_key=False, monotonic_s=1.0))
    assert store.around(1.0) is None


def test_what_is_older_than_anybody_asks_for_goes_however_small_it_is() -> None:
    store = GopStore(max_s=3.0)
    fill(store, 100)
    assert store.around(5.4) is None
    oldest = store.around(6.9)
    assert oldest is not None
    assert oldest[0][0].number == 60
    store.clear()
    fill(store, 25)
    assert store.around(0.0) is not None, "a store that was cleared begins anew"
