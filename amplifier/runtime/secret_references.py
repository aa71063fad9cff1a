"""Expands references to secrets in configs, `${NAME}`, and masks the values in texts.

The encryption of secrets in stored configs is in `amplifier/configs/encryption.py`.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, quote_plus

logger = logging.getLogger(__name__)

Secret: TypeAlias = Callable[[str], str | None]

_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,199}"
_REFERENCE = re.compile(r"\$\{(" + _NAME + r")(?::([^{}]*))?\}", re.ASCII)
_NESTED = re.compile(r"\$\{[^{}]*\$\{")
_LARGEST = 64 * 1024  # bytes of a secret's file
_BEGINNING, _INSIDE = "\U0010ffff", "\U0010fffe"  # noncharacters, which are replaced in all texts before
_HEAD, _GUESSES = 4, 16  # characters by which the beginning of a secret is found, and the number of tries
_SHORTEST = 8  # characters; a shorter value, such as the key `ollama` of a local server, is in texts by chance


class ReferenceRefused(Exception):
    """The reference cannot be expanded; the message names the variable, never a value."""


class Secrets:
    """The secrets that the operator allows, from files in `folder`, as vaults mount them, or from the environment.

    Each call reads the value anew, so that a changed secret needs no restart.
    """

    def __init__(self, names: frozenset[str], folder: Path | None = None) -> None:
        self._names = frozenset(name for name in names if re.fullmatch(_NAME, name, re.ASCII))
        self._folder = folder

    def __call__(self, name: str) -> str | None:
        """Returns the value of `name`; None if the name is not allowed or the value is missing or empty."""
        if name not in self._names:
            return None
        file = self._folder / name if self._folder else None
        if file is not None and file.exists():
            return _read(file) or None
        return os.environ.get(name) or None


def expand(text: str, secret: Secret, hidden: bool) -> tuple[str, list[str]]:
    """Returns `text` with its references replaced, and the values of the secrets in it. Raises ReferenceRefused.

    A secret is expanded only in a `hidden` place, which is never shown. A default may be in any place. References in
    expanded values are not expanded.
    """
    if _NESTED.search(text):
        raise ReferenceRefused("one ${...} may not stand inside another")
    values: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        value = secret(name)
        if value is None and default is None:
            raise ReferenceRefused(f"${{{name}}} has no value here. Those of RUNTIME_SECRETS have, if they are set")
        if value is None:
            return str(default)
        if not hidden:
            raise ReferenceRefused(f"${{{name}}} is a secret: it may stand only under a key such as api_key")
        values.append(value)
        return value

    return _REFERENCE.sub(replaced, text), values


def redact(text: str, secrets: Iterable[str]) -> str:
    """Returns `text` with `***` for every secret of at least eight characters, also as URLs and JSON spell it."""
    return _replaced(text, _written(frozenset(secrets)))


def redacted(value: Any, secrets: frozenset[str]) -> Any:
    """Returns a copy of a JSON value with `***` for secrets in its texts. Keys stay: a secret may equal a key."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, secrets) for item in value]
    return value


class Veil:
    """Masks secrets in a text that arrives in pieces, even if a secret is split between pieces.

    Holds back the end of the text while it may be the beginning of a secret, at most the length of the longest one.
    """

    def __init__(self, secrets: frozenset[str]) -> None:
        self._forms = tuple(map(_without_signs, _written(secrets)))
        self._held = ""

    def show(self, piece: str) -> str:
        """Returns the text to show after one more piece, with `***` for secrets."""
        if not self._forms:
            return piece
        text, shown = self._held + _without_signs(piece), ""
        while True:
            masked = _masked(text, self._forms)
            cut = end = _opening(text, self._forms)
            while masked[end : end + 1] == _INSIDE:
                end += 1
            shown += _starred(masked[:end])
            if end == cut:
                self._held = text[cut:]
                return shown
            text = text[end:]  # a beginning that lies within a complete secret is not one

    def end(self, cut_off: bool = False) -> str:
        """Returns the held-back rest after the last piece. In a text that was `cut_off`, masks half a secret, too."""
        held, self._held = self._held, ""
        if cut_off and len(held) >= _SHORTEST and any(form.startswith(held) for form in self._forms):
            return "***"
        return _replaced(held, self._forms)


def _without_signs(text: str) -> str:
    return text.replace(_BEGINNING, "\ufffd").replace(_INSIDE, "\ufffd")


def _replaced(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        text = text.replace(form, "***")
    return text


def _masked(text: str, forms: Iterable[str]) -> str:
    """Returns the text with each character of a secret replaced by a sign, so that positions stay the same."""
    for form in forms:
        if form in text:
            text = text.replace(form, _BEGINNING + _INSIDE * (len(form) - 1))
    return text


def _starred(masked: str) -> str:
    return masked.replace(_INSIDE, "").replace(_BEGINNING, "***")


def _opening(text: str, forms: Iterable[str]) -> int:
    """Returns the first index from which the text may be the beginning of a form; its length if there is none.

    Takes the next candidate as a match after `_GUESSES` wrong ones, because comparing all takes quadratic time.
    """
    first, length = len(text), len(text)
    for form in forms:
        start = max(0, length - len(form) + 1)
        for guess in range(_GUESSES + 1):
            start = text.find(form[:_HEAD], start, first + _HEAD - 1)
            if start < 0 or guess == _GUESSES or form.startswith(text[start:]):
                break
            start += 1
        if start < 0:
            ends = (length - size for size in range(_HEAD - 1, 0, -1) if text.endswith(form[:size]))
            start = next(ends, length)
        first = min(first, start)
    return first


@functools.lru_cache(maxsize=256)  # enough for as many runs at once; a run masks the same secrets in each text
def _written(secrets: frozenset[str]) -> tuple[str, ...]:
    """Returns all spellings of the secrets, the longest first."""
    return tuple(sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True))


def _forms(secret: str) -> set[str]:
    if len(secret) < _SHORTEST:
        return set()
    utf8 = secret.encode(errors="replace")
    quoted = {quote(utf8), quote(utf8, safe=""), quote_plus(utf8)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in quoted}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, repr(secret)[1:-1]} | quoted | lower | escaped


def _read(file: Path) -> str | None:
    """Returns the content of a file without newlines at its end, or None if it cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            raise OSError(f"it is no file of at most {_LARGEST} bytes")
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        logger.error("The secret in %s cannot be read: %s", file, type(error).__name__)
        return None
