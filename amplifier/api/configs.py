"""Configs: reusable descriptions of an agent, validated, with their secrets encrypted at rest."""

import uuid
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from amplifier.configs.sealing import sealed
from amplifier.configs.validation import WHOLE, check_bounds, validate, validate_sections
from amplifier.errors import Problem
from amplifier.web.bodies import LenientBody
from amplifier.web.config_view import (
    Config,
    ConfigSummary,
    StoredConfig,
    changed_config,
    encrypted_again,
    keyring,
    not_found,
    refusal,
    shown,
    shown_change,
    stored_config,
)
from amplifier.web.filters import TagFilter, tag_filter
from amplifier.web.paging import After, Cursor, Limit, Offset, OrderOf, is_complete, sorted_pages
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request
from amplifier.web.routing import delete, get, post, put
from amplifier.web.types import Description, Name, Tags
from amplifier.web.unit_of_work import recorded

Decrypt = Annotated[bool, QueryParameter(description="Show secrets in clear")]
OfName = Annotated[
    str | None,
    QueryParameter(name="name", max_length=255, description="Only configs with this in their name, in any case"),
]
SortOf = Annotated[
    Literal["updated_at", "created_at"] | None,
    QueryParameter(description="`updated_at` by default; `created_at` to read all pages"),
]
Force = Annotated[bool, QueryParameter(description="Delete sessions, too, in which other people take part")]
_PAGES = sorted_pages("configs", "config_id", "updated_at", "created_at")
_SECTIONS = ("session", "includes", "tools", "providers")


class CreateConfig(LenientBody):
    """A new config; the four sections, when given, overwrite those of `config_data`."""

    name: Name
    config_data: dict[str, Any]
    description: Description | None = None
    tags: Tags | None = None
    session: Any = None
    includes: Any = None
    tools: Any = None
    providers: Any = None


class UpdateConfig(LenientBody):
    """The changes. `config_data` replaces the whole config; without it the four sections are merged into it. A null
    `description` removes it; other fields that are null stay as they are."""

    name: Name | None = None
    config_data: dict[str, Any] | None = None
    description: Description | UnsetType | None = UNSET
    tags: Tags | None = None
    session: Any = None
    includes: Any = None
    tools: Any = None
    providers: Any = None


class ConfigList(msgspec.Struct):
    """A page of configs; `next` is the `cursor` of the following page, null at the end."""

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
        sections = _sections(data)
        config = data.config_data | sections
        check_bounds(config)
        validate_sections(sections)
        validate(config)
        config_id = str(uuid.uuid4())
        request.tell(config_id=config_id)
        row = await recorded(request, request.queries.configs.create)(
            actor_id=request.caller.user_id,
            config_id=config_id,
            name=data.name,
            description=data.description,
            config_json=await sealed(keyring(request), config, config_id),
            tags=_encode(data.tags or {}),
        )
        return await shown(request, stored_config(row), "Config created successfully")

    @get(operation_id="list_configs", summary="The caller's configs")
    async def list_configs(
        self,
        request: Request,
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
        offset: Offset = 0,
        tag: TagFilter = None,
        name: OfName = None,
        sort: SortOf = None,
        order: OrderOf = None,
    ) -> ConfigList:
        """Last changed first; `total` counts what the same filters match."""
        queries, pages = request.queries.configs, _PAGES[sort or "updated_at", order or "desc"]
        given: dict[str, Any] = {"actor_id": request.caller.user_id, "tags": tag_filter(tag), "name": name}
        start = pages.start(cursor, after)
        place: dict[str, Any] = {"after_config_id": start.identifier, "limit": limit + 1, "offset": offset}
        if sort != "created_at" and order != "asc":
            found = await queries.list(**given, **place, after_updated_at=start.moment)
        else:
            place |= {"by_creation": sort == "created_at", "ascending": order == "asc"}
            found = await request.queries.config_lists.list(**given, **place, after_moment=start.moment)
        rows, following = pages.page(found, ConfigSummary, limit)
        complete = is_complete(rows, following, offset, cursor is None and after is None)
        total = offset + len(rows) if complete else await queries.count(**given)
        return ConfigList(rows, total, following)

    @get("/{config_id:str}", operation_id="get_config", summary="One config")
    async def get_config(self, request: Request, config_id: FromPath[str], decrypt: Decrypt = False) -> Config:
        """Its owner's only; secrets come as `enc:...` unless `decrypt` is true."""
        row = await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id)
        if row is None:
            raise not_found()
        return await shown(request, StoredConfig(*row), None, decrypt)

    @put("/{config_id:str}", operation_id="update_config", summary="Change a config", errors=(400, 412))
    async def update_config(self, request: Request, config_id: FromPath[str], data: JSONBody[UpdateConfig]) -> Config:
        """Its owner's only. What is absent stays as it is; the former version is kept. Without a difference there is no
        new version."""
        whole = data.config_data is not None
        given = data.config_data if data.config_data is not None else _sections(data)
        check_bounds(given, WHOLE if whole else "")
        (validate if whole else validate_sections)(given)
        key = {"actor_id": request.caller.user_id, "config_id": config_id}
        former = await request.queries.config_changes.lock(**key) if given else None
        given_json = await sealed(keyring(request), given, config_id, former)
        row = await request.queries.config_changes.update(
            **key,
            name=data.name,
            has_description=data.description is not UNSET,
            description=None if data.description is UNSET else data.description,
            config_json=given_json if whole else None,
            sections=b"{}" if whole else given_json,
            tags=None if data.tags is None else _encode(data.tags),
            merges=False,
            if_versions=request.if_match,
        )
        if row is None:
            raise await refusal(request, config_id)
        stored = changed_config(row) if whole else await encrypted_again(request, changed_config(row))
        return await shown_change(request, stored, "Config updated successfully")

    @delete(
        "/{config_id:str}",
        operation_id="delete_config",
        ignores_body=True,
        summary="Delete a config",
        errors=(409, 412),
    )
    async def delete_config(self, request: Request, config_id: FromPath[str], force: Force = False) -> ConfigMessage:
        """Its owner's only. The sessions made from it go with it; 409 while other people take part in any of them,
        unless `force` is true. Sessions that were handed over run a copy and stay."""
        configs, key = request.queries.configs, {"actor_id": request.caller.user_id, "config_id": config_id}
        async with request.queries.database.transaction():
            await configs.lock(**key)
            await configs.lock_sessions(**key)
            use = await configs.count_sessions(**key)
            if use is None:
                raise not_found()
            if request.if_match is not None and use["version"] not in request.if_match:
                raise changed_meanwhile("config", use["version"])
            if use["shared"] and not force:
                raise _shared(use["shared"])
            deleted = await configs.delete(**key, if_versions=request.if_match)
        if not deleted:
            raise await refusal(request, config_id)
        request.tell(deleted_sessions=use["sessions"])
        return ConfigMessage("Config deleted successfully", use["sessions"])


def _sections(data: CreateConfig | UpdateConfig) -> dict[str, Any]:
    return {name: getattr(data, name) for name in _SECTIONS if getattr(data, name) is not None}


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _shared(sessions: int) -> Problem:
    """409: the deletion would take sessions from others."""
    detail = f"Other people take part in {sessions} of this config's sessions: add force=true to delete those, too"
    return Problem(409, detail, shared_sessions=sessions)
