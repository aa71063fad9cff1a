"""References to secrets in configs, `${NAME}`: where their values come from, what hides them in texts."""

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
_BEGINNING, _INSIDE = "\U0010ffff", "\U0010fffe"  # no characters; no text has them here
_HEAD, _GUESSES = 4, 16  # characters by which the beginning of a secret is looked for, and how often
_SHORTEST = 8  # characters; what is shorter stands in texts by chance, as a key `ollama` that a local server takes


class ReferenceRefused(Exception):
    """A reference that does not expand here; the message names the variable, never a value."""


class Secrets:
    """The values of the names that the operator allows: of files in `folder`, as vaults mount them, or the environment.

    They are read whenever they are asked for, so that a changed secret needs no restart.
    """

    def __init__(self, names: frozenset[str], folder: Path | None = None) -> None:
        self._names = frozenset(name for name in names if re.fullmatch(_NAME, name, re.ASCII))
        self._folder = folder

    def __call__(self, name: str) -> str | None:
        """The value of `name`; none when it is not allowed, or there is none, or an empty one."""
        if name not in self._names:
            return None
        file = self._folder / name if self._folder else None
        if file is not None and file.exists():
            return _read(file) or None
        return os.environ.get(name) or None


def expand(text: str, secret: Secret, hidden: bool) -> tuple[str, list[str]]:
    """`text` with its references replaced, and the values of secrets that are in it now. Raises ReferenceRefused.

    A secret expands only where the place is `hidden`, one that is never shown. A default may stand anywhere. What
    was put in is not looked at again.
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
    """`text` with `***` for every secret of eight characters or more, also as URLs and JSON write it."""
    return _replaced(text, _written(frozenset(secrets)))


def redacted(value: Any, secrets: frozenset[str]) -> Any:
    """A copy of what JSON can hold, with `***` in its texts. Its keys stay: a secret may be spelled like one."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, secrets) for item in value]
    return value


class Veil:
    """Hides secrets in a text that comes in pieces, wherever it is cut.

    It holds back the end of a text only while that may be the beginning of a secret, so at most as much as the longest.
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
            text = text[end:]  # what began in a secret that is whole is none itself

    def end(self, cut_off: bool = False) -> str:
        """Returns the rest: no piece comes any more. In a text that was `cut_off` most of a secret is hidden, too."""
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
    """The text with signs in place of secrets, as many as they have characters."""
    for form in forms:
        if form in text:
            text = text.replace(form, _BEGINNING + _INSIDE * (len(form) - 1))
    return text


def _starred(masked: str) -> str:
    return masked.replace(_INSIDE, "").replace(_BEGINNING, "***")


def _opening(text: str, forms: Iterable[str]) -> int:
    """The first place from which a text may be the beginning of a form and no more; its length if there is none.

    After some wrong guesses it takes the next one for right, since to compare each would take the square of the time.
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


@functools.lru_cache(maxsize=256)  # of as many runs at once; a run hides the same ones again and again
def _written(secrets: frozenset[str]) -> tuple[str, ...]:
    """All forms of these, the longest first."""
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
    """What a file holds, without the newline at its end. One that cannot be read hides nothing: it is no value."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            raise OSError(f"it is no file of at most {_LARGEST} bytes")
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        logger.error("The secret in %s cannot be read: %s", file, type(error).__name__)
        return None
