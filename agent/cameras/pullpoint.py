"""What does this camera want to tell? One ONVIF PullPoint subscription, from opening to closing.

Five fixed requests, written out here: the WS-Addressing headers and the camera's own reference
parameters must stand in each (400 without them), and which those are is only known from its answer.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from xml.sax.saxutils import escape, quoteattr

import requests
from requests.auth import HTTPDigestAuth

from agent.cameras.camera_event_messages import CameraEvent, events
from agent.cameras.credentials import Credential
from agent.cameras.skew import believable
from agent.cameras.stream import WrongPassword
from agent.cameras.xmltree import Node, XmlError, parse
from shared.clock import Clock
from shared.errors import NeedsFixing, TryLater

PULL_S = 3  # seconds the camera may hold an answer back; a stop waits no longer than this
_TIMEOUT_S = 5.0
_LEASE_S = 60  # a box that lost its power frees the camera's one ear within a minute
_SHORTEST_S, _LONGEST_S = 10.0, 3600.0  # leases believed; some firmware answers with 1970
_STEPPED = timedelta(seconds=10)  # a token is good for twenty at least
_MAX_ANSWER_BYTES = 1 << 20  # 100 notifications are about 100 kB
_REFUSALS = frozenset({401, 403})
_NOT_AUTHORISED = ("NotAuthorized", "FailedAuthentication", "InvalidSecurity", "not authorized")

_EVENTS = "http://www.onvif.org/ver10/events/wsdl"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/bw-2"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:e="http://www.onvif.org/ver10/events/wsdl"'
    ' xmlns:d="http://www.onvif.org/ver10/device/wsdl" xmlns:n="http://docs.oasis-open.org/wsn/b-2">'
    "<s:Header><a:Action>{action}</a:Action><a:MessageID>urn:uuid:{id}</a:MessageID>"
    "<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>"
    "<a:To>{to}</a:To>{reference}{token}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
)
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_TOKEN = (
    f'<w:Security xmlns:w="{_WSS}-wssecurity-secext-1.0.xsd" xmlns:u="{_WSS}-wssecurity-utility-1.0.xsd">'
    "<w:UsernameToken><w:Username>{user}</w:Username>"
    f'<w:Password Type="{_WSS}-username-token-profile-1.0#PasswordDigest">{{digest}}</w:Password>'
    f'<w:Nonce EncodingType="{_WSS}-soap-message-security-1.0#Base64Binary">{{nonce}}</w:Nonce>'
    "<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
)


class SubscriptionLost(TryLater):
    """No answer, or the camera no longer knows us: it rebooted, or has dropped what it had."""

    key = "camera-events-lost"


class NoEvents(NeedsFixing):
    """This camera tells nothing: it has no such service, or not for this user. Not asked again."""

    key = "camera-events-none"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    challenge: str
    body: Node

    @property
    def fault(self) -> str:
        fault = self.body.first("Fault")
        if fault is None:
            return "" if self.status < 300 else f"HTTP {self.status}"  # noqa: PLR2004 -- success is 2xx
        codes = [node.text.rpartition(":")[2].strip() for node in fault.all("Value")]
        return " ".join([*codes, fault.said("Text"), fault.said("faultstring")]).strip()[:200]

    @property
    def refused(self) -> bool:
        return self.status in _REFUSALS or any(code in self.fault for code in _NOT_AUTHORISED)


class PullPoint:
    """Owned by one thread. `check` is asked right before the login goes out: is this still our camera?"""

    def __init__(
        self,
        url: str,
        credential: Credential | None,
        clock: Clock,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._credential = credential
        self._clock = clock
        self._check = check
        self._session = requests.Session()
        self._session.trust_env = False  # a camera is on the LAN: no proxy, and no login out of .netrc
        self._offset = timedelta(0)  # the camera's clock minus ours
        self._with_token = self._login_taken = False
        self._manager, self._reference = "", ""
        self._renew_at_s = 0.0

    @property
    def host(self) -> str:
        return urlsplit(self._url).hostname or ""

    def subscribe(self) -> None:
        """Open. Raises NoEvents, WrongPassword, SubscriptionLost."""
        self._measure_clock()
        service = self._service()
        lease = f"<e:InitialTerminationTime>PT{_LEASE_S}S</e:InitialTerminationTime>"
        action = f"{_EVENTS}/EventPortType/CreatePullPointSubscriptionRequest"
        answer = self._say(service, action, _element("e:CreatePullPointSubscription", lease))
        if answer.fault and "NotSupported" not in answer.fault:  # some know no lengths, only dates
            answer = self._say(service, action, _element("e:CreatePullPointSubscription"))
        if "NotSupported" in answer.fault:
            raise NoEvents(host=self.host, reason=answer.fault)
        self._expect(answer)
        reference = answer.body.first("SubscriptionReference")
        parameters = reference.first("ReferenceParameters") if reference else None
        self._reference = "".join(_echoed(node) for node in parameters.children) if parameters else ""
        self._manager = _ours(reference.said("Address") if reference else "", service)
        self._note_lease(answer.body)

    def pull(self) -> tuple[CameraEvent, ...]:
        """Wait up to `PULL_S` for what it tells; renew when half the lease is over."""
        if self._clock.monotonic() >= self._renew_at_s:
            self._renew()
        wish = f"<e:Timeout>PT{PULL_S}S</e:Timeout><e:MessageLimit>100</e:MessageLimit>"
        action = f"{_EVENTS}/PullPointSubscription/PullMessagesRequest"
        answer = self._say(self._manager, action, _element("e:PullMessages", wish))
        self._expect(answer)
        return events(answer.body)

    def unsubscribe(self) -> None:
        """Free the camera's ear. Best effort: the lease ends by itself in a minute."""
        if self._manager:
            action = f"{_NOTIFICATION}/SubscriptionManager/UnsubscribeRequest"
            with contextlib.suppress(SubscriptionLost, WrongPassword, NoEvents):
                self._say(self._manager, action, _element("n:Unsubscribe"))
            self._manager = ""
        self._session.close()

    def _renew(self) -> None:
        action = f"{_NOTIFICATION}/SubscriptionManager/RenewRequest"
        lease = f"<n:TerminationTime>PT{_LEASE_S}S</n:TerminationTime>"
        answer = self._say(self._manager, action, _element("n:Renew", lease))
        self._expect(answer)
        self._note_lease(answer.body)

    def _note_lease(self, body: Node) -> None:
        """By the camera's own two times, since its clock may be anywhere."""
        until, now = _moment(body.said("TerminationTime")), _moment(body.said("CurrentTime"))
        lease_s = (until - now).total_seconds() if until and now else _LEASE_S
        self._renew_at_s = self._clock.monotonic() + min(max(lease_s, _SHORTEST_S), _LONGEST_S) / 2

    def _measure_clock(self) -> None:
        """Without a login; a camera that wants one even for this dates its refusal."""
        body = _element("d:GetSystemDateAndTime")
        answer, dated = self._post(
            self._url, "http://www.onvif.org/ver10/device/wsdl/GetSystemDateAndTime", body
        )
        utc = answer.body.first("UTCDateTime")
        try:
            parts = (
                [int(utc.said(name)) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
                if utc
                else []
            )
            there = datetime(*parts, tzinfo=UTC) if parts else _moment(dated)  # type: ignore[arg-type,misc]  # six ints
        except (ValueError, OverflowError):
            there = None
        if there and believable(there):
            self._offset = there - self._clock.now()

    def _service(self) -> str:
        """Where the event service is; asked without a login first, as the standard allows."""
        action = "http://www.onvif.org/ver10/device/wsdl/GetServices"
        include = "<d:IncludeCapability>false</d:IncludeCapability>"
        answer = self._say(self._url, action, _element("d:GetServices", include))
        for service in answer.body.all("Service"):
            if service.said("Namespace") == _EVENTS:
                return _ours(service.said("XAddr"), self._url)
        action = "http://www.onvif.org/ver10/device/wsdl/GetCapabilities"
        category = "<d:Category>Events</d:Category>"
        answer = self._say(self._url, action, _element("d:GetCapabilities", category))
        section = answer.body.first("Events")
        if section is None or not section.said("XAddr"):
            raise NoEvents(host=self.host, reason="no event service")
        return _ours(section.said("XAddr"), self._url)

    def _expect(self, answer: _Answer) -> None:
        if answer.fault:
            raise SubscriptionLost(host=self.host, reason=answer.fault)

    def _say(self, url: str, action: str, body: str) -> _Answer:
        """Ask; with the login once the camera has shown that it wants one, and which kind."""
        answer, _ = self._post(url, action, body)
        if not answer.refused:
            if self._with_token or self._session.auth:
                self._login_taken = True
            return answer
        credential = self._credential
        if self._login_taken:  # not our password, then: the camera's clock has stepped, or our rights
            before = self._offset
            self._measure_clock()
            if abs(self._offset - before) > _STEPPED:
                raise SubscriptionLost(host=self.host, reason="its clock was set")
            raise NoEvents(host=self.host, reason=answer.fault)
        if credential is None:
            raise NoEvents(host=self.host, reason="wants a login")
        return self._first_login(credential, answer.challenge, (url, action, body))

    def _first_login(self, credential: Credential, challenge: str, request: tuple[str, str, str]) -> _Answer:
        self._check()
        with credential.turn:
            if credential.refused:
                raise WrongPassword(host=self.host)
            if challenge.lower().startswith("digest"):
                secret = credential.password.get_secret_value()
                self._session.auth = HTTPDigestAuth(credential.username, secret)
            else:
                self._with_token = True
            answer, _ = self._post(*request)
            if answer.refused:
                credential.refuse()
                raise WrongPassword(host=self.host)
        self._login_taken = True
        return answer

    def _post(self, url: str, action: str, body: str) -> tuple[_Answer, str]:
        """Send one request; return the answer and its HTTP date."""
        document = _ENVELOPE.format(
            action=action,
            id=uuid.uuid4(),
            to=escape(url),
            reference=self._reference if url == self._manager else "",
            token=self._token() if self._with_token else "",
            body=body,
        )
        headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}
        content = bytearray()
        try:
            response = self._session.post(
                url, data=document.encode(), headers=headers, stream=True, allow_redirects=False,
                timeout=(_TIMEOUT_S, _TIMEOUT_S + PULL_S),
            )  # fmt: skip
            for chunk in response.iter_content(16 * 1024):
                content += chunk
                if len(content) > _MAX_ANSWER_BYTES:
                    response.close()
                    raise SubscriptionLost(host=self.host, reason="endless answer")
            tree = parse(bytes(content)) if content.strip() else Node("")
        except requests.RequestException as error:
            raise SubscriptionLost(host=self.host, reason=type(error).__name__) from None
        except XmlError:
            tree = Node("")
            if response.status_code < 300:  # noqa: PLR2004 -- success is 2xx
                raise SubscriptionLost(host=self.host, reason="not XML") from None
        challenge = response.headers.get("WWW-Authenticate", "")
        return _Answer(response.status_code, challenge, tree), response.headers.get("Date", "")

    def _token(self) -> str:
        """A WS-Security UsernameToken dated by the camera's clock: most accept five minutes, some 20 s."""
        assert self._credential  # noqa: S101 -- for mypy: a token is only made when there is one
        nonce = secrets.token_bytes(16)
        created = f"{self._clock.now() + self._offset:%Y-%m-%dT%H:%M:%SZ}"
        secret = self._credential.password.get_secret_value()
        digest = hashlib.sha1(nonce + created.encode() + secret.encode()).digest()  # noqa: S324 -- the profile's choice
        return _TOKEN.format(
            user=escape(self._credential.username),
            digest=base64.b64encode(digest).decode(),
            nonce=base64.b64encode(nonce).decode(),
            created=created,
        )


def _element(name: str, content: str = "") -> str:
    return f"<{name}>{content}</{name}>"


def _echoed(node: Node) -> str:
    """A reference parameter as the standard wants it back: its name, its namespace, its text."""
    if not re.fullmatch(r"[\w.-]+", node.name):
        return ""
    return (
        f'<r:{node.name} xmlns:r={quoteattr(node.namespace)} a:IsReferenceParameter="true">'
        f"{escape(node.text.strip())}</r:{node.name}>"
    )


def _ours(address: str, near: str) -> str:
    """Where a camera's own address leads: the host is the one that answers, whatever the camera says."""
    ours = urlsplit(near)
    try:
        theirs = urlsplit(address.strip())
        known = theirs.hostname == ours.hostname and theirs.scheme == ours.scheme
        netloc = theirs.netloc if known and theirs.port != 0 else ours.netloc
    except ValueError:
        return near
    return urlunsplit((ours.scheme, netloc, theirs.path or ours.path, theirs.query, ""))


def _moment(text: str) -> datetime | None:
    for form in ("%Y-%m-%dT%H:%M:%S", "%a, %d %b %Y %H:%M:%S"):
        try:
            found = re.match(r"[^.Z+]+?(?=\.|Z|\+| GMT|$)", text.strip())
            return datetime.strptime(found.group(), form).replace(tzinfo=UTC) if found else None
        except ValueError:
            continue
    return None
