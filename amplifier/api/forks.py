"""Copies of sessions, with the transcript or the beginning of it."""

import uuid
from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.export_rights import check_export
from amplifier.web.request import Request
from amplifier.web.routing import post
from amplifier.web.session_view import Session, shown
from amplifier.web.types import Identifier, Title
from amplifier.web.unit_of_work import recorded

_LONGEST = 30.0  # seconds for the copies of attachments
MOST_FORKED = 10_000  # messages: copying more takes longer than a statement may

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ForkSession(Body):
    """A copy; without `up_to_seq` of the whole transcript. `config_id` is one of the caller's, by default that of the
    session; it is required where that belongs to another user. A copy of a session without a config needs none. An
    empty title means no title."""

    up_to_seq: Seq | None = None
    config_id: Identifier | None = None
    title: Title | None = None


class ForksController(Controller):
    """The route that copies a session."""

    path = "/sessions"
    tags = ["sessions"]

    @post("/{session_id:str}/fork", operation_id="fork_session", summary="Copy a session", errors=(403,))
    async def fork_session(self, request: Request, session_id: FromPath[str], data: JSONBody[ForkSession]) -> Session:
        """A new session of the caller's that begins with the transcript, or the beginning of it: messages keep their
        numbers, authors and times, and attachments come along. For participants with the permission `export`, which
        every role has; at most 10,000 messages."""
        caller, fork_id, queries = request.caller, str(uuid.uuid4()), request.queries
        async with queries.database.transaction():
            await queries.sessions.lock_source(
                actor_id=caller.user_id, session_id=session_id, own_config_id=data.config_id
            )
            request.tell(session_id=fork_id, forked_from_session_id=session_id)
            row = await recorded(request, queries.sessions.fork)(
                actor_id=caller.user_id,
                actor_app_id=caller.app_id,
                session_id=session_id,
                new_session_id=fork_id,
                own_config_id=data.config_id,
                title=data.title,
                up_to_seq=data.up_to_seq,
                most=MOST_FORKED,
            )
            if row is None:
                raise await _no_fork(request, session_id, data)
            await queries.transcripts.copy(
                actor_id=caller.user_id, session_id=session_id, fork_id=fork_id, up_to_seq=row["last_seq"]
            )
            await queries.states.copy(actor_id=caller.user_id, session_id=session_id, fork_id=fork_id)
            if await queries.attachment_copies.exist(actor_id=caller.user_id, session_id=session_id):
                await _copy_attachments(request, session_id, fork_id)
        request.afterwards(partial(request.hub.announce, fork_id))
        return await shown(request, row)


async def _copy_attachments(request: Request, session_id: str, fork_id: str) -> None:
    """Copies the attachments to which the fork's messages refer. Raises Problem 409 if they exceed the caller's limit.

    The content of each is copied in the database by one statement, within a second or two for 100 MB.
    """
    queries, caller, most = request.queries, request.caller, request.app.state.settings.max_user_attachment_bytes
    between = {"actor_id": caller.user_id, "session_id": session_id, "fork_id": fork_id}
    async with queries.database.patient(_LONGEST):
        copied = await queries.attachment_copies.copy(**between, actor_app_id=caller.app_id)
        usage = await queries.attachments.get_usage(actor_id=caller.user_id, session_id=fork_id)
        if copied and usage is not None and usage["of_user"] > most:
            raise Problem(409, f"Your attachments in all sessions would exceed {most} bytes: delete some, or fork less")
        for row in copied:
            if row["location"] is None:
                await queries.attachment_copies.copy_chunks(**between, sha256=row["sha256"])


async def _no_fork(request: Request, session_id: str, data: ForkSession) -> Problem:
    """Returns the problem of a fork that copied nothing."""
    actor_id = request.caller.user_id
    row = await request.queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if row is None:
        return Problem(404, "Session not found")
    await check_export(request, session_id)
    if data.up_to_seq is not None and data.up_to_seq > row["last_seq"]:
        return Problem(422, f"up_to_seq: {data.up_to_seq} is beyond the session's last_seq, {row['last_seq']}")
    config_id = data.config_id or row["config_id"]
    is_own = config_id is None or await request.queries.configs.get(actor_id=actor_id, config_id=config_id) is not None
    if not is_own:
        hint = "" if data.config_id else ". It is not yours: name one of your own in config_id"
        return Problem(404, f"Config not found: {config_id}{hint}")
    return Problem(422, f"A fork has at most {MOST_FORKED:,} messages: give up_to_seq")
