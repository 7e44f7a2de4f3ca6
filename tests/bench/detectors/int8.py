"""What does INT8 lose against the very same weights in floats? Per kind, with how sure that is.

    .venv/bin/python -m tests.bench.detectors.int8 PARENT INT8[:ENGINE]... [--truth all]

Average precision at an overlap of 0.5 on the same pictures, INT8 minus its parent, and the 90 % interval
of that difference over 300 draws of as many pictures with repetition (the difference is paired, so it is
known far better than either precision). `val`: COCO val2017, 128 pictures. `train`: the 128 pictures of
train2017 that INT8 was calibrated on, fit for a difference, not for a score. Kinds with fewer than 50
labelled objects in all are printed and not judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from agent.detectors import open_model
from agent.vision.detect import Detection
from shared.messages import Kind
from tests.bench.detectors.accuracy import VEHICLES, Labelled, curve, labelled_pictures, look
from tests.conftest import SHARED_DATA

_ALL = 0.001
ENOUGH = 50
LIMIT = 0.02
DRAWS = 300
GROUPS: dict[str, tuple[Kind, ...]] = {**{kind.value: (kind,) for kind in Kind}, "vehicles": VEHICLES}

Rows = list[tuple[np.ndarray, np.ndarray, int]]  # per picture: scores, hits, objects


def rows(pictures: Sequence[Labelled], found: Sequence[list[Detection]], group: str) -> Rows:
    """Match each picture by itself, so that pictures can be drawn again and again."""
    merged = group == "vehicles"
    made = []
    for picture, detections in zip(pictures, found, strict=True):
        one = curve([picture], [detections], GROUPS[group], merged=merged)
        made.append((one.scores, one.hits, one.objects))
    return made


def precision(of: Rows, drawn: Iterable[int]) -> float:
    taken = [of[index] for index in drawn]
    objects = sum(row[2] for row in taken)
    if not objects:
        return float("nan")
    scores, hits = (np.concatenate([row[part] for row in taken]) for part in (0, 1))
    hits = hits[np.argsort(-scores, kind="stable")].astype(bool)
    reached = np.cumsum(hits)
    envelope = np.maximum.accumulate((reached / np.arange(1, len(reached) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate(([0.0], reached / objects))) * envelope))


def compare(pictures: Sequence[Labelled], parent: list, child: list) -> dict[str, tuple[float, ...]]:
    """Return per group: objects, parent's AP50, loss, lower and upper end of the loss."""
    random = np.random.default_rng(4)
    draws = random.integers(0, len(pictures), (DRAWS, len(pictures)))
    result = {}
    for group in GROUPS:
        before, after = rows(pictures, parent, group), rows(pictures, child, group)
        every = range(len(pictures))
        full, small = precision(before, every), precision(after, every)
        losses = [precision(before, one) - precision(after, one) for one in draws]
        low, high = np.nanpercentile(losses, (5, 95))
        result[group] = (sum(row[2] for row in before), full, full - small, low, high)
    return result


def seen(which: str, pictures: Sequence[Labelled]) -> list[list[Detection]]:
    name, _, engine = which.partition(":")
    return look(open_model(Path(name), engine=engine, thresholds=dict.fromkeys(Kind, _ALL)), pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parent")
    parser.add_argument("int8", nargs="+")
    parser.add_argument("--truth", choices=("val", "train", "all"), default="all")
    given = parser.parse_args()
    folders = {"val": ["coco_val128"], "train": ["coco_train128"]}
    names = folders.get(given.truth, ["coco_val128", "coco_train128"])
    pictures = [one for name in names for one in labelled_pictures(SHARED_DATA / name, 128)]
    parent = seen(given.parent, pictures)
    for which in given.int8:
        print(f"\n{which} against {given.parent}, {len(pictures)} pictures ({given.truth})")
        print(f"{'kind':12}{'objects':>8}{'parent':>8}{'loss':>8}{'90 %':>18}")
        worst = 0.0
        for group, (objects, full, loss, low, high) in compare(
            pictures, parent, seen(which, pictures)
        ).items():
            judged = objects >= ENOUGH
            worst = max(worst, loss) if judged else worst
            note = "" if judged else "  too few to judge"
            print(f"{group:12}{objects:8}{full:8.3f}{loss:+8.3f}   {low:+.4f} to {high:+.4f}{note}")
        print(f"worst judged loss {worst:+.4f}: {'not offered' if worst >= LIMIT else 'offered'}")


if __name__ == "__main__":
    main()
