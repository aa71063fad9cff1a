"""`did_you_mean` of searches that find nothing: the caller's own words in place of mistyped ones."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from amplifier.errors import TooSlow
from amplifier.web.request import Request

MOST_WORDS = 5
MOST_SESSIONS, MOST_MESSAGES = 200, 20  # of the caller, and of each of these
SECONDS = 0.3  # for each of two statements
_WORD = re.compile(r"[^\W_]+")
_EXCLUDED = re.compile(r'(?:^|\s)-(?!-)(?:"[^"]*"?|\S+)')

Find = Callable[[str], Awaitable[list[Any]]]


async def find_suggestion(request: Request, q: str, session_id: str | None, find: Find) -> str | None:
    """Returns `q` with words of the caller's newest messages in place of similar ones that these do not have.

    Returns None if no word is similar, if `find` finds nothing with it either, or if this takes too long. The query
    reads what the caller may read, and nothing else.
    """
    words = list(dict.fromkeys(word for word in _WORD.findall(_EXCLUDED.sub(" ", q.lower())) if len(word) > 2))
    if not words:
        return None
    listing = request.queries.suggestions.list(
        actor_id=request.caller.user_id,
        session_id=session_id,
        words=words[:MOST_WORDS],
        most_sessions=MOST_SESSIONS,
        most_messages=MOST_MESSAGES,
    )
    try:
        with request.queries.database.limited(SECONDS):
            meant = {row["typed"]: row["word"] for row in await listing}
            suggestion = _WORD.sub(lambda found: meant.get(found[0].lower(), found[0]), q)
            return suggestion if meant and len(suggestion) <= 1000 and await find(suggestion) else None
    except TooSlow:
        return None
