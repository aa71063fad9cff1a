"""The request that handlers receive, with its caller, queries and body, and what its rights allow."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import litestar
import msgspec
from litestar.datastructures import State

from amplifier import json_numbers
from amplifier.errors import Problem
from amplifier.live.hub import Hub
from amplifier.queries.registry import QuerySet
from amplifier.queries.rows import Rights
from amplifier.web.problems import invalid_json
from amplifier.web.responses import Answer, header, if_match, is_known

MAX_BODY = 8 * 1024 * 1024  # bytes


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
        """Who calls, as `authentication.authenticate` found out."""
        return self.scope["user"]  # type: ignore[no-any-return]

    @property
    def queries(self) -> QuerySet:
        """The named queries, bound to the database: those of one set for the whole request."""
        queries: QuerySet | None = self.scope["state"].get("queries")
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


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)
