"""The search for messages by meaning, and by words and meaning together."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from litestar.params import QueryParameter

from amplifier.embeddings.models import EmbeddingError
from amplifier.errors import Problem
from amplifier.web.folders import in_folder
from amplifier.web.request import Request, participation
from amplifier.web.search import MOST_RANKED, START, Position, Search, no_terms

Mode = Annotated[
    Literal["words", "meaning", "both"],
    QueryParameter(
        description="Find the words, messages of a similar meaning, or both. `both` falls back to `words`, and says so"
    ),
]

MOST_SIMILAR = 100  # hits by meaning on all pages
_FUSED = 50  # hits of each kind that are put together
_FLATTENING = 60  # of reciprocal rank fusion: how little the first places count more than the following ones
_OFF = "the search by meaning is off here: set SEARCH_EMBEDDINGS and run amplifier-api search embeddings"


class FoundByMeaning(NamedTuple):
    """A page of rows of search.list_messages or meaning.list_messages, as FoundMessages, and the mode that was used."""

    rows: Sequence[Any]
    next: str | None
    notice: str | None
    mode: str


class Question(NamedTuple):
    """The text that is searched for, with the filters as both statements take them."""

    q: str
    filters: dict[str, Any]
    context: int
    path: str | None = None


async def find_by_meaning(
    request: Request, question: Question, mode: str, limit: int, cursor: str | None
) -> FoundByMeaning:
    """Returns a page of hits for the mode `meaning` or `both`. Raises Problem 404, 422 and 503.

    `both` finds words only, and says so, if the question cannot be embedded; `meaning` is an error then.
    """
    if mode == "meaning" and request.app.state.questions is None:
        raise Problem(422, f"mode: {_OFF}, or take mode=words")
    given = {"q": question.q, **question.filters, "mode": mode, "by_rank": True}
    search = Search("messages", given if question.path is None else given | {"path": question.path})
    start = search.decode_cursor(cursor)
    offset, only_words = (0, False) if cursor is None else (start.seq, start.rank > 0)
    filters = question.filters | {"until": min(start.searched_at, question.filters["until"] or start.searched_at)}
    filters["tags"] = await in_folder(request.queries, request.caller.user_id, question.path, filters["tags"])
    paged = Question(question.q, filters, question.context)
    if mode == "meaning":
        found = await _similar(request, search, paged, offset, limit + 1, cursor is None)
        rows, used, notice = found, "meaning", None
    else:
        rows, reason = await _fused(request, search, paged, cursor is None, only_words)
        rows, used = rows[offset : offset + limit + 1], "both" if reason is None else "words"
        notice = None if reason is None else f"These are hits by words: {reason}"
        only_words = reason is not None
    if not rows and question.filters["session_id"] is not None:
        await participation(request, question.filters["session_id"])
    following = None
    if len(rows) > limit:
        searched_at = min(start.searched_at, rows[0]["searched_at"])
        end = Position(searched_at, float(only_words), searched_at, "", offset + limit)
        following = search.encode_cursor(start, end)
    if not rows and notice is None and used == "words":
        notice = await no_terms(request, question.q)
    return FoundByMeaning(rows[:limit], following, notice, used)


async def _similar(
    request: Request, search: Search, question: Question, offset: int, limit: int, is_first_page: bool
) -> list[Any]:
    """Returns hits by meaning. Raises Problem 503."""
    try:
        vector = await request.app.state.questions.vector(question.q, request.caller.user_id)
    except EmbeddingError as error:
        raise Problem(
            503,
            f"The search by meaning does not work at the moment: {error}. Try again later, or take mode=words",
            headers={"Retry-After": "5"},
        ) from None
    return await search.run(
        request, partial(_statement, request, question, vector, MOST_SIMILAR, offset, limit), is_first_page
    )


async def _fused(
    request: Request, search: Search, question: Question, is_first_page: bool, only_words: bool
) -> tuple[list[Any], str | None]:
    """Returns the hits by words and by meaning in one order, and why they are by words only, or None.

    The question is embedded while its words are searched.
    """
    embedding = None if only_words else asyncio.create_task(_vector(request, question.q))
    try:
        by_words = await search.run(request, partial(_words, request, question), is_first_page)
        if embedding is None:
            return by_words, "so were those of the pages before"
        vector = await embedding
        if isinstance(vector, str):
            return by_words, vector
        statement = partial(_statement, request, question, vector, _FUSED, 0, _FUSED)
        return fused(by_words, await search.run(request, statement, False)), None
    finally:
        if embedding is not None:
            embedding.cancel()


async def _vector(request: Request, q: str) -> Any:
    """Returns the vector of a question, or the reason why there is none."""
    if request.app.state.questions is None:
        return _OFF
    try:
        return await request.app.state.questions.vector(q, request.caller.user_id)
    except EmbeddingError as error:
        return str(error)


def _words(request: Request, question: Question) -> Any:
    return request.queries.search.list_messages(
        actor_id=request.caller.user_id,
        q=question.q,
        **question.filters,
        by_rank=True,
        after_rank=START.rank,
        after_created_at=START.moment,
        after_session_id=START.session_id,
        after_seq=START.seq,
        most_ranked=MOST_RANKED,
        limit=_FUSED,
        context=question.context,
    )


def _statement(request: Request, question: Question, vector: Any, most: int, offset: int, limit: int) -> Any:
    return partial(request.queries.meaning.list_messages, actor_id=request.caller.user_id, **question.filters)(
        q=question.q, vector=vector, most=most, offset=offset, limit=limit, context=question.context
    )


def fused(by_words: Sequence[Any], by_meaning: Sequence[Any]) -> list[Any]:
    """Returns the rows of two lists in one order, by the sum of 1 / (60 + place) over the lists that have the row.

    A row of both is the one of `by_words`, whose headline shows more.
    """
    rows: dict[tuple[str, int], Any] = {}
    ranks: dict[tuple[str, int], float] = {}
    for found in (by_words, by_meaning):
        for place, row in enumerate(found, 1):
            key = row["session_id"], row["seq"]
            rows.setdefault(key, row)
            ranks[key] = ranks.get(key, 0.0) + 1 / (_FLATTENING + place)
    ordered = sorted(rows, key=lambda key: (ranks[key], rows[key]["created_at"], key), reverse=True)
    return [dict(rows[key]) | {"rank": ranks[key]} for key in ordered]
