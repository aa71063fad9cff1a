"""Settings of the deployment, shared by its applications: everyone reads, admin applications write."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.bounds import encoded
from amplifier.web.changes import changed
from amplifier.web.paging import After, Cursor, Limit, Offset, Pages, Text
from amplifier.web.request import Request, require_admin
from amplifier.web.routing import delete, get, put
from amplifier.web.unit_of_work import recorded

_PAGES: Pages[str | None] = Pages("settings", Text, None, "key")
Scope = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class PutSetting(Body):
    """Any JSON value, and what it is meant for."""

    value: msgspec.Raw
    scope: Scope = "global"


class StoredSetting(msgspec.Struct):
    """A setting as the database has it."""

    key: str
    value: msgspec.Raw
    scope: str
    updated_at: datetime


class SettingChange(StoredSetting):
    """A setting after a change, with what changed."""

    changes: msgspec.Raw


class Setting(StoredSetting):
    """A setting."""

    changed: list[str] | UnsetType = UNSET


class SettingList(msgspec.Struct):
    """A page of settings; `next` is the `cursor` of the following page, null at the end."""

    items: list[Setting]
    next: str | None


class SettingsController(Controller):
    """Routes below /settings."""

    path = "/settings"
    tags = ["settings"]

    @get(operation_id="list_settings", summary="All settings")
    async def list_settings(
        self, request: Request, limit: Limit = 50, cursor: Cursor = None, after: After = None, offset: Offset = 0
    ) -> SettingList:
        """By key."""
        start = _PAGES.start(cursor, after)
        found = await request.queries.settings.list(limit=limit + 1, offset=offset, after=start)
        return SettingList(*_PAGES.page(found, Setting, limit))

    @get("/{key:str}", operation_id="get_setting", summary="One setting")
    async def get_setting(self, request: Request, key: FromPath[str]) -> Setting:
        """Answers 404 when no setting has that key."""
        row = await request.queries.settings.get(key=key)
        if row is None:
            raise Problem(404, "Setting not found")
        return Setting(*row)

    @put("/{key:str}", operation_id="put_setting", summary="Write a setting", errors=(403,), one_statement=True)
    async def put_setting(self, request: Request, key: FromPath[str], data: JSONBody[PutSetting]) -> Setting:
        """New or not. Without a difference it stays as it is. Admin applications only."""
        require_admin(request)
        value = encoded("value", data.value)
        row = await recorded(request, request.queries.settings.put)(key=key, value=value, scope=data.scope)
        return changed(request, Setting, row)

    @delete(
        "/{key:str}",
        operation_id="delete_setting",
        summary="Delete a setting",
        errors=(403,),
        status_code=204,
        one_statement=True,
    )
    async def delete_setting(self, request: Request, key: FromPath[str]) -> None:
        """Admin applications only."""
        require_admin(request)
        if await recorded(request, request.queries.settings.delete)(key=key) == 0:
            raise Problem(404, "Setting not found")
