"""Why is something broken, and what does a person do about it? Codes to words, wherever they are shown."""

from __future__ import annotations

from datetime import datetime

from collector.archive.flips import State
from shared.messages import Heartbeat
from shared.texts import Language, catalogue, text

_HOT_C = 80.0  # a Pi slows down from here on
_FULL_MB = 200.0


def of_silence(
    beat: Heartbeat | None, expires: datetime | None, now: datetime, *, online: bool | None
) -> str:
    """Guess from a box's last words why it says no more."""
    if expires is not None and expires < now:
        return "certificate-expired"
    if beat is not None and (beat.undervoltage or beat.undervoltage_seen):
        return "power-weak"
    if beat is not None and beat.disk_free_mb is not None and beat.disk_free_mb < _FULL_MB:
        return "disk-full"
    if beat is not None and beat.temperature_c is not None and beat.temperature_c >= _HOT_C:
        return "too-hot"
    return "connection-lost" if online is False else "no-heartbeat"


def state_in_words(state: State, language: Language | None = None) -> str:
    return text(f"liveness.state.{state}", language)


def why(code: str, language: Language | None = None) -> str:
    """Say it in a few words; a newer agent's unknown code is shown as it is."""
    for key in (f"liveness.{code}.what", f"cause.{code}"):
        if key in catalogue():
            return text(key, language)
    return code


def what_to_do(code: str, camera: str = "", language: Language | None = None) -> str:
    for key in (f"liveness.{code}.do", f"problems.{code}.do"):
        if key in catalogue():
            try:
                return text(key, language, subject=camera)
            except KeyError:  # a text with facts only the box knows
                break
    return text("liveness.anything.do", language)
