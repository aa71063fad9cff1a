"""What the routes that search share: how a search is run and continued, and how a hit becomes HTML."""

import base64
import binascii
import hashlib
import html
import math
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

import asyncpg
import msgspec
from litestar.params import QueryParameter

from amplifier.errors import Problem, Unavailable
from amplifier.maintenance.activity import SearchKey
from amplifier.web import Request

MOST_RANKED = 2000  # matches; ranking all of a frequent word's would take too long
MAX_HEADLINE = 1000  # characters of HTML
SYNTAX = 'Words, "phrases", `or`, `-not`, and `word*` for a beginning; nothing is a syntax error'

Q = Annotated[str, QueryParameter(name="q", max_length=1000, description=SYNTAX)]
Kind = Literal["messages", "sessions"]
Cursor = Annotated[
    str | None, QueryParameter(max_length=2000, description="The `next` of the page before: continues behind it")
]

_NO_TERMS = "There is nothing to search for in q: it has only punctuation, or words that are in nearly every text."
# a hit's marks, as search_headline sets them; one between the parts of search_direct_flight joins them
_HTML = {mark: f"<{tag}>" for mark, tag in {"\ue000": "mark", "\ue001": "/mark"}.items()}
_HTML |= {character: html.escape(character) for character in "&<>\"'"}
_CUT = "</mark>…"
_BETWEEN_PARTS = re.compile("\ue001([_./:@-]?)\ue000")


class Place(NamedTuple):
    """Where a page of a search ended: its last row; `searched_at` bounds what later pages may find."""

    searched_at: datetime
    rank: float
    moment: datetime
    session_id: str
    seq: int


class Search(NamedTuple):
    """One search: a query with its arguments, and what its cursors belong to."""

    kind: Kind
    query: Callable[..., Awaitable[Any]]
    arguments: dict[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, kind: Kind, query: Callable[..., Awaitable[Any]], **arguments: Any) -> "Search":
        """A search for these arguments, which are the same on each of its pages."""
        text = msgspec.json.encode([kind, *sorted(arguments.items())])
        return cls(kind, query, arguments, hashlib.sha256(text).hexdigest()[:16])

    def place(self, cursor: str | None, parameter: str = "cursor") -> Place:
        """Where to continue, by default before everything. Raises Problem 422 for another search's cursor."""
        if cursor is None:
            return FIRST
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            fingerprint, place = _decoder.decode(text)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            fingerprint = ""
        if fingerprint != self.fingerprint:
            raise Problem(
                422, f"{parameter}: not of this search; use the `next` of its page before, with the same parameters"
            )
        return Place(*place)

    def following(self, place: Place, last: Any, moment: str) -> str:
        """The opaque `next` for a page that began behind `place` and ends with the row `last`.

        It carries a position and no right to anything. What is newer than the first page is on none of them.
        """
        searched_at = min(place.searched_at, last["searched_at"])
        end = Place(searched_at, last["rank"], last[moment], last["session_id"], last.get("seq", 0))
        return base64.urlsafe_b64encode(msgspec.json.encode((self.fingerprint, end))).decode().rstrip("=")

    async def run(self, request: Request, counts: bool = True, **arguments: Any) -> list[Any]:
        """The rows, found within SEARCH_TIMEOUT. Raises Problem 503 when it takes longer.

        The first page `counts` as a search, unless it only completes the answer to another page.
        """
        seconds = request.app.state.search_timeout
        started = time.monotonic()
        try:
            async with request.queries.database.transaction():
                await request.queries.database.execute(
                    f"set local statement_timeout = {max(1, round(seconds * 1000))};"
                    "set local plan_cache_mode = force_generic_plan"
                )
                given = self.arguments | arguments
                rows: list[Any] = await self.query(actor_id=request.caller.user_id, **given)
        except Unavailable as error:
            if not isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise
            if counts:
                self._note(request, arguments, started, None)
            raise Problem(
                503,
                f"The search took longer than {seconds:g} s and was stopped: add a word, a session, a config or a tag",
                headers={"Retry-After": "1"},
            ) from error
        if counts:
            self._note(request, arguments, started, len(rows))
        return rows

    def _note(self, request: Request, arguments: dict[str, Any], started: float, found: int | None) -> None:
        """Counts a search, but not its further pages."""
        if arguments["after_session_id"] == FIRST.session_id and not arguments.get("offset"):
            key = SearchKey(request.caller.user_id, request.caller.app_id, datetime.now(UTC).date(), self.kind)
            request.app.state.activity.note_search(key, time.monotonic() - started, found)


async def nothing_to_search(request: Request, q: str) -> str | None:
    """What to tell when nothing was found because there is no term in `q`."""
    return None if await request.queries.search.get_terms(q=q) else _NO_TERMS


def to_html(headline: str) -> str:
    """A headline from the database as HTML: the transcript's text escaped, hits in `<mark>`.

    It has MAX_HEADLINE characters at most, and is cut between two characters of the text: neither in a tag nor in an
    entity, with every tag closed.
    """
    pieces = [_HTML.get(character, character) for character in _BETWEEN_PARTS.sub(r"\1", headline)]
    if sum(map(len, pieces)) > MAX_HEADLINE:
        room, end = MAX_HEADLINE - len(_CUT), 0
        while (room := room - len(pieces[end])) >= 0:
            end += 1
        is_marked = pieces[:end].count("<mark>") > pieces[:end].count("</mark>")
        pieces[end:] = [_CUT if is_marked else "…"]
    return "".join(pieces)


FIRST = Place(datetime.max.replace(tzinfo=UTC), math.inf, datetime.max.replace(tzinfo=UTC), "", 0)
_decoder = msgspec.json.Decoder(
    tuple[
        str,
        tuple[
            Annotated[datetime, msgspec.Meta(tz=True)],
            float,
            Annotated[datetime, msgspec.Meta(tz=True)],
            Annotated[str, msgspec.Meta(max_length=255)],
            Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
        ],
    ]
)
