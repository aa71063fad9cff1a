"""Expands references to secrets in configs, `${NAME}`, and masks the values in JSON and in texts that come in pieces.

The encryption of secrets in stored configs is in `amplifier/configs/encryption.py`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from amplifier.masking import SHORTEST, redact, replaced, spellings
from amplifier.secret import Secret as Masked
from amplifier.secret_references import HELD, is_reference

logger = logging.getLogger(__name__)

Secret: TypeAlias = Callable[[str], str | None]

_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,199}"
_REFERENCE = re.compile(r"\$\{(" + _NAME + r")(?::([^{}]*))?\}", re.ASCII)
_NESTED = re.compile(r"\$\{[^{}]*\$\{")
_LARGEST = 64 * 1024  # bytes of a secret's file
_BEGINNING, _INSIDE = "\U0010ffff", "\U0010fffe"  # noncharacters, which are replaced in all texts before
_HEAD, _GUESSES = 4, 16  # characters by which the beginning of a secret is found, and the number of tries


class ReferenceRefused(Exception):
    """The reference cannot be expanded; the message names the variable, never a value."""


class Secrets:
    """The secrets that the operator allows, from files in `folder`, as vaults mount them, or from the environment.

    Each call reads the value anew, so that a changed secret needs no restart. References in the environment were
    followed at start and are read again in the background.
    """

    def __init__(self, names: frozenset[str], folder: Path | None = None) -> None:
        self._names = frozenset(name for name in names if re.fullmatch(_NAME, name, re.ASCII))
        self._folder = folder
        self._masked: dict[str, Masked] = {}  # in the log, as all secrets that this type holds

    def __call__(self, name: str) -> str | None:
        """Returns the value of `name`; None if the name is not allowed or the value is missing or empty."""
        value = self._value(name) if name in self._names else None
        if value is not None and (name not in self._masked or self._masked[name].reveal() != value):
            self._masked[name] = Masked(value)
        return value

    def _value(self, name: str) -> str | None:
        file = self._folder / name if self._folder else None
        if file is not None and file.exists():
            return _read(file) or None
        value = os.environ.get(name) or None
        return HELD.present(value) if value is not None and is_reference(value) else value


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
        self._forms = tuple(map(_without_signs, spellings(secrets)))
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
        if cut_off and len(held) >= SHORTEST and any(form.startswith(held) for form in self._forms):
            return "***"
        return replaced(held, self._forms)


def _without_signs(text: str) -> str:
    return text.replace(_BEGINNING, "\ufffd").replace(_INSIDE, "\ufffd")


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


def _read(file: Path) -> str | None:
    """Returns the content of a file without newlines at its end, or None if it cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            raise OSError(f"it is no file of at most {_LARGEST} bytes")
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        logger.error("the secret in %s cannot be read: %s", file, type(error).__name__)
        return None
