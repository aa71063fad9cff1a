"""Replaces keys and addresses in messages before they are stored, if REDACT says so.

A document is searched as a whole, which takes a thousandth of the time that a search in each text would: in a view of
the same length, where a line feed stands for the quotes around texts and blanks for escapes. No pattern matches a line
feed, so that a match lies inside one text, at the same place in the document.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from amplifier.errors import OperatorError, Unavailable
from amplifier.fair_share import Shares, current
from amplifier.transcripts.secret_patterns import APART, patterns

_ESCAPED_ASCII = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|(.))", re.DOTALL)
_SHORT_ESCAPE = re.compile(rb"\\[^u]", re.DOTALL)
_LONG_ESCAPE = re.compile(rb"\\u[0-9a-fA-F]{4}")
_LETTERS = "ééé".encode()  # as long as an escape, and no letter of a key
_QUOTE_TO_LINE_FEED = bytes.maketrans(b'"', b"\n")
_IN_THREAD_FROM = 64 * 1024  # bytes; more would delay other requests
_PATIENCE = 10.0  # seconds that a large document may wait for its turn

_Span = tuple[int, int, str]


class _Set(NamedTuple):
    """Patterns that are searched for at once."""

    any_of: Any
    patterns: list[tuple[str, Any]]  # with their names

    def spans(self, view: bytes) -> Iterator[_Span]:
        """Yields what matches: beginning, end and name."""
        for number in self.any_of.Match(view) or ():
            name, pattern = self.patterns[number]
            for match in pattern.finditer(view):
                yield match.start(), match.end() - match[0].endswith(b"\n"), name


class Scrubber:
    """Replaces what matches a pattern of the sets by `[redacted: <name>]`, in all texts and keys of a JSON document.

    Without sets it returns everything as it is.
    """

    def __init__(self, sets: frozenset[str]) -> None:
        """Raises OperatorError if the extra `redact` is not installed."""
        self.counts: Counter[str] = Counter()  # replacements by name, since the process started
        self._sets: list[_Set] = []
        self._turns = Shares(1, 1)  # a large document takes a core for up to 0.2 seconds per megabyte
        if not sets:
            return
        try:
            import re2

            found = patterns(sets)
        except ImportError as error:
            raise OperatorError("REDACT needs more packages: pip install 'amplifier-api[redact]'") from error
        together = [one for one in found if one.name not in APART]
        for group in (together, *([one] for one in found if one.name in APART)):
            any_of = re2.Set.SearchSet()
            for one in group:
                any_of.Add(one.text)
            any_of.Compile()
            self._sets.append(_Set(any_of, [(one.name, re2.compile(one.text)) for one in group]))

    async def json(self, document: bytes) -> bytes:
        """Returns a valid JSON document with its secrets replaced. All else keeps its meaning.

        Large documents take turns, one in a process at a time. Raises Unavailable after 10 seconds without a turn.
        """
        if not self._sets:
            return document
        if len(document) < _IN_THREAD_FROM:
            return self._scrubbed(document)
        user = current.get()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turns.take(user)
        except TimeoutError:
            raise Unavailable("Other large messages are searched for secrets.") from None
        try:
            return await asyncio.to_thread(self._scrubbed, document)
        finally:
            self._turns.give_back(user)

    def text(self, text: str) -> str:
        """Returns a text with its secrets replaced."""
        return str(json.loads(self._scrubbed(json.dumps(text).encode()))) if self._sets else text

    def document(self, document: bytes) -> bytes:
        """Returns a JSON document with its secrets replaced, like `json`, in the calling thread."""
        return self._scrubbed(document) if self._sets else document

    def _scrubbed(self, document: bytes) -> bytes:
        if b"\\/" in document or b"\\u00" in document:
            document = _ESCAPED_ASCII.sub(_unescaped, document)
        view = _LONG_ESCAPE.sub(_LETTERS, _SHORT_ESCAPE.sub(b"  ", document)).translate(_QUOTE_TO_LINE_FEED)
        spans = [span for one in self._sets for span in one.spans(view)]
        if not spans:
            return document
        parts, end = [], 0
        for start, stop, name in _apart(spans):
            parts += [document[end:start], f"[redacted: {name}]".encode()]
            self.counts[name] += 1
            end = stop
        return b"".join([*parts, document[end:]])


def _apart(spans: list[_Span]) -> Iterable[_Span]:
    """Yields the spans in order, those that overlap as one with the name of the first."""
    spans.sort(key=lambda span: (span[0], -span[1]))
    start, stop, name = spans[0]
    for other_start, other_stop, other in spans[1:]:
        if other_start < stop:
            stop = max(stop, other_stop)
        else:
            yield start, stop, name
            start, stop, name = other_start, other_stop, other
    yield start, stop, name


def _unescaped(match: "re.Match[bytes]") -> bytes:
    """Returns the character of an escape that needs none."""
    if match[1] is None:
        return b"/" if match[2] == b"/" else match[0]
    character = bytes([int(match[1], 16)])
    return match[0] if character in b'"\\\x7f' else character
