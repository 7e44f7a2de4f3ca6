"""How is a setting read? TOML file, then a credential, then environment `ANNINH_…`; unknown keys refused.

A room's own settings subclass `Settings`; each field has a unit in its type or name, bounds and a
one-sentence description (a test asks for it).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared import credentials
from shared.errors import FileUnreadable, SettingInvalid, SettingUnknown


class Settings(BaseSettings):
    """What an operator may change; frozen once read."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="ANNINH_",
        env_nested_delimiter="__",
        hide_input_in_errors=True,  # it may be a password
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats a credential beats the file, which arrives as init arguments; no .env."""
        del dotenv_settings, file_secret_settings
        return env_settings, _Handed(settings_cls, credentials.folder()), init_settings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file (absent: defaults) and the environment.

        Raises SettingUnknown with the nearest known name, SettingInvalid with the reason,
        FileUnreadable when the file is not TOML.
        """
        given = _read_toml(path)
        for name in given:
            if name not in cls.model_fields:
                near = difflib.get_close_matches(name, cls.model_fields, n=1, cutoff=0.0)
                raise SettingUnknown(name=name, near=near[0], path=path)
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            where = cls.origin(str(first["loc"][0]), path)
            raise SettingInvalid(name=name, reason=first["msg"], path=where) from error

    @classmethod
    def origin(cls, name: str, path: Path) -> str:
        """Say where a setting comes from: the variable, the credential, or the file."""
        variable = f"{cls.model_config['env_prefix']}{name.upper()}"
        return variable if variable in os.environ else str(credentials.file(name) or path)


class _Handed(SecretsSettingsSource):
    """What systemd handed over: one value, or for a list one line each."""

    def __call__(self) -> dict[str, Any]:
        for name in self.settings_cls.model_fields:
            credentials.file(name)  # refused where others can read it
        return super().__call__()

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        del field_name, field
        return [line.strip() for line in str(value).splitlines() if line.strip()]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileUnreadable(path=path, reason=error) from error
