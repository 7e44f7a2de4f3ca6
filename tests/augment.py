"""What if it rained on this clip? Weather, light and insects put onto real pictures, as pure functions.

    street = emptied(clip_frames)                               # the place without its people
    wet = film(still(street, seconds=20), rain(night=True))     # frames, as a camera would give them

An `Effect` turns a picture and the seconds since the start into another picture, and is the same for
the same arguments, whatever was asked before: effects may be combined, repeated and compared. Sizes
and speeds are fractions of the frame, so that any resolution shows the same weather.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.frame import Frame, Image
from shared.geometry import Box
from tests.fakes import NOON

Effect = Callable[[Image, float], Image]
"""A picture and the seconds since the start, to the picture a camera would have given."""

Sprite = NDArray[np.uint8]
"""Height x width x 4: BGR and how much of it shows."""


def still(picture: Image, seconds: float, *, fps: float = 5.0, camera: str = "cong-truoc") -> Iterator[Frame]:
    """The same picture again and again, as frames of a camera from noon on."""
    for number in range(round(seconds * fps)):
        yield moment(picture, number / fps, camera)


def moment(picture: Image, t: float, camera: str = "cong-truoc", since: datetime = NOON) -> Frame:
    """One picture, t seconds after `since`."""
    return Frame(camera, picture, since + timedelta(seconds=t), 1000.0 + t)


def film(frames: Iterable[Frame], *effects: Effect) -> Iterator[Frame]:
    """The same frames, each picture changed by all effects in turn; seconds count from the first."""
    first_s: float | None = None
    for frame in frames:
        first_s = frame.monotonic_s if first_s is None else first_s
        picture = frame.image
        for effect in effects:
            picture = effect(picture, frame.monotonic_s - first_s)
        yield replace(frame, image=picture)


def emptied(pictures: Sequence[Image]) -> Image:
    """The place without those who pass: each pixel's median. Thirty pictures over a minute will do."""
    return np.median(np.stack(pictures), axis=0).astype(np.uint8)


def cut_out(picture: Image, empty: Image, box: Box) -> Sprite:
    """Cut an object out of its picture along its outline: what differs from the empty place is it."""
    height, width = picture.shape[:2]
    rows = slice(int(box.y * height), int(box.bottom * height))
    columns = slice(int(box.x * width), int(box.right * width))
    unlike = cv2.absdiff(picture[rows, columns], empty[rows, columns]).max(axis=2)
    solid = cv2.morphologyEx((unlike > 22).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if len(stats) > 1 else 0
    shown = cv2.GaussianBlur((labels == largest).astype(np.float32) * 255, (5, 5), 0)
    return np.dstack([picture[rows, columns], shown.astype(np.uint8)])


def pasted(
    sprites: Sequence[Sprite], at: Callable[[float], tuple[float, float] | None], height: float
) -> Effect:
    """Somebody walks there: `at` says where his feet are (None: not in view); `height` of the frame.

    The sprites are the pictures of one stride, shown in turn, five a second.
    """

    def effect(picture: Image, t: float) -> Image:
        feet = at(t)
        if feet is None:
            return picture
        sprite = sprites[int(t * 5 + 1e-6) % len(sprites)]
        scale = height * picture.shape[0] / sprite.shape[0]
        size = max(2, round(sprite.shape[1] * scale)), max(2, round(sprite.shape[0] * scale))
        small = cv2.resize(sprite, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        left = round(feet[0] * picture.shape[1] - size[0] / 2)
        return _laid_over(picture, small, left, round(feet[1] * picture.shape[0]) - size[1])

    return effect


def pasted_box(sprite: Sprite, feet: tuple[float, float], height: float, picture: Image) -> Box:
    """Where `pasted` puts that sprite: the truth to compare with."""
    width = height * sprite.shape[1] / sprite.shape[0] * picture.shape[0] / picture.shape[1]
    return Box.from_corners(feet[0] - width / 2, feet[1] - height, feet[0] + width / 2, feet[1])


def rain(*, night: bool = False, heavy: float = 1.0, seed: int = 1) -> Effect:
    """Streaks: thin, slanted and pale by day; by night fat and glaring, lit by the camera's own lamp.

    A shutter of 1/50 s draws a drop as a line of a few per cent of the frame; near ones are blurred.
    """

    def effect(picture: Image, t: float) -> Image:
        random = _random(seed, t)
        height, width = picture.shape[:2]
        layer = np.zeros((height, width), np.float32)
        for share, length, thick, bright in (
            ((110, 0.04, 0.002, 0.35), (12, 0.12, 0.005, 0.25))
            if not night
            else ((70, 0.05, 0.003, 0.7), (14, 0.16, 0.010, 0.9), (2, 0.25, 0.03, 0.8))
        ):
            for _ in range(random.poisson(share * heavy)):
                x, y = random.uniform(-0.1, 1.1), random.uniform(-0.1, 1.0)
                fall = length * random.uniform(0.6, 1.4)
                start = int(x * width), int(y * height)
                end = int((x + fall * 0.12) * width), int((y + fall) * height)
                pen = max(1, round(thick * random.uniform(0.6, 1.4) * height))
                cv2.line(layer, start, end, bright * random.uniform(0.5, 1.0), pen, cv2.LINE_AA)
        layer = cv2.GaussianBlur(layer, (0, 0), height * 0.0015)[..., None]
        return _clipped(picture + (255.0 - picture) * np.clip(layer, 0, 1))

    return effect


def swaying_tree(region: Box, *, sway: float = 0.012, seed: int = 2) -> Effect:
    """What stands in the region moves in gusts, its top most: real leaves where the region holds some."""

    def effect(picture: Image, t: float) -> Image:
        height, width = picture.shape[:2]
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        across = (columns / width - region.x) / region.w
        down = (rows / height - region.y) / region.h
        inside = np.clip(8 * np.minimum(np.minimum(across, 1 - across), np.minimum(down, 1 - down)), 0, 1)
        gust = 0.6 + 0.4 * math.sin(0.7 * t + seed)
        bend = np.sin(2 * math.pi * 0.45 * t + 3 * down) + 0.5 * np.sin(2 * math.pi * 1.3 * t + 9 * across)
        moved = (inside * (1.1 - np.clip(down, 0, 1)) * bend * gust * sway * width).astype(np.float32)
        return np.asarray(
            cv2.remap(
                picture, columns + moved, rows + 0.3 * moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            ),
            np.uint8,
        )

    return effect


def branch(*, corner: float = 0.0, reach: float = 0.3, seed: int = 3) -> Effect:
    """A leafy branch hangs into the picture from above, near the lens, and sways. `corner`: x of its root."""
    random = np.random.default_rng(seed)
    leaves = [(random.uniform(0, 1), random.normal(0, 0.06), random.uniform(0.4, 1)) for _ in range(90)]
    shades = random.integers(15, 90, len(leaves))

    def effect(picture: Image, t: float) -> Image:
        height, width = picture.shape[:2]
        colours = np.zeros((height, width, 4), np.float32)
        swing = 0.03 * (0.6 + 0.4 * math.sin(0.6 * t)) * math.sin(2 * math.pi * 0.4 * t)
        for (along, aside, size), shade in zip(leaves, shades.tolist(), strict=True):
            flutter = 0.006 * math.sin(2 * math.pi * 1.1 * t + 40 * aside)
            x = corner + (0.5 - corner) * along * reach * 2 + aside + swing * along**2 + flutter
            y = reach * along + aside * 0.7
            leaf = (int(size * 0.03 * width), int(size * 0.012 * width))
            centre = int(x * width), int(y * height)
            cv2.ellipse(
                colours,
                centre,
                leaf,
                50 * math.sin(90 * aside),
                0,
                360,
                (shade // 2, shade, shade // 2, 1),
                -1,
            )
        soft = cv2.GaussianBlur(colours, (0, 0), width * 0.003)
        return _clipped(picture * (1 - soft[..., 3:]) + soft[..., :3])

    return effect


def spider(*, size: float = 0.2, seed: int = 4, from_s: float = 1.0) -> Effect:
    """A spider close to an infra-red lens: pale, out of focus, legs and all; it runs and pauses."""
    random = np.random.default_rng(seed)
    stops = [(random.uniform(0.15, 0.85), random.uniform(0.15, 0.85)) for _ in range(64)]

    def effect(picture: Image, t: float) -> Image:
        if t < from_s:
            return picture
        height, width = picture.shape[:2]
        leg, run = divmod((t - from_s) / 3.0, 1.0)
        (x0, y0), (x1, y1) = stops[int(leg) % 64], stops[(int(leg) + 1) % 64]
        gone = min(1.0, run / 0.6)  # runs for 1.8 s, sits for 1.2 s
        x, y = x0 + (x1 - x0) * gone, y0 + (y1 - y0) * gone
        centre = int(x * width), int(y * height)
        body, thick = size * height / 4, max(2, int(size * height / 14))
        layer = np.zeros((height, width), np.float32)
        cv2.ellipse(layer, centre, (int(body), int(body * 0.7)), 40 * t * gone, 0, 360, 1.0, -1)
        for number in range(8):
            angle = math.pi * (number + 0.5) / 4 + 0.3 * math.sin(9 * t + number) * (gone < 1)
            knee = (
                centre[0] + int(1.6 * body * math.cos(angle)),
                centre[1] + int(1.6 * body * math.sin(angle)),
            )
            foot = (
                centre[0] + int(2.6 * body * math.cos(angle + 0.35)),
                centre[1] + int(2.6 * body * math.sin(angle + 0.35)),
            )
            cv2.line(layer, centre, knee, 0.9, thick)
            cv2.line(layer, knee, foot, 0.8, thick)
        layer = cv2.GaussianBlur(layer, (0, 0), size * height / 12)[..., None]
        return _clipped(picture + (245.0 - picture) * 0.9 * layer)

    return effect


def insects(*, per_s: float = 1.5, seed: int = 5) -> Effect:
    """Moths in the lamp: glaring blurred streaks that cross in a fifth of a second to one second."""
    random = np.random.default_rng(seed)
    flights = [
        (start, random.uniform(0.2, 1.0), random.uniform(0, 1, 2), random.uniform(0, 1, 2))
        for start in np.cumsum(random.exponential(1 / per_s, 400)).tolist()
    ]

    def effect(picture: Image, t: float) -> Image:
        height, width = picture.shape[:2]
        layer = np.zeros((height, width), np.float32)
        for start_s, takes_s, begin, end in flights:
            if start_s <= t < start_s + takes_s:
                gone = (t - start_s) / takes_s
                here, next_to = begin + (end - begin) * gone, begin + (end - begin) * (gone + 0.05)
                wobble = 0.02 * math.sin(30 * t)
                points = [(int(p[0] * width), int((p[1] + wobble) * height)) for p in (here, next_to)]
                cv2.line(layer, points[0], points[1], 1.0, max(3, int(0.03 * height)))
        layer = cv2.GaussianBlur(layer, (0, 0), height * 0.008)[..., None]
        return _clipped(picture + (255.0 - picture) * layer)

    return effect


def infra_red(picture: Image, t: float = 0.0) -> Image:
    """The picture by night under the camera's own lamp: grey, bright in the middle, dark behind."""
    del t
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    off = np.hypot(columns / width - 0.5, (rows / height - 0.6) * 0.8)
    lamp = np.exp(-((off / 0.45) ** 2))
    # Leaves and clothes throw infra-red back much alike: contrasts shrink, blacks lift
    night = (90 + 0.55 * (grey - 90)) * (0.25 + 0.95 * lamp)
    return np.repeat(_clipped(night)[..., None], 3, axis=2)


def switch_over(at_s: float = 5.0, back_s: float = math.inf) -> Effect:
    """The filter falls at `at_s`: black for a blink, glare, and 1.5 s until the exposure has settled."""

    def effect(picture: Image, t: float) -> Image:
        if not at_s <= t < back_s + 1.5:
            return picture
        since = t - at_s if t < back_s else t - back_s
        shown = infra_red(picture) if t < back_s else picture
        if since < 0.25:
            return _clipped(shown * 0.1)
        hunting = 1.0 + 0.9 * math.exp(-since / 0.5) * math.cos(5 * since)
        return _clipped(shown * hunting) if since < 2.5 else shown

    return effect


def headlights(*, every_s: float = 6.0, takes_s: float = 2.5, seed: int = 6) -> Effect:
    """A car out of view sweeps its light over the scene, left to right and back. Meant for a dark one."""

    def effect(picture: Image, t: float) -> Image:
        number, since = divmod(t, every_s)
        if since >= takes_s:
            return picture
        height, width = picture.shape[:2]
        random = np.random.default_rng([seed, int(number)])
        gone = since / takes_s
        x = gone * 1.6 - 0.3 if int(number) % 2 == 0 else 1.3 - gone * 1.6
        y = random.uniform(0.45, 0.75)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        spot = np.exp(-(((columns / width - x) / 0.16) ** 2) - ((rows / height - y) / 0.22) ** 2)
        wash = np.exp(-(((columns / width - x) / 0.5) ** 2))
        return _clipped(picture * (1 + 2.2 * spot + 0.4 * wash)[..., None] + 14 * spot[..., None])

    return effect


def night(picture: Image, t: float = 0.0) -> Image:
    """The picture under street lamps, in colour: an eighth of the light, with one lamp's pool."""
    del t
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    pool = np.exp(-(((columns / width - 0.7) / 0.25) ** 2) - ((rows / height - 0.35) / 0.4) ** 2)
    return _clipped(picture * (0.16 + 0.3 * pool)[..., None] * np.array([0.75, 0.95, 1.1]))


def clouds(*, depth: float = 0.45, speed: float = 0.05, seed: int = 8) -> Effect:
    """Shadows of clouds wander over the scene: soft edges, a twentieth of the frame a second."""
    field = np.random.default_rng(seed).uniform(0, 1, (12, 64)).astype(np.float32)
    smooth = cv2.GaussianBlur(field, (0, 0), 1.2)
    smooth = np.clip((smooth - np.quantile(smooth, 0.3)) / 0.12, 0, 1)

    def effect(picture: Image, t: float) -> Image:
        height, width = picture.shape[:2]
        shift = t * speed * 8  # a frame is eight cells of the field wide
        columns = (np.linspace(0, 8, width, dtype=np.float32) + np.float32(shift)) % 55
        across, down = np.meshgrid(columns, np.linspace(1, 7, height, dtype=np.float32))
        shade = cv2.remap(smooth, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return _clipped(picture * (1 - depth * shade)[..., None])

    return effect


def fade(*, takes_s: float = 30.0, dusk: bool = True, least: float = 0.12) -> Effect:
    """Dusk (or dawn) in fast motion: the light goes (comes), bluish, in steps of an automatic exposure."""

    def effect(picture: Image, t: float) -> Image:
        gone = min(t / takes_s, 1.0)
        gone = gone if dusk else 1 - gone
        gain = math.exp(math.log(least) * gone) * (1 + 0.06 * (int(t * 0.8) % 2))
        return _clipped(picture * (gain * np.array([1 + 0.25 * gone, 1.0, 1 - 0.2 * gone])))

    return effect


def noise(deviation: float = 8.0, *, jpeg_quality: int | None = 40, seed: int = 9) -> Effect:
    """A sensor's noise, then a poor codec's blocks. 4 grey levels by day, 12 to 20 by night."""

    def effect(picture: Image, t: float) -> Image:
        grain = _random(seed, t).normal(0, deviation, picture.shape).astype(np.float32)
        noisy = _clipped(picture + grain)
        if jpeg_quality is None:
            return noisy
        _, coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)

    return effect


def _laid_over(picture: Image, sprite: Sprite, left: int, top: int) -> Image:
    height, width = picture.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + sprite.shape[1], width), min(top + sprite.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return picture
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
    shown, changed = part[..., 3:] / 255, picture.copy()
    under = changed[y0:y1, x0:x1]
    changed[y0:y1, x0:x1] = _clipped(under * (1 - shown) + part[..., :3] * shown)
    return changed


def _clipped(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(picture, 0, 255).astype(np.uint8)


def _random(seed: int, t: float) -> np.random.Generator:
    return np.random.default_rng([seed, round(t * 1000)])
