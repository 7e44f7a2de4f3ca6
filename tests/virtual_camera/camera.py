"""What does one camera consist of? ONVIF, RTSP and discovery, started and stopped together."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pydantic import SecretStr

from tests.virtual_camera.clip import Clip
from tests.virtual_camera.events import EventService
from tests.virtual_camera.onvif import OnvifServer
from tests.virtual_camera.rtsp import RtspServer
from tests.virtual_camera.state import Counters, Faults, Identity, Login
from tests.virtual_camera.wsdiscovery import Responder


class VirtualCamera:
    """A camera on one address; `faults` may be changed and `counters` read while it runs."""

    def __init__(
        self,
        clip: Clip,
        name: str = "cam1",
        *,
        address: str = "127.0.0.1",
        onvif_port: int = 0,
        rtsp_port: int = 0,
        login: Login | None = None,
        discoverable: bool = False,
    ) -> None:
        self.identity, self.faults, self.counters = Identity(name), Faults(), Counters()
        self.address = address
        self._login = login
        self.rtsp = RtspServer(
            clip, (address, rtsp_port), login=login, faults=self.faults, counters=self.counters
        )
        self.events = EventService(self)
        self._http = OnvifServer(self, clip, onvif_port, login)
        self._responder = Responder(self) if discoverable else None

    @property
    def onvif_port(self) -> int:
        return self._http.port

    @property
    def onvif_url(self) -> str:
        return f"http://{self.address}:{self.onvif_port}/onvif/device_service"

    def stream_url(self, name: str) -> str:
        """Address of `main` or `sub`, without credentials."""
        return f"rtsp://{self.address}:{self.rtsp.port}/{name}"

    @property
    def password(self) -> SecretStr:
        return SecretStr(self._login.password if self._login else "")

    def change_password(self, password: str) -> None:
        """As somebody does in the camera's app; who is watching is thrown out."""
        assert self._login
        self._login = Login(self._login.user, password)
        self._http.login = self.rtsp.login = self._login
        self.rtsp.drop_connections()

    def start(self) -> Self:
        self.rtsp.start()
        self._http.start()
        if self._responder:
            self._responder.start()
        return self

    def stop(self) -> None:
        if self._responder:
            self._responder.stop()
        self._http.stop()
        self.rtsp.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
