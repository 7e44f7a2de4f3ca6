"""What has a Frigate seen, and is it so? Its events, each with its picture, handed on to be judged.

Nothing it says is passed on by its word alone: a claim and its snapshot go to the vision thread, whose
own detector must find the same kind of thing there. What nobody can confirm is dropped and counted.
Frigate publishes at QoS 0 and keeps nothing for who is away, so after every (re)connect the events since
are asked for over HTTP; its ids are kept on disk with ours, so that nothing is told twice.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from uuid6 import uuid7

from agent.cameras import credentials
from agent.cameras.frigate_api import FrigateApi, FrigateRefused, FrigateUnreachable
from agent.cameras.frigate_messages import FrigateGarbageError, Sighting, Size, from_api, from_mqtt
from agent.cameras.frigate_table import FrigateTable, Known, State
from agent.cameras.frigate_wire import FrigateWire, Offline, Online
from agent.cameras.frigate_wire import Told as Said
from agent.cameras.masks import LiveMasks
from agent.settings import FrigateSettings
from agent.vision.claim import Claim, Refusal, Told
from agent.vision.event import Occurrence
from agent.vision.frame import Image
from shared.clock import Clock
from shared.geometry import Box
from shared.messages import CameraHealth, CameraState, Colour, Kind, Phase

log = logging.getLogger(__name__)

_TICK_S = 0.25
_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # `has_snapshot` turns true some seconds after the event is told
_AWAY_S = 5.0  # between tries while its HTTP does not answer
_REFUSED_S = 60.0  # between looks whether somebody has typed another login
_SILENT_S = 600.0  # an event whose end was lost: ask
_MARGIN_S = 600.0  # `new` is told when it is sure, so an older event may be told after a younger one
_LONGEST_GAP_S = 86_400.0
_CLAIMS_AT_ONCE = 4  # pictures in memory, 6 MB each at 1080p
_JUDGED_KEPT, _DOUBT = 20, 0.5  # of the last verdicts, for the health


@dataclass(slots=True)
class _Life:
    """One of its events, from the first word to our last."""

    known: Known
    sighting: Sighting
    told: Told | None
    heard_s: float
    due_s: float  # when to fetch the picture; inf: when something changes
    tries: int = 0
    is_judged: bool = False  # a claim is with the vision thread


@dataclass(frozen=True, slots=True, eq=False)
class _Verdict:
    claim: Claim
    made_of_it: Occurrence | Refusal


class Frigate:
    """Owns the thread `frigate`; `take` and `judged` are for the vision thread."""

    def __init__(
        self,
        wire: FrigateWire,
        api: FrigateApi,
        table: FrigateTable,
        clock: Clock,
        *,
        cameras: dict[str, tuple[str, LiveMasks]],
        arrived: threading.Event,
    ) -> None:
        """`cameras`: by its name of a camera our name and our masks. `arrived` is set by every claim."""
        self._wire, self._api, self._table, self._clock = wire, api, table, clock
        self._cameras, self._arrived = cameras, arrived
        self._claims: queue.SimpleQueue[Claim] = queue.SimpleQueue()
        self._verdicts: queue.SimpleQueue[_Verdict] = queue.SimpleQueue()
        self._live: dict[str, _Life] = {}
        self._sizes: dict[str, Size] = {}
        self._offset_s = 0.0  # Frigate's clock minus ours
        self._gap_due_s = math.inf  # when to ask what happened meanwhile
        self._overflowed = 0
        self._is_online = False
        self._trouble = FrigateUnreachable.cause
        self._judged = {ours: deque[bool](maxlen=_JUDGED_KEPT) for ours, _ in cameras.values()}
        self.is_spared: Callable[[str], bool] = lambda _camera: False  # by our name: nothing is heard of it
        self.garbage = self.unconfirmed = self.unwanted = self.confirmed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frigate", daemon=True)

    def start(self) -> None:
        self._wire.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wire.stop()
        self._thread.join(timeout=20)
        self._table.close()

    def take(self) -> Claim | None:
        """Return a claim to be judged, or None."""
        try:
            return self._claims.get_nowait()
        except queue.Empty:
            return None

    def judged(self, claim: Claim, verdict: Occurrence | Refusal) -> None:
        """What was told of it is on disk, or nothing was told, and why."""
        self._verdicts.put(_Verdict(claim, verdict))

    def health(self) -> Iterable[CameraHealth]:
        for ours, verdicts in self._judged.items():
            if self._trouble:
                yield CameraHealth(camera=ours, state=CameraState.DOWN, cause=self._trouble)
            elif len(verdicts) >= _JUDGED_KEPT and sum(verdicts) < _DOUBT * len(verdicts):
                yield CameraHealth(camera=ours, state=CameraState.DEGRADED, cause="frigate-unconfirmed")
            else:
                yield CameraHealth(camera=ours, state=CameraState.OK)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
                while not self._verdicts.empty():
                    self._conclude(self._verdicts.get_nowait())
                self._fill_gap()
                for key in tuple(self._live):
                    self._tend(key)
            except FrigateUnreachable as error:
                self._pause(error.cause, _AWAY_S)
            except FrigateRefused as error:
                self._pause(error.cause, _REFUSED_S)
            except Exception:
                log.exception("frigate")
                self._stop.wait(_TICK_S)

    def _pause(self, cause: str, wait_s: float) -> None:
        """Its HTTP does not serve us: ask for everything again after a while, if its MQTT is there."""
        self._trouble = cause
        if self._is_online:
            self._gap_due_s = self._clock.monotonic() + wait_s
        for life in self._live.values():
            if life.due_s < math.inf:
                life.due_s = max(life.due_s, self._clock.monotonic() + wait_s)

    # what it says

    def _listen(self) -> None:
        try:
            fact = self._wire.facts.get(timeout=_TICK_S)
        except queue.Empty:
            return
        match fact:
            case Online():
                self._is_online, self._gap_due_s = True, 0.0
            case Offline(refused=refused):
                self._is_online, self._gap_due_s = False, math.inf
                self._trouble = FrigateRefused.cause if refused else FrigateUnreachable.cause
            case Said(payload=payload):
                self._read(lambda: from_mqtt(payload, self._sizes))

    def _read(self, read: Callable[[], Sighting | None]) -> None:
        try:
            sighting = read()
        except FrigateGarbageError as error:
            self.garbage += 1
            log.debug("not an event", extra={"reason": error})
            return
        if sighting and sighting.camera in self._cameras:
            self._hear(sighting)

    def _hear(self, sighting: Sighting) -> None:
        now_s = self._clock.monotonic()
        life = self._live.get(sighting.key)
        spared = self.is_spared(self._cameras[sighting.camera][0])
        if life is None and spared:
            known = self._table.met(sighting.key, sighting.started_s)
            if not known.is_over and not known.told:
                self._table.note(sighting.key, State.REJECTED, None)
            return
        if life is None:
            known = self._table.met(sighting.key, sighting.started_s)
            if not known.is_over:
                due_s = math.inf if known.told and not sighting.ended else now_s
                self._live[sighting.key] = _Life(known, sighting, _told(known.told), now_s, due_s)
            return
        has_ended = sighting.ended and not life.sighting.ended
        life.sighting = replace(sighting, ended=sighting.ended or life.sighting.ended)
        life.heard_s = now_s
        if has_ended:
            life.due_s, life.tries = now_s, 0

    def _fill_gap(self) -> None:
        """Ask what happened while nobody listened, and what became of what we left open."""
        now_s = self._clock.monotonic()
        if self._wire.overflowed != self._overflowed:
            self._overflowed, self._gap_due_s = self._wire.overflowed, min(self._gap_due_s, now_s)
        if now_s < self._gap_due_s:
            return
        self._sizes, self._offset_s = self._api.sizes()
        there_s = self._clock.now().timestamp() + self._offset_s
        after_s = max(self._table.newest_s(there_s) - _MARGIN_S, there_s - _LONGEST_GAP_S)
        since_s = self._table.since_s()
        for row in self._api.events(after_s):
            self._read(lambda row=row: _since(from_api(row), since_s))  # type: ignore[misc]  # mypy#12557: a bound row
        for key in self._table.open_keys():
            self._ask_after(key)
        self._gap_due_s, self._trouble = math.inf, ""

    def _ask_after(self, key: str) -> None:
        row = self._api.event(key)
        if row is not None:
            self._read(lambda: from_api(row))
        elif life := self._live.get(key):
            life.sighting, life.due_s = replace(life.sighting, ended=True), self._clock.monotonic()
        else:
            self._table.note(key, State.REJECTED, None)

    # what we make of it

    def _tend(self, key: str) -> None:
        life, now_s = self._live[key], self._clock.monotonic()
        if life.is_judged:
            return
        if self.is_spared(self._cameras[life.sighting.camera][0]):
            self._let_go(life)
            return
        if not life.sighting.ended and now_s - life.heard_s > _SILENT_S:
            life.heard_s = now_s
            self._ask_after(key)
        busy = sum(other.is_judged for other in self._live.values()) >= _CLAIMS_AT_ONCE
        if now_s < life.due_s or busy:
            return
        life.due_s = now_s + _AWAY_S  # if the next line raises
        image = self._picture(life.sighting)
        if image is None:
            self._do_without(life)
            return
        self._claim(life, image)

    def _let_go(self, life: _Life) -> None:
        """Its camera is paused: no picture is fetched; what was told of is ended, the rest forgotten."""
        life.sighting = replace(life.sighting, ended=True)
        if life.told:
            self._claim(life, None)
            return
        self._table.note(life.sighting.key, State.REJECTED, None)
        del self._live[life.sighting.key]

    def _picture(self, sighting: Sighting) -> Image | None:
        """Its snapshot, masked. A picture that shows only a part of the frame cannot be masked: none."""
        image = self._api.snapshot(sighting.key, ended=sighting.ended)
        if image is None:
            return None
        _, masks = self._cameras[sighting.camera]
        if masks.in_force().polygons and not self._is_whole(image, sighting.camera):
            return None
        return masks.blackened(image)

    def _is_whole(self, image: Image, camera: str) -> bool:
        size = self._sizes.get(camera)
        return size is not None and abs(image.shape[1] / image.shape[0] - size[0] / size[1]) < 0.02  # noqa: PLR2004 -- rounding of a scaled picture

    def _do_without(self, life: _Life) -> None:
        if life.tries < len(_RETRY_S):
            life.due_s = self._clock.monotonic() + _RETRY_S[life.tries]
            life.tries += 1
        elif not life.sighting.ended:
            life.due_s = math.inf
        elif life.told:
            self._claim(life, None)
        else:
            self._reject(life, Refusal.UNSEEN)

    def _claim(self, life: _Life, image: Image | None) -> None:
        sighting, known = life.sighting, life.known
        ours, _ = self._cameras[sighting.camera]
        whole = image is not None and self._is_whole(image, sighting.camera)
        life.is_judged = True
        self._claims.put(
            Claim(
                key=sighting.key,
                event_id=known.event_id,
                revision=1 if life.told else 0,
                phase=Phase.END if sighting.ended else Phase.START,
                camera=ours,
                kind=sighting.kind,
                started_at=self._here(sighting.started_s),
                seen_at=self._here(sighting.seen_s),
                image=image,
                image_at=self._here(sighting.seen_s),
                box=sighting.box if whole else None,
                place=sighting.box,
                path=sighting.path,
                told=life.told,
            )
        )
        self._arrived.set()

    def _conclude(self, verdict: _Verdict) -> None:
        claim, told = verdict.claim, verdict.made_of_it
        life = self._live[claim.key]
        life.is_judged = False
        if isinstance(told, Occurrence):
            self._note_told(life, told)
            if claim.phase is Phase.END:
                del self._live[claim.key]
                return
        elif claim.phase is Phase.END:
            self._reject(life, told)
            return
        # its picture gets better while it lives: look again, then once more at the end
        tries_left = isinstance(told, Refusal) and life.tries < len(_RETRY_S)
        life.due_s = self._clock.monotonic() + _RETRY_S[life.tries] if tries_left else math.inf
        life.tries += 1
        if life.sighting.ended:
            life.due_s, life.tries = 0.0, 0

    def _note_told(self, life: _Life, told: Occurrence) -> None:
        event, score = told.event, told.view.score if told.view else 0.0
        if life.told is None:
            self.confirmed += 1
            self._judged[event.camera].append(True)
        life.told = Told(event.kind, event.confidence, event.box, score, event.colour or Colour.UNKNOWN)
        state = State.ENDED if event.phase is Phase.END else State.STARTED
        self._table.note(life.sighting.key, state, json.dumps(asdict(life.told)))

    def _reject(self, life: _Life, why: Refusal) -> None:
        """Over, and nothing was told. That the zones leave it out says nothing against its word."""
        ours, _ = self._cameras[life.sighting.camera]
        if why is Refusal.UNWANTED:
            self.unwanted += 1
        else:
            self.unconfirmed += 1
            self._judged[ours].append(False)
        self._table.note(life.sighting.key, State.REJECTED, None)
        del self._live[life.sighting.key]
        log.info(
            "not told", extra={"camera": ours, "kind": life.sighting.kind.value, "why": why.name.lower()}
        )

    def _here(self, epoch_s: float) -> datetime:
        """A moment of its clock in ours."""
        return datetime.fromtimestamp(epoch_s - self._offset_s, UTC)


def _since(sighting: Sighting | None, since_s: float) -> Sighting | None:
    """What was over before we first met is not ours to tell."""
    return sighting if sighting and (not sighting.ended or sighting.seen_s >= since_s) else None


def _told(kept: str | None) -> Told | None:
    if not kept:
        return None
    plain = json.loads(kept)
    colour = Colour(plain.get("colour", Colour.UNKNOWN))  # not known to a version before
    return Told(Kind(plain["kind"]), plain["confidence"], Box(**plain["box"]), plain["score"], colour)


def open_frigate(
    home: Path, settings: FrigateSettings, clock: Clock, *, arrived: threading.Event, client_id: str
) -> Frigate:
    """Build the source; its two logins are called `frigate` and `frigate-mqtt` in the file of logins."""
    return Frigate(
        FrigateWire(settings, credentials.load(home, "frigate-mqtt"), client_id),
        FrigateApi.at(settings.url, credentials.load(home, "frigate"), clock, settings.certificate),
        FrigateTable(home / "frigate.db", uuid7),
        clock,
        cameras={theirs: (ours, LiveMasks(home, ours, clock)) for theirs, ours in settings.cameras.items()},
        arrived=arrived,
    )
