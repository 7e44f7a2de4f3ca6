"""How often is the word for a colour right, and what does it cost? On objects named by eye."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import cv2

from agent.vision.colour import colour_of
from shared.geometry import Box
from shared.messages import Colour, Kind

TRUTH = Path(__file__).parent / "truth" / "colours.json"


def main(data: Path) -> None:
    objects = json.loads(TRUTH.read_text())["objects"]
    for name in dict.fromkeys(one["set"] for one in objects):
        score(data, name, [one for one in objects if one["set"] == name])


def score(data: Path, name: str, objects: list[dict]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    spent_s = 0.0
    for one in objects:
        image = cv2.imread(str(next((data / name / "images").rglob(one["image"]))))
        x, y, w, h = one["box"]
        began_s = time.process_time()
        said = colour_of(image, Box.from_corners(x, y, x + w, y + h), Kind(one["kind"]))
        spent_s += time.process_time() - began_s
        group = "person" if one["kind"] == "person" else "vehicle"
        verdict = "right" if said in one["colours"] else "silent" if said is Colour.UNKNOWN else "wrong"
        counts[group, verdict] += 1
        counts[group, "first"] += said == one["colours"][0]
        if verdict != "right":
            print(f"  {name} {one['image']} {one['kind']}: said {said}, is {' or '.join(one['colours'])}")
    for group in ("person", "vehicle"):
        right, silent, wrong = (counts[group, verdict] for verdict in ("right", "silent", "wrong"))
        print(
            f"{name} {group}: of {right + silent + wrong} right {right} (first word {counts[group, 'first']})"
            f", not said {silent}, wrong {wrong}"
        )
    print(f"{name}: {spent_s / len(objects) * 1000:.2f} ms CPU per look")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
