"""Who may open the console? Officers' accounts: argon2id, a one-time password first, a lock after five."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlite_utils
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from shared.clock import microseconds, moment
from shared.errors import NeedsFixing
from shared.identity import site_name

FIRST_ACCOUNT = "truc-ban"  # the officer on duty: every station has one
MAX_FAILURES = 5  # typing errors need no more
LOCKOUT = timedelta(minutes=5)  # 1,440 guesses a day: hopeless even against a word with a digit
MIN_PASSWORD = 12  # characters; length, not a zoo of signs (NIST SP 800-63B, 5.1.1.2)
MAX_PASSWORD = 256  # characters; nobody types more, and hashing must stay cheap
_ONE_TIME_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another
_ONE_TIME_LENGTH = 16  # 79 bits: cannot be guessed, can be read out over a telephone

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)  # 64 MiB, 3 passes: 0.2 s of processor


class AccountExists(NeedsFixing):
    key = "account-exists"


class AccountUnknown(NeedsFixing):
    key = "account-unknown"


class AccountNameInvalid(NeedsFixing):
    key = "account-name-invalid"


class PasswordWrong(NeedsFixing):
    """Unknown account, wrong password or locked: who asks does not learn which."""

    key = "password-wrong"


class PasswordShort(NeedsFixing):
    key = "password-short"


class PasswordLong(NeedsFixing):
    key = "password-long"


class PasswordUnchanged(NeedsFixing):
    key = "password-unchanged"


@dataclass(frozen=True, slots=True)
class Account:
    """An officer's account as the command line lists it; never with its password."""

    name: str
    must_change: bool
    locked_until: datetime | None
    created: datetime


def create_first(database: sqlite_utils.Database, now: datetime) -> tuple[str, str]:
    """Make a new station's first account; return its name and the one-time password."""
    return FIRST_ACCOUNT, create(database, FIRST_ACCOUNT, now)


def create(database: sqlite_utils.Database, name: str, now: datetime) -> str:
    """Make an account and return its one-time password. Raises AccountNameInvalid, AccountExists."""
    try:
        site_name(name)
    except ValueError as error:
        raise AccountNameInvalid(account=name) from error
    password = _one_time_password()
    cursor = database.execute(
        "INSERT INTO accounts (account, password, must_change, created_us) VALUES (?, ?, 1, ?)"
        " ON CONFLICT DO NOTHING",
        (name, _hasher.hash(password), microseconds(now)),
    )
    if not cursor.rowcount:
        raise AccountExists(account=name)
    return password


def reset(database: sqlite_utils.Database, name: str) -> str:
    """Replace a forgotten password by a one-time one, unlock, and end the account's sessions."""
    password = _one_time_password()
    hashed = _hasher.hash(password)
    with database.atomic():
        changed = database.execute(
            "UPDATE accounts SET password = ?, must_change = 1, failures = 0, locked_until_us = 0"
            " WHERE account = ?",
            (hashed, name),
        ).rowcount
        database.execute("DELETE FROM sessions WHERE account = ?", (name,))
    if not changed:
        raise AccountUnknown(account=name)
    return password


def accounts(database: sqlite_utils.Database, now: datetime) -> list[Account]:
    rows = database.execute(
        "SELECT account, must_change, locked_until_us, created_us FROM accounts ORDER BY account"
    )
    us = microseconds(now)
    return [
        Account(name, bool(must_change), moment(until) if until > us else None, moment(created))
        for name, must_change, until, created in rows
    ]


def verify(database: sqlite_utils.Database, name: str, password: str, now: datetime) -> bool:
    """Say whether this is the account's password; costs the same work whether the account exists or not.

    The attempt is counted before the password is looked at, so that a hundred at once are still five.
    Known weakness, openly: who knows an account's name can keep it locked by guessing wrongly.
    """
    hashed = _counted_attempt(database, name, now)
    given = unicodedata.normalize("NFC", password[:MAX_PASSWORD])  # two keyboards spell one "ệ" differently
    try:
        _hasher.verify(hashed or _nobody(), given)
    except VerifyMismatchError:
        return False
    if hashed is None:
        return False
    database.execute("UPDATE accounts SET failures = 0, locked_until_us = 0 WHERE account = ?", (name,))
    return True


def wrong() -> PasswordWrong:
    return PasswordWrong(tries=MAX_FAILURES, minutes=LOCKOUT // timedelta(minutes=1))


def change_password(database: sqlite_utils.Database, name: str, old: str, new: str, now: datetime) -> None:
    """Replace a password its owner knows, and end all the account's sessions.

    Raises PasswordShort, PasswordLong, PasswordUnchanged, PasswordWrong.
    """
    new = unicodedata.normalize("NFC", new)
    if len(new) < MIN_PASSWORD:
        raise PasswordShort(least=MIN_PASSWORD)
    if len(new) > MAX_PASSWORD:
        raise PasswordLong(most=MAX_PASSWORD)
    if new == unicodedata.normalize("NFC", old):
        raise PasswordUnchanged
    if not verify(database, name, old, now):
        raise wrong()
    hashed = _hasher.hash(new)
    with database.atomic():
        database.execute(
            "UPDATE accounts SET password = ?, must_change = 0 WHERE account = ?", (hashed, name)
        )
        database.execute("DELETE FROM sessions WHERE account = ?", (name,))


def _counted_attempt(database: sqlite_utils.Database, name: str, now: datetime) -> str | None:
    """Count an attempt as failed and return the hash to compare with; None: unknown or locked.

    A lock further off than a lockout is long was set before the clock was put right: it does not hold.
    """
    us = microseconds(now)
    facts = {
        "name": name,
        "now": us,
        "until": us + LOCKOUT // timedelta(microseconds=1),
        "most": MAX_FAILURES,
    }
    with database.atomic():
        row = database.conn.execute(
            "UPDATE accounts SET failures = (failures + 1) % :most,"
            " locked_until_us = CASE WHEN failures + 1 >= :most THEN :until ELSE 0 END"
            " WHERE account = :name AND (locked_until_us <= :now OR locked_until_us > :until)"
            " RETURNING password",
            facts,
        ).fetchone()
    return str(row[0]) if row else None


def _one_time_password() -> str:
    letters = "".join(secrets.choice(_ONE_TIME_LETTERS) for _ in range(_ONE_TIME_LENGTH))
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


@cache
def _nobody() -> str:
    """Return the hash that unknown accounts are compared with, made once per process."""
    return _hasher.hash(secrets.token_hex())
