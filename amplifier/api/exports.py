"""Exports: a transcript as a file in the format of another tool, made while it is sent."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller
from litestar.params import FromPath, QueryParameter

from amplifier import __version__
from amplifier.errors import Problem
from amplifier.exports.formats import COPIED, FORMATS, Document
from amplifier.exports.names import file_name
from amplifier.exports.origin import Origin
from amplifier.exports.source import Exported, FormatName, Line
from amplifier.web.download import Download
from amplifier.web.export_rights import MAY_NOT_EXPORT
from amplifier.web.filters import AsOf, utc
from amplifier.web.request import Request, participation
from amplifier.web.routing import get
from amplifier.web.turns import patient_turn, turn

# A page is written in a thread that shares the processor with all other requests: the smaller it is, the fairer.
_PAGE, _PAGE_BYTES = 200, 256 * 1024
_LINE_ROWS = 20  # of an imported file, with up to 200 lines each
_BUSY = "Other transcripts are being exported: try again"
_CHANGED = "The transcript changed meanwhile: try again"

Wanted = Annotated[FormatName, QueryParameter(name="format", description="The format of the file")]
AfterSeq = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Only messages after this number")]


class ExportsController(Controller):
    """The route that exports a session."""

    path = "/sessions/{session_id:str}/export"
    tags = ["transcripts"]

    @get(
        operation_id="export_session",
        summary="Export a transcript as a file",
        content=tuple(sorted({known.media_type.partition(";")[0] for known in FORMATS.values()})),
        errors=(403,),
    )
    async def export_session(
        self,
        request: Request,
        session_id: FromPath[str],
        format: Wanted = "jsonl",
        after: AfterSeq = 0,
        as_of: AsOf = None,
    ) -> Any:
        """Returns the messages in their order as a download: `jsonl` as reads return them, the others as the tool reads
        them whose name they have, `markdown` and `html` to read. A session that was imported from the tool whose format
        is asked for begins with its lines as they were. For participants with the permission `export`, which every role
        has. Participants who may not send get no thoughts."""
        then = utc("as_of", as_of)
        row = await request.queries.exports.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is None:
            await participation(request, session_id)
            raise Problem(403, MAY_NOT_EXPORT)
        session = Exported(*row)
        origin = None if after or then else await _origin(request, session, format)
        etag = f"{session.last_seq}-{'all' if session.may_write else 'said'}-{__version__}"
        etag += "" if origin is None else f"-{origin.lines}"
        parts = _parts(request, session, format, origin, after, then)
        name = file_name(session, format, origin)
        return Download(parts, etag, FORMATS[format].media_type, name, format == "amplifier")


async def _origin(request: Request, session: Exported, name: FormatName) -> Origin | None:
    """Returns the file that the session was imported from, if the export begins with it."""
    if name not in COPIED or not session.may_write or session.external_id is None:
        return None
    row = await request.queries.exports.origin(actor_id=request.caller.user_id, session_id=session.session_id)
    origin = None if row is None else Origin(*row)
    return origin if origin is not None and origin.fits(session, name) else None


async def _parts(
    request: Request,
    session: Exported,
    name: FormatName,
    origin: Origin | None,
    after: int,
    as_of: datetime | None,
) -> AsyncIterator[bytes]:
    """Yields the file, a page of messages in memory at a time. Messages that came later are left out.

    Raises Problem 503 if messages were moved or taken back meanwhile: the file would miss some.
    """
    document, count, following = Document(name, session, origin), 0, after
    first, is_first = await asyncio.to_thread(document.begin), True
    if origin is not None:
        count, following = origin.messages, origin.last_seq
        async for part in _copied(request, session, document):
            yield first + part
            first, is_first = b"", False
        await _check_origin(request, session, name)
    while True:
        async with turn(request, "export", _BUSY) if is_first else patient_turn(request, "export"):
            rows = await request.queries.messages.list(
                actor_id=request.caller.user_id,
                session_id=session.session_id,
                after=following,
                as_of=as_of,
                limit=_PAGE,
                max_bytes=_PAGE_BYTES,
            )
            if not rows:
                raise Problem(404, "Session not found")
            lines = [
                Line(*row[2:], thoughtless=not session.may_write)
                for row in rows
                if row["seq"] is not None and row["seq"] <= session.last_seq
            ]
            part = await asyncio.to_thread(document.add, lines)
        count += len(lines)
        is_last = rows[-1]["next_seq"] is None or rows[-1]["next_seq"] > session.last_seq
        if is_last and not after and as_of is None and count != session.messages_total:
            await _check(request, session)
        if part or first or is_last:
            yield first + part
            first, is_first = b"", False
        if is_last:
            yield await asyncio.to_thread(document.end)
            return
        following = rows[-1]["seq"] or following


async def _copied(request: Request, session: Exported, document: Document) -> AsyncIterator[bytes]:
    """Yields the lines of the imported file, some rows in memory at a time."""
    following, is_first = 0, True
    while not document.is_copied:
        async with turn(request, "export", _BUSY) if is_first else patient_turn(request, "export"):
            rows = await request.queries.exports.lines(
                actor_id=request.caller.user_id,
                session_id=session.session_id,
                after=following,
                limit=_LINE_ROWS,
                max_bytes=_PAGE_BYTES,
            )
            if not rows:
                raise Problem(404, "Session not found")
            part = await asyncio.to_thread(document.copy, [row["line"] for row in rows])
        following, is_first = rows[-1]["first_line"], False
        yield part


async def _check_origin(request: Request, session: Exported, name: FormatName) -> None:
    """Raises Problem 503 if lines of the imported file were taken back or moved since the export began."""
    rights = await request.queries.exports.get(actor_id=request.caller.user_id, session_id=session.session_id)
    is_same = rights is not None and rights["last_seq"] == session.last_seq
    if not is_same and await _origin(request, session, name) is None:
        raise Problem(503, _CHANGED, headers={"Retry-After": "1"})


async def _check(request: Request, session: Exported) -> None:
    """Raises Problem 503 if the session has changed since the export began, 404 if it is gone."""
    rights = await request.queries.exports.get(actor_id=request.caller.user_id, session_id=session.session_id)
    if rights is None:
        raise Problem(404, "Session not found")
    if rights["last_seq"] != session.last_seq:
        raise Problem(503, _CHANGED, headers={"Retry-After": "1"})
