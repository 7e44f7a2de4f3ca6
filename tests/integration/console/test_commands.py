"""The commands an officer or technician types, run as they type them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.integration.console.conftest import Served

_COLLECTOR = str(Path(sys.executable).parent / "collector")


def call(
    served: Served, *arguments: str, language: str = "vi", columns: int = 250
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ANNINH_STATION": str(served.folder.root),
        "ANNINH_LANGUAGE": language,
        "COLUMNS": str(columns),
    }
    return subprocess.run(
        [_COLLECTOR, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def answer(served: Served, *arguments: str) -> Any:
    done = call(served, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_search_answers_with_facts_and_writes_the_very_pictures(served: Served, tmp_path: Path) -> None:
    found = answer(served, "search", "--kind", "person", "--limit", "5", "--thumbnails", str(tmp_path / "p"))
    expected = [event for event in served.events if event.kind == "person"][:5]
    assert [event["id"] for event in found] == [str(event.event_id) for event in expected]
    for event, announced in zip(found, expected, strict=True):
        assert announced.thumbnail is not None
        assert event["thumbnail"] == announced.thumbnail.sha256
        assert datetime.fromisoformat(event["started_at"]) == announced.started_at
        assert event["started_at"].endswith("+00:00")
        assert (event["site"], event["camera"], event["phase"], event["revision"]) == (
            announced.site,
            announced.camera,
            "end",
            1,
        )
        (picture,) = (tmp_path / "p").glob(f"*{event['thumbnail']}*")
        assert hashlib.sha256(picture.read_bytes()).hexdigest() == event["thumbnail"]
        assert cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_picture_that_has_not_come_is_null(served: Served) -> None:
    found = answer(served, "search", "--limit", "200")
    assert len(found) == len(served.events)
    assert [event["id"] for event in found if event["thumbnail"] is None] == [str(served.events[-1].event_id)]


def test_a_search_is_a_table_for_people_in_their_language(served: Served) -> None:
    done = call(served, "search", "--limit", "3", "--camera", "nha-ong-ba/cong")
    assert done.returncode == 0
    assert done.stdout.count("nha-ong-ba") == 3
    assert "người" in done.stdout
    assert "Còn nữa" in done.stdout
    assert "person" in call(served, "search", "--limit", "3", language="en").stdout


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_row_is_one_line_that_says_all_at_80_columns(served: Served, language: str) -> None:
    lines = call(served, "search", "--limit", "20", language=language, columns=80).stdout.splitlines()
    rows = [line for line in lines if "%" in line]
    assert len(rows) == 20
    for row, event in zip(rows, served.events, strict=False):
        assert f"{event.site}/{event.camera} " in row
        assert len(row) <= 80
        assert "…" not in row


def test_finding_nothing_is_said_in_a_sentence_and_is_no_error(served: Served) -> None:
    done = call(served, "search", "--until", "01/01/2020")
    assert done.returncode == 0
    assert "Không có sự kiện nào trong khoảng thời gian này." in done.stdout
    assert answer(served, "search", "--until", "01/01/2020") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "--since", "hôm qua"), "hôm qua"),
        (("search", "--since", "2026-11-23"), "2026-11-23"),
        (("search", "--since", "23/11/2026", "--until", "22/11/2026"), "22/11/2026"),
        (("search", "--site", "nha-ong-tu"), "nha-ong-tu"),
        (("search", "--kind", "face"), "face"),
        (("search", "--limit", "0"), "--limit"),
        (("search", "--limit", "201"), "--limit"),
        (("search", "--thumbnails", "/dev/null/x"), "/dev/null/x"),
        (("search", "--station", "/nowhere"), "/nowhere"),
        (("account", "reset", "khong-co"), "khong-co"),
        (("account", "add", "Trực ban"), "Trực ban"),
        (("account", "add", "truc-ban"), "truc-ban"),
    ],
)
def test_bad_input_ends_in_two_lines_and_code_2(
    served: Served, arguments: tuple[str, ...], said: str
) -> None:
    done = call(served, *arguments)
    assert done.returncode == 2, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("✗ ")
    for line in lines:
        assert said in line
        assert " → " in line
    assert done.stdout == ""


def test_agents_are_listed_for_people_and_for_machines(served: Served) -> None:
    done = call(served, "agents")
    assert done.returncode == 0
    for words in (
        "Nhà ông Ba <b>",
        "1/2",
        "ngo: sai mật khẩu camera",
        "1.204",
        "không phải ảnh JPEG: 1",
        "−0,2 s",
    ):
        assert words in done.stdout
    by_site = {agent["site"]: agent for agent in answer(served, "agents")}
    box = by_site["nha-ong-ba"]
    assert (box["cameras_ok"], len(box["cameras"]), box["outbox_waiting"]) == (1, 2, 1204)
    assert box["heard_age_s"] > 0
    assert box["refusals"]["not-a-jpeg"]["count"] == 1
    assert by_site["kho-cu"]["heard_at"] is None


def test_an_account_is_added_listed_and_given_a_new_password(served: Served) -> None:
    first = answer(served, "account", "add", "ca-sang")
    second = answer(served, "account", "reset", "ca-sang")
    assert first["password"] != second["password"]
    assert served.browser().sign_in("ca-sang", first["password"]).status == 403
    assert served.browser().sign_in("ca-sang", second["password"]).status == 303
    listed = {account["account"]: account for account in answer(served, "account", "list")}
    assert listed["ca-sang"]["must_change"]
    assert not listed["truc-ban"]["must_change"]
    assert "chờ đổi mật khẩu" in call(served, "account", "list").stdout
