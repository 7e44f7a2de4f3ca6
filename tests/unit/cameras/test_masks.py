from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras import masks
from agent.cameras.masks import CameraMasks, LiveMasks, MaskInvalid
from shared import messages
from shared.errors import FileUnreadable
from tests.fakes import FakeClock

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
_parts = st.floats(0, 1)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (640, 480), (2560, 1440), (352, 288), (3, 3)])
def test_the_same_fractions_are_black_at_every_resolution(width: int, height: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    shown = masks.blackened(image, CameraMasks(polygons=(SQUARE,)))
    rows = slice(int(np.ceil(height * 0.25)), int(height * 0.75))
    columns = slice(int(np.ceil(width * 0.25)), int(width * 0.75))
    assert not shown[rows, columns].any()
    if width > 100:
        assert (shown[: height // 5] == 200).all()
        assert (shown[:, : width // 5] == 200).all()
    assert np.array_equal(masks.covered(CameraMasks(polygons=(SQUARE,)), width, height), ~shown.any(axis=2))


def test_a_picture_that_cannot_be_written_to_is_copied_not_left_as_it_is() -> None:
    image = np.full((36, 64, 3), 200, np.uint8)
    image.flags.writeable = False
    shown = masks.blackened(image, CameraMasks(polygons=(SQUARE,)))
    assert not shown[18, 32].any()
    assert image[18, 32].all()
    view = np.full((36, 128, 3), 200, np.uint8)[:, ::2]
    assert not masks.blackened(view, CameraMasks(polygons=(SQUARE,)))[18, 32].any()


def test_the_whole_frame_may_be_masked_to_its_last_pixel() -> None:
    whole = CameraMasks(polygons=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    assert not masks.blackened(np.full((360, 640, 3), 200, np.uint8), whole).any()


@given(st.lists(st.tuples(_parts, _parts), min_size=3, max_size=8))
def test_whatever_is_drawn_is_refused_or_hides_its_corners(points: list[tuple[float, float]]) -> None:
    typed = " ".join(f"{x!r},{y!r}" for x, y in points)
    try:
        polygon = masks.parsed(typed)
    except MaskInvalid:
        return
    shown = masks.blackened(np.full((90, 160, 3), 200, np.uint8), CameraMasks(polygons=(polygon,)))
    for x, y in points:
        assert not shown[round(y * 89), round(x * 159)].any()


def test_masks_of_other_cameras_stay_when_one_is_saved(tmp_path: Path) -> None:
    masks.save(tmp_path, "gate", CameraMasks(polygons=(SQUARE,)))
    masks.save(tmp_path, "yard", CameraMasks(polygons=(SQUARE, SQUARE)))
    masks.save(tmp_path, "gate", masks.NONE)
    assert masks.load(tmp_path, "gate") == masks.NONE
    assert len(masks.load(tmp_path, "yard").polygons) == 2


@pytest.mark.parametrize(
    "content", ["not toml [", "[gate]\npolygons = [[[0,0],[9,9],[1,0]]]", "[gate]\nmore = 1"]
)
def test_a_broken_file_never_means_no_masks(tmp_path: Path, content: str) -> None:
    clock = FakeClock()
    masks.save(tmp_path, "gate", CameraMasks(polygons=(SQUARE,)))
    live = LiveMasks(tmp_path, "gate", clock)
    (tmp_path / masks.FILE).write_text(content)
    clock.advance(timedelta(seconds=2))
    assert live.in_force().polygons == (SQUARE,)
    with pytest.raises(FileUnreadable):
        LiveMasks(tmp_path, "gate", clock)
    with pytest.raises(FileUnreadable):
        masks.save(tmp_path, "gate", masks.NONE)


def test_no_message_on_the_wire_knows_a_mask() -> None:
    """Neither up nor down: what a household hides, and that it does, stays in the house."""
    models = [
        value
        for value in vars(messages).values()
        if isinstance(value, type)
        and issubclass(value, messages.BaseModel)
        and value.__module__ == messages.__name__
    ]
    assert len(models) > 5
    for model in models:
        schema = str(model.model_json_schema()).lower()
        assert "mask" not in schema, model
        assert "polygon" not in schema, model


def test_the_masks_of_a_camera_that_was_removed_do_not_wait_for_the_next_of_its_name(tmp_path: Path) -> None:
    mask = masks.CameraMasks(polygons=(masks.parsed("0,0 1,0 1,1"),))
    masks.save(tmp_path, "gate", mask)
    masks.save(tmp_path, "yard", mask)
    masks.remove(tmp_path, "gate")
    masks.remove(tmp_path, "never-there")
    assert masks.load(tmp_path, "gate") == masks.NONE
    assert masks.load(tmp_path, "yard") == mask
