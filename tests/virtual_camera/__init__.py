"""What is a camera to our software? A real one over real sockets: ONVIF, RTSP and WS-Discovery."""

from tests.virtual_camera.camera import VirtualCamera
from tests.virtual_camera.clip import Clip, prepare
from tests.virtual_camera.state import Counters, Faults, Identity

__all__ = ["Clip", "Counters", "Faults", "Identity", "VirtualCamera", "prepare"]
