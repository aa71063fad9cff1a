"""Configs: reusable descriptions of an agent, validated, with their secrets encrypted at rest."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from amplifier.configs.encryption import Keyring
from amplifier.configs.sealing import opened, sealed, sealed_again
from amplifier.configs.validation import check_bounds, check_size, validate, validate_sections
from amplifier.errors import Problem
from amplifier.web.paging import (
    After,
    Limit,
    Offset,
    TagFilter,
    decode_cursor,
    encode_cursor,
    is_complete,
    page,
    tag_filter,
)
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request
from amplifier.web.routing import delete, get, post, put
from amplifier.web.types import Name, Tags

Description = Annotated[str, msgspec.Meta(max_length=10_000)]
Version = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="The number of a version")]
Decrypt = Annotated[bool, QueryParameter(description="Show secrets in clear")]
Force = Annotated[bool, QueryParameter(description="Delete sessions, too, in which other people take part")]
_SECTIONS = ("session", "includes", "tools", "providers")


class CreateConfig(msgspec.Struct):
    """A new config; the four sections, when given, overwrite those of `config_data`."""

    name: Name
    config_data: dict[str, Any]
    description: Description | None = None
    tags: Tags | None = None
    session: Any = None
    includes: Any = None
    tools: Any = None
    providers: Any = None


class UpdateConfig(msgspec.Struct):
    """What changes. `config_data` replaces the whole config; without it the four sections are merged into it."""

    name: Name | None = None
    config_data: dict[str, Any] | None = None
    description: Description | None = None
    tags: Tags | None = None
    session: Any = None
    includes: Any = None
    tools: Any = None
    providers: Any = None


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


class Config(ConfigSummary):
    """A config; `encrypted` says whether secrets in it are encrypted at rest. Its ETag is its `version`."""

    config_data: dict[str, Any]
    message: str | None
    encrypted: bool

    @property
    def etag(self) -> str:
        return str(self.version)


class ConfigList(msgspec.Struct):
    """A page of configs; `next` continues behind it."""

    configs: list[ConfigSummary]
    total: int
    next: str | None


class ConfigMessage(msgspec.Struct):
    """The deletion, and the number of sessions that went with the config."""

    message: str
    deleted_sessions: int


class ConfigsController(Controller):
    """Routes below /configs."""

    path = "/configs"
    tags = ["configs"]

    @post(operation_id="create_config", summary="Create a config", errors=(400,))
    async def create_config(self, request: Request, data: JSONBody[CreateConfig]) -> Config:
        """The caller becomes its owner. 400 when it is not a valid config."""
        config = data.config_data | _sections(data)
        check_bounds(config)
        validate(config)
        config_id = str(uuid.uuid4())
        row = await request.queries.configs.create(
            actor_id=request.caller.user_id,
            config_id=config_id,
            name=data.name,
            description=data.description,
            config_json=await sealed(_keyring(request), config, config_id),
            tags=_encode(data.tags or {}),
        )
        return await _present(request, _stored(row), "Config created successfully")

    @get(operation_id="list_configs", summary="The caller's configs")
    async def list_configs(
        self, request: Request, limit: Limit = 50, offset: Offset = 0, after: After = None, tag: TagFilter = None
    ) -> ConfigList:
        """Last changed first; `total` counts what the same filters match."""
        queries, actor_id, tags = request.queries.configs, request.caller.user_id, tag_filter(tag)
        position = decode_cursor(after)
        found = await queries.list(
            actor_id=actor_id,
            tags=tags,
            after_updated_at=position.moment,
            after_config_id=position.identifier,
            limit=limit + 1,
            offset=offset,
        )
        rows, more = page(found, ConfigSummary, limit)
        complete = is_complete(rows, more, offset, after)
        total = offset + len(rows) if complete else await queries.count(actor_id=actor_id, tags=tags)
        return ConfigList(rows, total, encode_cursor(rows[-1].updated_at, rows[-1].config_id) if more else None)

    @get("/{config_id:str}", operation_id="get_config", summary="One config")
    async def get_config(self, request: Request, config_id: FromPath[str], decrypt: Decrypt = False) -> Config:
        """Its owner's only; secrets come as `enc:...` unless `decrypt` is true."""
        row = await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id)
        if row is None:
            raise _not_found()
        return await _present(request, StoredConfig(*row), None, decrypt)

    @put("/{config_id:str}", operation_id="update_config", summary="Change a config", errors=(400, 412))
    async def update_config(self, request: Request, config_id: FromPath[str], data: JSONBody[UpdateConfig]) -> Config:
        """Its owner's only. What is absent or null stays as it is; the former version is kept."""
        whole = data.config_data is not None
        given = data.config_data if data.config_data is not None else _sections(data)
        check_bounds(given)
        (validate if whole else validate_sections)(given)
        given_json = await sealed(_keyring(request), given, config_id)
        row = await request.queries.configs.update(
            actor_id=request.caller.user_id,
            config_id=config_id,
            name=data.name,
            description=data.description,
            config_json=given_json if whole else None,
            sections=b"{}" if whole else given_json,
            tags=None if data.tags is None else _encode(data.tags),
            if_versions=request.if_match,
        )
        if row is None:
            raise await _refusal(request, config_id)
        stored = _stored(row) if whole else await _sealed(request, _stored(row))
        return await _present(request, stored, "Config updated successfully")

    @delete("/{config_id:str}", operation_id="delete_config", summary="Delete a config", errors=(409, 412))
    async def delete_config(self, request: Request, config_id: FromPath[str], force: Force = False) -> ConfigMessage:
        """Its owner's only. The sessions made from it go with it; 409 while other people take part in any of them,
        unless `force` is true. Sessions that were handed over run a copy and stay."""
        configs, key = request.queries.configs, {"actor_id": request.caller.user_id, "config_id": config_id}
        async with request.queries.database.transaction():
            await configs.lock(**key)
            await configs.lock_sessions(**key)
            use = await configs.count_sessions(**key)
            if use is None:
                raise _not_found()
            if request.if_match is not None and use["version"] not in request.if_match:
                raise changed_meanwhile("config", use["version"])
            if use["shared"] and not force:
                raise _shared(use["shared"])
            deleted = await configs.delete(**key, if_versions=request.if_match)
        if not deleted:
            raise await _refusal(request, config_id)
        request.tell(deleted_sessions=use["sessions"])
        return ConfigMessage("Config deleted successfully", use["sessions"])

    @post(
        "/{config_id:str}/versions/{version:int}/restore",
        operation_id="restore_config_version",
        summary="Go back to a former version",
        errors=(412,),
        status_code=200,
    )
    async def restore_config_version(
        self, request: Request, config_id: FromPath[str], version: FromPath[Version]
    ) -> Config:
        """Its owner's only. The former version becomes the present one, with a new number; nothing is lost."""
        request.tell(version=version)
        row = await request.queries.config_versions.restore(
            actor_id=request.caller.user_id, config_id=config_id, version=version, if_versions=request.if_match
        )
        if row is None:
            raise await _refusal(request, config_id, "Config version not found")
        return await _present(request, await _sealed(request, _stored(row)), "Config restored successfully")


def _sections(data: CreateConfig | UpdateConfig) -> dict[str, Any]:
    return {name: getattr(data, name) for name in _SECTIONS if getattr(data, name) is not None}


async def _sealed(request: Request, stored: StoredConfig) -> StoredConfig:
    """A config that was merged or restored, with the secrets encrypted that were stored before there was a key.

    Raises Problem 422 for one that is too large, which takes the change back.
    """
    text = await sealed_again(_keyring(request), stored.config_json, stored.config_id)
    if text is None:
        return stored
    row = await request.queries.configs.update(
        actor_id=request.caller.user_id,
        config_id=stored.config_id,
        name=None,
        description=None,
        config_json=text,
        sections=b"{}",
        tags=None,
        if_versions=None,
    )
    return _stored(row)


def _stored(row: Any) -> StoredConfig:
    """The config in the row of a statement that wrote it. Raises Problem 422 for one that is too large."""
    stored = StoredConfig(*row)
    check_size(stored.config_json)
    return stored


async def _present(request: Request, stored: StoredConfig, message: str | None, decrypt: bool = False) -> Config:
    shown, encrypted = await opened(_keyring(request), stored.config_json, stored.config_id, decrypt)
    return Config(
        stored.config_id,
        stored.name,
        stored.description,
        stored.user_id,
        stored.created_at,
        stored.updated_at,
        stored.tags,
        stored.version,
        shown,
        message,
        encrypted,
    )


def _keyring(request: Request) -> Keyring:
    return request.app.state.keyring  # type: ignore[no-any-return]


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


async def _refusal(request: Request, config_id: str, otherwise: str = "Config not found") -> Problem:
    """Why a statement changed nothing; asked only then."""
    row = await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id)
    if row is None:
        return _not_found()
    if request.if_match is not None and row["version"] not in request.if_match:
        return changed_meanwhile("config", row["version"])
    return Problem(404, otherwise)


def _shared(sessions: int) -> Problem:
    """409: the deletion would take sessions from others."""
    detail = f"Other people take part in {sessions} of this config's sessions: add force=true to delete those, too"
    return Problem(409, detail, shared_sessions=sessions)


def _not_found() -> Problem:
    return Problem(404, "Config not found")
