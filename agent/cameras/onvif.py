"""Who is this camera, how is its clock, and which of its streams do we watch? Asked over ONVIF."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

from agent.cameras import media2
from agent.cameras.credentials import Credential
from agent.cameras.identity import mac_of_neighbour, normal_mac
from agent.cameras.media2 import Profile
from agent.cameras.soap import CameraFault, CameraUnreachable, Device
from shared.clock import Clock

DETECT_WIDTH = 480  # a person 20 m away is then about 40 pixels high: the least a 416-pixel model finds
_DETECT_PIXELS = 640 * 360
_NAME_SCOPE = "onvif://www.onvif.org/name/"
_STREAM_SETUP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}


@dataclass(frozen=True, slots=True)
class VideoSource:
    """One lens: what to look at, and what to take pictures from. URLs carry no login."""

    token: str
    detect: Profile
    picture: Profile
    detect_url: str
    picture_url: str


@dataclass(frozen=True, slots=True)
class CameraIdentity:
    manufacturer: str
    model: str
    serial: str
    mac: str  # lower case with colons; empty when nobody would say
    name: str  # what its owner called it, if anything
    endpoint: UUID | None  # WS-Discovery's EndpointReference


@dataclass(frozen=True, slots=True)
class Camera:
    """Everything worth knowing; several sources make it a recorder."""

    url: str  # of the device service, at the address that answered
    identity: CameraIdentity
    clock_offset_s: float | None
    sources: tuple[VideoSource, ...]


def know(
    urls: Sequence[str], credential: Credential | None, clock: Clock, endpoint: UUID | None = None
) -> Camera:
    """Ask the first of these addresses that answers, and answers as this endpoint if one is given.

    Raises CameraUnreachable or CameraFault when none does, WrongPassword after exactly one request
    with the login.
    """
    device, said_endpoint = _answering(urls, credential, clock, endpoint)
    information = device.device_information()
    device.find_media()
    sources = tuple(_source(device, token, group) for token, group in _grouped(device).items())
    if not sources:
        raise CameraFault(host=device.host, reason="no video profile")
    identity = CameraIdentity(
        manufacturer=_said(information, "Manufacturer"),
        model=_said(information, "Model"),
        serial=_said(information, "SerialNumber"),
        mac=_mac(device),
        name=_name(device),
        endpoint=endpoint or said_endpoint or device.endpoint(),
    )
    return Camera(device.url, identity, device.clock_offset_s, sources)


def _answering(
    urls: Sequence[str], credential: Credential | None, clock: Clock, wanted: UUID | None
) -> tuple[Device, UUID | None]:
    """An announced address may be the one before the last move, and another camera's by now."""
    failure: CameraFault | CameraUnreachable | None = None
    for url in urls:
        device = Device(url, credential, clock)
        try:
            device.measure_clock()
        except (CameraFault, CameraUnreachable) as error:
            failure = failure or error
            continue
        endpoint = device.endpoint()
        if wanted is None or endpoint is None or endpoint == wanted:
            return device, endpoint
        failure = failure or CameraFault(host=device.host, reason="another device answers there")
    raise failure or CameraUnreachable(host="?", reason="no address")


def _grouped(device: Device) -> dict[str, list[Profile]]:
    """The profiles by the video source they show: a recorder has one source per channel.

    By Media2 where the camera has it: newer ones offer H.265 there only. Some offer it half built.
    """
    offered: list[tuple[str, Profile]] = []
    if device.has("media2"):
        with contextlib.suppress(CameraFault):
            offered = list(media2.profiles(device))
    if not offered and device.has("media"):
        offered = list(_media1_profiles(device))
    groups: dict[str, list[Profile]] = {}
    for source, profile in offered:
        groups.setdefault(source, []).append(profile)
    return groups


def _media1_profiles(device: Device) -> Iterator[tuple[str, Profile]]:
    offered = device.call("media", "GetProfiles") or ()
    with device.reading("GetProfiles"):
        for entry in offered:
            encoder, source = entry.VideoEncoderConfiguration, entry.VideoSourceConfiguration
            if encoder is None or source is None or encoder.Resolution is None:
                continue  # audio or metadata only
            size = int(encoder.Resolution.Width), int(encoder.Resolution.Height)
            yield str(source.SourceToken), Profile(entry.token, *size, str(encoder.Encoding))


def choose(profiles: Iterable[Profile]) -> tuple[Profile, Profile]:
    """Return which profile to look at and which to take pictures from.

    Looked at is the narrowest of at least 480 pixels, else the one nearest to 640x360; pictures come
    from the largest. Motion JPEG only when there is nothing else: it is five times the traffic.
    """
    offered = tuple(profiles)
    video = tuple(profile for profile in offered if profile.encoding.upper() != "JPEG") or offered
    picture = max(video, key=lambda profile: profile.width * profile.height)
    wide = [profile for profile in video if profile.width >= DETECT_WIDTH]
    if wide:
        return min(wide, key=lambda profile: (profile.width, profile.height)), picture
    return min(video, key=lambda profile: abs(profile.width * profile.height - _DETECT_PIXELS)), picture


def _source(device: Device, token: str, profiles: list[Profile]) -> VideoSource:
    detect, picture = choose(profiles)
    detect_url = _stream_url(device, detect)
    picture_url = detect_url if picture == detect else _stream_url(device, picture)
    return VideoSource(token, detect, picture, detect_url, picture_url)


def _stream_url(device: Device, profile: Profile) -> str:
    if profile.by_media2:
        said = media2.stream_uri(device, profile.token)
    else:
        answer = device.call("media", "GetStreamUri", StreamSetup=_STREAM_SETUP, ProfileToken=profile.token)
        said = _said(answer, "Uri")
    url = clean_stream_url(said, device.host)
    if not url:
        raise CameraFault(host=device.host, reason=f"no stream address for {profile.token}")
    return url


def clean_stream_url(uri: str, host: str) -> str:
    """Return a usable address, or an empty text.

    Seen in the field: newlines and spaces, &amp;, a login inside, 0.0.0.0 or the address before the last
    move. The host is always the one that answers; the port is the camera's word.
    """
    try:
        parts = urlsplit("".join(html.unescape(uri).split()))
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"rtsp", "rtsps"}:
        return ""
    netloc = f"{host}:{port}" if port else host
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def _mac(device: Device) -> str:
    """Seen on the wire; else (the other side of a router) by the camera's own word.

    Its word is of its first interface, and it may be on Wi-Fi with the second.
    """
    if mac := mac_of_neighbour(device.host):
        return mac
    try:
        interfaces = device.call("devicemgmt", "GetNetworkInterfaces") or ()
        with device.reading("GetNetworkInterfaces"):
            said = [normal_mac(_said(interface.Info, "HwAddress")) for interface in interfaces]
    except (CameraFault, CameraUnreachable):  # not permitted to this user, or not built in
        return ""
    return next(filter(None, said), "")


def _name(device: Device) -> str:
    try:
        scopes = device.call("devicemgmt", "GetScopes") or ()
        with device.reading("GetScopes"):
            items = [_said(scope, "ScopeItem").strip() for scope in scopes]
    except (CameraFault, CameraUnreachable):
        return ""
    return next(
        (unquote(item[len(_NAME_SCOPE) :])[:80] for item in items if item.startswith(_NAME_SCOPE)), ""
    )


def _said(answer: Any, field: str) -> str:
    """A text of an answer, which may lack it or be lacking itself."""
    return str(getattr(answer, field, None) or "").strip()[:500]
