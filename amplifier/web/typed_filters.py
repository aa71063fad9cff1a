"""Filters that are typed in `q`, with the same meaning as parameters: `path:`, `branch:`, `model:`, `tool:`, `role:`,
`author:`.

The words that are left are what the database searches for.
"""

import re
from typing import NamedTuple, get_args

from amplifier.errors import Problem
from amplifier.web.types import MessageRole

ONLY_FILTERS = (
    "q has filters only: add a word to search for. GET /sessions also takes path:, branch: and model: without a word, "
    "and lists the sessions."
)

# A quotation, which has no filters, or a filter: its value ends at a space, or is quoted.
_TYPED = re.compile(r'"[^"]*"?|(?<!\S)(path|branch|model|tool|role|author):(?:"([^"]+)"|([^\s"]+))(?!\S)')
_OF_MESSAGES = {"role": "message_role", "author": "author_user_id", "tool": "tool"}
_LONGEST = 255  # characters of a value, as of the parameters


class Typed(NamedTuple):
    """The parts of `q`: words, tags as the parameter has them, and the filters of messages by argument of a query.

    `filters` is the text that these were typed as.
    """

    words: str
    tags: list[str]
    path: str | None
    of_messages: dict[str, str | None]
    filters: str

    @property
    def is_empty(self) -> bool:
        """True if filters were typed, and nothing else."""
        return bool(self.filters) and not self.words

    @property
    def names_sessions(self) -> bool:
        """True if only filters of sessions were typed, so that there is nothing to search in messages."""
        return self.is_empty and not any(self.of_messages.values())

    @property
    def kept_path(self) -> dict[str, str]:
        """The path for the cursors of a search: which directories it leads to may change between pages."""
        return {} if self.path is None else {"path": self.path}

    def typed(self, words: str) -> str:
        """Returns `q` with other words and the same filters."""
        return f"{words} {self.filters}".strip()


def typed_filters(
    q: str,
    tag: list[str] | None = None,
    path: str | None = None,
    role: str | None = None,
    author: str | None = None,
    tool: str | None = None,
) -> Typed:
    """Returns the words and the filters of `q`, with the parameters of the request: what both say must hold.

    Raises Problem 422 if two values of one filter differ.
    """
    tags = list(tag or ())
    given: dict[str, str | None] = {"path": path, "role": role, "author": author, "tool": tool}
    kept: list[str] = []

    def left(found: "re.Match[str]") -> str:
        name, value = found[1], found[2] or found[3]
        if name is None or len(value) > _LONGEST or (name == "role" and value not in get_args(MessageRole)):
            return found[0]
        if name not in given:
            tags.append(f"{name}:{value}")
        elif given[name] not in (None, value):
            raise _two_values(name)
        else:
            given[name] = value
        kept.append(found[0])
        return " "

    words = _TYPED.sub(left, q)
    filters = " ".join(dict.fromkeys(kept))
    of_messages = {argument: given[name] for name, argument in _OF_MESSAGES.items()}
    return Typed(words.strip() if kept else q, tags, given["path"], of_messages, filters)


def _two_values(name: str) -> Problem:
    detail = f"{name} has two different values, in q and as the parameter or twice in q; give one, or quote the word"
    return Problem(422, f"q: {detail}", errors=[{"field": "q", "detail": detail}])
