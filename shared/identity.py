"""Who may be called what? Names of sites, agents and cameras, and the pattern that keeps them safe.

A name becomes an MQTT topic level, a certificate's common name and a folder on disk, so it holds
lower-case letters, digits and hyphens only: no wildcard, slash or dot can hide in one.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

COLLECTOR = "_collector"  # the underscore: no site can ever be called this
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,38}[a-z0-9])")


def site_name(text: str) -> str:
    """Return text if it may name a site (3 to 40 characters), else raise ValueError."""
    if not _NAME.fullmatch(text):
        message = "a name holds 3 to 40 lower-case letters, digits and inner hyphens"
        raise ValueError(message)
    return text


SiteName = Annotated[str, AfterValidator(site_name)]
CameraName = Annotated[str, AfterValidator(site_name)]  # the same pattern, for the same reasons
