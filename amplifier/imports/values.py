"""Splits JSON into its values without parsing it: those of an array, or those that follow one another.

Memory is bounded by the longest value that is taken, whatever the length of the whole. Values come as the bytes that
they are; they are valid only if the parser that gets them says so.
"""

import re
from collections.abc import Iterator
from typing import IO, NamedTuple, cast

_PIECE = 256 * 1024
# Up to the next bracket, past texts without escapes, and up to the end of a text. No part can match the same bytes in
# two ways, and the quantifiers are possessive: the time is linear.
_PLAIN = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+")*+')
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OPENING, _CLOSING = frozenset(b"[{"), frozenset(b"]}")
_QUOTE, _ARRAY = b'"['


class Value(NamedTuple):
    """A value of the file. `text` is None if it is longer than allowed, or if the file ends within it."""

    number: int
    text: bytes | None
    size: int
    is_whole: bool = True


def of(file: IO[bytes], longest: int) -> Iterator[Value]:
    """Yields the objects and arrays in an array that is the whole file, or else those that the file consists of.

    Numbers, texts and other mere values are passed over. Raises OSError, and what the file raises.
    """
    return _Splitter(file, longest).values()


class _Splitter:
    """Counts brackets outside of texts."""

    def __init__(self, file: IO[bytes], longest: int) -> None:
        self._file, self._longest = file, longest
        self._depth = self._base = self._number = self._size = 0
        self._is_text = self._is_inside = self._skips = False  # skips: the next byte is escaped
        self._parts: list[bytes] = []  # of the present value, unless it is too long

    def values(self) -> Iterator[Value]:
        """Yields the values."""
        is_first = True
        while piece := self._file.read(_PIECE):
            if is_first:
                piece, is_first = self._began(piece)
            yield from self._piece(piece)
        if self._is_inside:
            yield Value(self._number + 1, None, self._size, False)

    def _began(self, piece: bytes) -> tuple[bytes, bool]:
        """Enters the array that the file is, if it is one. Returns the rest, and whether nothing has begun yet."""
        piece = piece.removeprefix(b"\xef\xbb\xbf").lstrip()
        if piece and piece[0] == _ARRAY:
            self._depth = self._base = 1
            piece = piece[1:]
        return piece, not piece and not self._base

    def _piece(self, piece: bytes) -> Iterator[Value]:
        start = position = 0
        while (position := self._next(piece, position)) < len(piece):
            byte = piece[position]
            position += 1
            if byte in _OPENING:
                if self._depth == self._base:
                    start, self._is_inside = position - 1, True
                self._depth += 1
            elif byte in _CLOSING:
                self._depth -= 1
                if self._depth <= self._base and self._is_inside:
                    self._keep(piece[start:position])
                    yield self._finished()
                self._depth = max(self._depth, self._base)
        if self._is_inside:
            self._keep(piece[start:])

    def _next(self, piece: bytes, position: int) -> int:
        """Returns the place of the next bracket outside of texts, or the length."""
        while position < len(piece):
            if self._skips:
                self._skips, position = False, position + 1
            elif self._is_text:
                position = cast(re.Match[bytes], _INSIDE.match(piece, position)).end()
                self._is_text = position == len(piece) or piece[position] != _QUOTE
                self._skips = self._is_text and position < len(piece)
                position += 1
            else:
                position = cast(re.Match[bytes], _PLAIN.match(piece, position)).end()
                if position < len(piece) and piece[position] != _QUOTE:
                    return position
                self._is_text, position = position < len(piece), position + 1
        return len(piece)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._longest:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _finished(self) -> Value:
        self._number += 1
        text = b"".join(self._parts) if self._size <= self._longest else None
        value = Value(self._number, text, self._size)
        self._is_inside, self._size, self._parts = False, 0, []
        return value
