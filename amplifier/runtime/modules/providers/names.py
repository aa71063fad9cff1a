"""Maps the names of tools and the ids of calls to those that an API accepts, the same way in every request.

What an API accepts stays as it is. A name or an id that is added later changes none of those before it, so that the
beginning of a request stays equal to the request before, as prompt caches require.
"""

import hashlib
import re
from collections.abc import Callable, Iterable

_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME = 64  # of OpenAI; Anthropic accepts 128
_LONGEST_ID = 40  # of OpenAI
_SHORT = re.compile(r"[a-zA-Z0-9]{9}")


def safe(text: str) -> str:
    """Returns a text in the characters that every API accepts in names and ids."""
    return _UNSAFE.sub("_", text)


def short(text: str) -> str:
    """Returns an id of nine letters and digits, which Mistral demands."""
    return text if _SHORT.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()[:9]


class Distinct:
    """Makes texts that an API accepts as ids or names, each once: `spelled` gives a text the right characters."""

    def __init__(self, longest: int = _LONGEST_ID, spelled: Callable[[str], str] = str) -> None:
        self._longest, self._spelled = longest, spelled
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # of the last text that was made from this one

    def claim(self, text: str) -> bool:
        """Takes a text that must not be changed. Returns False if it is taken."""
        if text in self._taken:
            return False
        self._taken.add(text)
        return True

    def fresh(self, text: str) -> str:
        """Returns the text in the right characters and length, with a number at its end if it is taken."""
        cut = text[: self._longest]
        found, number = self._spelled(cut), self._numbers.get(cut, 1)
        while not self.claim(found):
            number += 1
            end = f"_{number}"
            found = self._spelled(cut[: self._longest - len(end)] + end)
        self._numbers[cut] = number
        return found


class Names:
    """The names of the tools of one request, and of tools that were called before and are not among them."""

    def __init__(self, tools: Iterable[str]) -> None:
        self._distinct = Distinct(_LONGEST_NAME, safe)
        self._sent: dict[str, str] = {}
        for name in sorted(tools, key=_is_changed):  # first those that need no change, so that they get none
            self.sent(name)

    def sent(self, name: str) -> str:
        """Returns the name that the API gets for a tool."""
        known = self._sent.get(name)
        if known is None:
            known = self._sent[name] = self._distinct.fresh(name or "tool")
        return known

    def all(self) -> list[str]:
        """Returns the names that were sent so far."""
        return list(self._sent.values())

    def changed(self) -> dict[str, str]:
        """Returns the original names by those that are sent, as far as they differ."""
        return {sent: name for name, sent in self._sent.items() if sent != name}


def _is_changed(name: str) -> bool:
    return len(name) > _LONGEST_NAME or _UNSAFE.search(name) is not None
