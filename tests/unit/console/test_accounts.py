from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlite_utils

from collector.archive import accounts, sessions
from collector.archive.schema import STATION_MIGRATIONS, open_database

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def database(tmp_path: Path) -> sqlite_utils.Database:
    return open_database(tmp_path / "station.db", STATION_MIGRATIONS)


def test_the_first_account_has_a_one_time_password_that_must_be_changed(
    database: sqlite_utils.Database,
) -> None:
    name, password = accounts.create_first(database, NOW)
    assert name == "truc-ban"
    assert len(password.replace("-", "")) == 16
    assert accounts.verify(database, name, password, NOW)
    token = sessions.begin(database, name, NOW)
    found = sessions.find(database, token, NOW)
    assert found is not None
    assert found.must_change


def test_no_password_and_no_token_stands_in_the_database(tmp_path: Path) -> None:
    database = open_database(tmp_path / "station.db", STATION_MIGRATIONS)
    name, password = accounts.create_first(database, NOW)
    token = sessions.begin(database, name, NOW)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert password.encode() not in kept
    assert token.encode() not in kept
    assert b"$argon2id$" in kept


def test_five_wrong_passwords_lock_for_five_minutes_even_against_the_right_one(
    database: sqlite_utils.Database,
) -> None:
    name, password = accounts.create_first(database, NOW)
    for _ in range(5):
        assert not accounts.verify(database, name, "wrong", NOW)
    assert not accounts.verify(database, name, password, NOW + 4 * MINUTE)
    assert accounts.accounts(database, NOW + 4 * MINUTE)[0].locked_until == NOW + 5 * MINUTE
    assert accounts.verify(database, name, password, NOW + 5 * MINUTE)
    assert accounts.accounts(database, NOW)[0].locked_until is None


def test_a_right_password_forgets_the_wrong_ones_before_it(database: sqlite_utils.Database) -> None:
    name, password = accounts.create_first(database, NOW)
    for _ in range(3):
        for _ in range(4):
            assert not accounts.verify(database, name, "wrong", NOW)
        assert accounts.verify(database, name, password, NOW)


def test_a_lock_set_by_a_clock_years_ahead_does_not_hold_for_years(database: sqlite_utils.Database) -> None:
    name, password = accounts.create_first(database, NOW)
    for _ in range(5):
        accounts.verify(database, name, "wrong", NOW + timedelta(days=400))
    assert accounts.verify(database, name, password, NOW)


def test_an_unknown_account_costs_the_same_hashing(
    database: sqlite_utils.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    real = accounts._hasher.verify

    class Counting:
        hash = staticmethod(accounts._hasher.hash)

        @staticmethod
        def verify(stored: str, given: str) -> bool:
            hashed.append(stored)
            return real(stored, given)

    monkeypatch.setattr(accounts, "_hasher", Counting)
    accounts.create_first(database, NOW)
    assert not accounts.verify(database, "nobody", "wrong", NOW)
    assert not accounts.verify(database, "truc-ban", "wrong", NOW)
    parameters = [stored.split("$")[1:4] for stored in hashed]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


def test_a_password_is_the_same_however_its_accents_were_typed(database: sqlite_utils.Database) -> None:
    name, password = accounts.create_first(database, NOW)
    accounts.change_password(database, name, password, "trời hôm nay đẹp lắm", NOW)
    decomposed = "trời hôm nay đẹp lắm".replace("ờ", "o\u031b\u0300").replace("ẹ", "e\u0323")
    assert decomposed != "trời hôm nay đẹp lắm"
    assert accounts.verify(database, name, decomposed, NOW)


def test_a_new_password_must_be_long_and_new_and_its_owner_must_know_the_old(
    database: sqlite_utils.Database,
) -> None:
    name, password = accounts.create_first(database, NOW)
    with pytest.raises(accounts.PasswordShort):
        accounts.change_password(database, name, password, "ngắn quá", NOW)
    with pytest.raises(accounts.PasswordLong):
        accounts.change_password(database, name, password, "a" * 257, NOW)
    with pytest.raises(accounts.PasswordUnchanged):
        accounts.change_password(database, name, password, password, NOW)
    with pytest.raises(accounts.PasswordWrong):
        accounts.change_password(database, name, "wrong", "một câu đủ dài", NOW)
    assert accounts.verify(database, name, password, NOW)


def test_changing_or_resetting_a_password_ends_every_session_of_the_account(
    database: sqlite_utils.Database,
) -> None:
    name, password = accounts.create_first(database, NOW)
    accounts.create(database, "truc-ban-2", NOW)
    other = sessions.begin(database, "truc-ban-2", NOW)
    token = sessions.begin(database, name, NOW)
    accounts.change_password(database, name, password, "một câu đủ dài", NOW)
    assert sessions.find(database, token, NOW) is None
    token = sessions.begin(database, name, NOW)
    assert accounts.verify(database, name, accounts.reset(database, name), NOW)
    assert sessions.find(database, token, NOW) is None
    assert sessions.find(database, other, NOW) is not None


def test_resetting_unlocks_and_asks_for_a_new_password(database: sqlite_utils.Database) -> None:
    name, _ = accounts.create_first(database, NOW)
    for _ in range(5):
        accounts.verify(database, name, "wrong", NOW)
    assert accounts.verify(database, name, accounts.reset(database, name), NOW)
    assert accounts.accounts(database, NOW)[0].must_change


def test_accounts_are_unique_and_named_like_everything_else(database: sqlite_utils.Database) -> None:
    accounts.create_first(database, NOW)
    with pytest.raises(accounts.AccountExists):
        accounts.create(database, "truc-ban", NOW)
    with pytest.raises(accounts.AccountNameInvalid):
        accounts.create(database, "Trực ban", NOW)
    with pytest.raises(accounts.AccountUnknown):
        accounts.reset(database, "nobody")


def test_a_session_lives_while_used_but_no_longer_than_a_day(database: sqlite_utils.Database) -> None:
    name, _ = accounts.create_first(database, NOW)
    token = sessions.begin(database, name, NOW)
    for hour in (11, 22):
        assert sessions.find(database, token, NOW + timedelta(hours=hour)) is not None
    assert sessions.find(database, token, NOW + timedelta(hours=24)) is None


def test_a_session_left_alone_for_twelve_hours_is_over(database: sqlite_utils.Database) -> None:
    name, _ = accounts.create_first(database, NOW)
    token = sessions.begin(database, name, NOW)
    assert sessions.find(database, token, NOW + timedelta(hours=12)) is None


def test_a_session_from_the_future_is_not_believed(database: sqlite_utils.Database) -> None:
    name, _ = accounts.create_first(database, NOW)
    token = sessions.begin(database, name, NOW + timedelta(days=1))
    assert sessions.find(database, token, NOW) is None


def test_an_ended_session_and_a_made_up_token_open_nothing(database: sqlite_utils.Database) -> None:
    name, _ = accounts.create_first(database, NOW)
    token = sessions.begin(database, name, NOW)
    sessions.end(database, token)
    assert sessions.find(database, token, NOW) is None
    assert sessions.find(database, "made-up", NOW) is None
    assert token not in repr(sessions.Session(token, name, must_change=False))
