"""Translates errors of model providers to the errors of amplifier-core, without secrets.

The failure that a client sees is made of them in `runtime/failures.py`.
"""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import amplifier_core.llm_errors as llm
import httpx2
import msgspec

_MOST_CHARACTERS = 500
_MOST_MASKED = 10_000  # characters that are searched for keys
# keys that a provider repeats, whole or with stars in the middle
_KEYS = re.compile(r"\b(?:sk|pk|rk|key|xai|gsk)[-_][\w*.-]{4,}")
_WORD = re.compile(r"[^\s'\"]+")
_TOO_LONG = re.compile(
    r"context.?(length|window)|prompt is too long|input is too long|too many (input )?tokens|maximum.{0,20}tokens", re.I
)
_QUOTA = re.compile(r"insufficient_quota|billing|credit balance", re.I)
_STATUS = re.compile(r"[45]\d\d")
_FILTERED = re.compile(r"content_filter|content_policy", re.I)
_OF_TYPE = {
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}

_OF_STATUS = {
    401: llm.AuthenticationError,
    403: llm.AccessDeniedError,
    404: llm.NotFoundError,
    408: llm.LLMTimeoutError,
    429: llm.RateLimitError,
}


class Source(NamedTuple):
    """The provider and model of an error. `secrets` are texts that no message may contain."""

    provider: str
    model: str
    secrets: list[str]
    sdk: Any

    def mask(self, text: str) -> str:
        """Returns `text` in a form that may be shown: without secrets and keys, cut to 500 characters."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = _WORD.sub(_without_key, text[:_MOST_MASKED])
        return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _without_key(word: re.Match[str]) -> str:
    return "***" if "***" in word[0] else _KEYS.sub("***", word[0])


def translate(error: Exception, source: Source) -> Exception:
    """Returns the error of amplifier-core for an error of an SDK or of HTTP. Any other error is returned unchanged."""
    if isinstance(error, source.sdk.APIStatusError):
        return of_status(error.status_code, error.body, error.response.headers, source)
    if isinstance(error, (source.sdk.APITimeoutError, httpx2.TimeoutException)):
        return _made(llm.LLMTimeoutError, _of_timeout(error), source)
    if isinstance(error, source.sdk.APIConnectionError):
        cause = source.mask(str(error.__cause__ or error))
        return _made(llm.NetworkError, f"the provider cannot be reached: {cause}", source)
    if isinstance(error, httpx2.HTTPError):
        return broken(source, source.mask(str(error)))
    if isinstance(error, (msgspec.MsgspecError, RecursionError)):
        return broken(source, "it is none of this API")
    return error


def broken(source: Source, why: str) -> Exception:
    """Returns the error for an answer that broke off."""
    return _made(llm.StreamError, f"the answer broke off: {why}", source)


def of_event(body: Any, source: Source) -> Exception:
    """Returns the error for an error event within an answer. Its code may be a status, or the name of a kind."""
    text, code = _read(body)
    statuses = (int(word) if _STATUS.fullmatch(word) else _OF_TYPE.get(word) for word in code.split())
    status = next(filter(None, statuses), None)
    if status is None:
        return broken(source, source.mask(text) or "the provider says that something went wrong")
    return of_status(status, body, {}, source)


def of_status(status: int, body: Any, headers: Mapping[str, str], source: Source) -> Exception:
    """Returns the error for a response with this status."""
    text, code = _read(body)
    kind = _kind(status, text, code)
    more: dict[str, Any] = {"status_code": status, "retry_after": _retry_after(headers)}
    if kind is llm.ConfigurationError:
        return _made(kind, "base_url answers with a redirect, and none is followed", source, **more)
    return _made(kind, source.mask(text) or f"the provider answered with status {status}", source, **more)


def _made(kind: Any, text: str, source: Source, **more: Any) -> Exception:
    failure: Exception = kind(text, provider=source.provider, model=source.model, **more)
    return failure


def _kind(status: int, text: str, code: str) -> Any:
    if 300 <= status < 400:
        return llm.ConfigurationError
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(f"{code} {text}")):
        return llm.QuotaExceededError
    if status in (400, 413, 422) and (status == 413 or _TOO_LONG.search(f"{code} {text}")):
        return llm.ContextLengthError
    if status == 400 and _FILTERED.search(code):
        return llm.ContentFilterError
    if status >= 500 or status == 409:
        return llm.ProviderUnavailableError
    return _OF_STATUS.get(status, llm.InvalidRequestError)


def _of_timeout(error: Exception) -> str:
    cause = error if isinstance(error, httpx2.TimeoutException) else error.__cause__
    if isinstance(cause, httpx2.ConnectTimeout):
        return "the provider accepted no connection in time"
    if isinstance(cause, httpx2.PoolTimeout):
        return "too many requests to this provider run at once"
    return "the provider fell silent"


def _read(body: Any) -> tuple[str, str]:
    """Returns the message and the codes in the body of an error; empty for other bodies, which any server may send."""
    if isinstance(body, list) and body:  # of Gemini
        body = body[0]
    inner = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(inner, str):
        return inner, ""
    if not isinstance(inner, dict):
        return "", ""
    text = next((inner[key] for key in ("message", "detail") if isinstance(inner.get(key), str)), "")
    return text, " ".join(str(inner[key]) for key in ("code", "type") if isinstance(inner.get(key), str | int))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds after which the provider accepts requests again, given as a number or a date."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return _until(headers.get("retry-after", ""))


def _until(date: str) -> float | None:
    try:
        return max(parsedate_to_datetime(date).timestamp() - time.time(), 0)
    except (ValueError, OverflowError):
        return None
