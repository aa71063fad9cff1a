"""The config that several routes answer with, and the problems of those that change one."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from amplifier import json_numbers
from amplifier.configs.encryption import Keyring
from amplifier.configs.sealing import opened, sealed_again
from amplifier.configs.validation import check_size, validate
from amplifier.errors import Problem
from amplifier.web.bodies import Warnings
from amplifier.web.bounds import check_tags
from amplifier.web.changes import confirmation, told
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request


class ConfigSummary(msgspec.Struct):
    """A config in a list."""

    config_id: str
    name: str
    description: str | None
    user_id: str | None
    created_at: datetime
    updated_at: datetime
    tags: msgspec.Raw
    version: int


class StoredConfig(ConfigSummary):
    """A config as the database has it, secrets encrypted."""

    config_json: msgspec.Raw


class ConfigChange(StoredConfig):
    """A config after a change, with what changed."""

    changes: msgspec.Raw


class Config(ConfigSummary):
    """A config; `encrypted` says whether secrets in it are encrypted at rest. Its ETag is its `version`."""

    config_data: dict[str, Any]
    message: str | None
    encrypted: bool
    changed: list[str] | UnsetType = UNSET
    warnings: Warnings = UNSET

    @property
    def etag(self) -> str:
        return str(self.version)


async def encrypted_again(request: Request, stored: ConfigChange) -> ConfigChange:
    """A config that was merged or restored, with the secrets encrypted that were stored before there was a key.

    Raises Problem 422 for one that is too large, which takes the change back.
    """
    text = await sealed_again(keyring(request), stored.config_json, stored.config_id)
    if text is None:
        return stored
    row = await request.queries.config_changes.update(
        actor_id=request.caller.user_id,
        config_id=stored.config_id,
        name=None,
        has_description=False,
        description=None,
        config_json=text,
        sections=b"{}",
        tags=None,
        merges=False,
        if_versions=None,
    )
    again = changed_config(row)
    changes = msgspec.json.decode(stored.changes) | msgspec.json.decode(again.changes)
    again.changes = msgspec.Raw(msgspec.json.encode(changes))
    return again


async def merged(request: Request, row: Any) -> ConfigChange:
    """Returns the config in the row of a statement that merged a patch into it, with its secrets encrypted.

    Raises Problem 400 and 422 for one that is not valid, which takes the change back.
    """
    changed = changed_config(row)
    check_tags(changed.tags)
    validate(json_numbers.read(changed.config_json))
    return await encrypted_again(request, changed)


def stored_config(row: Any) -> StoredConfig:
    """Returns the config in the row of a statement that wrote it. Raises Problem 422 if it is too large."""
    stored = StoredConfig(*row)
    check_size(stored.config_json)
    return stored


def changed_config(row: Any) -> ConfigChange:
    """Returns the config in the row of a statement that changes it. Raises Problem 422 if it is too large."""
    changed = ConfigChange(*row)
    check_size(changed.config_json)
    return changed


async def shown_change(request: Request, stored: ConfigChange, message: str | None) -> Config:
    """Returns the answer to a change, which is also told to the audit log."""
    changed = told(request, stored.changes)
    config = await shown(request, stored, message and confirmation(changed, message))
    config.changed = changed
    return config


async def shown(request: Request, stored: StoredConfig, message: str | None, decrypt: bool = False) -> Config:
    """Returns the config as an answer, with secrets as `enc:...` unless `decrypt` is true."""
    data, encrypted = await opened(keyring(request), stored.config_json, stored.config_id, decrypt)
    return Config(
        stored.config_id,
        stored.name,
        stored.description,
        stored.user_id,
        stored.created_at,
        stored.updated_at,
        stored.tags,
        stored.version,
        data,
        message,
        encrypted,
    )


def keyring(request: Request) -> Keyring:
    """Returns the keys that encrypt secrets in configs."""
    return request.app.state.keyring  # type: ignore[no-any-return]


async def refusal(request: Request, config_id: str, otherwise: str = "Config not found") -> Problem:
    """Returns the problem of a statement that changed nothing."""
    row = await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id)
    if row is None:
        return not_found()
    if request.if_match is not None and row["version"] not in request.if_match:
        return changed_meanwhile("config", row["version"])
    return Problem(404, otherwise)


def not_found() -> Problem:
    """404: no config of the caller has this id."""
    return Problem(404, "Config not found")
