"""What colour is it, in one word? Counted in the middle of the object, over several looks, or not said.

Coarse on purpose: twelve words a witness would use, no histogram and no vector leaves this file. What
the light does not show is not guessed: infrared, dusk and motley objects are `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.frame import Image
from shared.geometry import Box
from shared.messages import Colour, Kind

_NAMED = tuple(colour for colour in Colour if colour is not Colour.UNKNOWN)
_COLOURLESS = (Colour.BLACK, Colour.GREY, Colour.SILVER, Colour.WHITE)

_Region = tuple[float, float, float, float]  # left, top, right, bottom in fractions of the box
_CLOTHES: _Region = (0.3, 0.2, 0.7, 0.5)  # below the head, above the legs, between the arms
_BODYWORK: _Region = (0.15, 0.4, 0.85, 0.8)  # below the windows, above the wheels
_BULK: _Region = (0.2, 0.25, 0.8, 0.75)  # a bus or a truck is bodywork higher up as well
_REGIONS = {Kind.PERSON: _CLOTHES, Kind.CAR: _BODYWORK, Kind.BUS: _BULK, Kind.TRUCK: _BULK}
_LEAST_PX = 6  # of that region, each way: fewer are the neighbours' as much as its own
_SAMPLE_PX = 32  # each way; more changes no count
_SCENE_STEP = 16  # every so many pixels of the whole picture tell of its light

_INFRARED_CHROMA = 10  # of 255: what 95 % of an infrared picture stay under, compression and tint included
_BRIGHT_ENOUGH = 60  # of 255: a picture whose brightest tenth is darker shows no colours
_WHITE = 230.0  # what the brightest twentieth of a well-lit street reaches
_MOST_GAIN = 1.5  # beyond, noise would be amplified into colours

_LOOKS = 9  # remembered; a vote of more does not change
_ENOUGH = 0.34  # of an object's pixels must agree on one word
_HUE_COUNTS = 1.6  # paint and cloth shine, lie in shadow and have black parts; none of that makes a hue
_VEHICLES_BLACK = 0.6  # tyres, grilles, windows and the shadow beneath are on every vehicle

_BITS = 5  # per channel in the table: 32,768 colours, finer than any of these words


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One look: how much of the object has which of `_NAMED`; None in a light that shows no colours."""

    shares: NDArray[np.float64] | None


class ColourVote:
    """What several looks at one object say together."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._looks: list[Look] = []

    def add(self, image: Image, box: Box, kind: Kind) -> None:
        """Look once more; the oldest look is forgotten, views get better as an object comes nearer."""
        self._kind = kind
        self._looks = [*self._looks[1 - _LOOKS :], look(image, box, kind)]

    @property
    def word(self) -> Colour:
        """The word most looks agree on. Half of them without colour: it is the light that has changed."""
        shares = [one.shares for one in self._looks if one.shares is not None]
        if 2 * len(shares) <= len(self._looks):
            return Colour.UNKNOWN
        return _word(np.median(np.stack(shares), axis=0), self._kind)


def colour_of(image: Image, box: Box, kind: Kind) -> Colour:
    """Return the word for one look."""
    vote = ColourVote(kind)
    vote.add(image, box, kind)
    return vote.word


def look(image: Image, box: Box, kind: Kind) -> Look:
    """Count colours in the middle of the object."""
    height, width = image.shape[:2]
    left, top, right, bottom = _REGIONS.get(kind, _BULK)
    x0, x1 = round((box.x + left * box.w) * width), round((box.x + right * box.w) * width)
    y0, y1 = round((box.y + top * box.h) * height), round((box.y + bottom * box.h) * height)
    gain = _gain(image)
    if gain is None or min(x1 - x0, y1 - y0) < _LEAST_PX:
        return Look(None)
    part = image[y0:y1, x0:x1]
    if max(part.shape[:2]) > _SAMPLE_PX:
        part = np.asarray(cv2.resize(part, (_SAMPLE_PX, _SAMPLE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    levels = cv2.convertScaleAbs(part, alpha=gain).astype(np.int64) >> (8 - _BITS)
    names = _TABLE[(levels[..., 2] << 2 * _BITS) | (levels[..., 1] << _BITS) | levels[..., 0]]
    return Look(np.bincount(names.ravel(), minlength=len(_NAMED)) / names.size)


def _gain(image: Image) -> float | None:
    """Return by how much the light falls short of daylight; None for infrared and for the dark."""
    scene = image[::_SCENE_STEP, ::_SCENE_STEP].reshape(-1, 3).astype(np.int16)
    # The tint of a picture without colours is one and the same everywhere: its spread tells, not itself.
    differences = scene[:, 1:] - scene[:, :2]
    differences -= np.median(differences, axis=0).astype(np.int16)
    if np.percentile(np.abs(differences).max(axis=1), 95) < _INFRARED_CHROMA:
        return None
    brightness = scene.max(axis=1)
    if np.percentile(brightness, 90) < _BRIGHT_ENOUGH:
        return None
    return float(np.clip(_WHITE / max(np.percentile(brightness, 95), 1.0), 1.0, _MOST_GAIN))


def _word(shares: NDArray[np.float64], kind: Kind) -> Colour:
    """Choose between a hue and no hue first, and then among the shades of the winner."""
    weighed = dict(zip(_NAMED, shares, strict=True))
    if kind is not Kind.PERSON:
        weighed[Colour.BLACK] *= _VEHICLES_BLACK
    hue = max((name for name in _NAMED if name not in _COLOURLESS), key=weighed.__getitem__)
    # A boundary runs through every grey car: neighbours in brightness count for one another by half.
    shade = max(_COLOURLESS, key=lambda name: _with_neighbours(weighed, name))
    if weighed[hue] * _HUE_COUNTS >= _with_neighbours(weighed, shade):
        return hue if weighed[hue] * _HUE_COUNTS >= _ENOUGH else Colour.UNKNOWN
    if _with_neighbours(weighed, shade) < _ENOUGH:
        return Colour.UNKNOWN
    return Colour.GREY if shade is Colour.SILVER and kind is Kind.PERSON else shade


def _with_neighbours(weighed: dict[Colour, float], shade: Colour) -> float:
    at = _COLOURLESS.index(shade)
    beside = _COLOURLESS[max(at - 1, 0) : at] + _COLOURLESS[at + 1 : at + 2]
    return weighed[shade] + sum(weighed[name] for name in beside) / 2


def _named(red: float, green: float, blue: float) -> Colour:
    """Name one pixel, 0..255 each; hue in degrees as in HSV."""
    most, least = max(red, green, blue), min(red, green, blue)
    chroma = most - least
    saturation = chroma / max(most, 1.0)
    if most < 52 or (chroma < 28 and most < 72):  # noqa: PLR2004 -- too dark to have a hue
        return Colour.BLACK
    if saturation < 0.2 or chroma < 24:  # noqa: PLR2004 -- street light, sky and dust tint what is grey by this much
        return next((name for name, under in _SHADES if most < under), Colour.WHITE)
    return _hue_named(_hue(red, green, blue), most, saturation)


_SHADES = ((Colour.GREY, 140), (Colour.SILVER, 180))  # brightest of the three channels; above: white
_HUES = (  # up to which degree
    (14, Colour.RED),
    (42, Colour.ORANGE),
    (66, Colour.YELLOW),
    (170, Colour.GREEN),
    (250, Colour.BLUE),
    (300, Colour.PURPLE),
    (340, Colour.PINK),
    (360, Colour.RED),
)


def _hue_named(hue: float, most: float, saturation: float) -> Colour:
    """Tell apart what shares a hue: brown is dark or dull orange, pink is pale red."""
    name = next(name for under, name in _HUES if hue <= under)
    if name is Colour.ORANGE and (most < 170 or saturation < 0.55):  # noqa: PLR2004
        return Colour.BROWN
    if name is Colour.YELLOW and most < 110:  # noqa: PLR2004
        return Colour.BROWN
    if name is Colour.RED and most > 170 and saturation < 0.45:  # noqa: PLR2004
        return Colour.PINK
    if name is Colour.RED and most < 90 and saturation < 0.5:  # noqa: PLR2004
        return Colour.BROWN
    if name is Colour.PINK and most < 140:  # noqa: PLR2004
        return Colour.PURPLE
    return name


def _hue(red: float, green: float, blue: float) -> float:
    most, chroma = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
    if most == red:
        return 60 * ((green - blue) / chroma) % 360
    if most == green:
        return 60 * ((blue - red) / chroma + 2)
    return 60 * ((red - green) / chroma + 4)


def _table() -> NDArray[np.int64]:
    """Name all colours once, so that a pixel costs one look-up."""
    step, levels = 256 >> _BITS, range(1 << _BITS)
    middle = [level * step + step / 2 for level in levels]
    names = [_NAMED.index(_named(red, green, blue)) for red in middle for green in middle for blue in middle]
    return np.array(names)


_TABLE = _table()
