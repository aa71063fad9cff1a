"""The search for messages, for the routes and the tools that offer it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from amplifier.errors import Problem
from amplifier.web.filters import tag_filter
from amplifier.web.folders import in_folder
from amplifier.web.meaning_search import Question, find_by_meaning
from amplifier.web.request import Request, participation
from amplifier.web.search import MOST_RANKED, Position, Search, no_terms
from amplifier.web.suggestions import find_suggestion
from amplifier.web.typed_filters import ONLY_FILTERS, typed_filters

_RANKED_SOME = (
    f"More than {MOST_RANKED:,} messages match: the best of the newest {MOST_RANKED:,} are shown. "
    "Add a word or a filter, or take sort=recent to see all."
)


class FoundMessages(NamedTuple):
    """A page of rows of search.list_messages, the cursor of the following page, and what the hits do not say.

    `mode` is how they were found, which for `both` may be `words`.
    """

    rows: Sequence[Any]
    next: str | None
    notice: str | None
    mode: str = "words"
    did_you_mean: str | None = None


async def find_messages(
    request: Request,
    q: str,
    *,
    session_id: str | None,
    config_id: str | None,
    tag: list[str] | None,
    role: str | None,
    author: str | None,
    tool: str | None,
    created: dict[str, datetime | None],
    sort: str,
    limit: int,
    cursor: str | None,
    context: int,
    mode: str = "words",
    path: str | None = None,
) -> FoundMessages:
    """Returns a page of the messages that match, in sessions that the caller takes part in; `q` may have filters.

    Raises Problem 404, 422 and 503.
    """
    (since, until), by_rank = created.values(), sort == "rank"
    typed = typed_filters(q, tag, path, role, author, tool)
    filters: dict[str, Any] = {
        "session_id": session_id,
        "config_id": config_id,
        "tags": tag_filter(typed.tags),
        **typed.of_messages,
        "since": since,
        "until": until,
    }
    if mode != "words":
        if not by_rank:
            raise Problem(422, "sort: recent goes with mode=words only; hits by meaning are sorted by rank")
        question = Question(typed.words, filters, context, typed.path)
        return FoundMessages(*await find_by_meaning(request, question, mode, limit, cursor))
    find = partial(
        request.queries.search.list_messages,
        q=typed.words,
        **filters,
        by_rank=by_rank,
        most_ranked=MOST_RANKED,
    )
    search = Search("messages", find.keywords | typed.kept_path)
    start = search.decode_cursor(cursor)
    find = partial(
        find,
        actor_id=request.caller.user_id,
        tags=await in_folder(request.queries, request.caller.user_id, typed.path, filters["tags"]),
        until=min(start.searched_at, until or start.searched_at),
        after_rank=start.rank,
        after_created_at=start.moment,
        after_session_id=start.session_id,
        after_seq=start.seq,
    )
    rows = await search.run(request, partial(find, limit=limit + 1, context=context), is_first_page=cursor is None)
    if not rows and session_id is not None:
        await participation(request, session_id)
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        end = Position(last["searched_at"], last["rank"], last["created_at"], last["session_id"], last["seq"])
        following = search.encode_cursor(start, end)
    notice = _RANKED_SOME if rows and by_rank and rows[0]["ranked"] > MOST_RANKED else None
    if not rows and typed.is_empty:
        notice = ONLY_FILTERS
    if rows or cursor is not None or (notice := notice or await no_terms(request, typed.words)):
        return FoundMessages(rows[:limit], following, notice)
    meant = await find_suggestion(request, typed.words, session_id, lambda q: find(q=q, limit=1, context=0))
    return FoundMessages([], None, None, did_you_mean=meant and typed.typed(meant))
