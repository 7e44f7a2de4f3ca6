"""What does INT8 lose against the very same weights in floats? Per kind, with how sure that is.

    .venv/bin/python -m tests.bench.detectors.int8 PARENT INT8[:ENGINE]... [--truth all val]

Average precision at an overlap of 0.5 on the same pictures, INT8 minus its parent, and the 90 % interval
of that difference over 300 draws of as many pictures with repetition (the difference is paired, so it is
known far better than either precision). `val`: COCO val2017, 128 pictures. `train`: the 128 pictures of
train2017 that INT8 was calibrated on, fit for a difference, not for a score. Kinds with fewer than 50
labelled objects in all are printed and not judged. Where there are no floats of that size,
`tests.bench.detectors.float_parent` makes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Rows:
    """All that was said of one group of kinds, best first, and in which picture."""

    hits: np.ndarray
    picture: np.ndarray
    objects: np.ndarray  # per picture


def rows(pictures: Sequence[Labelled], found: Sequence[list[Detection]], group: str) -> Rows:
    """Match each picture by itself, so that pictures can be drawn again and again."""
    merged = group == "vehicles"
    curves = [
        curve([picture], [detections], GROUPS[group], merged=merged)
        for picture, detections in zip(pictures, found, strict=True)
    ]
    order = np.argsort(-np.concatenate([one.scores for one in curves]), kind="stable")
    hits = np.concatenate([one.hits for one in curves]).astype(bool)
    picture = np.repeat(np.arange(len(curves)), [len(one.hits) for one in curves])
    return Rows(hits[order], picture[order], np.array([one.objects for one in curves]))


def precision(of: Rows, times: np.ndarray) -> float:
    """Average precision where each picture was drawn so many times."""
    objects = int((of.objects * times).sum())
    if not objects:
        return float("nan")
    weight = times[of.picture]
    reached, said = np.cumsum(weight * of.hits), np.cumsum(weight)
    envelope = np.maximum.accumulate((reached / np.maximum(said, 1))[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate(([0.0], reached / objects))) * envelope))


def compare(pictures: Sequence[Labelled], parent: list, child: list) -> dict[str, tuple[float, ...]]:
    """Return per group: objects, parent's AP50, loss, lower and upper end of the loss."""
    random = np.random.default_rng(4)
    draws = random.multinomial(len(pictures), np.full(len(pictures), 1 / len(pictures)), DRAWS)
    once = np.ones(len(pictures), int)
    result = {}
    for group in GROUPS:
        before, after = rows(pictures, parent, group), rows(pictures, child, group)
        full, small = precision(before, once), precision(after, once)
        losses = [precision(before, one) - precision(after, one) for one in draws]
        low, high = np.nanpercentile(losses, (5, 95))
        result[group] = (int(before.objects.sum()), full, full - small, low, high)
    return result


def seen(which: str, pictures: Sequence[Labelled]) -> list[list[Detection]]:
    name, _, engine = which.partition(":")
    return look(open_model(Path(name), engine=engine, thresholds=dict.fromkeys(Kind, _ALL)), pictures)


def report(which: str, against: str, truth: str, losses: dict[str, tuple[float, ...]], pictures: int) -> None:
    print(f"\n{which} against {against}, {pictures} pictures ({truth})")
    print(f"{'kind':12}{'objects':>8}{'parent':>8}{'loss':>8}{'90 %':>18}")
    worst = 0.0
    for group, (objects, full, loss, low, high) in losses.items():
        judged = objects >= ENOUGH
        worst = max(worst, loss) if judged else worst
        note = "" if judged else "  too few to judge"
        print(f"{group:12}{objects:8}{full:8.3f}{loss:+8.3f}   {low:+.4f} to {high:+.4f}{note}")
    print(f"worst judged loss {worst:+.4f}: {'not offered' if worst >= LIMIT else 'offered'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parent")
    parser.add_argument("int8", nargs="+")
    parser.add_argument("--truth", nargs="+", choices=("val", "train", "all"), default=["all"])
    given = parser.parse_args()
    val, train = (labelled_pictures(SHARED_DATA / f"coco_{name}128", 128) for name in ("val", "train"))
    pictures = [*val, *train]
    parts = {"val": slice(0, len(val)), "train": slice(len(val), None), "all": slice(None)}
    parent = seen(given.parent, pictures)
    for which in given.int8:
        child = seen(which, pictures)
        for truth in given.truth:
            part = parts[truth]
            losses = compare(pictures[part], parent[part], child[part])
            report(which, given.parent, truth, losses, len(pictures[part]))


if __name__ == "__main__":
    main()
