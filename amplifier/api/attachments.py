"""Attachments: files of a session, named by the hash of their content, to which messages refer."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, PathParameter, QueryParameter

from amplifier.attachments.store import PREFIX, Gone, Place, Store
from amplifier.errors import Problem
from amplifier.web.file_answer import FileAnswer
from amplifier.web.paging import LATEST, Cursor, Limit, Pages, Position
from amplifier.web.request import Request, participation
from amplifier.web.responses import answer
from amplifier.web.routing import delete, get, post
from amplifier.web.spool import Space, Spool, receive
from amplifier.web.turns import turn
from amplifier.web.unit_of_work import commit, recorded

_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}(?: *;[ -~]*)?\Z")
_LONGEST = 255  # characters
_PAGES = Pages("attachments", Position, LATEST, "created_at", "sha256")
_NOT_FOUND = "Attachment not found"
_MAY_NOT_SEND = "Only owners, editors and whoever has the permission send may send attachments"

Hash = Annotated[str, PathParameter(pattern="^[0-9a-f]{64}$", description="SHA-256 of the content, in hexadecimal")]
Name = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", description="The file's name"),
]


class Attachment(msgspec.Struct):
    """A file of a session. `attachment` is the text by which messages refer to it, as an address in their blocks."""

    attachment: str
    size: int
    content_type: str
    name: str | None
    created_by_user_id: str
    created_at: datetime

    @property
    def sha256(self) -> str:
        return self.attachment.removeprefix(PREFIX)


class AttachmentList(msgspec.Struct):
    """A page of attachments, newest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[Attachment]
    next: str | None


class AttachmentsController(Controller):
    """Routes below /sessions/{session_id}/attachments."""

    path = "/sessions/{session_id:str}/attachments"
    tags = ["attachments"]

    # its row says who sent it: no entry in the audit log
    @post(
        operation_id="add_attachment",
        summary="Send a file",
        audited=False,
        commits_itself=True,
        body=bytes,
        errors=(403, 409, 413),
        responses={200: ResponseSpec(Attachment, description="The session has this content already")},
    )
    async def add_attachment(self, request: Request, session_id: FromPath[str], name: Name = None) -> Attachment:
        """Stores the body as a file, whose type is the request's Content-Type. The same content is stored once in a
        session, under its first name. An attachment to which no message refers is deleted after a day. For owners,
        editors and participants with `send`; the session must be active."""
        content_type = _content_type(request)
        request.refuse_compressed()
        if not (await participation(request, session_id)).may_send:  # before a client sends much for nothing
            raise Problem(403, _MAY_NOT_SEND)
        most = request.app.state.settings.max_attachment_bytes
        space: Space = request.app.state.space
        async with space.file() as body:
            await receive(request, body, most, f"The file is larger than {most} bytes (MAX_ATTACHMENT_BYTES)")
            if not body.size:
                raise Problem(422, "The body is empty: send the file as it is, with its Content-Type")
            async with turn(request, "attachment", "Other attachments are being stored: try again"):
                known = await _find(request, session_id, body.hash.hexdigest())
                location = (
                    known.location if known else await _store(request).upload(request.queries, body.file, body.size)
                )
                add = partial(_add, request, session_id, body, content_type, name, location)
                return await commit(request, add, content_type.encode() + body.hash.digest())  # type: ignore[no-any-return]

    @get(operation_id="list_attachments", summary="A session's attachments")
    async def list_attachments(
        self, request: Request, session_id: FromPath[str], limit: Limit = 50, cursor: Cursor = None
    ) -> AttachmentList:
        """Lists the files, the newest first. For participants."""
        before = _PAGES.start(cursor)
        found = await request.queries.attachments.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            before_created_at=before.moment,
            before_sha256=before.identifier,
            limit=limit + 1,
        )
        if not found:
            await participation(request, session_id)
        return AttachmentList(*_PAGES.page(found, Attachment, limit))

    @get(
        "/{sha256:str}",
        operation_id="get_attachment",
        summary="The content of a file",
        content=bytes,
        errors=(416,),
    )
    async def get_attachment(self, request: Request, session_id: FromPath[str], sha256: FromPath[Hash]) -> Any:
        """Returns the bytes with the type that they were sent with, as a download. `Range` with one range is honoured;
        the `ETag` is the hash. For participants."""
        found = await _find(request, session_id, sha256)
        if found is None:
            await participation(request, session_id)
            raise Problem(404, _NOT_FOUND)
        return FileAnswer(
            partial(_parts, request, session_id, found), found.size, sha256, found.content_type, found.name
        )

    @delete(
        "/{sha256:str}",
        operation_id="delete_attachment",
        summary="Delete a file",
        errors=(403,),
        status_code=204,
        one_statement=True,
    )
    async def delete_attachment(self, request: Request, session_id: FromPath[str], sha256: FromPath[Hash]) -> None:
        """Deletes a file, also if messages refer to it: agents then read that it is gone. For owners, editors and the
        participant who sent it."""
        request.tell(sha256=sha256)
        deleted = await recorded(request, request.queries.attachments.delete)(
            actor_id=request.caller.user_id, session_id=session_id, sha256=sha256
        )
        if not deleted:
            await participation(request, session_id)
            if await _find(request, session_id, sha256) is None:
                raise Problem(404, _NOT_FOUND)
            raise Problem(403, "Only owners, editors and the participant who sent an attachment may delete it")


class _Found(msgspec.Struct):
    """An attachment as it is stored."""

    sha256: str
    size: int
    content_type: str
    name: str | None
    location: str | None


async def _add(
    request: Request, session_id: str, body: Spool, content_type: str, name: str | None, location: str | None
) -> Any:
    """Writes the row and, unless it is in a blob, the content. Returns the attachment, with 200 if it was there."""
    caller, settings, sha256 = request.caller, request.app.state.settings, body.hash.hexdigest()
    row = await request.queries.attachments.create(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        sha256=sha256,
        size=body.size,
        content_type=content_type,
        name=name,
        location=location,
        most_in_session=settings.max_session_attachment_bytes,
        most_of_user=settings.max_user_attachment_bytes,
    )
    if row is None:
        raise await _refusal(request, session_id, body.size)
    *values, is_new = row
    if not is_new:
        return answer(200, Attachment(*values))
    if location is not None:
        await request.queries.attachment_expiry.end_removal(location=location)
    place = Place(caller.user_id, session_id, sha256, body.size, location)
    await _store(request).write(request.queries, place, body.read)
    return Attachment(*values)


async def _refusal(request: Request, session_id: str, size: int) -> Problem:
    """Returns the problem of an attachment that was not added."""
    if not (await participation(request, session_id)).may_send:
        return Problem(403, _MAY_NOT_SEND)
    actor_id, settings = request.caller.user_id, request.app.state.settings
    session = await request.queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if session is None:
        return Problem(404, "Session not found")
    if session["status"] != "active":
        return Problem(409, f"The session is {session['status']}: resume it before you send attachments")
    usage = await request.queries.attachments.get_usage(actor_id=actor_id, session_id=session_id)
    if usage and usage["in_session"] + size > (most := settings.max_session_attachment_bytes):
        return Problem(409, f"The session's attachments would exceed {most} bytes: delete some")
    if usage and usage["of_user"] + size > (most := settings.max_user_attachment_bytes):
        return Problem(409, f"Your attachments in all sessions would exceed {most} bytes: delete some")
    return Problem(409, "The session changed at the same time: try again")


async def _find(request: Request, session_id: str, sha256: str) -> _Found | None:
    row = await request.queries.attachments.get(actor_id=request.caller.user_id, session_id=session_id, sha256=sha256)
    return None if row is None else _Found(*row)


async def _parts(request: Request, session_id: str, found: _Found, start: int, end: int) -> AsyncIterator[bytes]:
    place = Place(request.caller.user_id, session_id, found.sha256, found.size, found.location)
    try:
        async for part in _store(request).parts(request.queries, place, start, end):
            yield part
    except Gone:
        raise Problem(404, _NOT_FOUND) from None


def _store(request: Request) -> Store:
    return request.app.state.attachments  # type: ignore[no-any-return]


def _content_type(request: Request) -> str:
    """Returns the Content-Type of the request. Raises Problem 415 for one that is no media type."""
    given = request.headers.get("content-type", "application/octet-stream").strip()
    if len(given) > _LONGEST or not _CONTENT_TYPE.match(given):
        raise Problem(415, "Send the file's media type as Content-Type, such as image/png")
    return given
