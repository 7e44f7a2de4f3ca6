"""Which tables does the station keep? Migrations in order; each runs once, with the note that it ran.

Two databases, because they have two owners and two lives:

* `station.db`  the register: sites, codes, certificates, accounts, sessions (small, kept for ever);
* `archive.db`  what the sites said: messages, events, thumbnails, agents (large, kept by retention).

Times are integers, microseconds since 1970 UTC (`…_us`): they sort, compare and never lose a zone.
"""

from __future__ import annotations

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
    # what was asked of a site: collector.archive.orders
    """
    CREATE TABLE commands (
        id          BLOB PRIMARY KEY,   -- UUIDv7, 16 bytes; the same each time it is sent
        site        TEXT NOT NULL REFERENCES sites,
        body        TEXT NOT NULL,      -- shared.commands.Command
        made_us     INTEGER NOT NULL,
        not_after_us INTEGER NOT NULL,
        made_by     TEXT NOT NULL,      -- an account of the console, or the machine's user
        sent_us     INTEGER,            -- when it last went out
        session     TEXT,               -- the box's process then
        reply       TEXT                -- shared.commands.Reply, the first
    ) STRICT;
    CREATE INDEX commands_waiting ON commands (not_after_us) WHERE reply IS NULL;
    CREATE INDEX commands_by_site ON commands (site, made_us);
    CREATE TABLE frames (
        command     BLOB PRIMARY KEY REFERENCES commands,
        sha256      TEXT NOT NULL,
        jpeg        BLOB NOT NULL,
        received_us INTEGER NOT NULL    -- deleted seven days later
    ) STRICT;
    """,
    # what is wished of a site's agent: collector.archive.configurations
    """
    CREATE TABLE configurations (
        site        TEXT NOT NULL REFERENCES sites,
        revision    INTEGER NOT NULL,
        body        TEXT NOT NULL,      -- shared.configuration.Configuration
        made_us     INTEGER NOT NULL,
        made_by     TEXT NOT NULL,      -- an account of the console, or the machine's user
        PRIMARY KEY (site, revision)
    ) STRICT, WITHOUT ROWID;
    """,
    # whose signature: asked every second for each site that speaks; unindexed, all 3,000 were read each time
    """
    CREATE INDEX certificates_by_site ON certificates (site);
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
    # signed, numbered, dated: who said it, what came before and what is missing, when it really was
    """
    ALTER TABLE messages ADD COLUMN instance TEXT;    -- one life of the sender's outbox; NULL: not numbered
    ALTER TABLE messages ADD COLUMN sequence INTEGER; -- its number there
    ALTER TABLE messages ADD COLUMN signature TEXT;   -- over the bytes as they came
    ALTER TABLE messages ADD COLUMN sha256 BLOB;      -- of those bytes, also where less is kept in `body`
    ALTER TABLE messages ADD COLUMN previous BLOB;    -- sha256 of the signed message before
    ALTER TABLE messages ADD COLUMN boot_id TEXT;     -- the sender's clocks when it was made
    ALTER TABLE messages ADD COLUMN monotonic_s REAL;
    ALTER TABLE messages ADD COLUMN unsynced INTEGER; -- 1: made before its wall clock was right
    ALTER TABLE messages ADD COLUMN made_us INTEGER;  -- an event's newest frame, corrected where it can be
    CREATE INDEX messages_by_number ON messages (site, instance, sequence) WHERE sequence NOTNULL;
    CREATE INDEX messages_unsynced ON messages (site, boot_id) WHERE unsynced = 1;
    ALTER TABLE events ADD COLUMN boot_id TEXT;       -- of the newest revision
    ALTER TABLE events ADD COLUMN monotonic_s REAL;
    ALTER TABLE events ADD COLUMN unsynced INTEGER NOT NULL DEFAULT 0; -- 1: at least one message of it was
    ALTER TABLE events ADD COLUMN started_by_us INTEGER; -- added to what the agent said, which is started_us
    ALTER TABLE events ADD COLUMN seen_by_us INTEGER;    -- minus this; NULL: not corrected
    CREATE TABLE boots (
        site        TEXT NOT NULL,
        boot_id     TEXT NOT NULL,
        started_us  INTEGER NOT NULL,   -- the true time where this boot's monotonic time was 0
        id          BLOB NOT NULL,      -- of the report believed: the first made
        PRIMARY KEY (site, boot_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE numbers (              -- which numbers came: runs without a hole, so a month is one row
        site        TEXT NOT NULL,
        instance    TEXT NOT NULL,
        state       TEXT NOT NULL CHECK (state IN ('came', 'refused')), -- what was refused came as well
        first       INTEGER NOT NULL,
        last        INTEGER NOT NULL,
        PRIMARY KEY (site, instance, state, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outboxes (             -- how far each outbox has got, by its heartbeats
        site        TEXT NOT NULL,
        instance    TEXT NOT NULL,
        waiting     INTEGER NOT NULL,   -- every number below is here, or lost
        heard_us    INTEGER NOT NULL,   -- the collector's clock, when that was last said
        PRIMARY KEY (site, instance)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE losses (               -- what a site says it lost: shared.messages.GapReport
        id          BLOB PRIMARY KEY,
        site        TEXT NOT NULL,
        instance    TEXT NOT NULL,
        reason      TEXT NOT NULL,
        first       INTEGER NOT NULL,   -- 0 with last 0: which ones is not known
        last        INTEGER NOT NULL,
        events      INTEGER NOT NULL,
        thumbnails  INTEGER NOT NULL,
        since_us    INTEGER NOT NULL,   -- the agent's clock
        until_us    INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX losses_by_site ON losses (site, instance);
    """,
    # what an object looked like, in one word, where this station asks for it
    """
    ALTER TABLE events ADD COLUMN colour TEXT;  -- shared.messages.Colour, of the newest; NULL: not told
    CREATE INDEX events_by_colour ON events (colour, started_us DESC, event_id) WHERE colour NOTNULL;
    """,
    # two boxes in one name: collector.archive.births
    """
    CREATE TABLE births (
        site        TEXT NOT NULL,
        session     TEXT NOT NULL,      -- one process's name for itself
        turn        INTEGER NOT NULL,   -- which of the site's births was its latest
        PRIMARY KEY (site, session)
    ) STRICT, WITHOUT ROWID;
    """,
    # up to where the pictures in each pack have rows: collector.archive.pack_ends
    """
    CREATE TABLE packs (
        pack        TEXT PRIMARY KEY,
        end         INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


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
