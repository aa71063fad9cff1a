"""The search for messages, for the routes and the tools that offer it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from amplifier.web.filters import tag_filter
from amplifier.web.request import Request, participation
from amplifier.web.search import MOST_RANKED, Position, Search, no_terms

_RANKED_SOME = (
    f"More than {MOST_RANKED:,} messages match: the best of the newest {MOST_RANKED:,} are shown. "
    "Add a word or a filter, or take sort=recent to see all."
)


class FoundMessages(NamedTuple):
    """A page of rows of search.list_messages, the cursor of the following page, and what the hits do not say."""

    rows: Sequence[Any]
    next: str | None
    notice: str | None


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
) -> FoundMessages:
    """Returns a page of the messages that match, in sessions that the caller takes part in. Raises Problem 404, 422 and
    503."""
    (since, until), by_rank = created.values(), sort == "rank"
    find = partial(
        request.queries.search.list_messages,
        q=q,
        session_id=session_id,
        config_id=config_id,
        tags=tag_filter(tag),
        message_role=role,
        author_user_id=author,
        tool=tool,
        since=since,
        until=until,
        by_rank=by_rank,
        most_ranked=MOST_RANKED,
    )
    search = Search("messages", find.keywords)
    start = search.decode_cursor(cursor)
    found = find(
        actor_id=request.caller.user_id,
        until=min(start.searched_at, until or start.searched_at),
        after_rank=start.rank,
        after_created_at=start.moment,
        after_session_id=start.session_id,
        after_seq=start.seq,
        limit=limit + 1,
        context=context,
    )
    rows = await search.run(request, found, is_first_page=cursor is None)
    if not rows and session_id is not None:
        await participation(request, session_id)
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        end = Position(last["searched_at"], last["rank"], last["created_at"], last["session_id"], last["seq"])
        following = search.encode_cursor(start, end)
    notice = _RANKED_SOME if rows and by_rank and rows[0]["ranked"] > MOST_RANKED else None
    return FoundMessages(rows[:limit], following, notice if rows else await no_terms(request, q))
