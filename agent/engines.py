"""Which engines is there a file for? `detectors/engine_<name>.py`; nothing else lists their names.

Found without importing the detectors: a setting is checked by everybody who reads settings.
"""

from __future__ import annotations

import importlib.util
import pkgutil

PREFIX = "engine_"
_ROOM = "agent.detectors"
AUTO = "auto"  # the engine put in force with the model, else the one its manifest names


def engines() -> list[str]:
    """Return the names of the engines there is a file for."""
    room = importlib.util.find_spec(_ROOM)
    folders = room.submodule_search_locations if room else None
    names = (module.name for module in pkgutil.iter_modules(folders))
    return sorted(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))


def known_engine(name: str) -> str:
    """Check the setting `engine`. Raises ValueError with the names there are."""
    names = [AUTO, *engines()]
    if name not in names:
        message = f"must be one of: {', '.join(names)}"
        raise ValueError(message)
    return name
