"""The versions of a config, its present one included."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import FromPath, PathParameter

from amplifier.errors import Problem
from amplifier.web.config_view import Config, changed_config, encrypted_again, refusal, shown_change
from amplifier.web.paging import NEWEST, After, Cursor, Limit, Number, Pages
from amplifier.web.request import Request
from amplifier.web.routing import get, post

Version = Annotated[int, PathParameter(ge=1, le=NEWEST, description="The number of a version")]
_PAGES = Pages("config_versions", Number, NEWEST, "version")


class ConfigVersionSummary(msgspec.Struct):
    """A version of a config in a list; `created_at` is when it came into being."""

    version: int
    name: str
    description: str | None
    tags: msgspec.Raw
    created_at: datetime


class StoredConfigVersion(ConfigVersionSummary):
    """A version as the database has it, secrets encrypted."""

    config_json: msgspec.Raw


class ConfigVersion(ConfigVersionSummary):
    """A version of a config; its secrets are shown as `enc:...`."""

    config_data: msgspec.Raw


class ConfigVersionList(msgspec.Struct):
    """A page of versions, the present one first; `next` is the `cursor` of the following page, null at the end."""

    items: list[ConfigVersionSummary]
    next: str | None


class ConfigVersionsController(Controller):
    """Routes below /configs/{config_id}/versions."""

    path = "/configs/{config_id:str}/versions"
    tags = ["configs"]

    @get(operation_id="list_config_versions", summary="A config's versions")
    async def list_config_versions(
        self,
        request: Request,
        config_id: FromPath[str],
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
    ) -> ConfigVersionList:
        """Its owner's only. Every change of a config makes a new version and keeps the former."""
        key = {"actor_id": request.caller.user_id, "config_id": config_id}
        before = _PAGES.start(cursor, after)
        found = await request.queries.config_versions.list(**key, before_version=before, limit=limit + 1)
        if not found and await request.queries.configs.get(**key) is None:
            raise Problem(404, "Config not found")
        return ConfigVersionList(*_PAGES.page(found, ConfigVersionSummary, limit))

    @get("/{version:str}", operation_id="get_config_version", summary="One version of a config")
    async def get_config_version(
        self, request: Request, config_id: FromPath[str], version: FromPath[Version]
    ) -> ConfigVersion:
        """Its owner's only."""
        key = {"actor_id": request.caller.user_id, "config_id": config_id}
        row = await request.queries.config_versions.get(**key, version=version)
        if row is None:
            known = await request.queries.configs.get(**key) is not None
            raise Problem(404, "Config version not found" if known else "Config not found")
        return ConfigVersion(*row)

    @post(
        "/{version:str}/restore",
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
        row = await request.queries.config_changes.restore(
            actor_id=request.caller.user_id, config_id=config_id, version=version, if_versions=request.if_match
        )
        if row is None:
            raise await refusal(request, config_id, "Config version not found")
        restored = await encrypted_again(request, changed_config(row))
        return await shown_change(request, restored, None)
