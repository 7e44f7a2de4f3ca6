"""May this version be tried, and has it proven itself? Pure: every fact is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared import waves
from shared.update_manifest import Manifest, numbers

PATIENCE_S = 300.0  # the station's word must come within this, else the old version returns
MOST_LIVES = 3  # starts of the updater in one trial: a box that loses power again and again returns too
MOST_RETURNS = 3  # after so many failures the same version is not tried again


class Verdict(StrEnum):
    """What to do with a version on trial."""

    WAIT = "wait"
    KEEP = "keep"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Box:
    """What a manifest is judged by."""

    site: str
    package: str
    architecture: str
    version: str  # in force
    returns: int  # how often the version in question has failed here


@dataclass(frozen=True, slots=True)
class Trial:
    """A version that has not proven itself yet. Folder names, not paths; `nonce` binds the proof to it."""

    version: str
    new: str
    old: str
    nonce: str
    lives: int = 0
    is_returning: bool = False

    def resumed(self) -> Trial:
        """Return it as the updater finds it when it starts anew."""
        return replace(self, lives=self.lives + 1)


def refusal(manifest: Manifest, box: Box, now: datetime) -> str:
    """Return why this version is not to be tried, as a code; empty when it may be."""
    if (manifest.package, manifest.architecture) != (box.package, box.architecture):
        return "for-another"
    if numbers(manifest.version) <= numbers(box.version):
        return "not-newer"
    if now < manifest.not_before:
        return "not-yet"
    if not waves.includes(box.site, manifest.version, manifest.wave_percent):
        return "not-in-wave"
    if box.returns >= MOST_RETURNS:
        return "failed-before"
    return ""


def judge(trial: Trial, proof: tuple[str, str] | None, waited_s: float) -> Verdict:
    """`proof` is the version and nonce that the agent wrote down after the station's answer."""
    if trial.is_returning:
        return Verdict.RETURN
    if proof == (trial.version, trial.nonce):
        return Verdict.KEEP
    if trial.lives > MOST_LIVES or waited_s >= PATIENCE_S:
        return Verdict.RETURN
    return Verdict.WAIT
