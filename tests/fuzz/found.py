"""What did fuzzing find? One input for each fault that was mended, at the border where it came in."""

from __future__ import annotations

import json
import math

from shared.topics import Channel
from tests.fuzz.at_the_box import _CERTIFICATE, _SIGHTING, _UPDATE, ANSWERS
from tests.fuzz.at_the_station import _REQUEST, _SOUND, _der

_HUGE = 10**400  # JSON has no largest number; a float has


def _sighting(**changed: object) -> bytes:
    return json.dumps({"type": "new", "before": {}, "after": _SIGHTING | changed}).encode()


def _said(operation: str, old: bytes, new: bytes) -> bytes:
    assert old in ANSWERS[operation]
    return ANSWERS[operation].replace(old, new)


def _other_version(pem: str, version: bytes) -> bytes:
    """A version that no X.509 has: an exception of its own, which is no ValueError."""
    assert version in _der(pem)
    return _der(pem).replace(version, version[:2] + b"\x20", 1)


_ENCODED = b'<?xml version="1.0" encoding="TF-8"?><a/>'  # LookupError out of expat
_YEAR = b"<tt:Year>2026</tt:Year>"


def _beat(**changed: object) -> bytes:
    return json.dumps(json.loads(_SOUND[Channel.HEARTBEAT]) | changed).encode()


def _event(**changed: object) -> bytes:
    return json.dumps(json.loads(_SOUND[Channel.EVENT]) | changed).encode()


_CLOCK = {"boot_id": "b", "monotonic_s": 1.0, "quality": "synced"}

FOUND: tuple[tuple[str, bytes], ...] = (
    ("camera-events", _ENCODED),
    ("camera-events", b'<?xml version="1.0" encoding="utf-7"?><a/>'),
    ("camera-events", b"<a>" + b"\n" * (1 << 20)),  # half a minute of copying
    ("pullpoint-GetServices", _ENCODED),
    (
        "pullpoint-GetSystemDateAndTime",
        _said("GetSystemDateAndTime", _YEAR, b"<tt:Year>99999999999</tt:Year>"),
    ),
    ("pullpoint-GetSystemDateAndTime", _said("GetSystemDateAndTime", _YEAR, b"<tt:Year>9999</tt:Year>")),
    ("onvif-GetSystemDateAndTime", _said("GetSystemDateAndTime", _YEAR, b"<tt:Year>99999999999</tt:Year>")),
    ("onvif-GetSystemDateAndTime", _said("GetSystemDateAndTime", _YEAR, b"<tt:Year>9999</tt:Year>")),
    ("onvif-GetProfiles", _said("GetProfiles", b"<trt:GetProfilesResponse>", b"<trt:GetProfilesResponse>x")),
    ("onvif-GetProfiles", _said("GetProfiles", b"<trt:GetProfilesResponse>", b"<>")),
    ("onvif-GetProfiles", _said("GetProfiles", b"<tt:Width>768<", b"<tt:Width>http://[<")),
    ("onvif-GetServices", _said("GetServices", b"http://192.0.2.7", b"http://[")),
    ("onvif-GetStreamUri-2", _said("GetStreamUri-2", b"xmlns:tr2", b"xxmlns:tr2")),
    (
        "onvif-GetNetworkInterfaces",
        _said(
            "GetNetworkInterfaces",
            b"<tds:GetNetworkInterfacesResponse>",
            b"tds:GetNetworkInterfacesResponse>",
        ),
    ),
    ("ingest-hb", _beat(uptime_s=1e300)),  # the page of all sites broke on it
    ("ingest-hb", _beat(outbox_oldest_s=math.inf)),
    ("ingest-hb", _beat(memory_mb=math.nan)),
    ("ingest-ev", _event(clock=_CLOCK | {"camera_offset_s": math.inf})),
    ("ingest-ev", _event(seen_at="9999-12-31T23:59:59Z")),  # in Hà Nội no year has it
    ("request", _other_version(_REQUEST, b"\x02\x01\x00")),
    ("certificate", _other_version(_CERTIFICATE, b"\x02\x01\x02")),
    ("update-manifest", _UPDATE.replace(b'"size": 9', b'"size": 1e999')),
    ("frigate-mqtt", _sighting(start_time=_HUGE)),
    ("frigate-mqtt", _sighting(path_data=[[[_HUGE, 0], 1763870400.0]])),
    ("frigate-http", b"[]"),
    ("frigate-http", b'{"cameras": {"a": []}}'),
    ("frigate-http", json.dumps([{"start_time": "x"}] * 100).encode()),
    ("frigate-http", json.dumps([{"start_time": "x"}, {"start_time": 1}] * 50).encode()),
)
