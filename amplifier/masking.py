"""Masks secrets in texts: known ones in every usual spelling, and whatever has the form of a credential."""

import functools
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from amplifier.secret import known

MASK = "***"
SHORTEST = 8  # characters; a shorter value, such as the key `ollama` of a local server, is in texts by chance

_API_KEY = re.compile(r"(\bapp_[0-9a-f]{16}_)[\w-]{16,}", re.ASCII)  # without the prefix, which the database shows
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*", re.ASCII)
_PROVIDER_KEY = re.compile(r"\bsk-[\w*.-]{8,}", re.ASCII)  # also in part, as errors of providers quote it
_SCHEME = re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE)
_PASSWORD = re.compile(r"(://[^\s/?#@:]{0,255}:)[^\s/?#@]{1,1024}(?=@)")  # of an address
_QUERY = re.compile(r"\?[\w.~%-]{1,100}=[^\s\"'<>]*")  # of an address
_NAMED = re.compile(
    r"\b((?:x-api-key|api[_-]?key|authorization|cookie|password|secret|ticket|token)[\"']?\s*[:=]\s*[\"']?)"
    r"[^\s\"',;&]+",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """Returns a text for the log: with `***` for the secrets of the process and whatever looks like a credential."""
    text = replaced(text, spellings(known()))
    text = _API_KEY.sub(r"\1***", text)
    text = _JWT.sub(MASK, text)
    text = _PROVIDER_KEY.sub(MASK, text)
    text = _SCHEME.sub(r"\1 ***", text)
    text = _PASSWORD.sub(r"\1***", text)
    text = _QUERY.sub("?***", text)
    return _NAMED.sub(r"\1***", text)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Returns `text` with `***` for every secret of at least eight characters, also as URLs and JSON spell it."""
    return replaced(text, spellings(frozenset(secrets)))


def replaced(text: str, forms: Iterable[str]) -> str:
    """Returns `text` with `***` for each of the forms."""
    for form in forms:
        text = text.replace(form, MASK)
    return text


@functools.lru_cache(maxsize=256)  # enough for as many runs at once; a run masks the same secrets in each text
def spellings(secrets: frozenset[str]) -> tuple[str, ...]:
    """Returns all spellings of the secrets, the longest first."""
    return tuple(sorted({form for secret in secrets for form in _spelled(secret)}, key=len, reverse=True))


def _spelled(secret: str) -> set[str]:
    if len(secret) < SHORTEST:
        return set()
    utf8 = secret.encode(errors="replace")
    quoted = {quote(utf8), quote(utf8, safe=""), quote_plus(utf8)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in quoted}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, repr(secret)[1:-1]} | quoted | lower | escaped
