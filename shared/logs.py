"""How do we speak to the technician? One line per event on stdout; journald keeps it.

`log.info("camera lost", extra={"camera": "gate", "cause": "stalled"})` becomes
`INFO agent.cameras.rtsp: camera lost camera=gate cause=stalled`. Secrets are masked here, once and
for all, and a line that repeats is said once a minute with its count.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_REPEAT_S = 60.0  # moonfire, kvmd: once when it breaks, then a count

_SECRETS = (
    re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^\s:/@]*:)\S+(?=@)", re.IGNORECASE),  # scheme://user:SECRET@
    re.compile(
        r"(?P<keep>\b(?:password|passwd|pwd|secret|token)\b['\"]?\s*[=:]\s*['\"]?)[^\s'\",&]+",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<keep>\bauthorization['\"]?\s*[=:]\s*['\"]?)(?:basic|digest|bearer)?\s*[^\r\n]+", re.IGNORECASE
    ),
    re.compile(r"(?P<keep>)\b[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){4}\b"),  # an enrolment code
    re.compile(r"(?P<keep>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
)


def masked(text: str) -> str:
    """Return text with passwords, tokens, keys and enrolment codes replaced by asterisks."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\g<keep>********", text)
    return text


class KeyValueFormatter(logging.Formatter):
    """Level, logger, message, then what was given as `extra`; masked as a whole."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(
            f" {name}={value}" for name, value in record.__dict__.items() if name not in _STANDARD
        )
        line = f"{record.levelname} {record.name}: {record.getMessage()}{facts}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return masked(line)


class RepeatFilter(logging.Filter):
    """Let the same message of the same logger through once a minute, then say how often it came."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[tuple[str, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        subject = str(record.__dict__.get("camera") or record.__dict__.get("site") or "")
        key = (record.name, str(record.msg), subject)
        now = self._monotonic()
        first, held_back = self._seen.get(key, (-_REPEAT_S, 0))
        if now - first < _REPEAT_S:
            self._seen[key] = (first, held_back + 1)
            return False
        self._seen[key] = (now, 0)
        if held_back:
            record.repeated = held_back
        return True


def set_up(level: str = "INFO") -> None:
    """Send every logger to stdout in our format; call once, at the start of a command."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(KeyValueFormatter())
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("zeep", "urllib3", "onvif", "paho", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
