"""The keys of applications: several for each, so that they can be replaced without an outage."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.authentication import generate_key
from amplifier.web.bodies import Body
from amplifier.web.paging import LATEST, Cursor, LongLimit, Pages, Position
from amplifier.web.request import Request, key_manager, not_key_manager
from amplifier.web.routing import delete, get, post
from amplifier.web.types import Name
from amplifier.web.unit_of_work import recorded

MOST_KEYS = 20  # an application may have
_PAGES = Pages("application_keys", Position, LATEST, "created_at", "key_id")

Seconds = Annotated[int, msgspec.Meta(ge=1, le=10 * 366 * 86_400)]  # ten years at most


class CreateApplicationKey(Body):
    """Another key, with or without an end."""

    name: Name
    expires_in: Seconds | None = None


class ApplicationKeySummary(msgspec.Struct):
    """A key, without its secret."""

    key_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApplicationKey(ApplicationKeySummary):
    """A key with its text, which is shown this once."""

    api_key: str


class ApplicationKeyList(msgspec.Struct):
    """A page of an application's keys, newest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[ApplicationKeySummary]
    next: str | None


class ApplicationKeysController(Controller):
    """Routes below /applications/{app_id}/keys."""

    path = "/applications/{app_id:str}/keys"
    tags = ["applications"]

    @get(operation_id="list_application_keys", summary="An application's keys", errors=(403,))
    async def list_application_keys(
        self, request: Request, app_id: FromPath[str], limit: LongLimit = 200, cursor: Cursor = None
    ) -> ApplicationKeyList:
        """For the application's key managers and admin applications; 403 for its other users."""
        found = await _list(request, app_id, _PAGES.start(cursor), limit + 1)
        if not found and not await _list(request, app_id, LATEST, 1):  # the default key is always there
            raise await not_key_manager(request, app_id)
        return ApplicationKeyList(*_PAGES.page(found, ApplicationKeySummary, limit))

    @post(operation_id="create_application_key", summary="Add a key", errors=(403,))
    async def create_application_key(
        self, request: Request, app_id: FromPath[str], data: JSONBody[CreateApplicationKey]
    ) -> NewApplicationKey:
        """Returns the key, once; the others go on. For the application's key managers and admin applications."""
        key, queries = generate_key(), request.queries
        request.tell(key_id=key.prefix, name=data.name)
        try:
            async with queries.database.transaction():
                if not await queries.applications.lock(**key_manager(request, app_id)):
                    raise await not_key_manager(request, app_id)
                row = await recorded(request, queries.application_keys.create)(
                    app_id=app_id,
                    key_id=key.prefix,
                    name=data.name,
                    api_key_hash=key.hash,
                    expires_in=data.expires_in,
                    most=MOST_KEYS,
                )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "application_keys_app_id_name_key":
                raise
            raise Problem(409, f"The application has a key named '{data.name}' already") from None
        if row is None:
            raise Problem(409, f"The application has {MOST_KEYS} keys: remove one first")
        return NewApplicationKey(
            row["key_id"], row["name"], row["created_at"], row["expires_at"], row["last_used_at"], key.text
        )

    @delete(
        "/{key_id:str}",
        operation_id="delete_application_key",
        summary="Remove a key",
        errors=(403, 409),
        status_code=204,
        one_statement=True,
    )
    async def delete_application_key(self, request: Request, app_id: FromPath[str], key_id: FromPath[str]) -> None:
        """It stops at once, and open streams of the application come back with their credentials checked. The default
        key can only be replaced (409). For the application's key managers and admin applications."""
        request.tell(key_id=key_id)
        manager = key_manager(request, app_id)
        if not await recorded(request, request.queries.application_keys.delete)(**manager, key_id=key_id):
            raise await _refusal(request, app_id, key_id)
        request.afterwards(request.app.state.authenticator.forget)


async def _list(request: Request, app_id: str, after: Position, limit: int) -> Sequence[Any]:
    return await request.queries.application_keys.list(
        **key_manager(request, app_id), after_created_at=after.moment, after_key_id=after.identifier, limit=limit
    )


async def _refusal(request: Request, app_id: str, key_id: str) -> Problem:
    """Returns the problem of a key that was not removed."""
    keys = await _list(request, app_id, LATEST, MOST_KEYS)
    if not keys:
        return await not_key_manager(request, app_id)
    if any(row["key_id"] == key_id for row in keys):
        return Problem(409, "The default key can be replaced, not removed: POST to regenerate-key")
    return Problem(404, "API key not found")
