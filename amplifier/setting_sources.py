"""Reads the settings from the environment and a `.env` file, and the secrets that they refer to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec
from dotenv import dotenv_values

from amplifier.errors import InputError
from amplifier.secret import Secret
from amplifier.secret_references import HELD, Unreadable, is_reference
from amplifier.setting_types import items
from amplifier.settings import Settings, SettingsError
from amplifier.telemetry.targets import adopt

# the fields of secrets
SECRETS = frozenset(
    field.name for field in msgspec.structs.fields(Settings) if Secret in (field.type, *get_args(field.type))
)

_ENCRYPTING = {"CONFIG_ENCRYPTION_KEY", "SECRET_KEY"}  # their former versions are needed, too
_REFRESH = next(field.default for field in msgspec.structs.fields(Settings) if field.name == "secrets_refresh")


def load(environ: Mapping[str, str] | None = None, env_file: str = ".env") -> Settings:
    """Returns the settings from `environ` (by default the process's), then from `env_file`, then defaults.

    An empty variable counts as not set. References are read, also those in variables that RUNTIME_SECRETS names.
    Raises SettingsError, and InputError if `env_file` cannot be read.
    """
    known = {field.encode_name: field for field in msgspec.structs.fields(Settings)}
    present = os.environ if environ is None else environ
    sources = (_read(env_file), present)
    if environ is None:
        adopt(sources[0])
    given: dict[str, Any] = {
        name: value for source in sources for name, value in source.items() if name in known and value
    }
    for name, value in given.items():
        try:
            msgspec.convert(value, known[name].type, strict=False, dec_hook=_secret)  # any text is a secret
        except msgspec.ValidationError:
            raise SettingsError(f"{name} must be {_description(known[name].type)}, not {value!r}") from None
    _follow_references(given, present)
    return msgspec.convert(given, Settings, strict=False, dec_hook=_secret)


def _follow_references(given: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Replaces references among the given values by secrets, and reads those of RUNTIME_SECRETS for the runs."""
    secrets = {name.upper() for name in SECRETS} & given.keys()
    allowed = {name: environ.get(name) or "" for name in items(given.get("RUNTIME_SECRETS", ""))}
    for name, value in (allowed | {name: given[name] for name in secrets}).items():
        if is_reference(value):
            found = _followed(name, value, given)
            if name in secrets:
                given[name] = found


def _followed(name: str, reference: str, given: Mapping[str, Any]) -> Secret:
    settling = 2 * float(given.get("SECRETS_REFRESH", _REFRESH))
    try:
        return HELD.secret(reference, name in _ENCRYPTING, given.get("KEY_VAULT_URL"), settling)
    except Unreadable as error:
        raise SettingsError(f"{name} {error}") from None


def _secret(type_: type, value: Any) -> Secret:
    assert type_ is Secret  # noqa: S101 - the only type of settings that msgspec does not know
    return value if isinstance(value, Secret) else Secret(value)


def _read(env_file: str) -> Mapping[str, str | None]:
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Path(env_file), f"cannot be read: {getattr(error, 'strerror', error)}") from error


def _description(type_: object) -> str:
    """Returns the description of a setting's valid values from the `Meta` of its type."""
    if get_origin(type_) is Annotated:
        return next(meta.description for meta in type_.__metadata__ if meta.description)  # type: ignore[attr-defined,no-any-return]
    return _description(get_args(type_)[0])
