"""What does it take to watch a camera? Know it, see its streams, and only then keep it and its login."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agent.cameras import credentials, register
from agent.cameras.credentials import Credential
from agent.cameras.discover import Candidate
from agent.cameras.follow import found_again, look_around
from agent.cameras.look import StreamFacts, look
from agent.cameras.onvif import Camera, VideoSource, know
from agent.cameras.register import CameraEntry, Entries
from agent.cameras.stream import StreamFailure, StreamRefused, StreamStalled, StreamUnreachable
from shared.clock import Clock

_AT_ONCE = 4  # channels of a recorder looked at together; older ones serve few viewers


@dataclass(frozen=True, slots=True)
class Added:
    """One lens that is watched from now on. A recorder's dead channel is kept too, with why it is dead."""

    entry: CameraEntry
    facts: tuple[StreamFacts, ...] = ()  # of the stream looked at, and of the one for pictures
    failure: StreamFailure | None = None
    replaced: bool = False  # another camera had this name and address


def add(home: Path, candidate: Candidate, login: Credential | None, clock: Clock) -> tuple[Added, ...]:
    """Add the camera, or each camera behind a recorder.

    Raises WrongPassword after one request with the login, CameraFault, CameraUnreachable, or what
    became of the stream when none has a picture.
    """
    camera = know(candidate.urls, login, clock, candidate.endpoint)
    fresh = [_entry(camera, source, candidate) for source in camera.sources]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        looks = tuple(pool.map(partial(_look, login=login, clock=clock), fresh))
    failures = [seen for seen in looks if not isinstance(seen, tuple)]
    if len(failures) == len(fresh):
        raise failures[0]
    replaced = _replaced(home, fresh[0])
    kept = _keep(home, fresh, replaced, login)
    return tuple(
        Added(entry, failure=seen, replaced=entry.name in replaced)
        if not isinstance(seen, tuple)
        else Added(entry, facts=seen, replaced=entry.name in replaced)
        for entry, seen in zip(kept, looks, strict=True)
    )


def _entry(camera: Camera, source: VideoSource, candidate: Candidate) -> CameraEntry:
    wish = camera.identity.name or candidate.name
    if len(camera.sources) > 1:
        wish = f"{wish or 'cam'}-{camera.sources.index(source) + 1}"
    return CameraEntry(
        name=register.free_name(wish, ()),
        endpoint=camera.identity.endpoint,
        mac=camera.identity.mac,
        manufacturer=camera.identity.manufacturer,
        model=camera.identity.model,
        serial=camera.identity.serial,
        source=source.token,
        onvif_url=camera.url,
        detect_url=source.detect_url,
        picture_url=source.picture_url,
        clock_offset_s=camera.clock_offset_s,
    )


def _look(
    entry: CameraEntry, login: Credential | None, clock: Clock
) -> tuple[StreamFacts, ...] | StreamRefused | StreamStalled | StreamUnreachable:
    """See both streams of one lens; WrongPassword ends the whole attempt."""
    detect, picture = entry.detect_address(login), entry.picture_address(login)
    try:
        return tuple(look(address, clock) for address in dict.fromkeys((detect, picture)))
    except (StreamRefused, StreamStalled, StreamUnreachable) as failure:
        return failure


def _replaced(home: Path, new: CameraEntry) -> frozenset[str]:
    """Return which cameras this one took the place of.

    One that is elsewhere on the network by now has only moved: it is noted there, and keeps its name.
    """
    before = [
        entry
        for entry in register.load(home)
        if urlsplit(entry.onvif_url).netloc == urlsplit(new.onvif_url).netloc
        and entry.traits.is_same(new.traits) is False
    ]
    if not before:
        return frozenset()
    hosts = found_again(before, look_around())
    register.change(
        home, lambda entries: tuple(old.moved_to(hosts.get(old.name, old.host)) for old in entries)
    )
    return frozenset(entry.name for entry in before if entry.name not in hosts)


def _keep(
    home: Path, fresh: Sequence[CameraEntry], replaced: frozenset[str], login: Credential | None
) -> list[CameraEntry]:
    """Put them into the register; the first one's name is also the name of the device's login."""
    names: list[str] = []

    def edit(entries: Entries) -> Entries:
        for new in fresh:
            entries = _renewed(entries, new, replaced, alone=len(fresh) == len(replaced) == 1)
            named = new.model_copy(
                update={
                    "name": register.free_name(new.name, (entry.name for entry in entries)),
                    "login": names[0] if names else None,
                }
            )
            entries = register.merged(entries, named)
            names.append(
                next(one.name for one in entries if one.model_copy(update={"name": named.name}) == named)
            )
        return entries

    entries = {entry.name: entry for entry in register.change(home, edit)}
    if login:
        credentials.save(home, names[0], login)
    for name in names[1:]:
        credentials.remove(home, name)
    return [entries[name] for name in names]


def _renewed(entries: Entries, new: CameraEntry, replaced: frozenset[str], *, alone: bool) -> Entries:
    """A camera that was replaced hands its name and place to the new one, lens by lens."""
    return tuple(
        new.model_copy(update={"name": old.name})
        if old.name in replaced and (alone or old.source == new.source)
        else old
        for old in entries
    )
