"""Which model is this, whose is it, how good was it, and is the file still the one we measured?

`<home>/models/<name>/` holds one model file and `manifest.json` beside it. JSON, because pydantic
reads and writes it itself; thresholds may be edited by hand, a wrong edit is refused at the next start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.disk import write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.messages import Fraction, Kind, Sha256

FILE_NAME = "manifest.json"
NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$"  # a folder name no shell or path trips over

# What this system must never know, however useful: a model that has learnt it is not run. Whole words
# of a class; "licence-plate", "LicensePlate" and "license_plate" are all found, "platform" is not.
_IDENTITY = frozenset(
    """face faces facial head heads eye eyes nose mouth ear iris lips beard glasses plate plates
licenseplate licenceplate numberplate lpr anpr pose poses keypoint keypoints skeleton shoulder elbow wrist
hip knee ankle gait embedding embeddings reid identity name gender man woman male female child age race
ethnicity emotion walking running sitting standing lying falling fallen fall fight fighting violence
loitering smoking drinking phoning weapon gun stabbing theft""".split()  # noqa: SIM905 -- seventy words read better as words
)

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,120}$")]
Side = Annotated[int, Field(ge=32, le=4096)]
Losses = dict[str, Annotated[float, Field(ge=-1, le=1)]]


class ModelChanged(NeedsFixing):
    """The file is not the one the manifest was written for."""

    key = "model-changed"


class ModelIdentifies(NeedsFixing):
    """The model tells people or vehicles apart, or what they do."""

    key = "model-identifies"


class Accuracy(BaseModel):
    """What was measured, on what, when; average precision at an overlap of 0.5."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_set: str
    person_ap50: Fraction
    map50: Fraction  # mean over the kinds the data set has
    person_recall: Fraction  # at the manifest's thresholds
    person_precision: Fraction
    measured_on: date
    int8_of: str = ""  # the model in floats it was held against
    int8_loss: Losses = {}  # AP50, per kind and for all vehicles
    int8_loss_inexact: Losses = {}  # the same on processors that cut sums of bytes off (`processor`)


class Weights(BaseModel):
    """The second file of a model that comes as two: OpenVINO's and NCNN's .bin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName
    sha256: Sha256


class Manifest(BaseModel):
    """Everything one must know to run a model file, and to answer for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    file: FileName
    sha256: Sha256
    weights: Weights | None = None
    licence: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    family: Literal["yolo", "yolox", "centernet", "nanodet"]
    engine: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")] = "onnxruntime"
    precision: Literal["fp32", "int8"]
    width: Side
    height: Side
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=2000)]
    thresholds: dict[Kind, Annotated[float, Field(gt=0, lt=1)]]
    accuracy: Accuracy | None = None  # None: nobody measured this very file

    @model_validator(mode="after")
    def _thresholds_for_what_it_finds(self) -> Self:
        if forbidden := identifying(self.classes):
            raise ModelIdentifies(name=self.name, classes=", ".join(forbidden[:5]))
        finds = {kind for kind in Kind if kind.value in self.classes}
        if not finds:
            message = "the model knows neither persons nor vehicles"
            raise ValueError(message)
        if finds != set(self.thresholds):
            message = f"thresholds must be given for exactly: {', '.join(sorted(finds))}"
            raise ValueError(message)
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the model's input in pixels."""
        return self.width, self.height

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest of a model folder. Raises FileUnreadable with the reason."""
        path = folder / FILE_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise FileUnreadable(path=path, reason=error.strerror) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise FileUnreadable(path=path, reason=f"{where} {first['msg']}".strip()) from error

    def save(self, folder: Path) -> None:
        write_atomically(folder / FILE_NAME, self.model_dump_json(indent=2).encode() + b"\n")

    def checked_bytes(self, folder: Path) -> bytes:
        """Return the model file's bytes, the very ones that were hashed.

        Raises ModelChanged when they are not those of the manifest, FileUnreadable when there are none.
        """
        return self._checked(folder / self.file, self.sha256)

    def checked_weights(self, folder: Path) -> bytes:
        """Return the second file's bytes, b"" for a model of one file. Raises as `checked_bytes`."""
        return self._checked(folder / self.weights.file, self.weights.sha256) if self.weights else b""

    def _checked(self, path: Path, sha256: str) -> bytes:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FileUnreadable(path=path, reason=error.strerror) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelChanged(path=path, name=self.name)
        return content


def identifying(classes: Iterable[str]) -> list[str]:
    """Return those classes that name a face, a plate, a pose, a behaviour or whatever else identifies."""
    return [name for name in classes if not _IDENTITY.isdisjoint(_words(name))]


def _words(name: str) -> list[str]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.casefold() for word in re.split(r"[^A-Za-z]+", parted)]
