"""What is in this clip, to a person's eye? Contact sheets to label from, and the labels drawn to check them.

    python -m tests.bench.vision.label_sheet CLIP FOLDER [--every 0.5] [--since 0] [--until 999]
           [--columns 3] [--propose MODEL]

Writes FOLDER/<clip>-NN.png: frames with a grid of tenths, the second of the clip and, where
truth/<clip>.json exists, its boxes (yellow, with the object's name). `--propose` adds a strong model's
boxes (grey, with a number): they save drawing; who is there, since when and what it is, the eye decides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from agent.detectors import open_model
from agent.vision.frame import Image
from shared.geometry import Box
from tests.bench.vision.truth import Truth, load_truth, truth_path

_TILE = 640  # pixels: small walkers must be seen
_ROWS = 3
_GREY, _YELLOW, _WHITE = (190, 190, 190), (0, 230, 255), (255, 255, 255)


def pictures(clip: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Frames of a clip about every so many seconds, with their second."""
    first_s, due_s = None, 0.0
    with av.open(str(clip)) as container:
        for picture in container.decode(container.streams.video[0]):
            if picture.time is None:
                continue
            first_s = picture.time if first_s is None else first_s
            at_s = picture.time - first_s
            if at_s >= due_s - 1e-3:
                due_s += every_s
                yield at_s, picture.to_ndarray(format="bgr24")


def proposals(clip: Path, model: Path, every_s: float = 0.2) -> dict[float, list[tuple[int, str, Box]]]:
    """A strong model's boxes by second, numbered along chains of overlapping boxes."""
    detector = open_model(model)
    chains: dict[int, tuple[float, Box]] = {}
    found: dict[float, list[tuple[int, str, Box]]] = {}
    for at_s, image in pictures(clip, every_s):
        row: list[tuple[int, str, Box]] = []
        for detection in detector.detect(image):
            if detection.confidence < 0.25:
                continue
            taken = {number for number, _, _ in row}
            rivals = [
                (detection.box.overlap(box), number)
                for number, (seen_s, box) in chains.items()
                if at_s - seen_s < 1.2 and number not in taken
            ]
            overlap, number = max(rivals, default=(0.0, 0))
            if overlap < 0.2:
                number = len(chains) + 1
            chains[number] = (at_s, detection.box)
            row.append((number, detection.kind.value, detection.box))
        found[round(at_s, 2)] = row
    return found


def marked(image: Image, at_s: float, truth: Truth | None, proposed: list[tuple[int, str, Box]]) -> Image:
    """The picture with everything that helps to label it."""
    scale = _TILE / image.shape[1]
    picture = cv2.resize(image, None, fx=scale, fy=scale)
    height, width = picture.shape[:2]
    for tenth in range(1, 10):
        cv2.line(picture, (width * tenth // 10, 0), (width * tenth // 10, 5), _WHITE, 1)
        cv2.line(picture, (0, height * tenth // 10), (5, height * tenth // 10), _WHITE, 1)
    for number, kind, box in proposed:
        _box(picture, box, f"{number}{kind[0]}", _GREY)
    for labelled in truth.objects if truth else ():
        box_now = labelled.at(at_s)
        if box_now:
            _box(picture, box_now, labelled.name, _YELLOW)
    cv2.putText(picture, f"{at_s:.1f} s", (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 255), 2)
    return np.asarray(picture, np.uint8)


def _box(picture: Image, box: Box, name: str, colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    corner = int(box.x * width), int(box.y * height)
    cv2.rectangle(picture, corner, (int(box.right * width), int(box.bottom * height)), colour, 1)
    place = corner[0], max(10, corner[1] - 3)
    cv2.putText(picture, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--since", type=float, default=0.0)
    parser.add_argument("--until", type=float, default=1e9)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--propose", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    known = asked.folder / f"{asked.clip.stem}-proposals.json"
    proposed: dict[float, list[tuple[int, str, Box]]] = {}
    if asked.propose:
        proposed = proposals(asked.clip, asked.propose)
        rows = {s: [(n, k, [b.x, b.y, b.w, b.h]) for n, k, b in row] for s, row in proposed.items()}
        known.write_text(json.dumps(rows))
    elif known.is_file():
        for second, row in json.loads(known.read_text()).items():
            proposed[float(second)] = [
                (n, k, Box.from_corners(x, y, x + w, y + h)) for n, k, (x, y, w, h) in row
            ]
    truth = load_truth(asked.clip.stem) if truth_path(asked.clip.stem).is_file() else None
    tiles = []
    for at_s, image in pictures(asked.clip, asked.every):
        if asked.since <= at_s <= asked.until:
            nearest = min(proposed, key=lambda s: abs(s - at_s), default=None)
            tiles.append(marked(image, at_s, truth, proposed[nearest] if nearest is not None else []))
    per_sheet = asked.columns * _ROWS
    for first in range(0, len(tiles), per_sheet):
        sheet = tiles[first : first + per_sheet]
        sheet += [np.zeros_like(tiles[0])] * (-len(sheet) % asked.columns)
        rows = [np.hstack(sheet[i : i + asked.columns]) for i in range(0, len(sheet), asked.columns)]
        name = asked.folder / f"{asked.clip.stem}-{first // per_sheet:02}.png"
        cv2.imwrite(str(name), np.vstack(rows))
        print(name)


if __name__ == "__main__":
    main()
