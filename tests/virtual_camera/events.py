"""What does the camera tell by itself? ONVIF PullPoint as strict as an Axis: reference parameter and all."""

from __future__ import annotations

import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.virtual_camera.camera import VirtualCamera

_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_OWN = "http://www.axis.com/2009/event"
_KIND = "application/soap+xml; charset=utf-8"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    f' xmlns:wsa="{_ADDRESSING}" xmlns:tev="http://www.onvif.org/ver10/events/wsdl"'
    ' xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tt="http://www.onvif.org/ver10/schema"'
    ' xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:ter="http://www.onvif.org/ver10/error">'
    "<s:Body>{body}</s:Body></s:Envelope>"
)
PEOPLE, VEHICLE = (
    "tns1:RuleEngine/MyRuleDetector/PeopleDetect",
    "tns1:RuleEngine/MyRuleDetector/VehicleDetect",
)
TAMPER = "tns1:RuleEngine/TamperDetector/Tamper"
_OPERATIONS = frozenset({"CreatePullPointSubscription", "PullMessages", "Renew", "Unsubscribe"})


@dataclass
class _Subscription:
    until_s: float
    waiting: list[str] = field(default_factory=list)


class EventService:
    """`emit` tells every listener; the fields are what ails it, the lists what was asked."""

    def __init__(self, camera: VirtualCamera) -> None:
        self._camera = camera
        self._changed = threading.Condition()
        self._open: dict[str, _Subscription] = {}
        self._made = 0
        self.one_listener = False
        self.absent = False  # no such service
        self.lease_s = 60.0
        self.asked: list[str] = []  # operations answered without a fault
        self.faults: list[str] = []

    @property
    def listeners(self) -> int:
        with self._changed:
            return len(self._alive())

    def emit(self, topic: str = PEOPLE, source: str = "VS1", operation: str = "Changed", **data: str) -> None:
        """Tell everybody who listens right now."""
        items = data or {"State": "true"}
        message = (
            "<wsnt:NotificationMessage><wsnt:Topic"
            ' Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
            f'{topic}</wsnt:Topic><wsnt:Message><tt:Message UtcTime="{_said(0)}"'
            f' PropertyOperation="{operation}">'
            f'<tt:Source><tt:SimpleItem Name="Source" Value="{source}"/></tt:Source><tt:Data>'
            + "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in items.items())
            + "</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
        )
        with self._changed:
            for subscription in self._alive().values():
                subscription.waiting.append(message)
            self._changed.notify_all()

    def forget(self) -> None:
        """Every subscription dies without a word, as at a reboot."""
        with self._changed:
            self._open.clear()
            self._changed.notify_all()

    def answer(self, name: str, envelope: ET.Element) -> tuple[int, str, bytes] | None:
        """Answer an operation of the event service; None: it is not one."""
        if name not in _OPERATIONS or self.absent:
            return None
        if not envelope.findtext(f".//{{{_ADDRESSING}}}Action"):
            return self._fault(name, "wsa:MessageAddressingHeaderRequired")
        with self._changed:
            alive = self._alive()
            if name == "CreatePullPointSubscription":
                self._camera.counters.add("subscriptions")
                if self.one_listener and alive:
                    return self._fault(name, "ter:MaxPullPoints")
                return self._say(name, self._create())
            number = envelope.findtext(f".//{{{_OWN}}}SubscriptionId") or ""
            return self._manage(name, number)

    def _manage(self, name: str, number: str) -> tuple[int, str, bytes]:
        if number not in self._open:
            return self._fault(name, "ter:ResourceUnknownFault")
        if name == "Unsubscribe":
            del self._open[number]
            return self._say(name, "<wsnt:UnsubscribeResponse/>")
        if name == "Renew":
            self._open[number].until_s = time.monotonic() + self.lease_s
            times = f"<wsnt:TerminationTime>{_said(self.lease_s)}</wsnt:TerminationTime>"
            times += f"<wsnt:CurrentTime>{_said(0)}</wsnt:CurrentTime>"
            return self._say(name, f"<wsnt:RenewResponse>{times}</wsnt:RenewResponse>")
        return self._pull(number)

    def _pull(self, number: str) -> tuple[int, str, bytes]:
        subscription = self._open[number]
        self._changed.wait_for(lambda: subscription.waiting or number not in self._open, timeout=2)
        if number not in self._open:
            return self._fault("PullMessages", "ter:ResourceUnknownFault")
        told, subscription.waiting = "".join(subscription.waiting), []
        return self._say(
            "PullMessages",
            f"<tev:PullMessagesResponse><tev:CurrentTime>{_said(0)}</tev:CurrentTime><tev:TerminationTime>"
            f"{_said(subscription.until_s - time.monotonic())}</tev:TerminationTime>{told}"
            "</tev:PullMessagesResponse>",
        )

    def _create(self) -> str:
        self._made += 1
        # as firmware does: a new subscription is first told how things stand
        self._open[str(self._made)] = _Subscription(time.monotonic() + self.lease_s)
        address = f"http://192.0.2.9/onvif/events?n={self._made}"  # the address before the last move
        return (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<wsa:Address>{address}</wsa:Address><wsa:ReferenceParameters>"
            f'<dom0:SubscriptionId xmlns:dom0="{_OWN}">{self._made}</dom0:SubscriptionId>'
            "</wsa:ReferenceParameters></tev:SubscriptionReference>"
            f"<wsnt:CurrentTime>{_said(0)}</wsnt:CurrentTime>"
            f"<wsnt:TerminationTime>{_said(self.lease_s)}</wsnt:TerminationTime>"
            "</tev:CreatePullPointSubscriptionResponse>"
        )

    def _alive(self) -> dict[str, _Subscription]:
        now_s = time.monotonic()
        for number in [number for number, one in self._open.items() if one.until_s < now_s]:
            del self._open[number]
        return self._open

    def _say(self, name: str, body: str) -> tuple[int, str, bytes]:
        self.asked.append(name)
        return 200, _KIND, _ENVELOPE.format(body=body).encode()

    def _fault(self, name: str, code: str) -> tuple[int, str, bytes]:
        self.faults.append(f"{name} {code}")
        body = (
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>"
            f"<s:Value>{code}</s:Value></s:Subcode></s:Code>"
            '<s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault>'
        )
        return 400, _KIND, _ENVELOPE.format(body=body).encode()


def _said(in_s: float) -> str:
    return f"{datetime.fromtimestamp(time.time() + in_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
