from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from agent.vision.frame import Image
from agent.vision.motion import Motion, MotionGate, MotionTuning, merged
from shared.geometry import Box
from tests.fakes import Actor, Street, frame

FIRST_LOOK_S = MotionTuning().hold_s


def looked(gate: MotionGate, street: Street, seconds: float, **how) -> list[tuple[float, Motion]]:
    return [(f.monotonic_s - 1000, gate.look(f)) for f in street.frames(seconds, **how)]


def opened_after_the_first_look(found: list[tuple[float, Motion]]) -> list[float]:
    return [t for t, motion in found if motion.moved and t > FIRST_LOOK_S]


def test_a_first_frame_is_looked_at_and_so_is_the_second_after_it() -> None:
    found = looked(MotionGate(), Street(), 3)
    assert [motion.moved for _, motion in found[:6]] == [True] * 6
    assert opened_after_the_first_look(found) == []


def test_a_walker_opens_the_gate_while_he_is_there_and_a_second_longer() -> None:
    walker = Actor((0.0, 0.5), (0.2, 0.0), enters_s=3.0)
    found = looked(MotionGate(), Street(walker), 14)
    open_at = opened_after_the_first_look(found)
    assert open_at[0] <= 3.4
    assert all(b - a < 0.3 for a, b in pairwise(open_at)), "no hole while he walks"
    assert 8.0 <= open_at[-1] <= 10.5


def test_the_region_is_where_the_walker_is() -> None:
    walker = Actor((0.3, 0.5), (0.1, 0.0), enters_s=2.0)
    regions = looked(MotionGate(), Street(walker), 4)[-1][1].regions
    box = walker.box(3.8)
    assert box
    assert any(region.x <= box.centre[0] <= region.right for region in regions)
    assert sum(region.area for region in regions) < 0.3


def test_a_small_walker_at_the_far_end_opens_the_gate() -> None:
    far = Actor((0.2, 0.3), (0.03, 0.0), size=(0.018, 0.08), enters_s=3.0)
    assert opened_after_the_first_look(looked(MotionGate(), Street(far), 8))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: 1 - 0.06 * min(max(t - 3, 0), 5), id="a cloud comes: 30 % in 5 s"),
        pytest.param(lambda t: 1 + 0.06 * min(max(t - 3, 0), 5), id="the sun comes"),
        pytest.param(lambda t: 0.75 if t > 3 else 1.0, id="exposure steps down by a quarter"),
        pytest.param(lambda t: 1.25 if t > 3 else 1.0, id="exposure steps up by a quarter"),
        pytest.param(lambda t: 1 + 0.1 * np.sin(t), id="light that breathes"),
    ],
)
def test_light_is_not_motion(change) -> None:
    def light(image: Image, t: float) -> Image:
        return np.clip(image.astype(np.float32) * change(t), 0, 255).astype(np.uint8)

    assert opened_after_the_first_look(looked(MotionGate(), Street(), 12, light=light)) == []


def test_a_walker_is_seen_while_a_cloud_passes() -> None:
    def light(image: Image, t: float) -> Image:
        return (image * (1 - 0.03 * min(t, 10))).astype(np.uint8)

    walker = Actor((0.0, 0.5), (0.2, 0.0), enters_s=5.0)
    assert opened_after_the_first_look(looked(MotionGate(), Street(walker), 9, light=light))


def infra_red_from(start_s: float):
    """Grey, other contrasts, a lamp from one side, and 1.5 s until the exposure has settled."""

    def light(image: Image, t: float) -> Image:
        if t < start_s:
            return image
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        lamp = np.linspace(1.6, 0.3, grey.shape[1])  # near things glare, far things vanish
        exposure = min(1.0, 0.4 + 0.4 * (t - start_s))
        night = np.clip((255 - grey) * lamp * exposure, 0, 255).astype(np.uint8)
        return cv2.cvtColor(night, cv2.COLOR_GRAY2BGR)

    return light


def test_infra_red_switch_over_is_not_motion() -> None:
    found = looked(MotionGate(), Street(), 15, light=infra_red_from(4))
    assert opened_after_the_first_look(found) == []


def test_a_walker_after_the_switch_over_is_seen_where_he_is() -> None:
    walker = Actor((0.0, 0.5), (0.15, 0.0), enters_s=6.5)
    found = looked(MotionGate(), Street(walker), 9, light=infra_red_from(4))
    assert opened_after_the_first_look(found)
    assert 0 < sum(region.area for region in found[-1][1].regions) < 0.3


def test_a_walker_just_after_a_step_of_the_exposure_is_seen() -> None:
    def light(image: Image, t: float) -> Image:
        return (image * (0.7 if t >= 4 else 1.0)).astype(np.uint8)

    walker = Actor((0.1, 0.5), (0.2, 0.0), enters_s=4.0)
    assert opened_after_the_first_look(looked(MotionGate(), Street(walker), 5, light=light))


@pytest.mark.parametrize(
    ("deviation", "grain_px"),
    [
        pytest.param(4, 1, id="a sensor by day"),
        pytest.param(25, 1, id="a sensor by night"),
        pytest.param(12, 10, id="a sensor by night through a poor codec"),
    ],
)
def test_noise_is_not_motion(deviation: float, grain_px: int) -> None:
    random = np.random.default_rng(1)
    fine = random.normal(0, deviation, (360 // grain_px, 640 // grain_px, 3)).astype(np.int16)
    grains = fine.repeat(grain_px, axis=0).repeat(grain_px, axis=1)

    def light(image: Image, t: float) -> Image:
        del t
        moved = np.roll(grains, tuple(random.integers(0, 300, 2)), axis=(0, 1))
        return np.clip(image + moved, 0, 255).astype(np.uint8)

    assert opened_after_the_first_look(looked(MotionGate(), Street(), 10, light=light)) == []


def test_a_clock_in_the_picture_is_not_motion() -> None:
    def light(image: Image, t: float) -> Image:
        picture = image.copy()
        picture[:24, :230] = 0
        shown = f"2026-11-23 12:00:{int(t):02d}"
        cv2.putText(picture, shown, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        return picture

    assert opened_after_the_first_look(looked(MotionGate(), Street(), 20, light=light)) == []


def test_a_ghost_of_somebody_who_stood_long_does_not_keep_the_gate_open() -> None:
    stood = Actor((0.5, 0.5), enters_s=2.0, leaves_s=32.0)
    open_at = opened_after_the_first_look(looked(MotionGate(), Street(stood), 50))
    assert any(32 <= t <= 33 for t in open_at), "his going is motion"
    assert max(open_at) < 36


def test_a_stream_that_was_away_begins_anew() -> None:
    gate, street = MotionGate(), Street()
    looked(gate, street, 5)
    assert gate.look(frame(street.image(30.0), 30.0)).moved, "whoever stands there now must be seen"


def test_another_picture_size_begins_anew() -> None:
    gate = MotionGate()
    looked(gate, Street(), 5)
    found = gate.look(frame(Street(width=352, height=288).image(5.2), 5.2))
    assert found.moved
    assert found.regions == (Box(0.0, 0.0, 1.0, 1.0),)


def test_regions_are_merged_and_few() -> None:
    boxes = [Box(0.1 * i, 0.1 * i, 0.05, 0.05) for i in range(9)]
    few = merged(boxes, 4)
    assert len(few) == 4
    for box in boxes:
        assert any(r.x <= box.x and r.right >= box.right - 1e-9 and r.y <= box.y for r in few)
    two, far = [Box(0.1, 0.1, 0.2, 0.2), Box(0.15, 0.15, 0.2, 0.2)], Box(0.8, 0.8, 0.1, 0.1)
    assert [box.rounded() for box in merged([*two, far], 4)] == [Box(0.1, 0.1, 0.25, 0.25), far]


def test_rain_of_specks_is_not_motion() -> None:
    random = np.random.default_rng(2)

    def light(image: Image, t: float) -> Image:
        del t
        picture = image.copy()
        for x, y in zip(random.integers(0, 630, 60), random.integers(0, 340, 60), strict=True):
            picture[y : y + 12, x : x + 1] = 220
        return picture

    assert opened_after_the_first_look(looked(MotionGate(), Street(), 10, light=light)) == []


def dim(image: Image, t: float) -> Image:
    """A street by night: a fifth of the light, and a sensor's grain."""
    grain = np.random.default_rng(round(t * 1000)).normal(0, 4, image.shape)
    return np.clip(image * 0.2 + grain, 0, 255).astype(np.uint8)


def test_a_small_walker_in_the_dark_opens_the_gate_and_the_dark_alone_does_not() -> None:
    """He differs from the street by less than the threshold of a near one; on his own scale he stands out."""
    far = Actor((0.2, 0.3), (0.02, 0.0), size=(0.016, 0.07), enters_s=3.0)
    open_at = opened_after_the_first_look(looked(MotionGate(), Street(far), 12, light=dim))
    assert open_at[0] < 5.0
    assert all(later - sooner < 1.5 for sooner, later in pairwise(open_at))
    assert opened_after_the_first_look(looked(MotionGate(), Street(), 12, light=dim)) == []


def shadow(image: Image, t: float) -> Image:
    """The half of the street that a wide soft shadow has reached is half as bright."""
    reached = np.clip(t / 5 - np.linspace(0, 3, image.shape[1]), 0, 1)[:, None]
    return (image * (1 - 0.5 * reached)).astype(np.uint8)


def test_under_a_shadow_that_wanders_over_the_street_nothing_is_forgotten() -> None:
    far = Actor((0.2, 0.3), (0.02, 0.0), size=(0.018, 0.08), enters_s=3.0)
    found = looked(MotionGate(), Street(far), 20, light=shadow)
    assert not any(motion.blind for _, motion in found)
    open_at = opened_after_the_first_look(found)
    assert max(later - sooner for sooner, later in pairwise([*open_at, 20.0])) < 0.5
    assert opened_after_the_first_look(looked(MotionGate(), Street(), 20, light=shadow)) == []


def test_after_a_switch_over_the_gate_is_blind_until_a_small_walker_can_be_told_again() -> None:
    found = looked(MotionGate(), Street(), 12, light=infra_red_from(4))
    blind = [t for t, motion in found if motion.blind]
    assert blind[0] == pytest.approx(4.0)
    assert blind[-1] == pytest.approx(7.4, abs=0.5)
    far = Actor((0.5, 0.3), (0.03, 0.0), size=(0.018, 0.08), enters_s=1.0)
    followed = looked(MotionGate(), Street(far), 12, light=infra_red_from(4))
    assert next(t for t, motion in followed if t > 4.1 and motion.regions) <= blind[-1] + 0.2
