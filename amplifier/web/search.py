"""Shared by the routes that search: parameters, cursors, the time limit, headlines as HTML.

`queries/search.sql` ranks matches, the function search_matches of the database finds them.
"""

import hashlib
import html
import math
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta

from amplifier import clock
from amplifier.errors import Problem, TooSlow
from amplifier.fair_share import Shares
from amplifier.maintenance.activity import SearchKey
from amplifier.telemetry import recorder
from amplifier.web.paging import packed, unpacked
from amplifier.web.request import Request
from amplifier.web.turns import turn

MOST_RANKED = 2000  # matches; ranking all matches of a frequent word would take too long
MAX_HEADLINE = 1000  # characters of HTML
SYNTAX = (
    'Words, "phrases", `or`, `-not`, `word*` for a beginning, and filters: `path:/src`, `branch:`, `model:`, `tool:`, '
    "`role:`, `author:`; nothing is a syntax error"
)

Q = Annotated[str, QueryParameter(name="q", max_length=1000, description=SYNTAX)]
Kind = Literal["messages", "sessions", "facets"]
Row = TypeVar("Row")
_Moment = Annotated[datetime, Meta(tz=True)]

_NO_TERMS = "There is nothing to search for in q: it has only punctuation, or words that are in nearly every text."
# a hit's marks, as search_headline sets them; a character between the parts of search_direct_flight joins them
_HTML = {mark: f"<{tag}>" for mark, tag in {"\ue000": "mark", "\ue001": "/mark"}.items()}
_HTML |= {character: html.escape(character) for character in "&<>\"'"}
_CUT = "</mark>…"
_BUSY = "Too many searches are in progress: try again shortly"
_BETWEEN_PARTS = re.compile(r"\ue001([_./:@\\-]?)\ue000")


class Position(NamedTuple):
    """The last row of a page of a search. Later pages have only what is older than `searched_at`."""

    searched_at: _Moment
    rank: float
    moment: _Moment
    session_id: Annotated[str, Meta(max_length=255)]
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Search:
    """A search of one kind, with cursors that are valid for its arguments only.

    `arguments` are those of the statement that are the same on each page.
    """

    def __init__(self, kind: Kind, arguments: dict[str, Any]) -> None:
        self._kind = kind
        self._way = _way(kind, arguments)
        text = msgspec.json.encode([kind, *sorted(arguments.items())])
        self._fingerprint = hashlib.sha256(text).hexdigest()[:16]

    def decode_cursor(self, cursor: str | None, parameter: str = "cursor") -> Position:
        """Returns a cursor's position, START for None. Raises Problem 422 for the cursor of another search."""
        if cursor is None:
            return START
        try:
            fingerprint, position = _decoder.decode(unpacked(cursor))
        except (ValueError, msgspec.MsgspecError):
            fingerprint = ""
        if fingerprint != self._fingerprint:
            raise Problem(
                422, f"{parameter}: not of this search; use the `next` of its page before, with the same parameters"
            )
        return position

    def encode_cursor(self, start: Position, end: Position) -> str:
        """Returns the opaque `next` of a page from `start` to `end`: a position, and no right to anything."""
        end = end._replace(searched_at=min(start.searched_at, end.searched_at))
        return packed((self._fingerprint, end))

    async def run(self, request: Request, find: Callable[[], Awaitable[list[Row]]], is_first_page: bool) -> list[Row]:
        """Returns the rows of the statement `find()`, which is cancelled after SEARCH_TIMEOUT. Raises Problem 503 then.

        It waits until few enough others search. Only first pages are counted as searches, facets are not.
        """
        async with turn(request, "search", _BUSY):
            return await self._rows(request, find, is_first_page)

    async def _rows(self, request: Request, find: Callable[[], Awaitable[list[Row]]], is_first_page: bool) -> list[Row]:
        seconds, started = request.app.state.search_timeout, time.monotonic()
        rows, stopped = None, None
        try:
            with request.queries.database.limited(seconds):
                rows = await find()
        except TooSlow as error:
            stopped = error
        took = time.monotonic() - started
        recorder.current.searched(self._way, took, completed=rows is not None)
        if is_first_page:
            key = SearchKey(request.caller.user_id, request.caller.app_id, clock.utc().date(), self._kind)
            found = None if rows is None else len(rows)
            request.app.state.activity.note_search(key, took, found)
        if rows is None:
            raise Problem(
                503,
                f"The search took longer than {seconds:g} s and was stopped: add a word, a session, a config or a tag",
                headers={"Retry-After": "1"},
            ) from stopped
        return rows


def turns(connections: int) -> Shares:
    """Returns the turns of searches in a process with a pool of so many connections: a third of them.

    A search keeps a core of the database busy, so that more at a time would only delay appends and short reads.
    """
    places = max(1, connections // 3)
    return Shares(places, max(1, places - 1))


def _way(kind: Kind, arguments: dict[str, Any]) -> str:
    """Returns the way of a search for the metrics: what is searched, and in which order."""
    if kind != "messages":
        return kind
    if arguments.get("mode") is not None:
        return "by_meaning"
    scope = "messages" if arguments["session_id"] is None else "one_session"
    return f"{scope}_{'by_rank' if arguments['by_rank'] else 'recent'}"


async def no_terms(request: Request, q: str) -> str | None:
    """Returns the notice for a `q` without a term, in which nothing can be found, and None for others."""
    return None if await request.queries.search.get_terms(q=q) else _NO_TERMS


def to_html(headline: str) -> str:
    """Returns a headline from the database as HTML: the transcript's text escaped, hits in `<mark>`.

    It has MAX_HEADLINE characters at most. A longer one is cut between two characters of the text, neither in a tag nor
    in an entity, and every tag is closed.
    """
    pieces = [_HTML.get(character, character) for character in _BETWEEN_PARTS.sub(r"\1", headline)]
    if sum(map(len, pieces)) > MAX_HEADLINE:
        room, end = MAX_HEADLINE - len(_CUT), 0
        while (room := room - len(pieces[end])) >= 0:
            end += 1
        is_marked = pieces[:end].count("<mark>") > pieces[:end].count("</mark>")
        pieces[end:] = [_CUT if is_marked else "…"]
    return "".join(pieces)


def to_text(headline: str) -> str:
    """Returns a headline from the database as text of at most MAX_HEADLINE characters, its hits between `**`."""
    text = _BETWEEN_PARTS.sub(r"\1", headline).replace("\ue000", "**").replace("\ue001", "**")
    return text if len(text) <= MAX_HEADLINE else f"{text[: MAX_HEADLINE - 1]}…"


START = Position(datetime.max.replace(tzinfo=UTC), math.inf, datetime.max.replace(tzinfo=UTC), "", 0)
_decoder = msgspec.json.Decoder(tuple[str, Position])
