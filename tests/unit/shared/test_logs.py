from __future__ import annotations

import logging

import pytest

from shared.logs import KeyValueFormatter, RepeatFilter, masked


@pytest.mark.parametrize(
    "line",
    [
        "opening rtsp://admin:S3cret!@10.0.0.5:554/main",
        "opening rtsp://admin:a:S3cret!@10.0.0.5/main",
        "rtsp://admin:p@S3cret!@10.0.0.5/main",
        "http://u:S3cret!@h/x and rtsp://u:S3cret!@h/y",
        "login password=S3cret!",
        "{'password': 'S3cret!'}",
        '{"password": "S3cret!", "user": "x"}',
        "Authorization: Digest username=x, response=S3cret!",
        "-----BEGIN PRIVATE KEY-----\nS3cret!\n-----END PRIVATE KEY-----",
    ],
)
def test_no_secret_reaches_a_log(line: str) -> None:
    assert "S3cret!" not in masked(line)


def test_an_enrolment_code_never_reaches_a_log() -> None:
    assert masked("typed N9JM-W7MS-S9WA-8T1X-12P8 today") == "typed ******** today"


def test_what_is_no_secret_is_left_alone() -> None:
    line = "camera lost camera=gate url=rtsp://10.0.0.5:554/main at 12:30:05"
    assert masked(line) == line


def test_facts_stand_after_the_message_and_are_masked_too() -> None:
    record = logging.LogRecord("agent.x", logging.INFO, "f", 1, "connecting", (), None)
    record.url = "rtsp://a:b@h/x"
    assert KeyValueFormatter().format(record) == "INFO agent.x: connecting url=rtsp://a:********@h/x"


def test_a_warning_that_repeats_is_said_once_a_minute_with_its_count() -> None:
    now = [0.0]
    repeat = RepeatFilter(monotonic=lambda: now[0])

    def said(camera: str) -> logging.LogRecord | None:
        record = logging.LogRecord("agent.x", logging.WARNING, "f", 1, "stalled", (), None)
        record.camera = camera
        return record if repeat.filter(record) else None

    assert said("gate")
    assert said("yard"), "another camera's trouble is another line"
    assert [said("gate") for _ in range(5)] == [None] * 5
    now[0] = 61.0
    again = said("gate")
    assert again is not None
    assert again.__dict__["repeated"] == 5
