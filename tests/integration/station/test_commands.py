"""A command goes to its site until it is answered, over a real broker, and the answer comes back."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

import pytest
import uuid6

from shared.commands import Command, Outcome, Reply, Resume
from shared.messages import Thumbnail
from shared.topics import Channel, down_command, up
from tests.station import Box, Papers, Station, a_picture, wait_until

SITE = "nha-ba-tu"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Station, Papers]]:
    with Station(tmp_path_factory.mktemp("commands") / "station") as station:
        yield station, station.enrol(SITE)


def box(house: tuple[Station, Papers]) -> Box:
    station, papers = house
    return Box(papers, station.broker_port, more_topics=(down_command(SITE),))


def commands_heard(one: Box) -> list[Command]:
    return [
        Command.model_validate_json(body)
        for topic, body in list(one.heard.others)
        if topic == down_command(SITE)
    ]


def answer(one: Box, command: Command, picture: Thumbnail | None = None) -> Reply:
    reply = Reply(
        id=uuid6.uuid7(), command=command.id, site=SITE, answered_at=datetime.now(UTC),
        outcome=Outcome.DONE, picture=picture,
    )  # fmt: skip
    one.send_signed(Channel.REPLY, reply)
    one.wait_for(reply.id)
    return reply


def send_frame(one: Box, command: Command, picture: bytes) -> bool:
    """Return whether it was kept."""
    message = uuid6.uuid7()
    named = {
        "id": str(message),
        "event_id": str(command.id),
        "sha256": sha256(picture).hexdigest(),
    } | one.voice.number()
    one.say(
        up(SITE, Channel.FRAME),
        picture,
        message,
        ContentType="image/jpeg",
        UserProperty=list(named.items()),
    )
    one.wait_for(message)
    return message in one.heard.stored


def test_a_command_arrives_and_its_answer_is_shown(house: tuple[Station, Papers]) -> None:
    station, _ = house
    with box(house) as one:
        station.command("command", SITE, "restart-camera", "ngo-12")
        wait_until(lambda: commands_heard(one))
        (command,) = commands_heard(one)
        reply = answer(one, command)
        assert reply.id in one.heard.stored
    (listed,) = json.loads(station.command("commands", SITE, "--json"))
    assert (listed["id"], listed["outcome"]) == (str(command.id), "done")


def test_a_picture_is_kept_when_it_is_the_one_announced_and_no_other(house: tuple[Station, Papers]) -> None:
    station, _ = house
    announced = a_picture(1)
    picture = Thumbnail(
        sha256=sha256(announced).hexdigest(), size_bytes=len(announced), width=16, height=16,
        taken_at=datetime.now(UTC),
    )  # fmt: skip
    with box(house) as one:
        station.command("command", SITE, "test-frame", "ngo-12")
        wait_until(lambda: commands_heard(one))
        command = commands_heard(one)[-1]
        answer(one, command, picture)
        assert not send_frame(one, command, a_picture(2))
        assert send_frame(one, command, announced)
    assert not list((station.folder / "thumbnails").glob("*.pack"))


def test_a_command_outlives_the_station_and_is_sent_when_there_is_somebody_to_hear_it(
    house: tuple[Station, Papers],
) -> None:
    station, _ = house
    station.kill()
    station.command("command", SITE, "resume")
    with_pause = json.loads(station.command("commands", SITE, "--json"))
    assert with_pause[0]["sent_at"] is None
    station.restart()
    with box(house) as one:
        wait_until(lambda: json.loads(station.command("commands", SITE, "--json"))[0]["sent_at"])
        one.say(up(SITE, Channel.STATE), a_birth(), qos=1)
        wait_until(lambda: any(command.errand.verb == "resume" for command in commands_heard(one)))


def a_birth() -> bytes:
    now = datetime.now(UTC).isoformat()
    return json.dumps({"v": 1, "online": True, "session": str(uuid6.uuid7()), "at": now}).encode()


def test_a_command_without_what_it_needs_is_said_to_be_so(house: tuple[Station, Papers]) -> None:
    station, _ = house
    with pytest.raises(subprocess.CalledProcessError) as failed:
        station.command("command", SITE, "restart-camera")
    assert failed.value.returncode == 2
    assert "camera" in failed.value.stderr
    assert "Traceback" not in failed.value.stderr


def test_what_was_signed_hangs_together_until_somebody_takes_something_out(
    house: tuple[Station, Papers],
) -> None:
    station, _ = house
    with box(house) as one:
        said = [answer(one, an_old_command()) for _ in range(3)]
    assert "nguyên vẹn" in station.command("verify", SITE)
    archive = sqlite3.connect(station.folder / "archive.db", timeout=10)
    with archive:
        archive.execute("DELETE FROM messages WHERE id = ?", (said[1].id.bytes,))
    archive.close()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        station.command("verify", SITE)
    assert failed.value.returncode == 2
    assert "1 chỗ" in failed.value.stderr


def an_old_command() -> Command:
    """One that the station has long forgotten."""
    now = datetime.now(UTC)
    return Command(id=uuid6.uuid7(), site=SITE, made_at=now, not_after=now, errand=Resume())
