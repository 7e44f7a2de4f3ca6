"""How is each thing a station may ask for done here? And when does this house say no?

The household's pause stands above all of it: while it holds, no camera is spoken to, no picture is made,
and nothing the station says lifts it. Masks are not even within reach: pictures come with them burnt in.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from agent import holds, pauses
from agent.camera_parts import CameraParts
from agent.cameras import credentials
from agent.obey import Done
from agent.pauses import LivePauses, Whose
from agent.update import wish
from agent.vision.whole import encode_whole
from agent.watch import FrameWish
from shared.clock import Clock
from shared.commands import (
    Errand,
    HoldFootage,
    Outcome,
    Pause,
    ReleaseFootage,
    RestartCamera,
    Resume,
    TestFrame,
    Update,
)
from shared.errors import AnninhError
from shared.messages import Thumbnail

log = logging.getLogger(__name__)

_FRAME_S = 15.0  # key frames may be ten seconds apart


@dataclass(frozen=True, slots=True)
class House:
    """What errands may know and touch."""

    home: Path
    clock: Clock
    cameras: Mapping[str, CameraParts]
    everybody: Iterable[str]  # all cameras' names, a Frigate's too
    pauses: LivePauses
    is_being_installed: Callable[[datetime], bool]
    keep: Callable[[Iterable[tuple[str, datetime, datetime]]], None]  # pictures of these cameras and times


class Errands:
    """The `Doer` of `agent.obey`."""

    def __init__(self, house: House) -> None:
        self._house = house

    def is_quick(self, errand: Errand) -> bool:
        return not isinstance(errand, RestartCamera | TestFrame)

    def do(self, errand: Errand) -> Done:
        named = getattr(errand, "camera", None)
        is_here = named is None or named in self._house.everybody
        if not is_here and not isinstance(
            errand, ReleaseFootage
        ):  # what a camera of the past saw can be let go
            return Done(Outcome.REFUSED, "unknown-camera")
        match errand:
            case RestartCamera():
                done = self._restart(errand.camera)
            case TestFrame():
                done = self._test_frame(errand.camera)
            case HoldFootage():
                done = self._hold(partial(holds.add, self._house.home, errand))
            case ReleaseFootage():
                done = self._hold(partial(holds.remove, self._house.home, errand.camera, errand.case))
            case Update():
                wish.ask(self._house.home, errand)
                done = Done()
            case Pause():
                done = self._pause(errand)
            case Resume():
                done = self._resume(errand.camera)
        return done

    def _restart(self, name: str) -> Done:
        from agent.cameras.reboot import reboot  # here: zeep's 20 MB are for the rare day it is needed

        if refusal := self._paused(name):
            return refusal
        camera = self._house.cameras.get(name)
        if camera is None or not camera.entry.onvif_url:
            return Done(Outcome.REFUSED, "not-by-onvif")
        try:
            credential = credentials.load(self._house.home, camera.entry.login_name)
            failure = reboot(camera.entry, credential, self._house.clock)
        except AnninhError as error:
            log.warning("camera not restarted", extra={"camera": name, "reason": error})
            return Done(Outcome.FAILED, error.key)
        return Done(Outcome.FAILED, failure) if failure else Done()

    def _test_frame(self, name: str) -> Done:
        if refusal := self._paused(name):
            return refusal
        if not self._house.is_being_installed(self._house.clock.now()):
            return Done(Outcome.REFUSED, "not-installing")
        camera = self._house.cameras.get(name)
        if camera is None:
            return Done(Outcome.REFUSED, "not-by-onvif")
        asked = camera.watched.wish = FrameWish()
        frame = asked.granted(_FRAME_S)
        if frame is None:
            return Done(Outcome.FAILED, "no-picture")
        full = camera.pictures.at(frame.monotonic_s) if camera.pictures else None
        jpeg, width, height = encode_whole(frame.image if full is None else full)
        self._house.pauses.look()
        if refusal := self._paused(name):  # somebody paused while it was taken
            return refusal
        picture = Thumbnail(
            sha256=hashlib.sha256(jpeg).hexdigest(),
            size_bytes=len(jpeg),
            width=width,
            height=height,
            taken_at=frame.captured_at,
        )
        return Done(picture=picture, jpeg=jpeg)

    def _hold(self, change: Callable[[], Iterable[HoldFootage]]) -> Done:
        try:
            kept = change()
        except AnninhError as error:
            log.warning("holds not changed", extra={"reason": error})
            return Done(Outcome.FAILED, error.key)
        self._house.keep((one.camera, one.since, one.until) for one in kept)
        return Done()

    def _pause(self, errand: Pause) -> Done:
        now = self._house.clock.now()
        if errand.until <= now:
            return Done(Outcome.EXPIRED, "too-late")
        said = pauses.Pause(camera=errand.camera, since=now, until=errand.until)
        pauses.change(self._house.home, Whose.STATION, lambda before: before.paused(said))
        return Done()

    def _resume(self, camera: str | None) -> Done:
        """The station's own pause ends; where the household's holds, the answer says so."""
        house, now = self._house, self._house.clock.now()
        pauses.change(house.home, Whose.STATION, lambda before: before.resumed(camera, house.everybody, now))
        house.pauses.look()
        asked = [camera] if camera else house.everybody
        household = Whose.HOUSEHOLD.cause
        still = any(house.pauses.cause(name, now) == household for name in asked)
        return Done(why=household if still else "")

    def _paused(self, camera: str) -> Done | None:
        cause = self._house.pauses.cause(camera, self._house.clock.now())
        return Done(Outcome.REFUSED, cause) if cause else None
