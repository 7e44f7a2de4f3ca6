"""Whose camera is this, judged by what it shows to a stranger: its MAC, a port of its own, its banner?

From research, not from hardware on our bench; README.md says which sign and hint comes from where.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Brand(StrEnum):
    """The values are the last part of the hint's key: `discover.hint.<brand>`."""

    HIKVISION = "hikvision"
    EZVIZ = "ezviz"
    DAHUA = "dahua"
    IMOU = "imou"
    KBVISION = "kbvision"
    TAPO = "tapo"
    XIAOMI = "xiaomi"
    XIONGMAI = "xiongmai"
    REOLINK = "reolink"
    UNIVIEW = "uniview"
    TIANDY = "tiandy"
    AXIS = "axis"
    UNKNOWN = "any"


@dataclass(frozen=True, slots=True)
class Judgement:
    brand: Brand
    is_camera: bool  # a sign only a camera or recorder has; a MAC of TP-Link may be a router's


# IEEE registry (MA-L) as in Debian's ieee-data 2022-08-27; younger prefixes are missing. Huacheng is Imou.
_PREFIXES = {
    Brand.HIKVISION: """040312 085411 08A189 1012FB 1868CB 240F9B 2428FD 2432AE 24B105 2857BE 2CA59C 3C1BF8
        40ACBF 4419B6 4447CC 44A642 4CBD8F 4CF5DC 54C415 5803FB 5850ED 64DB8B 686DBC 80BEAF 849A40 8CE748
        94E1AC 988B0A 989DE5 98DF82 98F112 A0FF0C A41437 ACB92F ACCB51 B4A382 BC5E33 BC9B5E BCAD28 BCBAC2
        C0517E C056E3 C06DED C42F90 D4E853 E0BAAD E0CA3C E8A0ED ECC89C F84DFC FC9FFD""",
    Brand.EZVIZ: "588FCF 64F2FB 78A6A0 78C1AE EC97E0",
    Brand.DAHUA: """08EDED 14A78B 24526A 38AF29 3CE36B 3CEF8C 4C11BF 5CF51A 6C1C71 74C929 8CE9B4 9002A9 9C1463
        A0BD1D B44C3B BC325F C0395A C4AAC4 D4430E E0508B E4246C F4B1C2 FC5F49 FCB69D""",
    Brand.IMOU: "906A94",
    Brand.TAPO: """003192 005F67 1027F5 14EBB6 1C61B4 203626 2887BA 30DE4B 3460F9 54AF97 5CA6E6 60A4B7 687FF0
        6C5AB0 7CC2C6 9CA2F4 AC15A2 B0A7B9 B4B024 C006C3 CC68B6 E848B8""",
    Brand.XIAOMI: """047A0B 3C2CA6 3CBD3E 447147 68B8BB 6C0DC4 8C5AF8 C82832 D45EEC E0B655 E4DB6D ECFA5C""",
    Brand.REOLINK: "EC71DB",
    Brand.UNIVIEW: "48EA63 6CF17E C47905",
    Brand.TIANDY: "3CDA6D",
    Brand.AXIS: "00408C ACCC8E B8A44F",
}
_BRAND_OF_PREFIX = {prefix: brand for brand, listed in _PREFIXES.items() for prefix in listed.split()}
_MAKES_MUCH_ELSE = frozenset({Brand.TAPO, Brand.XIAOMI})  # routers, bulbs, telephones

# Ports nobody else uses: Tapo's stream (pytapo), Xiongmai's DVRIP, Dahua's private protocol.
OWN_PORTS = {8800: Brand.TAPO, 34567: Brand.XIONGMAI, 37777: Brand.DAHUA}
_SHARED_PORTS = frozenset({8800})  # 8800 is taken by other programs too: it needs the MAC beside it
_TAPO_ONVIF_PORT = 2020

_BANNERS = (
    (re.compile(r"kbvision|kbone"), Brand.KBVISION),  # before Dahua, who makes them
    (re.compile(r"hikvision|app-webs|dnvrs-webs|davinci-webs"), Brand.HIKVISION),
    (re.compile(r"ezviz"), Brand.EZVIZ),
    (re.compile(r"\bimou\b"), Brand.IMOU),
    (re.compile(r"dahua"), Brand.DAHUA),
    (re.compile(r"\btapo\b"), Brand.TAPO),
    (re.compile(r"uc-httpd|netsurveillance|h264dvr|xiongmai"), Brand.XIONGMAI),
    (re.compile(r"reolink"), Brand.REOLINK),
    (re.compile(r"uniview"), Brand.UNIVIEW),
    (re.compile(r"tiandy"), Brand.TIANDY),
    (re.compile(r"\baxis\b"), Brand.AXIS),
)
_ANY_CAMERA = re.compile(r"ip ?cam(era)?\b|network camera|\bnvr\b|\bdvr\b|hipcam")


def judge(mac: str | None, ports: Collection[int] = (), banner: str = "") -> Judgement:
    """Weigh the signs: what it says of itself, then a port of its own, then who made its network chip."""
    said = banner.casefold()
    for pattern, brand in _BANNERS:
        if pattern.search(said):
            return Judgement(brand, is_camera=True)
    maker = _BRAND_OF_PREFIX.get((mac or "").replace(":", "").upper()[:6], Brand.UNKNOWN)
    if maker is Brand.TAPO and {_TAPO_ONVIF_PORT, *OWN_PORTS} & set(ports):
        return Judgement(maker, is_camera=True)
    if maker is not Brand.UNKNOWN and maker not in _MAKES_MUCH_ELSE:
        return Judgement(maker, is_camera=True)
    for port in sorted(OWN_PORTS.keys() - _SHARED_PORTS):
        if port in ports:
            return Judgement(OWN_PORTS[port], is_camera=True)
    return Judgement(maker, is_camera=bool(_ANY_CAMERA.search(said)))
