"""Which streams does a camera offer over Media2, the service of Profile T and of H.265?

onvif-zeep has no description of it, and two operations do not deserve 3,000 lines of WSDL: they are
written here by hand and read by the names of their elements, whatever order a firmware sends them in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from agent.cameras.soap import MEDIA2, CameraFault, Device

_NAMESPACES = {"tr2": MEDIA2, "tt": "http://www.onvif.org/ver10/schema"}


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream the camera offers. The encoding is its word only: Media1 calls H.265 H264."""

    token: str
    width: int
    height: int
    encoding: str
    by_media2: bool = False


def profiles(device: Device) -> Iterator[tuple[str, Profile]]:
    """Yield each video profile after the token of the source it shows. Raises CameraFault."""
    request = etree.Element(f"{{{MEDIA2}}}GetProfiles", nsmap={"tr2": MEDIA2})
    for wanted in ("VideoSource", "VideoEncoder"):
        etree.SubElement(request, f"{{{MEDIA2}}}Type").text = wanted
    for entry in device.ask("media2", request).iterfind("tr2:Profiles", _NAMESPACES):
        source = _text(entry, "tr2:Configurations/tr2:VideoSource/tt:SourceToken")
        encoder = entry.find("tr2:Configurations/tr2:VideoEncoder", _NAMESPACES)
        if not source or encoder is None:
            continue  # audio or metadata only
        try:
            size = tuple(int(_text(encoder, f"tt:Resolution/tt:{side}")) for side in ("Width", "Height"))
        except ValueError:
            raise CameraFault(host=device.host, reason="GetProfiles: no resolution") from None
        encoding = _text(encoder, "tt:Encoding")
        yield source, Profile(str(entry.get("token", "")), size[0], size[1], encoding, by_media2=True)


def stream_uri(device: Device, token: str) -> str:
    """Return what the camera says its RTSP address is. Raises CameraFault."""
    request = etree.Element(f"{{{MEDIA2}}}GetStreamUri", nsmap={"tr2": MEDIA2})
    etree.SubElement(request, f"{{{MEDIA2}}}Protocol").text = "RTSP"
    etree.SubElement(request, f"{{{MEDIA2}}}ProfileToken").text = token
    return _text(device.ask("media2", request), "tr2:Uri")


def _text(element: Any, path: str) -> str:
    return str(element.findtext(path, "", _NAMESPACES)).strip()
