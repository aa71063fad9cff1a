"""The pages of a transcript that several routes answer with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.request import Request

MAX_PAGE = 1000  # messages
MAX_PAGE_BYTES = 8 * 1024 * 1024  # of message text; a page ends earlier when its messages are large
_SHOWN_MISSED = 100  # messages in a 412


class Transcript(msgspec.Struct):
    """A page of a transcript; `next` is the `after` of the following page, or its `before` with the newest first; null
    at the end. `last_seq` is the number of the last thing that had happened in the session, with `as_of` at that time.
    """

    session_id: str
    last_seq: int
    messages: list[Entry]
    next: int | None
    next_parameter: ClassVar[str] = "after"

    @property
    def etag(self) -> str:
        return str(self.last_seq)


class NewestFirst(Transcript):
    """A page of a transcript with the newest message first."""

    next_parameter: ClassVar[str] = "before"


Page = TypeVar("Page", bound=Transcript)


async def read(
    request: Request,
    session_id: str,
    after: int,
    limit: int,
    as_of: datetime | None = None,
    max_bytes: int = MAX_PAGE_BYTES,
) -> Transcript:
    """Returns a page of a transcript, in order. Raises Problem 404."""
    rows = await request.queries.messages.list(
        actor_id=request.caller.user_id,
        session_id=session_id,
        after=after,
        as_of=as_of,
        limit=limit,
        max_bytes=max_bytes,
    )
    return _page(Transcript, session_id, rows)


async def read_backwards(
    request: Request,
    session_id: str,
    before: int,
    limit: int,
    as_of: datetime | None = None,
    max_bytes: int = MAX_PAGE_BYTES,
) -> NewestFirst:
    """Returns a page of a transcript, the newest message first. Raises Problem 404."""
    rows = await request.queries.messages.list_backwards(
        actor_id=request.caller.user_id,
        session_id=session_id,
        before=before,
        as_of=as_of,
        limit=limit,
        max_bytes=max_bytes,
    )
    return _page(NewestFirst, session_id, rows)


async def read_last(request: Request, session_id: str, last: int, as_of: datetime | None = None) -> Transcript:
    """Returns the newest messages of a transcript, in order. Raises Problem 404."""
    rows = await request.queries.newest_messages.list(
        actor_id=request.caller.user_id, session_id=session_id, last=last, as_of=as_of, max_bytes=MAX_PAGE_BYTES
    )
    return _page(Transcript, session_id, rows)


async def moved_on(request: Request, session_id: str, expected_seq: int) -> Problem:
    """Returns the problem of a change that expected another `last_seq`, with the messages that its caller missed."""
    missed = await read(request, session_id, expected_seq, _SHOWN_MISSED)
    return Problem(
        412,
        f"The transcript has moved on: expected_seq is {expected_seq}, last_seq is {missed.last_seq}",
        last_seq=missed.last_seq,
        missed=missed.messages,
        next=missed.next,
    )


def _page(kind: type[Page], session_id: str, rows: Any) -> Page:
    if not rows:
        raise Problem(404, "Session not found")
    entries = [Entry(*row[2:]) for row in rows] if rows[0]["seq"] is not None else []
    has_more = rows[-1]["next_seq"] is not None
    return kind(session_id, rows[0]["last_seq"], entries, entries[-1].seq if has_more else None)


async def plain(
    read: Callable[[int, int], Awaitable[Transcript]], page: Transcript, limit: int | None
) -> AsyncIterator[bytes]:
    """Yields the messages as one JSON array, a page in memory at a time, beginning with `page`.

    `read` returns the page after a position. Messages that came after the first page was read are left out.
    """
    end, first, left = page.last_seq, True, limit
    while True:
        messages = [bytes(entry.message) for entry in page.messages if entry.seq <= end][:left]
        yield (b"[" if first else b"," if messages else b"") + b",".join(messages)
        first = False
        left = None if left is None else left - len(messages)
        if page.next is None or left == 0 or (page.next >= end and not isinstance(page, NewestFirst)):
            yield b"]"
            return
        page = await read(page.next, MAX_PAGE)
