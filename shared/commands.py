"""What may a station ask of a site? One closed list, one answer each: nothing else can be asked for.

A command lies at the station until it is answered or too old, and is sent again whenever the site
comes back, so an agent knows the ids it has obeyed and answers them a second time without obeying
again. A household's own pause and masks stand above every command.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.identity import CameraName, SiteName
from shared.messages import Chain, Message, Sha256, Thumbnail, Utc

MAX_COMMAND_BYTES = 4 * 1024  # measured: 0.4 kB


class _Errand(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RestartCamera(_Errand):
    """Switch the camera off and on again, by its own command (ONVIF SystemReboot)."""

    verb: Literal["restart-camera"] = "restart-camera"
    camera: CameraName


class TestFrame(_Errand):
    """One picture, to see how the camera is aimed: only while the site is being installed."""

    __test__ = False  # not for pytest

    verb: Literal["test-frame"] = "test-frame"
    camera: CameraName


class HoldFootage(_Errand):
    """Ask the household not to let its recorder write over these minutes. Holding is not handing over."""

    verb: Literal["hold-footage"] = "hold-footage"
    camera: CameraName
    since: Utc
    until: Utc
    case: Annotated[
        str, StringConstraints(min_length=3, max_length=80)
    ]  # the case's number, for the household

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.since:
            message = "until is not after since"
            raise ValueError(message)
        return self


class ReleaseFootage(_Errand):
    """This case needs that camera's footage no longer: the household may let it go."""

    verb: Literal["release-footage"] = "release-footage"
    camera: CameraName
    case: Annotated[str, StringConstraints(min_length=3, max_length=80)]


class Update(_Errand):
    """Fetch this version from the station and try it; the agent checks who signed it."""

    verb: Literal["update"] = "update"
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+~-]{0,31}$")]
    sha256: Sha256  # of the package
    size_bytes: Annotated[int, Field(gt=0, le=512 * 1024 * 1024)]


class Pause(_Errand):
    """Stop looking: one camera, or all. The household's own pause is another thing, and stays."""

    verb: Literal["pause"] = "pause"
    camera: CameraName | None = None
    until: Utc


class Resume(_Errand):
    """End the station's own pause; never the household's."""

    verb: Literal["resume"] = "resume"
    camera: CameraName | None = None


Errand = Annotated[
    RestartCamera | TestFrame | HoldFootage | ReleaseFootage | Update | Pause | Resume,
    Field(discriminator="verb"),
]


class Command(Message):
    """One errand for one site. `id` is the same each time it is sent."""

    id: UUID
    site: SiteName
    made_at: Utc
    not_after: Utc  # later it is not obeyed but answered `expired`
    errand: Errand

    def expired(self, now: datetime) -> bool:
        return now > self.not_after


class Outcome(StrEnum):
    """What became of a command."""

    DONE = "done"
    REFUSED = "refused"  # this site will not: the household's word, or not now
    FAILED = "failed"  # it tried
    EXPIRED = "expired"  # came too late


class Reply(Message):
    """A site's answer to one command; through the outbox, so that it is not lost."""

    id: UUID
    command: UUID
    site: SiteName
    sequence: Annotated[int, Field(ge=0)] = 0
    answered_at: Utc
    outcome: Outcome
    why: Annotated[str, StringConstraints(max_length=64)] = (
        ""  # a code; words are in the catalogue: `reply.<why>`
    )
    picture: Thumbnail | None = None  # of a test frame; its bytes travel apart
    chain: Chain | None = None
