"""What makers really send, and the word we have for it."""
# ruff: noqa: E501 -- the table is read across

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.camera_event_messages import CameraEvent, Says, events
from agent.cameras.xmltree import XmlError, parse

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><SOAP-ENV:Envelope'
    ' xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema"'
    ' xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:tev="http://www.onvif.org/ver10/events/wsdl"'
    ' xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tnsaxis="http://www.axis.com/2009/event/topics">'
    "<SOAP-ENV:Body><tev:PullMessagesResponse><tev:CurrentTime>2026-11-23T05:00:00Z</tev:CurrentTime>"
    "<tev:TerminationTime>2026-11-23T05:01:00Z</tev:TerminationTime>"
)
_TAIL = "</tev:PullMessagesResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>"


def notification(topic: str, source: dict[str, str], data: dict[str, str], operation: str = "Changed") -> str:
    def items(values: dict[str, str]) -> str:
        return "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in values.items())

    return (
        '<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
        f"{topic}</wsnt:Topic><wsnt:Message>"
        f'<tt:Message UtcTime="2026-11-23T04:59:58Z" PropertyOperation="{operation}">'
        f"<tt:Source>{items(source)}</tt:Source><tt:Key/><tt:Data>{items(data)}</tt:Data>"
        "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def heard(*notifications: str) -> tuple[CameraEvent, ...]:
    return events(parse((_HEAD + "".join(notifications) + _TAIL).encode()))


RULE = {
    "VideoSourceConfigurationToken": "vsconf",
    "VideoAnalyticsConfigurationToken": "VAC1",
    "Rule": "MyRule",
}
MAKERS = {
    "reolink person": ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", {"Source": "000"}, {"State": "true"}, Says.PERSON),
    "reolink vehicle": ("tns1:RuleEngine/MyRuleDetector/VehicleDetect", {"Source": "000"}, {"State": "true"}, Says.VEHICLE),
    "reolink dog": ("tns1:RuleEngine/MyRuleDetector/DogCatDetect", {"Source": "000"}, {"State": "true"}, Says.MOTION),
    "tapo person": ("tns1:RuleEngine/PeopleDetector/People", RULE, {"IsPeople": "true"}, Says.PERSON),
    "tapo vehicle": ("tns1:RuleEngine/TPSmartEventDetector/TPSmartEvent", RULE, {"IsVehicle": "true"}, Says.VEHICLE),
    "tapo vehicle, no pet": (
        "tns1:RuleEngine/TPSmartEventDetector/TPSmartEvent", RULE,
        {"IsTPSmartEvent": "true", "IsPet": "false", "IsVehicle": "true"}, Says.VEHICLE,
    ),
    "tapo pet": ("tns1:RuleEngine/TPSmartEventDetector/TPSmartEvent", RULE, {"IsPet": "true"}, Says.MOTION),
    "tapo line": ("tns1:RuleEngine/LineCrossDetector/LineCross", RULE, {"IsLineCross": "true"}, Says.OBJECT),
    "tapo tamper": ("tns1:RuleEngine/TamperDetector/Tamper", RULE, {"IsTamper": "true"}, Says.TAMPERED),
    "hikvision field": ("tns1:RuleEngine/FieldDetector/ObjectsInside", RULE, {"IsInside": "true"}, Says.OBJECT),
    "hikvision line": ("tns1:RuleEngine/LineDetector/Crossed", RULE, {"ObjectId": "0"}, Says.OBJECT),
    "hikvision motion": ("tns1:VideoSource/MotionAlarm", {"Source": "VideoSource_1"}, {"State": "true"}, Says.MOTION),
    "dahua smart motion": ("tns1:RuleEngine/HumanShapeDetect/HumanShapeDetect", RULE, {"State": "true"}, Says.PERSON),
    "dahua cross region": ("tns1:RuleEngine/CrossRegionDetection", RULE, {"Object.ObjectType": "Human"}, Says.PERSON),
    "axis object analytics": (
        "tnsaxis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario1", {}, {"active": "1", "classTypes": "human"},
        Says.PERSON,
    ),
    "axis truck": (
        "tnsaxis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario2", {}, {"active": "1", "classTypes": "truck"},
        Says.VEHICLE,
    ),
    "axis motion": ("tnsaxis:CameraApplicationPlatform/VMD/Camera1Profile1", {}, {"active": "1"}, Says.MOTION),
    "axis tampering": ("tns1:VideoSource/tnsaxis:Tampering", {"channel": "1"}, {"tampering": "1"}, Says.TAMPERED),
    "axis storage": ("tns1:Device/tnsaxis:HardwareFailure/StorageFailure", {"disk_id": "SD"}, {"disruption": "1"}, Says.BROKEN),
    "profile M": ("tns1:RuleEngine/ObjectDetection/Object", RULE, {"ClassTypes": "Animal Human"}, Says.PERSON),
    "profile M plate": ("tns1:RuleEngine/Recognition/LicensePlate", RULE, {"Plate": "51F-123.45"}, Says.VEHICLE),
    "cell motion": ("tns1:RuleEngine/CellMotionDetector/Motion", RULE, {"IsMotion": "true"}, Says.MOTION),
    "scene change": ("tns1:VideoSource/GlobalSceneChange/AnalyticsService", {"Source": "VS1"}, {"State": "true"}, Says.TAMPERED),
    "too dark": ("tns1:VideoSource/ImageTooDark/ImagingService", {"Source": "VS1"}, {"State": "true"}, Says.TAMPERED),
}  # fmt: skip


@pytest.mark.parametrize(("topic", "source", "data", "says"), MAKERS.values(), ids=MAKERS.keys())
def test_a_makers_message_means(topic: str, source: dict, data: dict, says: Says) -> None:
    (event,) = heard(notification(topic, source, data))
    assert (event.says, event.on, event.fresh) == (says, True, True)


@pytest.mark.parametrize(
    "topic",
    [
        "tns1:AudioAnalytics/Audio/DetectedSound",
        "tns1:Device/Trigger/DigitalInput",
        "tns1:Monitoring/ProcessorUsage",
        "",
    ],
)
def test_what_we_have_no_word_for_is_left(topic: str) -> None:
    assert heard(notification(topic, RULE, {"State": "true"})) == ()


def test_how_it_has_stood_for_hours_is_not_news_and_the_end_is_not_a_beginning() -> None:
    people = ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", {"Source": "VS1"})
    replayed, ended, deleted = heard(
        notification(*people, {"State": "true"}, "Initialized"),
        notification(*people, {"State": "false"}),
        notification(*people, {"State": "true"}, "Deleted"),
    )
    assert (replayed.on, replayed.fresh) == (True, False)
    assert (ended.on, ended.fresh) == (False, True)
    assert not deleted.on


def test_a_recorder_names_the_lens() -> None:
    told = heard(
        notification("tns1:RuleEngine/MyRuleDetector/PeopleDetect", {"Source": "VS3"}, {"State": "true"}),
        notification(
            "tns1:RuleEngine/PeopleDetector/People", RULE | {"VideoSourceToken": "VS4"}, {"IsPeople": "1"}
        ),
        notification("tns1:RuleEngine/PeopleDetector/People", RULE, {"IsPeople": "1"}),
    )
    assert [event.source for event in told] == ["VS3", "VS4", "vsconf"]


def test_no_name_no_plate_and_no_face_leaves_the_parser() -> None:
    plate = notification(
        "tns1:RuleEngine/Recognition/LicensePlate", RULE, {"Plate": "51F-123.45", "State": "true"}
    )
    face = notification("tns1:RuleEngine/Recognition/Face", RULE, {"Likelihood": "0.9", "Name": "Ba"})
    assert "51F" not in repr(heard(plate))
    assert "Ba'" not in repr(heard(face))


@pytest.mark.parametrize(
    "document",
    [
        b"", b"<a>", b"\xff\xfe\x00", b"<a></b>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<a>" * 200 + b"</a>" * 200,
        b"<a>" + b"<b/>" * 60_000 + b"</a>",
    ],
    ids=["nothing", "open", "noise", "crossed", "an entity", "deep", "broad"],
)  # fmt: skip
def test_what_is_no_honest_document_is_refused(document: bytes) -> None:
    with pytest.raises(XmlError):
        parse(document)


@given(st.binary(max_size=400))
def test_whatever_comes_it_is_a_tree_or_refused(noise: bytes) -> None:
    with suppress(XmlError):
        assert isinstance(events(parse(noise)), tuple)
