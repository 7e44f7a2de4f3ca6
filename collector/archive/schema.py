"""Which tables does the station keep? Migrations in order; each runs once, with the note that it ran.

Two databases, because they have two owners and two lives:

* `station.db`  the register: sites, codes, certificates, accounts, sessions (small, kept for ever);
* `archive.db`  what the sites said: messages, events, thumbnails, agents (large, kept by retention).

Times are integers, microseconds since 1970 UTC (`…_us`): they sort, compare and never lose a zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlite_utils

STATION_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE sites (
        site        TEXT PRIMARY KEY,   -- shared.identity.site_name; the certificate's common name
        title       TEXT NOT NULL,      -- what people call it: "Nhà ông Ba, ngõ 12"
        hamlet      TEXT NOT NULL DEFAULT '', -- thôn / xóm / tổ dân phố
        status      TEXT NOT NULL CHECK (status IN ('waiting', 'enrolled', 'revoked')),
        created_us  INTEGER NOT NULL,
        tested_us   INTEGER             -- when a test message was first kept: the way is open
    ) STRICT;
    CREATE TABLE codes (
        code_id     TEXT PRIMARY KEY,   -- the public four characters
        secret      TEXT NOT NULL,      -- needed in clear for the HMAC; emptied when used, expired or locked
        site        TEXT NOT NULL REFERENCES sites,
        expires_us  INTEGER NOT NULL,
        tries       INTEGER NOT NULL DEFAULT 0, -- wrong proofs; 5 lock it
        used_us     INTEGER,
        public_key  TEXT                -- SHA-256 of the key it was used for: a lost answer may be asked for
    ) STRICT;
    CREATE TABLE certificates (
        serial      TEXT PRIMARY KEY,   -- hexadecimal
        site        TEXT NOT NULL REFERENCES sites,
        pem         TEXT NOT NULL,
        issued_us   INTEGER NOT NULL,
        expires_us  INTEGER NOT NULL,
        revoked_us  INTEGER
    ) STRICT;
    CREATE TABLE accounts (
        account     TEXT PRIMARY KEY,   -- login name
        password    TEXT NOT NULL,      -- argon2id
        must_change INTEGER NOT NULL,   -- 1: one-time password, to be replaced at first login
        failures    INTEGER NOT NULL DEFAULT 0, -- wrong passwords in a row
        locked_until_us INTEGER NOT NULL DEFAULT 0,
        created_us  INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE sessions (
        token       TEXT PRIMARY KEY,   -- SHA-256 of the cookie: a stolen database opens no session
        account     TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,
        created_us  INTEGER NOT NULL,
        seen_us     INTEGER NOT NULL
    ) STRICT;
    """,
    # a certificate's whole life, and who was turned away at the door
    """
    ALTER TABLE certificates ADD COLUMN ended TEXT
        CHECK (ended IN ('superseded', 'replaced', 'revoked')); -- collector.archive.register.Ended
    ALTER TABLE certificates ADD COLUMN successor TEXT; -- serial that a renewal put in its place
    ALTER TABLE certificates ADD COLUMN machine TEXT NOT NULL DEFAULT ''; -- the box, by its own word
    UPDATE certificates SET ended = 'revoked' WHERE revoked_us NOTNULL;
    CREATE UNIQUE INDEX certificates_in_force ON certificates (site) WHERE revoked_us IS NULL;
    CREATE TABLE denials (
        reason      TEXT PRIMARY KEY,   -- a code of collector.intake.admission.Denied, or of the endpoint
        count       INTEGER NOT NULL,
        last_us     INTEGER NOT NULL,
        last_address TEXT NOT NULL,
        last_named  TEXT NOT NULL       -- the code's public id, or the site of the certificate shown
    ) STRICT;
    """,
)

ARCHIVE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE messages (
        id          BLOB PRIMARY KEY,   -- the message's UUIDv7, 16 bytes: stored once, whatever is repeated
        site        TEXT NOT NULL,
        channel     TEXT NOT NULL,      -- shared.topics.Channel
        event_id    BLOB,               -- the event it speaks of; NULL for a test
        received_us INTEGER NOT NULL,   -- the collector's clock
        body        BLOB                -- the exact bytes of an event or test; NULL for a thumbnail
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        event_id    BLOB PRIMARY KEY,   -- UUIDv7, 16 bytes
        site        TEXT NOT NULL,
        camera      TEXT NOT NULL,
        kind        TEXT NOT NULL,
        phase       TEXT NOT NULL,      -- of the newest revision
        revision    INTEGER NOT NULL,   -- the newest stored
        confidence  REAL NOT NULL,
        started_us  INTEGER NOT NULL,   -- the agent's clock
        seen_us     INTEGER NOT NULL,   -- the agent's clock, newest frame known
        received_us INTEGER NOT NULL,   -- the collector's clock, when the first message was kept
        camera_offset_s REAL,           -- camera's clock minus agent's; NULL: never measured
        clock_quality TEXT NOT NULL,    -- shared.messages.ClockQuality
        clock_suspect INTEGER NOT NULL, -- 1: the agent's clock is too far from the collector's to be believed
        thumbnail   TEXT,               -- SHA-256 announced by the newest revision that has one
        thumbnail_revision INTEGER      -- that revision: an older one may arrive later
    ) STRICT;
    CREATE INDEX events_newest ON events (started_us DESC, event_id);
    CREATE INDEX events_by_kind ON events (kind, started_us DESC, event_id);
    CREATE INDEX events_by_camera ON events (site, camera, started_us DESC, event_id);
    CREATE TABLE thumbnails (
        sha256      TEXT NOT NULL,      -- of the bytes as kept, checked before they were
        event_id    BLOB NOT NULL,
        pack        TEXT NOT NULL,      -- file under thumbnails/, one per day of receipt
        position    INTEGER NOT NULL,   -- of the first JPEG byte
        size        INTEGER NOT NULL,   -- bytes
        received_us INTEGER NOT NULL,
        PRIMARY KEY (event_id, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE agents (
        site        TEXT PRIMARY KEY,
        heard_us    INTEGER,            -- the collector's clock, last heartbeat
        heartbeat   BLOB,               -- the newest one, as sent
        clock_skew_s REAL,              -- agent's clock minus collector's at the last heartbeat
        online      INTEGER,            -- last word of the retained state topic; NULL: never heard
        session     TEXT                -- the connection that word was about
    ) STRICT;
    CREATE TABLE refusals (
        site        TEXT NOT NULL,
        reason      TEXT NOT NULL,      -- a code of collector.intake.ingest.Reason
        count       INTEGER NOT NULL,
        last_us     INTEGER NOT NULL,
        last_detail TEXT NOT NULL,      -- what exactly, shortened
        PRIMARY KEY (site, reason)
    ) STRICT, WITHOUT ROWID;
    """,
    # what the console asks: an event's messages; a rare kind at a busy camera
    """
    CREATE INDEX messages_by_event ON messages (event_id) WHERE event_id NOTNULL;
    CREATE INDEX events_by_camera_kind ON events (site, camera, kind, started_us DESC, event_id);
    """,
)


def microseconds(moment: datetime) -> int:
    """Return an aware moment as integer microseconds since 1970 UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def open_database(path: Path, migrations: tuple[str, ...]) -> sqlite_utils.Database:
    """Open for writing, bring to the newest schema, and make every commit survive a power cut."""
    database = sqlite_utils.Database(path)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        database.execute(f"PRAGMA {pragma}")
    _migrate(database, migrations)
    return database


def _migrate(database: sqlite_utils.Database, migrations: tuple[str, ...]) -> None:
    applied = int(database.execute("PRAGMA user_version").fetchone()[0])
    for number, script in enumerate(migrations[applied:], start=applied + 1):
        database.conn.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={number}; COMMIT;")
