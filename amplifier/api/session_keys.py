"""Sessions by the caller's own keys: found, or created if there is none."""

from functools import partial
from typing import Any

from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.request import Request
from amplifier.web.responses import Answer, answered, header
from amplifier.web.routing import get, put
from amplifier.web.session_creation import KeyedSession, create, find
from amplifier.web.session_view import Session, shown
from amplifier.web.unit_of_work import commit

_NOTHING = KeyedSession()
_ATTEMPTS = 10  # to find or create, while others delete the session in between
_CREATED = {201: ResponseSpec(Session, description="Created", generate_examples=False)}


class SessionKeysController(Controller):
    """Routes of sessions by key."""

    path = "/sessions/by-key/{external_id:str}"
    tags = ["sessions"]

    @put(
        operation_id="put_session_by_key",
        summary="Get or create a session by key",
        errors=(404,),
        responses=_CREATED,
        commits_itself=True,
    )
    async def put_session_by_key(
        self, request: Request, external_id: FromPath[str], data: JSONBody[KeyedSession] = _NOTHING
    ) -> Session | Answer:
        """The caller's session with this `external_id` in the calling application; the body is ignored then. If there
        is none, creates it, with 201: of concurrent requests one creates it, and all return the same session. The body
        may be absent. After a deletion the key is free."""
        if header(request.scope, b"idempotency-key") is None and (row := await find(request, external_id)) is not None:
            return await _shown(request, row)
        result: Session | Answer = await commit(
            request, partial(_found_or_created, request, external_id, data), one_statement=True
        )
        return result

    @get(operation_id="get_session_by_key", summary="One session by key")
    async def get_session_by_key(self, request: Request, external_id: FromPath[str]) -> Session:
        """The caller's session with this `external_id` in the calling application. 404 if there is none, also where the
        session was transferred to another user."""
        row = await find(request, external_id)
        if row is None:
            raise Problem(404, "Session not found")
        return await _shown(request, row)


async def _found_or_created(request: Request, external_id: str, data: KeyedSession) -> Session | Answer:
    """Returns the session of a key. A session that was there has no audit entry."""
    for _ in range(_ATTEMPTS):
        row = await create(request, data, external_id)
        if row is not None:
            return answered(201, await shown(request, row, "Session created successfully"), request.scope)
        row = await find(request, external_id)
        if row is not None:
            request.tell(changed={})
            return await _shown(request, row)
    raise Problem(503, "The session is being created and deleted by others: try again", headers={"Retry-After": "1"})


async def _shown(request: Request, row: Any) -> Session:
    """Returns the session of a row, and notes that the caller was active in it."""
    note = request.app.state.activity.note_participant
    request.afterwards(partial(note, row["session_id"], request.caller.user_id))
    return await shown(request, row)
