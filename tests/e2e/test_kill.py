"""kill -9, in turn, while a street is walked: what reached the outbox is in the archive, exactly once.

The outbox numbers everything it ever holds, no number twice, so nothing needs to be
believed about the moment of a kill: every number up to the last must be found in the archive as an
event, a thumbnail or a report.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.e2e.street import PREPARED_MODELS, Street

pytestmark = [pytest.mark.timeout(900)]
ROUNDS = 3  # of agent, broker, collector: nine kills
FLOW_S = 5.0  # between kills: vtest.avi has a new walker about every two seconds


@pytest.fixture
def street(tmp_path: Path, street_clip: Path) -> Iterator[Street]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    street = Street(tmp_path, street_clip, quiet=True)
    with street.children:
        yield street


def test_what_reached_the_outbox_is_in_the_archive_exactly_once(street: Street) -> None:
    street.found_station()
    collector = street.start_collector()
    camera = street.start_camera()
    street.enrol()
    street.take_model()
    street.add_camera(camera)
    agent = street.start_agent()
    street.find_person()

    for _ in range(ROUNDS):
        time.sleep(FLOW_S)
        kill(street, agent)
        agent = street.start_agent()
        time.sleep(FLOW_S)
        broker_of(collector).send_signal(signal.SIGKILL)
        time.sleep(FLOW_S)
        kill(street, collector)
        time.sleep(FLOW_S)
        collector = street.start_collector()
    street.children.stop("camera")  # nothing new; what lives in view ends ten seconds later
    time.sleep(15)
    street.wait_until(lambda: waiting(street) == 0, "the outbox is empty", patience_s=180)

    made = last_sequence(street)
    found = archived_sequences(street)
    assert made > 40, "events were meant to flow"
    assert sorted(found) == list(range(1, made + 1))
    assert max(found.values()) == 1
    assert_each_event_is_whole(street)


def kill(street: Street, child: subprocess.Popen[bytes]) -> None:
    street.children.forget(child)
    child.kill()
    child.wait()


def broker_of(collector: subprocess.Popen[bytes]) -> psutil.Process:
    children = psutil.Process(collector.pid).children(recursive=True)
    return next(child for child in children if "mosquitto" in child.name())


def outbox(street: Street) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{street.home}/outbox.db?mode=ro", uri=True)


def archive(street: Street) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{street.station}/archive.db?mode=ro", uri=True)


def waiting(street: Street) -> int:
    with closing(outbox(street)) as db:
        return db.execute("SELECT count(*) FROM outbox").fetchone()[0]


def last_sequence(street: Street) -> int:
    with closing(outbox(street)) as db:
        assert db.execute("SELECT count(*) FROM refused").fetchone() == (0,)
        return db.execute("SELECT next - 1 FROM life").fetchone()[0]


def archived_sequences(street: Street) -> Counter[int]:
    """How often each number is in the archive: of events, their pictures, and reports."""
    with closing(archive(street)) as db:
        rows = db.execute("SELECT sequence FROM messages WHERE sequence NOTNULL").fetchall()
        unsigned = (
            "SELECT count(*) FROM messages WHERE channel IN ('ev', 'gap', 'boot') AND signature IS NULL"
        )
        assert db.execute(unsigned).fetchone() == (0,)
        runs = db.execute("SELECT first, last FROM numbers WHERE state = 'came'").fetchall()
        assert runs == [(1, max(sequence for (sequence,) in rows))], "known to be whole without counting"
    return Counter(sequence for (sequence,) in rows)


def assert_each_event_is_whole(street: Street) -> None:
    """Revisions 0, 1, 2 … each once; a killed agent cannot tell the end of what it was watching."""
    revisions: dict[str, list[int]] = {}
    with closing(archive(street)) as db:
        for (body,) in db.execute("SELECT body FROM messages WHERE channel = 'ev'"):
            event = json.loads(body)
            revisions.setdefault(event["event_id"], []).append(event["revision"])
        (rows,) = db.execute("SELECT count(*) FROM events").fetchone()
    assert rows == len(revisions)
    for event_id, numbers in revisions.items():
        assert sorted(numbers) == list(range(len(numbers))), event_id
