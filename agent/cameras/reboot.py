"""How is a camera switched off and on again from here? By its own command, once, to the right camera."""

from __future__ import annotations

from agent.cameras import guard
from agent.cameras.credentials import Credential
from agent.cameras.register import CameraEntry
from agent.cameras.soap import CameraFault, CameraUnreachable, Device
from agent.cameras.stream import StreamRefused, StreamUnreachable, WrongPassword
from shared.clock import Clock


def reboot(entry: CameraEntry, credential: Credential | None, clock: Clock) -> str:
    """Send SystemReboot. Return why it could not be, as a code, or an empty text.

    A stream that is refused is no reason to leave the camera alone: it may be what ails it.
    """
    try:
        guard.check(entry, clock)
    except guard.CameraSwapped as error:
        return error.cause
    except (StreamRefused, StreamUnreachable):
        pass
    device = Device(entry.onvif_url, credential, clock)
    try:
        device.measure_clock()
        device.device_information()
        device.call("devicemgmt", "SystemReboot")
    except WrongPassword as error:
        return error.cause
    except CameraUnreachable:
        return "unreachable"
    except CameraFault:
        return "camera-says-no"
    return ""
