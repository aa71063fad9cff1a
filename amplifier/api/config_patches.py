"""JSON merge patches (RFC 7396) of configs."""

from typing import Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.configs.sealing import sealed
from amplifier.configs.validation import check_bounds
from amplifier.web.bodies import MergePatch
from amplifier.web.config_view import Config, keyring, merged, refusal, shown_change
from amplifier.web.request import Request
from amplifier.web.routing import patch
from amplifier.web.types import Description, Name, TagsPatch


class MergeConfig(MergePatch):
    """The changes, as a JSON merge patch: members of `config_data` and `tags`, at any depth, that it does not name
    stay, and null removes one. A list is replaced whole."""

    name: Name | UnsetType = UNSET
    config_data: dict[str, Any] | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    tags: TagsPatch | UnsetType | None = UNSET


class ConfigPatchesController(Controller):
    """The route that merges a patch into a config."""

    path = "/configs"
    tags = ["configs"]

    @patch("/{config_id:str}", operation_id="patch_config", summary="Change parts of a config", errors=(400, 412))
    async def patch_config(self, request: Request, config_id: FromPath[str], data: JSONBody[MergeConfig]) -> Config:
        """Its owner's only. The body is a JSON merge patch (RFC 7396) of the type `application/merge-patch+json`.
        Patches of different members that arrive at the same time all persist. The former version is kept; without a
        difference there is no new version."""
        key = {"actor_id": request.caller.user_id, "config_id": config_id}
        patch_json = None
        if data.config_data is not UNSET:
            check_bounds(data.config_data)
            former = await request.queries.config_changes.lock(**key)
            patch_json = await sealed(keyring(request), data.config_data, config_id, former)
        row = await request.queries.config_changes.update(
            **key,
            name=data.name or None,
            has_description=data.description is not UNSET,
            description=data.description or None,
            config_json=patch_json,
            sections=b"{}",
            tags=None if data.tags is UNSET else msgspec.json.encode(data.tags),
            merges=True,
            if_versions=request.if_match,
        )
        if row is None:
            raise await refusal(request, config_id)
        return await shown_change(request, await merged(request, row), "Config updated successfully")
