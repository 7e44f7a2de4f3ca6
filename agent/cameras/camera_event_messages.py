"""What does a camera's own event mean? The topics of ONVIF Profile M and of the common makers, in six words.

Only what kind of thing it was is read. Names of faces, plates and everything else a message may carry
is left where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.cameras.xmltree import Node


class Says(StrEnum):
    """What a camera claims."""

    PERSON = "person"
    VEHICLE = "vehicle"
    OBJECT = "object"  # a line crossed, a field entered, by it does not say whom
    MOTION = "motion"  # leaves and rain too: our own gate knows better
    TAMPERED = "tampered"  # covered, turned, out of focus, blinded
    BROKEN = "broken"  # its own hardware or card


HINTS = frozenset({Says.PERSON, Says.VEHICLE, Says.OBJECT})
TROUBLES = frozenset({Says.TAMPERED, Says.BROKEN})


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """`fresh`: it happens now; a new subscription is first told how things have stood for hours."""

    says: Says
    on: bool
    fresh: bool
    source: str  # the token of the lens, as far as it is said
    topic: str


# The first fragment found in the topic decides. Lower case, without prefixes.
_TOPICS: tuple[tuple[str, Says], ...] = (
    ("tamper", Says.TAMPERED),  # Tapo TamperDetector, Axis VideoSource/Tampering, Hikvision
    ("globalscenechange", Says.TAMPERED),
    ("imagetooblurry", Says.TAMPERED),
    ("imagetoodark", Says.TAMPERED),
    ("imagetoobright", Says.TAMPERED),
    ("signalloss", Says.TAMPERED),
    ("hardwarefailure", Says.BROKEN),  # fan, power supply, StorageFailure
    ("storagefailure", Says.BROKEN),
    ("dogcatdetect", Says.MOTION),
    ("people", Says.PERSON),  # Reolink MyRuleDetector/PeopleDetect, Tapo PeopleDetector/People
    ("human", Says.PERSON),  # Dahua and Imou HumanDetect, HumanShapeDetect
    ("persondetect", Says.PERSON),
    ("face", Says.PERSON),  # that there was one; whose is never read
    ("visitor", Says.PERSON),  # a doorbell
    ("vehicle", Says.VEHICLE),  # also Non_Motor_VehicleDetect
    ("cardetect", Says.VEHICLE),
    ("licenseplate", Says.VEHICLE),
    ("tpsmartevent", Says.OBJECT),
    ("fielddetector", Says.OBJECT),  # Hikvision intrusion: FieldDetector/ObjectsInside
    ("linedetector", Says.OBJECT),
    ("linecross", Says.OBJECT),  # Tapo LineCrossDetector
    ("crossregion", Says.OBJECT),  # Dahua
    ("crossline", Says.OBJECT),
    ("intrusion", Says.OBJECT),
    ("loitering", Says.OBJECT),
    ("objectdetect", Says.OBJECT),  # Profile M, with ClassTypes
    ("objectanalytics", Says.OBJECT),  # Axis
    ("objectsinside", Says.OBJECT),
    ("motion", Says.MOTION),  # CellMotionDetector, MotionRegionDetector, VideoSource/MotionAlarm
    ("vmd", Says.MOTION),  # Axis
)
_CLASSES = {
    "human": Says.PERSON,
    "person": Says.PERSON,
    "people": Says.PERSON,
    "face": Says.PERSON,
    "vehicle": Says.VEHICLE,
    "car": Says.VEHICLE,
    "truck": Says.VEHICLE,
    "bus": Says.VEHICLE,
    "bicycle": Says.VEHICLE,
    "bike": Says.VEHICLE,
    "motorcycle": Says.VEHICLE,
    "motorbike": Says.VEHICLE,
    "nonmotor": Says.VEHICLE,
    "animal": Says.MOTION,
    "pet": Says.MOTION,
}
_CLASS_ITEMS = frozenset({"classtypes", "classtype", "class", "objecttype", "object.objecttype", "type"})
_STATE_ITEMS = frozenset({"state", "active", "logicalstate", "failed", "value", "tamper", "alarm", "motion"})
_SOURCE_ITEMS = (  # the lens first: it is what the register calls a source
    "VideoSourceToken",
    "VideoSource",
    "Source",
    "VideoSourceConfigurationToken",
    "VideoSourceConfiguration",
)
_TRUE, _FALSE = frozenset({"true", "1", "on"}), frozenset({"false", "0", "off"})


def events(answer: Node) -> tuple[CameraEvent, ...]:
    """Every notification of an answer that says something we have a word for, in its order."""
    told = (_event(message) for message in answer.all("NotificationMessage"))
    return tuple(event for event in told if event)


def _event(notification: Node) -> CameraEvent | None:
    topic = "/".join(part.rpartition(":")[2] for part in notification.said("Topic").split("/"))
    # the element that matters is the innermost Message; some firmware leaves the outer one away
    messages = [node for node in notification.all("Message") if "UtcTime" in node.attributes]
    message = messages[0] if messages else notification
    data, source = _items(message.first("Data")), _items(message.first("Source"))
    says = _meaning(topic.lower(), {name.lower(): value for name, value in data.items()})
    if says is None:
        return None
    operation = message.attributes.get("PropertyOperation", "")
    on = operation != "Deleted" and _state(data)
    lens = next((source[name] for name in _SOURCE_ITEMS if source.get(name)), "")
    return CameraEvent(says, on, fresh=operation in {"", "Changed"}, source=lens, topic=topic[:120])


def _items(section: Node | None) -> dict[str, str]:
    if section is None:
        return {}
    items = section.all("SimpleItem")
    return {item.attributes.get("Name", ""): item.attributes.get("Value", "").strip() for item in items}


def _meaning(topic: str, data: dict[str, str]) -> Says | None:
    says = next((says for fragment, says in _TOPICS if fragment in topic), None)
    if says is not Says.OBJECT:
        return says
    for name, value in data.items():
        if name in _CLASS_ITEMS:
            words = value.replace(",", " ").lower().split()
            meant = [_CLASSES[word] for word in words if word in _CLASSES]
            if meant:
                return next((word for word in meant if word in HINTS), meant[0])
        elif name.startswith("is") and name[2:] in _CLASSES and value.lower() in _TRUE:
            return _CLASSES[name[2:]]  # Tapo: IsVehicle, IsPet beside IsTPSmartEvent
    return Says.OBJECT


def _state(data: dict[str, str]) -> bool:
    """Is it so, or has it ended? What has no state (a line crossed) happens when it is told."""
    states = [
        value.lower()
        for name, value in data.items()
        if (name.lower().startswith("is") or name.lower() in _STATE_ITEMS) and value.lower() in _TRUE | _FALSE
    ]
    return not states or any(state in _TRUE for state in states)
