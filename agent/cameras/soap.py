"""How do we speak SOAP with one camera? onvif-zeep's service descriptions, called our way.

Taken as it is, the library parses every WSDL anew for each camera (10 MB and 0.2 s of CPU), opens an
event subscription it never closes (some cameras have one in all), waits for ever, and says a wrong
password three times. So only its documents are used, parsed once per process, through zeep.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import requests
import zeep
import zeep.exceptions
import zeep.loader
import zeep.transports
import zeep.wsdl
from lxml import etree
from requests.auth import HTTPDigestAuth
from zeep.wsse.username import UsernameToken

from agent.cameras.credentials import Credential
from agent.cameras.skew import camera_time, clock_offset, http_date
from agent.cameras.stream import WrongPassword
from shared.clock import Clock
from shared.errors import NeedsFixing, TryLater

_CONNECT_S = 3.2  # a lost first packet is sent again after 1 s, and after 3 s
_READ_S = 5.0  # of one read; a slow camera answers within 2
_WHOLE_ANSWER_S = 15.0  # a camera that drips a byte every 4 s is as good as hung
_MAX_ANSWER_BYTES = 2 << 20  # GetProfiles of a 32-channel recorder: about 0.4 MB
_NOT_AUTHORISED = frozenset({"NotAuthorized", "FailedAuthentication", "InvalidSecurity"})
_REFUSALS = frozenset({401, 403})
MEDIA, MEDIA2 = "http://www.onvif.org/ver10/media/wsdl", "http://www.onvif.org/ver20/media/wsdl"
_LEFT = re.compile(r"\b(\d{1,6})\s+(?:more\s+|remaining\s+)?(?:attempt|tr(?:y|ies)\b|time)", re.IGNORECASE)
_LOCKED = re.compile(r"\block(?:ed)?\b", re.IGNORECASE)
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_SETTINGS = zeep.Settings(strict=False, forbid_dtd=True, forbid_entities=True, forbid_external=True)
# What zeep and lxml raise over documents that are not what they should be.
_PARSING = (zeep.exceptions.Error, SyntaxError, AttributeError, LookupError, TypeError, ValueError)


class OnvifIncomplete(NeedsFixing):
    """The onvif-zeep package left its WSDL files elsewhere: it does when built for another Python."""

    key = "onvif-incomplete"


class CameraUnreachable(TryLater):
    """No ONVIF service answers at any of the addresses tried."""

    key = "camera-unreachable"


class CameraFault(TryLater):
    """The camera answered, but not with what was asked for."""

    key = "camera-fault"


class FewTriesLeft(WrongPassword):
    """The camera says how many tries are left before it locks itself (Imou does)."""

    key = "camera-refused-counted"


class CameraLocked(WrongPassword):
    """The camera says it has locked itself: even the right password is refused for a while."""

    key = "camera-locked"


class PasswordOrClock(WrongPassword):
    """Refused, and the camera's clock is hours off: either may be the reason."""

    key = "camera-refused-or-clock"


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of the camera's last HTTP answer."""

    status: int
    date: str
    challenge: str


_NOTHING = Answered(0, "", "")


class _Refused(Exception):  # noqa: N818 -- not an error yet: without a login it is the expected answer
    """The camera wants a login, or a better one; the text is the camera's."""


class Device:
    """One camera's ONVIF services, at the address that answers. Owned by one thread.

    The login goes out for the first time in `device_information`, once; refused, it never goes again.
    """

    def __init__(self, url: str, credential: Credential | None, clock: Clock) -> None:
        self.url = url
        self.clock_offset_s: float | None = None
        self._clock_in_doubt = False
        self._credential = credential
        self._clock = clock
        self._token: _ClockedToken | None = None
        self._login_taken = False
        self._transport = _Transport()
        self._addresses = {"devicemgmt": url}

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def measure_clock(self) -> None:
        """Ask, without a login, what time it is there. Raises CameraUnreachable, CameraFault.

        A camera that wants a login even for this (Axis) still dates its refusal.
        """
        before = self._clock.now()
        said: datetime | None = None
        with contextlib.suppress(_Refused):
            said = camera_time(self._call("devicemgmt", "GetSystemDateAndTime"))
        halfway = before + (self._clock.now() - before) / 2
        dated = http_date(self._transport.answered.date)
        # whole seconds are cut off: half a second is the least wrong guess at the rest
        offsets = [
            (time + timedelta(seconds=0.5) - halfway).total_seconds() if time else None
            for time in (said, dated)
        ]
        self.clock_offset_s, self._clock_in_doubt = clock_offset(*offsets)

    def endpoint(self) -> UUID | None:
        """Return its WS-Discovery UUID, asked without a login; None when it would not say."""
        try:
            answer = self._call("devicemgmt", "GetEndpointReference")
            return UUID(str(answer.GUID).strip().rpartition(":")[2])
        except (CameraFault, CameraUnreachable, _Refused, AttributeError, ValueError):
            return None

    def device_information(self) -> Any:
        """Return who made it, by the one request that finds out whether the login is right.

        Whether it wants HTTP Digest or a WS-Security token is seen on a request without a login; a
        camera that tells anybody is not asked again here.
        """
        try:
            return self._call("devicemgmt", "GetDeviceInformation")
        except _Refused:
            pass
        finally:
            self._prepare_login()
        return self.call("devicemgmt", "GetDeviceInformation")

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """Call an operation with the login. Raises WrongPassword, CameraFault, CameraUnreachable."""
        if self._credential and self._credential.refused:
            raise WrongPassword(host=self.host)
        try:
            result = self._call(service, operation, **arguments)
        except _Refused as refusal:
            if self._login_taken:
                raise CameraFault(host=self.host, reason=f"{operation}: not permitted") from None
            if self._credential:
                self._credential.refuse()
            raise self._wrong_password(str(refusal)) from None
        self._login_taken = True
        return result

    def _wrong_password(self, said: str) -> WrongPassword:
        if self._credential is None:
            return WrongPassword(host=self.host)
        if left := _LEFT.search(said):
            return FewTriesLeft(host=self.host, attempts=int(left[1]))
        if _LOCKED.search(said):
            return CameraLocked(host=self.host)
        if self._clock_in_doubt and self._token:
            return PasswordOrClock(host=self.host, hours=round((self.clock_offset_s or 0) / 3600, 2))
        return WrongPassword(host=self.host)

    def find_media(self) -> None:
        """Learn where the media services are; only the path is believed, never the host.

        Raises CameraFault when there is neither Media nor Media2.
        """
        found = self._announced()
        ours = urlsplit(self.url)
        for service, namespace in (("media", MEDIA), ("media2", MEDIA2)):
            if found.get(namespace):
                with self.reading("GetServices"):
                    theirs = urlsplit(found[namespace].strip())
                self._addresses[service] = urlunsplit(
                    (ours.scheme, ours.netloc, theirs.path, theirs.query, "")
                )
        if not {"media", "media2"} & self._addresses.keys():
            raise CameraFault(host=self.host, reason="no media service")

    def _announced(self) -> dict[str, str]:
        """Return where each service is said to be, by its namespace."""
        try:
            services = self.call("devicemgmt", "GetServices", IncludeCapability=False) or ()
            with self.reading("GetServices"):
                return {entry.Namespace: entry.XAddr for entry in services}
        except CameraFault:  # older than ONVIF 2.0
            capabilities = self.call("devicemgmt", "GetCapabilities", Category="All")
            with self.reading("GetCapabilities"):
                return {MEDIA: capabilities.Media.XAddr} if capabilities and capabilities.Media else {}

    @contextlib.contextmanager
    def reading(self, operation: str) -> Iterator[None]:
        """Read an answer as it is described; zeep lets through what is not. Raises CameraFault."""
        try:
            yield
        except _PARSING as error:
            raise CameraFault(host=self.host, reason=f"{operation}: {type(error).__name__}") from None

    def has(self, service: str) -> bool:
        return service in self._addresses

    def ask(self, service: str, request: Any) -> Any:
        """Send one element as the body of a request, with the login; return the body's first element.

        For services onvif-zeep has no description of. Raises CameraFault, CameraUnreachable.
        """
        operation = etree.QName(request).localname
        envelope = etree.Element(f"{{{_SOAP}}}Envelope", nsmap={"s": _SOAP})
        etree.SubElement(envelope, f"{{{_SOAP}}}Header")
        etree.SubElement(envelope, f"{{{_SOAP}}}Body").append(request)
        headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        if self._token:
            envelope, headers = self._token.apply(envelope, headers)
        try:
            response = self._transport.post(self._addresses[service], etree.tostring(envelope), headers)
            answer = zeep.loader.parse_xml(response.content, self._transport, settings=_SETTINGS)
            first = answer.find(f"{{{_SOAP}}}Body")[0]
            said = etree.QName(first).localname
        except requests.RequestException as error:
            raise CameraUnreachable(host=self.host, reason=type(error).__name__) from None
        except _PARSING as error:
            raise CameraFault(host=self.host, reason=f"{operation}: {type(error).__name__}") from None
        if response.status_code != HTTPStatus.OK or said == "Fault":
            raise CameraFault(host=self.host, reason=f"{operation}: HTTP {response.status_code}")
        return first

    def _prepare_login(self) -> None:
        if self._credential is None:
            return
        username, password = self._credential.username, self._credential.password.get_secret_value()
        answered = self._transport.answered
        if answered.status in _REFUSALS and answered.challenge.lower().startswith("digest"):
            self._transport.session.auth = HTTPDigestAuth(username, password)
        else:
            offset = timedelta(seconds=self.clock_offset_s or 0)
            self._token = _ClockedToken(username, password, self._clock, offset)

    def _call(self, service: str, operation: str, **arguments: Any) -> Any:
        """Call with whatever login is prepared, and sort what can go wrong into three kinds."""
        document, binding = _service(service)
        self._transport.answered = _NOTHING
        try:
            client = zeep.Client(document, wsse=self._token, transport=self._transport, settings=_SETTINGS)
            proxy = client.create_service(binding, self._addresses[service])
            return getattr(proxy, operation)(**arguments)
        except zeep.exceptions.Fault as fault:
            codes = {code.localname for code in fault.subcodes or ()}
            if codes & _NOT_AUTHORISED or self._transport.answered.status in _REFUSALS:
                raise _Refused(str(fault.message)) from None
            raise CameraFault(host=self.host, reason=f"{operation}: {fault.message}") from None
        except requests.RequestException as error:
            raise CameraUnreachable(host=self.host, reason=type(error).__name__) from None
        except _PARSING as error:
            if self._transport.answered.status in _REFUSALS:
                raise _Refused from None
            raise CameraFault(host=self.host, reason=f"{operation}: {type(error).__name__}") from None


class _ClockedToken:
    """A WS-Security UsernameToken dated by the camera's clock: most accept five minutes, some 20 s."""

    def __init__(self, username: str, password: str, clock: Clock, offset: timedelta) -> None:
        self._username, self._password = username, password
        self._clock, self._offset = clock, offset

    def apply(self, envelope: Any, headers: Any) -> Any:
        created = self._clock.now() + self._offset
        token = UsernameToken(self._username, self._password, use_digest=True, created=created)
        return token.apply(envelope, headers)

    def verify(self, envelope: Any) -> None: ...


class _Transport(zeep.transports.Transport):  # type: ignore[misc]  # zeep has no types
    """HTTP with a limit on time and size, no proxy, no .netrc, no redirect; remembers the last answer."""

    def __init__(self) -> None:
        session = requests.Session()
        session.trust_env = False  # a camera is on the LAN: no proxy, and no login out of .netrc
        super().__init__(session=session, timeout=_READ_S, operation_timeout=_READ_S, cache=None)
        self.answered = _NOTHING

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> Any:
        response = self.session.post(
            address,
            data=message,
            headers=headers,
            timeout=(_CONNECT_S, _READ_S),
            stream=True,
            allow_redirects=False,
        )
        content, deadline_s = bytearray(), time.monotonic() + _WHOLE_ANSWER_S
        for chunk in response.iter_content(16 * 1024):
            content += chunk
            if len(content) > _MAX_ANSWER_BYTES or time.monotonic() > deadline_s:
                response.close()
                raise requests.ConnectionError
        response._content = bytes(content)  # noqa: SLF001 -- how requests itself fills it
        given = response.headers
        self.answered = Answered(
            response.status_code, given.get("Date", ""), given.get("WWW-Authenticate", "")
        )
        return response

    def load(self, url: str) -> bytes:
        """Only files of the package: a service description must never be fetched from the network."""
        return Path(url.removeprefix("file://")).read_bytes()


@cache
def _service(name: str) -> tuple[Any, str]:
    """Return a service's parsed description and the name of its binding; once per process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    from onvif.definition import SERVICES

    root.handlers[:], root.level = handlers, level  # importing onvif calls logging.basicConfig
    path = _wsdl_folder() / SERVICES[name]["wsdl"]
    document = zeep.wsdl.Document(str(path), transport=_Transport(), settings=_SETTINGS)
    return document, f"{{{SERVICES[name]['ns']}}}{SERVICES[name]['binding']}"


def _wsdl_folder() -> Path:
    """Where pip put the service descriptions: the package's own list of files knows."""
    for file in distribution("onvif-zeep").files or ():
        if file.name == "devicemgmt.wsdl":
            folder = Path(str(file.locate())).resolve().parent
            if (folder / file.name).is_file():
                return folder
    raise OnvifIncomplete


def endpoint_at(url: str, clock: Clock) -> UUID | None:
    """Return the UUID of whoever has this device service, asked without a login."""
    return Device(url, None, clock).endpoint()
