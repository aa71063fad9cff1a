"""Applications and their keys. Admin applications manage all, any application sees itself, key managers re-key it."""

from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.authentication import generate_key
from amplifier.web.bodies import Body, LenientBody, Warnings
from amplifier.web.bounds import encoded
from amplifier.web.changes import changed
from amplifier.web.paging import LATEST, Cursor, LongLimit, Pages, Position
from amplifier.web.request import Request, key_manager, not_key_manager, require_admin
from amplifier.web.responses import answered
from amplifier.web.routing import delete, get, patch, post
from amplifier.web.types import Identifier, Name
from amplifier.web.unit_of_work import recorded

AppId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[a-z0-9-]+$")]
_PAGES = Pages("applications", Position, LATEST, "created_at", "app_id")
KeyManagers = Annotated[list[Identifier], msgspec.Meta(max_length=20)]


class CreateApplication(LenientBody):
    """A new application; `is_admin` lets it manage the others. `key_managers` are user ids of those who may list, add,
    replace and remove its keys through it. `act_as` lets its keys act for users whom requests name in X-User-ID."""

    app_id: AppId
    app_name: Name
    settings: dict[str, Any] = {}
    is_admin: bool = False
    key_managers: KeyManagers = []
    act_as: bool = False


class UpdateApplication(Body):
    """The changes; an absent field stays as it is. An application that is not active gets 401 with all its keys and
    tokens. `key_managers` replaces the whole list."""

    app_name: Name | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    key_managers: KeyManagers | UnsetType = UNSET
    act_as: bool | UnsetType = UNSET


class ApplicationSummary(msgspec.Struct):
    """An application in a list."""

    app_id: str
    app_name: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    is_admin: bool


class StoredApplication(ApplicationSummary):
    """An application as the database has it."""

    settings: msgspec.Raw
    key_managers: list[str]
    act_as: bool


class ApplicationChange(StoredApplication):
    """An application after a change, with what changed."""

    changes: msgspec.Raw


class Application(StoredApplication):
    """An application; `key_managers` may list, add, replace and remove its keys. With `act_as` its keys act for users
    without their tokens."""

    changed: list[str] | UnsetType = UNSET


class ApplicationKey(msgspec.Struct):
    """An application with its key, which is shown this once."""

    app_id: str
    app_name: str
    api_key: str
    is_active: bool
    created_at: datetime
    message: str
    warnings: Warnings = UNSET


class ApplicationMessage(msgspec.Struct):
    """Confirms the change."""

    message: str


class ApplicationsController(Controller):
    """Routes below /applications."""

    path = "/applications"
    tags = ["applications"]

    @post(operation_id="create_application", summary="Register an application", errors=(403, 409), one_statement=True)
    async def create_application(self, request: Request, data: JSONBody[CreateApplication]) -> ApplicationKey:
        """Returns the API key, once. Admin applications only; 409 when the app_id is taken."""
        require_admin(request)
        key = generate_key()
        request.tell(app_id=data.app_id, key_managers=data.key_managers, act_as=data.act_as)
        try:
            row = await recorded(request, request.queries.applications.create)(
                app_id=data.app_id,
                app_name=data.app_name,
                api_key_hash=key.hash,
                api_key_prefix=key.prefix,
                is_admin=data.is_admin,
                settings=encoded("settings", data.settings),
                key_managers=data.key_managers,
                act_as=data.act_as,
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "applications_pkey":
                raise
            raise Problem(409, f"Application '{data.app_id}' already exists") from None
        return _with_key(Application(*row), key.text, "Application registered successfully")

    @get(operation_id="list_applications", summary="All applications", errors=(403,))
    async def list_applications(
        self, request: Request, limit: LongLimit = 1000, cursor: Cursor = None
    ) -> list[ApplicationSummary]:
        """Newest first; `Link` names the next page. Admin applications only."""
        require_admin(request)
        start = _PAGES.start(cursor)
        found = await request.queries.applications.list(
            after_created_at=start.moment, after_app_id=start.identifier, limit=limit + 1
        )
        applications, following = _PAGES.page([row[:-3] for row in found], ApplicationSummary, limit)
        return answered(200, applications, request.scope, following)  # type: ignore[return-value]

    @get("/{app_id:str}", operation_id="get_application", summary="One application")
    async def get_application(self, request: Request, app_id: FromPath[str]) -> Application:
        """The application itself and admin applications may; 404 otherwise."""
        caller = request.caller
        row = await request.queries.applications.get(
            app_id=app_id, reader_app_id=caller.app_id, is_admin=caller.is_admin
        )
        if row is None:
            raise _not_found()
        return Application(*row)

    @patch(
        "/{app_id:str}",
        operation_id="update_application",
        summary="Change an application",
        errors=(403, 409),
        one_statement=True,
    )
    async def update_application(
        self, request: Request, app_id: FromPath[str], data: JSONBody[UpdateApplication]
    ) -> Application:
        """Changes an application, or switches it off and on, at once. Without a difference it stays as it is. Admin
        applications only; none can switch off itself (409)."""
        _require_admin(request, app_id)
        if data.is_active is False and app_id == request.caller.app_id:
            raise Problem(409, "An application cannot deactivate itself: let another admin application do it")
        row = await recorded(request, request.queries.applications.update)(
            app_id=app_id,
            app_name=data.app_name or None,
            is_active=None if data.is_active is UNSET else data.is_active,
            settings=None if data.settings is UNSET else encoded("settings", data.settings),
            key_managers=None if data.key_managers is UNSET else data.key_managers,
            act_as=None if data.act_as is UNSET else data.act_as,
        )
        if row is None:
            raise _not_found()
        request.afterwards(request.app.state.authenticator.forget)
        return changed(request, Application, row)

    @delete(
        "/{app_id:str}",
        operation_id="delete_application",
        ignores_body=True,
        summary="Delete an application",
        errors=(403,),
        one_statement=True,
    )
    async def delete_application(self, request: Request, app_id: FromPath[str]) -> ApplicationMessage:
        """Its key stops at once. Admin applications only."""
        _require_admin(request, app_id)
        if await recorded(request, request.queries.applications.delete)(app_id=app_id) == 0:
            raise _not_found()
        request.afterwards(request.app.state.authenticator.forget)
        return ApplicationMessage(f"Application '{app_id}' deleted successfully")

    @post(
        "/{app_id:str}/regenerate-key",
        operation_id="regenerate_key",
        ignores_body=True,
        summary="Replace an API key",
        errors=(403,),
        status_code=200,
        one_statement=True,
    )
    async def regenerate_key(self, request: Request, app_id: FromPath[str]) -> ApplicationKey:
        """Returns the new key, once; the old one stops at once. For the application's key managers and admin
        applications; 403 for its other users."""
        key = generate_key()
        row = await recorded(request, request.queries.applications.update_key)(
            **key_manager(request, app_id), api_key_hash=key.hash, api_key_prefix=key.prefix
        )
        if row is None:
            raise await not_key_manager(request, app_id)
        request.afterwards(request.app.state.authenticator.forget)
        return _with_key(Application(*row), key.text, "API key regenerated successfully")


def _with_key(application: Application, key: str, message: str) -> ApplicationKey:
    return ApplicationKey(
        application.app_id, application.app_name, key, application.is_active, application.created_at, message
    )


def _require_admin(request: Request, app_id: str) -> None:
    """Raises Problem 403 for the application itself, and 404 for others that are no admin applications."""
    if not request.caller.is_admin:
        raise Problem(403, "Only admin applications may do this") if app_id == request.caller.app_id else _not_found()


def _not_found() -> Problem:
    return Problem(404, "Application not found")
