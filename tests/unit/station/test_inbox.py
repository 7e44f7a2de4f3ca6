"""The inbox takes what fits, and says no to the rest."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from collector.intake.enrolment_endpoint import REQUESTS_PER_MINUTE, AddressLimit
from collector.intake.inbox import Inbox, Letter
from collector.intake.ingest import Delivery


def letter(size: int = 1) -> Letter:
    return Letter(Delivery("t", b"x" * size, datetime(2026, 11, 23, tzinfo=UTC)), 1, 1)


def test_a_full_inbox_turns_away_by_count_and_by_bytes_until_emptied() -> None:
    by_count, by_bytes = Inbox(2, 1000), Inbox(1000, 2)
    for inbox in (by_count, by_bytes):
        assert [inbox.put(letter()) for _ in range(3)] == [True, True, False]
        assert inbox.turned_away == 1
        assert len(inbox.take(10, 0, 0)) == 2
        assert inbox.put(letter())


def test_half_full_by_count_or_by_bytes_it_asks_to_wait_until_emptied() -> None:
    for inbox in (Inbox(4, 1000), Inbox(1000, 4)):
        inbox.put(letter())
        assert not inbox.is_filling
        inbox.put(letter())
        assert inbox.is_filling
        inbox.take(1, 0, 0)
        assert not inbox.is_filling


def test_letters_come_out_in_order_and_no_more_than_asked_for() -> None:
    inbox = Inbox()
    letters = [letter(size) for size in range(5)]
    for one in letters:
        inbox.put(one)
    assert inbox.take(3, 0, 0) + inbox.take(3, 0, 0) == letters
    assert inbox.take(3, 0, 0) == []


def test_a_closed_inbox_gives_out_what_it_holds_and_takes_nothing() -> None:
    inbox = Inbox()
    inbox.put(letter())
    inbox.close()
    assert not inbox.put(letter())
    assert len(inbox.take(10, 60, 60)) == 1


def test_an_address_may_ask_so_often_a_minute_and_others_are_not_held_up() -> None:
    now_s = [0.0]
    limit = AddressLimit(lambda: now_s[0])
    assert all(limit.allows("10.0.0.1") for _ in range(REQUESTS_PER_MINUTE))
    assert not limit.allows("10.0.0.1")
    assert limit.allows("10.0.0.2")
    now_s[0] = 61.0
    assert limit.allows("10.0.0.1")


def test_the_taker_is_woken_by_the_first_letter_and_once_more_by_enough_company() -> None:
    inbox = Inbox()
    batches: list[int] = []

    def take() -> None:
        batches.append(len(inbox.take(50, wait_s=30, gather_s=30)))

    taker = threading.Thread(target=take)
    taker.start()
    for _ in range(50):
        inbox.put(letter())
    taker.join(20)
    assert batches == [50]


def test_a_letter_without_company_is_not_kept_waiting_for_it() -> None:
    inbox = Inbox()
    inbox.put(letter())
    assert len(inbox.take(500, wait_s=30, gather_s=0.01)) == 1
