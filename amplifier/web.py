"""What every handler shares: the request with its caller and queries, the body's decoder, paging."""

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial, wraps
from typing import Annotated, Any, Literal, NamedTuple, cast

import litestar
import msgspec
from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap

from amplifier import json_numbers
from amplifier.answers import Answer, answered, encoder, header, if_match, is_known
from amplifier.changes import carry_out
from amplifier.errors import Problem
from amplifier.live.hub import Hub
from amplifier.problems import invalid_json
from amplifier.queries.registry import Queries
from amplifier.queries.rows import Rights

MAX_BODY = 8 * 1024 * 1024  # bytes
MAX_TAGS = 50

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
TagKey = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
TagValue = Annotated[str, msgspec.Meta(max_length=500)]
Tags = Annotated[dict[TagKey, TagValue], msgspec.Meta(max_length=MAX_TAGS)]

Role = Literal["owner", "editor", "viewer"]
Status = Literal["active", "completed", "failed", "cancelled"]
MessageRole = Literal["system", "developer", "user", "assistant", "function", "tool"]


class Caller(NamedTuple):
    """Who calls: the application that carries the request, the user it speaks for, until when (seconds since 1970), and
    how many requests a minute it may make, 0 for any number, none for as many as the settings say."""

    app_id: str
    user_id: str
    is_admin: bool
    expires_at: float = math.inf
    requests_per_minute: int | None = None


class Request(litestar.Request[Caller, None, State]):
    """A request with its caller, the queries, and a body that is decoded once, straight into the handler's struct."""

    @property
    def caller(self) -> Caller:
        """Who calls, as `auth.authenticate` found out."""
        return self.scope["user"]  # type: ignore[no-any-return]

    @property
    def queries(self) -> Queries:
        """The named queries, bound to the database: those of one set for the whole request."""
        queries: Queries | None = self.scope["state"].get("queries")
        if queries is None:
            queries = self.scope["state"]["queries"] = self.scope["litestar_app"].state.queries.snapshot()
        return queries

    @property
    def if_match(self) -> list[int] | None:
        """The versions of which what is to be changed must have one, from If-Match, or none where any will do."""
        return if_match(self.headers)

    def afterwards(self, act: Callable[[], None]) -> None:
        """Has something done when the change is committed, before the answer goes out."""
        self.scope["state"].setdefault("afterwards", []).append(act)

    def tell(self, **details: Any) -> None:
        """What the audit log is to say of this request besides the operation and its target; never a secret."""
        self.scope["state"].setdefault("told", {}).update(details)

    @property
    def hub(self) -> Hub:
        """What is told of changes that no path names, and whom streams belong to."""
        return self.scope["litestar_app"].state.hub  # type: ignore[no-any-return]

    async def carry_out(self, change: Callable[[], Awaitable[Any]]) -> Any:
        """Carries out the change of a handler that is declared with `prepares`: see `changes.carry_out`."""
        route: JsonRoute = self.route_handler  # type: ignore[assignment]
        return await route.carry_out(self, change)

    async def json(self) -> Any:
        """The body as the struct that the handler declares for `data`; JSON in `msgspec.Raw` fields stays text.

        Raises Problem 415 for another content type or a compressed body, and 422 for what does not fit.
        """
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Problem(415, "Send the body as Content-Type: application/json")
        if any(coding.lower() not in ("identity", "") for coding in self.headers.getall("content-encoding", [])):
            raise Problem(415, "Send the body uncompressed", headers={"Accept-Encoding": "identity"})
        body = await self.body()
        field = self.route_handler.parsed_data_field
        try:
            json_numbers.check(body)
            return _decoder(field.annotation if field else Any).decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise invalid_json(error) from None


def require_admin(request: Request) -> None:
    """Raises Problem 403 unless an admin application calls."""
    if not request.caller.is_admin:
        raise Problem(403, "Only admin applications may do this")


def key_manager(request: Request, app_id: str) -> dict[str, Any]:
    """An application, and the caller: arguments of the queries that serve its key managers and admin applications."""
    caller = request.caller
    return {
        "actor_id": caller.user_id,
        "app_id": app_id,
        "reader_app_id": caller.app_id,
        "is_admin": caller.is_admin,
    }


async def not_key_manager(request: Request, app_id: str) -> Problem:
    """Why such a query did nothing; asked only then: 403 for an application that the caller may see, 404 for others."""
    caller = request.caller
    row = await request.queries.applications.get(app_id=app_id, reader_app_id=caller.app_id, is_admin=caller.is_admin)
    if row is None:
        return Problem(404, "Application not found")
    return Problem(
        403,
        "Only admin applications and the application's key managers may do this: an admin application names them by "
        "PATCH /applications/{app_id} with key_managers",
    )


async def participation(request: Request, session_id: str) -> Rights:
    """Returns the caller's rights in a session, after a statement did nothing. Raises Problem 404 for strangers."""
    actor_id = request.caller.user_id
    row = await request.queries.participant_rights.get(actor_id=actor_id, session_id=session_id, user_id=actor_id)
    if row is None:
        raise Problem(404, "Session not found")
    return Rights(*row)


async def unchanged(request: Request, session_id: str) -> Any:
    """The answer 304 for a participant who has a session's transcript as it is, without a look at its messages."""
    if header(request.scope, b"if-none-match") is None:
        return None
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None or not is_known(request.scope, str(row["last_seq"])):
        return None
    return Answer(304, b"", str(row["last_seq"]))


def answer(status: int, data: Any, etag: str | None = None) -> Any:
    """What a handler returns to answer with another status than its route's."""
    return Answer(status, encoder.encode(data), etag)


class JsonRoute(HTTPRouteHandler):
    """A route whose structs become an Answer at once: Litestar's Response takes a third of a request's time here.

    Whoever had such an answer about a session was active in it, and what was more than a question may have changed it.
    """

    _exception_handlers: "ExceptionHandlersMap | None" = None

    def __init__(
        self,
        path: str | Sequence[str] | None = None,
        *,
        audited: bool = True,
        prepares: bool = False,
        goes_on: Callable[[Request, Any], Awaitable[Any]] | None = None,
        **options: Any,
    ) -> None:
        """`audited` is false for what changes nothing that the audit log is about. `prepares` says that the handler
        works for long before its change and calls `Request.carry_out` itself, so that no transaction is open meanwhile.
        `goes_on` makes the answer, when the change is committed, of what the handler returned, or of what it returned
        to the same Idempotency-Key before."""
        super().__init__(path, **options)
        self._audited, self._prepares, self._goes_on = audited, prepares, goes_on

    def on_registration(self, app: Litestar) -> None:
        super().on_registration(app)
        if HttpMethod.GET not in self.http_methods:
            self._fn = self._carried_out(self._fn)

    def _carried_out(self, handler: Any) -> Any:
        @wraps(handler)
        async def change(request: Request, **arguments: Any) -> Any:
            act = partial(handler, request=request, **arguments)
            result = await (act() if self._prepares else self.carry_out(request, act))
            return result if self._goes_on is None else await self._goes_on(request, result)

        return change

    async def carry_out(self, request: Request, change: Callable[[], Awaitable[Any]]) -> Any:
        """Returns the result of `change` when it is committed with all that belongs to it."""
        return await carry_out(
            request,
            str(self.operation_id),
            self._audited,
            change,
            lambda data: answered(self.status_code, data, request.scope),
        )

    async def to_response(self, app: Litestar, data: Any, request: litestar.Request[Any, Any, Any]) -> ASGIApp:
        for act in request.scope["state"].get("afterwards", ()):
            act()
        if session_id := request.path_params.get("session_id"):
            app.state.activity.note_participant(session_id, request.scope["user"].user_id)
            if request.scope["method"] != "GET":
                app.state.hub.announce(session_id)
        if callable(data):  # an ASGI application already
            return cast(ASGIApp, data)
        if isinstance(data, Response):
            return await super().to_response(app, data, request)
        return answered(self.status_code, data, request.scope)

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """The same at every request; Litestar would gather them each time."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers


get = partial(JsonRoute, http_method=HttpMethod.GET)
post = partial(JsonRoute, http_method=HttpMethod.POST)
put = partial(JsonRoute, http_method=HttpMethod.PUT)
patch = partial(JsonRoute, http_method=HttpMethod.PATCH)
delete = partial(JsonRoute, http_method=HttpMethod.DELETE, status_code=200)


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)
