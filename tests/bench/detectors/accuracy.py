"""How good is a model, and where should its thresholds be?

    .venv/bin/python -m tests.bench.detectors.accuracy MODEL_FOLDER_OR_FILE... [--images 128]

Scores on labelled pictures (../shared/data/coco_val128, YOLO labels): average precision at an overlap
of 0.5 per kind, and recall and precision at the manifest's thresholds. Then proposes thresholds: the
lowest, from 0.20 to 0.60 in steps of 0.05, at which four of five detections are right (the pipeline
confirms over several frames, so it needs many looks rather than sure ones); one for persons, one for
the five vehicle kinds together, because 128 pictures hold only 6 to 24 of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.detectors import known, open_model
from agent.detectors.manifest import Manifest
from agent.vision.detect import Detection, Detector
from shared.geometry import Box
from shared.messages import Kind
from tests.conftest import SHARED_DATA

LABELLED = SHARED_DATA / "coco_val128"
_COCO_NUMBER = {0: Kind.PERSON, 1: Kind.BICYCLE, 2: Kind.CAR, 3: Kind.MOTORCYCLE, 5: Kind.BUS, 7: Kind.TRUCK}
VEHICLES = tuple(kind for kind in Kind if kind is not Kind.PERSON)
SAME_OBJECT = 0.5  # overlap; the usual one
_ALL = 0.001  # nearly everything a model says, for the whole curve
WANTED_PRECISION = 0.795  # four of five, rounded as the tables show it
_GRID = np.arange(0.20, 0.601, 0.05)


@dataclass(frozen=True, slots=True)
class Labelled:
    path: Path
    objects: list[tuple[Kind, Box]]

    def image(self) -> np.ndarray:
        return cv2.imread(str(self.path))


@dataclass(frozen=True, slots=True)
class Curve:
    """Every detection of one group of kinds in all pictures, best first."""

    scores: np.ndarray
    hits: np.ndarray  # bool: found an object nobody better had found
    objects: int

    @property
    def average_precision(self) -> float:
        """Area under the precision curve made monotonic (PASCAL VOC 2010)."""
        found = np.cumsum(self.hits)
        recall = np.concatenate(([0.0], found / self.objects))
        precision = found / np.arange(1, len(found) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall) * envelope))

    def at(self, threshold: float) -> tuple[float, float]:
        """Recall and precision at a threshold."""
        said = self.scores >= threshold
        hits = int(self.hits[said].sum())
        return hits / self.objects, hits / max(int(said.sum()), 1)

    def operating_point(self) -> float:
        """The lowest threshold with the precision wanted; where none has it, the most precise."""
        good = [t for t in _GRID if self.at(t)[1] >= WANTED_PRECISION]
        return round(float(good[0] if good else max(_GRID, key=lambda t: self.at(t)[1])), 2)


_SIZES = {"< 8 %": (0.0, 0.08), "8-20 %": (0.08, 0.2), "20-50 %": (0.2, 0.5), "> 50 %": (0.5, 2.0)}


def labelled_pictures(folder: Path, count: int) -> list[Labelled]:
    pictures = []
    for path in sorted(folder.rglob("*.jpg"))[:count]:
        label = next(folder.rglob(f"{path.stem}.txt"), None)
        lines = label.read_text(encoding="ascii").splitlines() if label else []
        objects = []
        for line in lines:
            number, x, y, w, h = (float(part) for part in line.split())
            if int(number) in _COCO_NUMBER:
                corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                objects.append((_COCO_NUMBER[int(number)], Box.from_corners(*corners)))
        pictures.append(Labelled(path, objects))
    return pictures


def curve(
    pictures: Sequence[Labelled],
    found: Sequence[list[Detection]],
    kinds: Iterable[Kind],
    *,
    merged: bool = False,
) -> Curve:
    """Match detections to objects, best first; `merged` lets a car be found as a truck."""
    kinds = set(kinds)
    rows: list[tuple[float, bool]] = []
    objects = 0
    for picture, detections in zip(pictures, found, strict=True):
        free = [(kind, box) for kind, box in picture.objects if kind in kinds]
        objects += len(free)
        for detection in sorted(detections, key=lambda d: -d.confidence):
            if detection.kind not in kinds:
                continue
            fits = [pair for pair in free if merged or pair[0] is detection.kind]
            best = max(fits, key=lambda pair: pair[1].overlap(detection.box), default=None)
            hit = best is not None and best[1].overlap(detection.box) >= SAME_OBJECT
            if hit:
                free.remove(best)
            rows.append((detection.confidence, hit))
    rows.sort(key=lambda row: -row[0])
    return Curve(np.array([r[0] for r in rows]), np.array([r[1] for r in rows], bool), objects)


def look(detector: Detector, pictures: Sequence[Labelled]) -> list[list[Detection]]:
    return [detector.detect(picture.image()) for picture in pictures]


def by_size(
    pictures: Sequence[Labelled],
    found: Sequence[list[Detection]],
    limits: Mapping[Kind, float],
    kinds: set[Kind],
) -> dict[str, tuple[int, int]]:
    """Of the objects of each height, how many are found at the limits, as whichever of these kinds."""
    sizes = {name: [0, 0] for name in _SIZES}
    for picture, detections in zip(pictures, found, strict=True):
        sure = [one for one in detections if one.kind in kinds and one.confidence >= limits[one.kind]]
        for kind, box in picture.objects:
            if kind not in kinds:
                continue
            counts = sizes[next(name for name, (low, high) in _SIZES.items() if low <= box.h < high)]
            counts[0] += any(one.box.overlap(box) >= SAME_OBJECT for one in sure)
            counts[1] += 1
    return {name: (hits, objects) for name, (hits, objects) in sizes.items()}


def report(path: Path, pictures: Sequence[Labelled], engine: str) -> None:
    manifest = Manifest.load(path) if path.is_dir() else known.manifest_of(path)
    everything = open_model(path, engine=engine, thresholds=dict.fromkeys(Kind, _ALL))
    found = look(everything, pictures)
    curves = {kind: curve(pictures, found, [kind]) for kind in Kind}
    vehicles = curve(pictures, found, VEHICLES)
    merged = curve(pictures, found, VEHICLES, merged=True)
    print(f"\n{everything.name}   sha256 {manifest.sha256[:12]}   {len(pictures)} pictures")
    print(f"{'kind':12}{'objects':>8}{'AP50':>8}{'limit':>8}{'recall':>8}{'precis.':>8}")
    for kind, one in curves.items():
        recall, precision = one.at(manifest.thresholds[kind])
        print(
            f"{kind.value:12}{one.objects:8}{one.average_precision:8.3f}"
            f"{manifest.thresholds[kind]:8.2f}{recall:8.2f}{precision:8.2f}"
        )
    present = [one.average_precision for one in curves.values() if one.objects]
    person = curves[Kind.PERSON]
    print(
        f"mAP50 of {len(present)} kinds {np.mean(present):.3f}; "
        f"all vehicles as one kind {merged.average_precision:.3f}"
    )
    for name, kinds in (("person", {Kind.PERSON}), ("vehicles", set(VEHICLES))):
        sizes = by_size(pictures, found, manifest.thresholds, kinds)
        shares = "  ".join(
            f"{size}: {hits}/{all_} = {hits / max(all_, 1):.2f}" for size, (hits, all_) in sizes.items()
        )
        print(f"{name}: recall at the limit by height {shares}")
    for name, one in (("person", person), ("vehicles", vehicles)):
        best = one.operating_point()
        at = "  ".join(f"{t:.2f}: {one.at(t)[0]:.2f}/{one.at(t)[1]:.2f}" for t in _GRID)
        print(f"{name}: operating point {best:.2f}; recall/precision {at}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--engine", default="")
    given = parser.parse_args()
    pictures = labelled_pictures(LABELLED, given.images)
    for path in given.models:
        report(path, pictures, given.engine)


if __name__ == "__main__":
    main()
