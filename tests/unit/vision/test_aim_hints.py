from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.vision.aim_hints import aim_hints
from agent.vision.frame import Image
from tests.fakes import Street


@pytest.fixture
def street() -> Image:
    return Street().image(0.0)


def test_a_good_picture_needs_no_hint(street: Image) -> None:
    assert aim_hints(street) == ()


def test_a_dark_picture_is_said(street: Image) -> None:
    assert "dark" in aim_hints((street * 0.2).astype(np.uint8))
    assert aim_hints(np.zeros((360, 640, 3), np.uint8)) == ("dark",)


def test_a_lamp_in_the_face_is_said(street: Image) -> None:
    cv2.circle(street, (320, 180), 150, (255, 255, 255), -1)
    assert aim_hints(street) == ("burnt",)


def test_a_picture_out_of_focus_is_said(street: Image) -> None:
    assert "soft" in aim_hints(cv2.GaussianBlur(street, (0, 0), 12))


def test_a_camera_that_looks_at_the_sky_is_said(street: Image) -> None:
    street[:200] = (230, 215, 200)
    assert aim_hints(street) == ("sky",)


def test_a_black_mask_is_no_dark_picture(street: Image) -> None:
    street[:, :400] = 0
    assert aim_hints(street) == ()
