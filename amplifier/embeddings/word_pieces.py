"""Divides texts into the word pieces of BERT's uncased vocabularies."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 100  # characters of a word; a longer one is unknown
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class WordPieces:
    """A vocabulary. The longest piece that a word begins with comes first."""

    def __init__(self, file: Path) -> None:
        """Reads the file of the vocabulary, with a piece in each line. Raises OSError and KeyError."""
        lines = file.read_text(encoding="utf-8").split("\n")
        self._ids = {piece: number for number, piece in enumerate(lines)}
        self._unknown, self._first, self._last = (self._ids[piece] for piece in ("[UNK]", "[CLS]", "[SEP]"))

    def ids(self, text: str, most: int) -> list[int]:
        """Returns the numbers of a text's pieces between those of its beginning and its end, at most `most` in all."""
        found = [self._first]
        for word in _words(text):
            found += self._pieces(word)
            if len(found) >= most:
                break
        return [*found[: most - 1], self._last]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST:
            return [self._unknown]
        found: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._ids), None)
            if end is None:
                return [self._unknown]
            found.append(self._ids[prefix + word[start:end]])
            start, prefix = end, "##"
        return found


def _words(text: str) -> Iterator[str]:
    """Yields the words, in lower case and without accents. Each punctuation mark or ideograph is a word by itself."""
    word: list[str] = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn" or (category in ("Cc", "Cf", "Co", "Cn") and not character.isspace()):
            continue
        if not character.isspace() and not _stands_alone(character, category):
            word.append(character)
            continue
        if word:
            yield "".join(word)
            word.clear()
        if not character.isspace():
            yield character
    if word:
        yield "".join(word)


def _stands_alone(character: str, category: str) -> bool:
    code = ord(character)
    if code < 128:
        return not character.isalnum()
    return category.startswith("P") or any(first <= code <= last for first, last in _IDEOGRAPHS)
