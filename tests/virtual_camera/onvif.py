"""What does the camera say about itself? The ONVIF device and media services, over SOAP 1.2 and HTTP."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.virtual_camera.clip import Clip
from tests.virtual_camera.digest import Digest, Verdict
from tests.virtual_camera.state import Login

if TYPE_CHECKING:
    from tests.virtual_camera.camera import VirtualCamera

TOKEN_WINDOW_S = 300  # ipycam, OpenIPC and many others accept that much
_MAX_REQUEST_BYTES = 64 * 1024
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_SOAP = "http://www.w3.org/2003/05/soap-envelope"

_ENVELOPE = f"""<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="{_SOAP}" xmlns:ter="http://www.onvif.org/ver10/error"
 xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"
 xmlns:tr2="http://www.onvif.org/ver20/media/wsdl"
 xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body>{{body}}</s:Body></s:Envelope>"""
_FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{code}</s:Value></s:Subcode></s:Code>"
    '<s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>'
)


class OnvifServer:
    """A thread per request behind one listening thread."""

    def __init__(self, camera: VirtualCamera, clip: Clip, port: int, login: Login | None) -> None:
        self._camera, self._clip, self._login = camera, clip, login
        self._digest = Digest(login, qop=True) if login else None
        self._stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30
            wbufsize = -1  # head and body in one segment, or each answer waits 40 ms for an ACK

            def do_POST(self) -> None:
                if server._camera.faults.http_silent:
                    server._stopping.wait(30)
                    return
                size = min(int(self.headers.get("Content-Length", "0")), _MAX_REQUEST_BYTES)
                server._reply(self, *server._soap(self, self.rfile.read(size)))

            def do_GET(self) -> None:
                server._reply(self, *server._snapshot(self))

            def date_time_string(self, timestamp: float | None = None) -> str:
                del timestamp
                return format_datetime(server._now(), usegmt=True)

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer((camera.address, port), Handler)
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def login(self) -> Login | None:
        return self._login

    @login.setter
    def login(self, login: Login) -> None:
        self._login, self._digest = login, Digest(login, qop=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def _now(self) -> datetime:
        """The camera's own idea of the time."""
        return datetime.fromtimestamp(time.time() + self._camera.faults.clock_offset_s, UTC)

    def _reply(self, request: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
        if self._camera.faults.dateless:
            request.send_response_only(status)
        else:
            request.send_response(status)
        if status == 401 and self._digest and self._camera.faults.http_digest_only:
            request.send_header("WWW-Authenticate", self._digest.challenge())
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _soap(self, request: BaseHTTPRequestHandler, data: bytes) -> tuple[int, str, bytes]:
        self._camera.counters.add("soap_requests")
        try:
            envelope = ET.fromstring(data)
            action = envelope.find(f"{{{_SOAP}}}Body")[0]
        except (ET.ParseError, TypeError, IndexError):
            return self._fault(400, "WellFormed", "not a SOAP envelope")
        name = action.tag.rpartition("}")[2]
        free = name in {"GetSystemDateAndTime", "GetEndpointReference"}  # "PRE_AUTH", ONVIF Core 5.9.4.3
        free = free and not self._camera.faults.time_needs_login
        if not self._admitted(request, envelope) and not free:
            status = (
                401 if self._camera.faults.http_digest_only or self._camera.faults.time_needs_login else 400
            )
            return self._fault(status, "NotAuthorized", self._refusal())
        told = self._camera.events.answer(name, envelope)
        if told is not None:
            return told
        by_media2 = action.tag.startswith("{http://www.onvif.org/ver20/media/wsdl}")
        if by_media2 and self._camera.faults.media2 in {"none", "broken"}:
            return self._fault(400, "ActionNotSupported", name)
        answers: dict[str, Callable[[ET.Element], str]] = {
            "GetEndpointReference": self._endpoint_reference,
            "GetSystemDateAndTime": self._date_and_time,
            "GetDeviceInformation": self._device_information,
            "SystemReboot": self._reboot,
            "GetCapabilities": self._capabilities,
            "GetServices": self._services,
            "GetScopes": self._scopes,
            "GetNetworkInterfaces": self._network_interfaces,
            "GetVideoSources": self._video_sources,
            "GetProfiles": self._profiles2 if by_media2 else self._profiles,
            "GetStreamUri": self._stream_uri2 if by_media2 else self._stream_uri,
            "GetSnapshotUri": self._snapshot_uri,
        }
        if name not in answers:
            if name == "CreatePullPointSubscription":
                self._camera.counters.add("subscriptions")
            return self._fault(400, "ActionNotSupported", name)
        return (
            200,
            "application/soap+xml; charset=utf-8",
            _ENVELOPE.format(body=answers[name](action)).encode(),
        )

    @staticmethod
    def _fault(status: int, code: str, reason: str) -> tuple[int, str, bytes]:
        body = _ENVELOPE.format(body=_FAULT.format(code=code, reason=escape(reason)))
        return status, "application/soap+xml; charset=utf-8", body.encode()

    # may they?

    def _admitted(self, request: BaseHTTPRequestHandler, envelope: ET.Element) -> bool:
        if not self._login or not self._digest:
            return True
        counters = self._camera.counters
        if self._camera.faults.http_digest_only:
            verdict = self._digest.check(request.headers.get("Authorization"), request.command)
            judged = verdict in {Verdict.RIGHT, Verdict.WRONG}
            admitted = verdict is Verdict.RIGHT
        else:
            token = envelope.find(f".//{{{_WSSE}}}UsernameToken")
            judged = token is not None
            admitted = token is not None and self._token_right(token)
        admitted = admitted and not self._is_locked()
        if judged:
            counters.add("soap_credentialed")
            if not admitted:
                counters.add("soap_wrong")
        return admitted

    def _is_locked(self) -> bool:
        limit, counters = self._camera.faults.locks_after, self._camera.counters
        return 0 < limit <= counters.soap_wrong + counters.rtsp_wrong

    def _refusal(self) -> str:
        faults, counters = self._camera.faults, self._camera.counters
        if self._is_locked():
            return "The account is locked"
        if faults.locks_after and counters.soap_wrong:
            return (
                f"Sender not Authorized. You still have {faults.locks_after - counters.soap_wrong} attempt(s)"
            )
        return "Sender not Authorized"

    def _token_right(self, token: ET.Element) -> bool:
        """WS-Security UsernameToken Profile 1.0: Base64(SHA-1(nonce + created + password))."""
        assert self._login
        nonce = base64.b64decode(token.findtext(f"{{{_WSSE}}}Nonce") or "")
        created = token.findtext(f"{{{_WSU}}}Created") or ""
        try:
            made = datetime.fromisoformat(created)
        except ValueError:
            return False
        if abs(self._now() - made) > timedelta(seconds=TOKEN_WINDOW_S):
            return False
        digest = hashlib.sha1(nonce + created.encode() + self._login.password.encode()).digest()
        right = token.findtext(f"{{{_WSSE}}}Password") == base64.b64encode(digest).decode()
        return right and token.findtext(f"{{{_WSSE}}}Username") == self._login.user

    # what is said

    def _host(self) -> str:
        return self._camera.faults.xaddr_host or self._camera.address

    def _http_base(self) -> str:
        return f"http://{self._host()}:{self.port}"

    def _date_and_time(self, _: ET.Element) -> str:
        now = self._now() + timedelta(seconds=self._camera.faults.local_time_s)
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>UTC-7</tt:TZ></tt:TimeZone>"
            f"<tt:UTCDateTime><tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _device_information(self, _: ET.Element) -> str:
        return (
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>An Ninh</tds:Manufacturer>"
            "<tds:Model>VC-1</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion>"
            f"<tds:SerialNumber>{self._camera.identity.serial}</tds:SerialNumber>"
            "<tds:HardwareId>VC-1</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )

    def _reboot(self, _: ET.Element) -> str:
        """Everybody is thrown out; our cameras are back at once."""
        self._camera.counters.add("reboots")
        self._camera.rtsp.drop_connections()
        return "<tds:SystemRebootResponse><tds:Message>now</tds:Message></tds:SystemRebootResponse>"

    def _endpoint_reference(self, _: ET.Element) -> str:
        guid = f"urn:uuid:{self._camera.identity.endpoint}"
        name = "tds:GetEndpointReferenceResponse"
        return f"<{name}><tds:GUID>{guid}</tds:GUID></{name}>"

    def _capabilities(self, _: ET.Element) -> str:
        base = self._http_base()
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities>"
            f"<tt:Device><tt:XAddr>{base}/onvif/device_service</tt:XAddr></tt:Device>"
            f"<tt:Media><tt:XAddr>{base}/onvif/media_service</tt:XAddr><tt:StreamingCapabilities>"
            "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>"
            "</tds:Capabilities></tds:GetCapabilitiesResponse>"
        )

    def _services(self, _: ET.Element) -> str:
        base = self._http_base()
        media2 = self._camera.faults.media2
        names = ["ver10/device"]
        names += ["ver10/media"] if media2 != "only" else []
        names += ["ver20/media"] if media2 != "none" else []
        names += [] if self._camera.events.absent else ["ver10/events"]
        entries = "".join(
            f"<tds:Service><tds:Namespace>http://www.onvif.org/{name}/wsdl</tds:Namespace>"
            f"<tds:XAddr>{base}/onvif/{name.rpartition('/')[2]}_service</tds:XAddr>"
            "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
            for name in names
        )
        return f"<tds:GetServicesResponse>{entries}</tds:GetServicesResponse>"

    def _scopes(self, _: ET.Element) -> str:
        item = f"onvif://www.onvif.org/name/{escape(self._camera.identity.name)}"
        return (
            "<tds:GetScopesResponse><tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef>"
            f"<tt:ScopeItem>{item}</tt:ScopeItem></tds:Scopes></tds:GetScopesResponse>"
        )

    def _network_interfaces(self, _: ET.Element) -> str:
        return (
            '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0">'
            "<tt:Enabled>true</tt:Enabled>"
            f"<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>{self._camera.identity.mac}</tt:HwAddress>"
            "<tt:MTU>1500</tt:MTU></tt:Info></tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
        )

    def _video_sources(self, _: ET.Element) -> str:
        track = self._clip.main
        entries = "".join(
            f'<trt:VideoSources token="VS{source}"><tt:Framerate>{track.fps:g}</tt:Framerate>'
            f"<tt:Resolution><tt:Width>{track.width}</tt:Width><tt:Height>{track.height}</tt:Height>"
            "</tt:Resolution></trt:VideoSources>"
            for source in range(1, self._camera.faults.video_sources + 1)
        )
        return f"<trt:GetVideoSourcesResponse>{entries}</trt:GetVideoSourcesResponse>"

    def _profiles(self, _: ET.Element) -> str:
        entries = "".join(
            self._profile(source, name)
            for source in range(1, self._camera.faults.video_sources + 1)
            for name in ("main", "sub")
        )
        return f"<trt:GetProfilesResponse>{entries}</trt:GetProfilesResponse>"

    def _profile(self, source: int, name: str) -> str:
        track = self._clip.main if name == "main" else self._clip.sub
        width, height = self._clip.main.width, self._clip.main.height
        return (
            f'<trt:Profiles token="{name}{source}" fixed="true"><tt:Name>{name} {source}</tt:Name>'
            f'<tt:VideoSourceConfiguration token="VSC{source}"><tt:Name>lens {source}</tt:Name>'
            f"<tt:UseCount>2</tt:UseCount><tt:SourceToken>VS{source}</tt:SourceToken>"
            f'<tt:Bounds x="0" y="0" width="{width}" height="{height}"/></tt:VideoSourceConfiguration>'
            f'<tt:VideoEncoderConfiguration token="VEC{name}{source}"><tt:Name>{name}</tt:Name>'
            f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{self._camera.faults.said_encoding}</tt:Encoding>"
            f"<tt:Resolution><tt:Width>{track.width}</tt:Width><tt:Height>{track.height}</tt:Height>"
            "</tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>"
            f"<tt:FrameRateLimit>{track.fps:.0f}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
            "<tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl><tt:H264><tt:GovLength>"
            f"{track.fps * 2:.0f}</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
            "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address>"
            "</tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart>"
            "</tt:Multicast><tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration>"
            "</trt:Profiles>"
        )

    def _stream_uri(self, action: ET.Element) -> str:
        return f"<trt:GetStreamUriResponse>{_media_uri(escape(self._uri(action)))}</trt:GetStreamUriResponse>"

    def _uri(self, action: ET.Element) -> str:
        token = next((item.text for item in action.iter() if item.tag.endswith("}ProfileToken")), "") or ""
        name, source = token.rstrip("0123456789"), token.lstrip("mainsub")
        uri = f"rtsp://{self._host()}:{self._camera.rtsp.port}/{source}/{name}"
        if self._camera.faults.untidy_uri:
            uri = f"\n {uri}?a=1&amp;b=2 \n"
        return uri

    def _profiles2(self, _: ET.Element) -> str:
        entries = "".join(
            self._profile2(source, name)
            for source in range(1, self._camera.faults.video_sources + 1)
            for name in ("main", "sub")
        )
        return f"<tr2:GetProfilesResponse>{entries}</tr2:GetProfilesResponse>"

    def _profile2(self, source: int, name: str) -> str:
        track = self._clip.main if name == "main" else self._clip.sub
        return (
            f'<tr2:Profiles token="{name}{source}" fixed="true"><tr2:Name>{name} {source}</tr2:Name>'
            f'<tr2:Configurations><tr2:VideoSource token="VSC{source}"><tt:Name>lens</tt:Name>'
            f"<tt:UseCount>2</tt:UseCount><tt:SourceToken>VS{source}</tt:SourceToken></tr2:VideoSource>"
            f'<tr2:VideoEncoder token="VEC{name}{source}" GovLength="20"><tt:Name>{name}</tt:Name>'
            "<tt:UseCount>1</tt:UseCount><tt:Encoding>H265</tt:Encoding>"
            f"<tt:Resolution><tt:Width>{track.width}</tt:Width><tt:Height>{track.height}</tt:Height>"
            "</tt:Resolution><tt:Quality>4</tt:Quality></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
        )

    def _stream_uri2(self, action: ET.Element) -> str:
        uri = escape(self._uri(action))
        return f"<tr2:GetStreamUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetStreamUriResponse>"

    def _snapshot_uri(self, _: ET.Element) -> str:
        uri = _media_uri(escape(self._camera.faults.snapshot_uri) or f"{self._http_base()}/snapshot.jpg")
        self._camera.counters.add("snapshots")
        return f"<trt:GetSnapshotUriResponse>{uri}</trt:GetSnapshotUriResponse>"

    def _snapshot(self, request: BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
        if request.path != "/snapshot.jpg":
            return 404, "text/plain", b"not here"
        if self._digest and self._camera.faults.http_digest_only:
            header = request.headers.get("Authorization")
            if self._digest.check(header, "GET") is not Verdict.RIGHT:
                return 401, "text/plain", b""
        self._camera.counters.add("snapshots")
        return 200, "image/jpeg", self._clip.snapshot


def _media_uri(uri: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )
