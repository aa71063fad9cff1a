"""The request that handlers receive, with its caller, queries and body, and checks of the caller's rights."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import litestar
import msgspec
from litestar.datastructures import State

from amplifier.errors import Problem
from amplifier.live.hub import Hub
from amplifier.queries.registry import QuerySet
from amplifier.queries.rows import Rights
from amplifier.web import bodies, message_faults
from amplifier.web.misfits import invalid_json
from amplifier.web.problems import BODY
from amplifier.web.responses import IGNORED, Answer, header, if_match, is_known

MERGE_PATCH = "application/merge-patch+json"
MAX_BODY = 8 * 1024 * 1024  # bytes


class Caller(NamedTuple):
    """The application that sends the request and the user for whom it does.

    `expires_at`, in seconds since 1970, is the end of its credentials. `requests_per_minute` is its rate limit: 0 for
    no limit, None for the limit of the settings. `is_acted_as` says that the application named the user in X-User-ID,
    without a token.
    """

    app_id: str
    user_id: str
    is_admin: bool
    expires_at: float = math.inf
    requests_per_minute: int | None = None
    is_acted_as: bool = False


class Request(litestar.Request[Caller, None, State]):
    """A request with its caller, the queries, and a body that is decoded once, straight into the handler's struct."""

    @property
    def caller(self) -> Caller:
        """The caller, as `authentication.authenticate` found it."""
        return self.scope["user"]  # type: ignore[no-any-return]

    @property
    def queries(self) -> QuerySet:
        """The named queries, bound to the database. The set stays the same for the whole request."""
        queries: QuerySet | None = self.scope["state"].get("queries")
        if queries is None:
            queries = self.scope["state"]["queries"] = self.scope["litestar_app"].state.queries.snapshot()
        return queries

    @property
    def if_match(self) -> list[int] | None:
        """The versions of If-Match, one of which the resource must have, or None if any will do."""
        return if_match(self.headers)

    def afterwards(self, act: Callable[[], None]) -> None:
        """Calls `act` after the commit and before the answer is sent."""
        self.scope["state"].setdefault("afterwards", []).append(act)

    def tell(self, **details: Any) -> None:
        """Adds details to the audit entry of this request, besides its operation and target. Never pass a secret."""
        self.scope["state"].setdefault("told", {}).update(details)

    @property
    def hub(self) -> Hub:
        """The hub, which notifies followers and counts the streams of users."""
        return self.scope["litestar_app"].state.hub  # type: ignore[no-any-return]

    @property
    def media_type(self) -> str:
        """The media type of the body in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def refuse_compressed(self) -> None:
        """Raises Problem 415 for a compressed body."""
        if any(coding.lower() not in ("identity", "") for coding in self.headers.getall("content-encoding", [])):
            raise Problem(415, "Send the body uncompressed", headers={"Accept-Encoding": "identity"})

    async def json(self) -> Any:
        """Returns the body as the struct that the handler declares for `data`, or as its option `merge_patch` if the
        client sends one; JSON in `msgspec.Raw` fields stays text.

        Raises Problem 415 for another content type or a compressed body, and 422 for JSON that does not fit the struct.
        """
        media_type = self.media_type
        type_, state = _sent_type(self.route_handler, media_type), self.scope["state"]
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Problem(415, "Send the body as Content-Type: application/json")
        self.refuse_compressed()
        body = await self.body()
        state[BODY] = body
        try:
            data, ignored = bodies.decode(type_, body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            found = await message_faults.find(body) if bodies.has_messages(type_) else None
            raise found or invalid_json(error, type_, body, _unchangeable(self)) from None
        if ignored:
            state[IGNORED] = ignored
        return data

    async def required_json(self) -> Any:
        """Returns `json()` for handlers without `data`. Raises Problem 422 for an empty body."""
        if not await self.body():
            raise Problem(422, "The request needs a JSON body")
        return await self.json()


def body_type(handler: Any) -> Any:
    """Returns the type of the body that a handler declares: that of its `data`, or its option `body`."""
    field = handler.parsed_data_field
    return handler.opt.get("body") if field is None else field.annotation


def _sent_type(handler: Any, media_type: str) -> Any:
    """Returns the type of a body of this media type. Raises Problem 415 where only a merge patch is taken."""
    type_ = body_type(handler)
    if media_type == MERGE_PATCH:
        return handler.opt.get("merge_patch", type_)
    if isinstance(type_, type) and issubclass(type_, bodies.MergePatch):
        raise Problem(415, f"Send the body as Content-Type: {MERGE_PATCH}", headers={"Accept-Patch": MERGE_PATCH})
    return type_


def require_admin(request: Request) -> None:
    """Raises Problem 403 unless an admin application calls."""
    if not request.caller.is_admin:
        raise Problem(403, "Only admin applications may do this")


def key_manager(request: Request, app_id: str) -> dict[str, Any]:
    """Returns the arguments of queries that serve the key managers of an application and admin applications.

    Raises Problem 403 for an application that acts for a user: a stolen key could make others for itself.
    """
    caller = request.caller
    if caller.is_acted_as:
        raise Problem(403, "Keys are managed with a token of the key manager, not with X-User-ID")
    return {
        "actor_id": caller.user_id,
        "app_id": app_id,
        "reader_app_id": caller.app_id,
        "is_admin": caller.is_admin,
    }


async def not_key_manager(request: Request, app_id: str) -> Problem:
    """Returns the problem of such a query that did nothing: 403 if the caller may see the application, else 404."""
    caller = request.caller
    row = await request.queries.applications.get(app_id=app_id, reader_app_id=caller.app_id, is_admin=caller.is_admin)
    if row is None:
        return Problem(404, "Application not found")
    return Problem(
        403,
        "Only admin applications and the application's key managers may do this: an admin application names them by "
        "PATCH /applications/{app_id} with key_managers",
    )


def named_user(request: Request, user_id: str) -> str:
    """Returns the user that a path names; `me` is the caller."""
    return request.caller.user_id if user_id == "me" else user_id


async def participation(request: Request, session_id: str) -> Rights:
    """Returns the caller's rights in a session, after a statement did nothing. Raises Problem 404 for strangers."""
    actor_id = request.caller.user_id
    row = await request.queries.participant_rights.get(actor_id=actor_id, session_id=session_id, user_id=actor_id)
    if row is None:
        raise Problem(404, "Session not found")
    return Rights(*row)


async def unchanged(request: Request, session_id: str) -> Any:
    """Returns 304 if If-None-Match names the present transcript of a session, else None. Reads no messages."""
    if header(request.scope, b"if-none-match") is None:
        return None
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None or not is_known(request.scope, str(row["last_seq"])):
        return None
    return Answer(304, b"", str(row["last_seq"]))


def _unchangeable(request: Request) -> tuple[str, ...]:
    """Returns the fields that the answer to a PUT or PATCH shows."""
    answer = request.route_handler.parsed_return_field.annotation
    return getattr(answer, "__struct_encode_fields__", ()) if request.method in ("PUT", "PATCH") else ()
