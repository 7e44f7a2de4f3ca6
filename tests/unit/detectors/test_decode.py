"""Known tensors in, known boxes out."""

from __future__ import annotations

import numpy as np
import pytest

from agent.detectors import decode
from agent.detectors.known import COCO_CLASSES
from agent.vision.detect import Detection
from shared.messages import Kind

SIZE = (64, 64)
LIMITS = decode.limits(COCO_CLASSES, dict.fromkeys(Kind, 0.5))
WHOLE = decode.Placement(64, 64, 1.0, 1.0)


def number(name: str) -> int:
    return COCO_CLASSES.index(name)


def read(family: str, *outputs: np.ndarray, placement: decode.Placement = WHOLE) -> list[Detection]:
    found = decode.FAMILIES[family].decode([o.astype(np.float32) for o in outputs], SIZE, LIMITS)
    return decode.detections(found, placement, COCO_CLASSES)


def yolo(*places: tuple[float, float, float, float, str, float]) -> np.ndarray:
    output = np.zeros((1, 84, 84))
    for index, (cx, cy, w, h, name, score) in enumerate(places):
        output[0, :4, index] = cx, cy, w, h
        output[0, 4 + number(name), index] = score
    return output


def corners(detection: Detection) -> tuple[float, ...]:
    box = detection.box
    return tuple(round(value * 64, 3) for value in (box.x, box.y, box.right, box.bottom))


def test_yolo_gives_centre_and_size_in_input_pixels() -> None:
    (found,) = read("yolo", yolo((32, 16, 20, 8, "person", 0.9)))
    assert found.kind is Kind.PERSON
    assert found.confidence == pytest.approx(0.9)
    assert corners(found) == (22, 12, 42, 20)


def test_most_confident_comes_first() -> None:
    found = read("yolo", yolo((10, 10, 8, 8, "car", 0.6), (40, 40, 8, 8, "bus", 0.8)))
    assert [d.kind for d in found] == [Kind.BUS, Kind.CAR]


@pytest.mark.parametrize("name", [name for name in COCO_CLASSES if name not in set(Kind)])
def test_nothing_but_the_six_kinds_leaves(name: str) -> None:
    assert read("yolo", yolo((32, 32, 20, 20, name, 0.99))) == []


def test_a_place_that_is_more_a_dog_than_a_person_is_not_a_doubtful_person() -> None:
    output = yolo((32, 32, 20, 20, "person", 0.6))
    output[0, 4 + number("dog"), 0] = 0.8
    assert read("yolo", output) == []


def test_each_kind_has_its_own_limit() -> None:
    limits = decode.limits(COCO_CLASSES, dict.fromkeys(Kind, 0.7) | {Kind.MOTORCYCLE: 0.3})
    output = yolo((10, 10, 8, 8, "car", 0.5), (40, 40, 8, 8, "motorcycle", 0.5))
    found = decode.decode_yolo([output.astype(np.float32)], SIZE, limits)
    assert [COCO_CLASSES[c] for c in found.classes] == ["motorcycle"]


def test_a_second_box_on_the_same_object_is_dropped_and_a_neighbour_stays() -> None:
    found = read(
        "yolo",
        yolo(
            (20, 20, 20, 20, "person", 0.9),
            (22, 20, 20, 20, "person", 0.8),  # overlap 0.82
            (40, 20, 20, 20, "person", 0.7),  # touches
        ),
    )
    assert [round(d.confidence, 1) for d in found] == [0.9, 0.7]


def test_a_rider_and_the_motorcycle_are_two_objects() -> None:
    found = read("yolo", yolo((20, 20, 20, 20, "person", 0.9), (20, 21, 20, 20, "motorcycle", 0.8)))
    assert {d.kind for d in found} == {Kind.PERSON, Kind.MOTORCYCLE}


def test_of_two_equal_boxes_the_first_place_wins() -> None:
    same = decode.Candidates(
        np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32),
        np.array([0.5, 0.5], np.float32),
        np.array([0, 0]),
    )
    assert decode.suppress(same).tolist() == [0]


def test_no_place_above_its_limit_gives_nothing() -> None:
    assert read("yolo", yolo()) == []
    assert read("yolox", np.zeros((1, 84, 85))) == []
    assert read("centernet", np.zeros((1, 80, 16, 16)), np.zeros((1, 4, 16, 16))) == []


def test_yolox_counts_from_its_grid_in_strides_of_8_16_and_32() -> None:
    output = np.zeros((1, 84, 85))  # 64 pixels: 8x8 + 4x4 + 2x2 places
    place = 64 + 1 * 4 + 2  # second grid, row 1, column 2, stride 16
    output[0, place, :5] = 0.5, 0.25, np.log(1.0), np.log(0.5), 0.9
    output[0, place, 5 + number("truck")] = 0.8
    (found,) = read("yolox", output)
    assert found.kind is Kind.TRUCK
    assert found.confidence == pytest.approx(0.72)  # objectness times class
    assert corners(found) == (32, 16, 48, 24)  # centre (2.5, 1.25) x 16, size 16 x 8


def test_centernet_takes_the_peak_and_the_distances_to_four_sides() -> None:
    heat, distances = np.zeros((1, 80, 16, 16)), np.zeros((1, 4, 16, 16))
    heat[0, number("person"), 5, 8] = 0.9
    heat[0, number("person"), 5, 9] = 0.8  # its neighbour is no second person
    heat[0, number("dog"), 12, 12] = 0.99
    distances[0, :, 5, 8] = 4, 8, 6, 10
    (found,) = read("centernet", heat, distances)
    assert found.kind is Kind.PERSON
    assert corners(found) == (28, 12, 38, 30)  # centre (8, 5) x 4


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 64), (30, 90), (1920, 1080), (7, 3)])
@pytest.mark.parametrize("layout", list(decode.Layout))
def test_a_box_comes_back_to_where_it_was_in_a_picture_of_any_shape(
    width: int, height: int, layout: decode.Layout
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    canvas = decode.Sheet.of(SIZE).canvas
    assert canvas.shape == (64, 64, 3)
    placement = decode.place(image, canvas, layout)
    inner = np.array([[0.25 * width, 0.5 * height], [0.75 * width, height]])
    laid = inner * (placement.scale_x, placement.scale_y) + (placement.left, placement.top)
    box = placement.box(laid.ravel().astype(np.float32))
    assert (box.x, box.y, box.right, box.bottom) == pytest.approx((0.25, 0.5, 0.75, 1.0), abs=1e-5)


def test_the_picture_lies_in_the_grey_where_the_layout_says() -> None:
    canvas, wide = decode.Sheet.of(SIZE).canvas, np.full((32, 64, 3), 255, np.uint8)
    decode.place(wide, canvas, decode.Layout.CENTRED)
    assert canvas[:, 0, 0].tolist() == [114] * 16 + [255] * 32 + [114] * 16
    decode.place(wide, canvas, decode.Layout.CORNER)
    assert canvas[:, 0, 0].tolist() == [255] * 32 + [114] * 32
    decode.place(wide.transpose(1, 0, 2), canvas, decode.Layout.CENTRED)
    assert canvas[0, :, 0].tolist() == [114] * 16 + [255] * 32 + [114] * 16, "nothing of the last is left"


def test_a_box_in_the_padding_alone_is_not_in_the_picture() -> None:
    placement = decode.Placement(64, 32, 1.0, 1.0, 0, 16)
    assert read("yolo", yolo((32, 8, 20, 8, "person", 0.9)), placement=placement) == []


def test_a_box_over_the_edge_ends_at_the_edge() -> None:
    (found,) = read("yolo", yolo((60, 60, 20, 20, "person", 0.9)))
    assert corners(found) == (50, 50, 64, 64)


def test_the_tensor_is_planes_of_red_green_blue_from_0_to_1_for_yolo_and_bgr_bytes_for_yolox() -> None:
    sheet = decode.Sheet.of((2, 2))
    sheet.canvas[:] = (255, 0, 0)  # blue
    as_yolo = decode.tensor(sheet, decode.FAMILIES["yolo"]).copy()
    as_yolox = decode.tensor(sheet, decode.FAMILIES["yolox"])
    assert as_yolo.shape == (1, 3, 2, 2)
    assert as_yolo[0, :, 0, 0] == pytest.approx([0, 0, 1])
    assert as_yolox[0, :, 0, 0].tolist() == [255, 0, 0]
