"""The parts of both clients that need no connection: settings, JSON, problems, retries, server-sent events."""

import contextlib
import json
import os
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from . import models
from .errors import AmplifierError, NoConnection, Problem, RunFailed, problem_of

T = TypeVar("T")
Token = str | Callable[[], str]
ExportFormat = Literal["jsonl", "openai", "anthropic", "claude-code", "codex", "amplifier", "markdown", "html"]

TIMEOUT = 30.0  # seconds for one attempt of a request
CONNECT_TIMEOUT = 5.0
TURN_TIMEOUT = 900.0  # an agent's turn may take as long
SILENCE = 45.0  # of a stream, which sends a comment every 15 seconds
RETRIES = 4
LONGEST_WAIT = 30.0  # seconds; a later Retry-After is left to the caller
_JOIN_AGAIN = "come back with"  # the error by which a run's stream asks the client to join it again
_KEY_LENGTH = 512
_MOST_MESSAGES = 1000  # of an append as JSON
_MOST_BYTES = 8_000_000


class Options(msgspec.Struct, frozen=True):
    """Where the service is, and as whom it is called."""

    url: str
    api_key: str | None
    user: str | None
    token: Token | None
    timeout: float
    retries: int

    def headers(self, more: Mapping[str, str]) -> httpx.Headers:
        """Returns the credentials of a request, and more headers."""
        token = self.token() if callable(self.token) else self.token
        whose = {"X-API-Key": self.api_key, "X-User-ID": self.user, "Authorization": token and f"Bearer {token}"}
        return httpx.Headers({**present(whose), **more}, encoding="utf-8")


def options(
    url: str | None, api_key: str | None, user: str | None, token: Token | None, timeout: float, retries: int
) -> Options:
    """Returns the options; what is None comes from the environment. A token stands for a user by itself."""
    url = url or os.environ.get("AMPLIFIER_URL") or "http://127.0.0.1:8765"
    token = token or (None if user else os.environ.get("AMPLIFIER_TOKEN"))
    user = user or (None if token else os.environ.get("AMPLIFIER_USER_ID"))
    api_key = api_key or os.environ.get("AMPLIFIER_API_KEY")
    return Options(url.rstrip("/"), api_key, user, token, timeout, retries)


def path_of(*parts: str | int) -> str:
    """Returns a path of these segments."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def key_path(key: str) -> str:
    """Returns the path of the session with a key of the caller's. Raises ValueError for a key that is none."""
    if not 1 <= len(key) <= _KEY_LENGTH:
        raise ValueError(f"key: must have 1 to {_KEY_LENGTH} characters")
    return path_of("sessions", "by-key", key)


def encode(value: Any) -> bytes:
    """Returns JSON. Raises ValueError for NaN and infinite numbers, which JSON does not have."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=msgspec.to_builtins)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair is stored, as an escape
        return json.dumps(value, separators=(",", ":"), default=msgspec.to_builtins).encode()


def append_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of an append: JSON, or a message a line where it is too large for that."""
    content = encode(body)
    is_plain = not body.keys() - {"messages", "expected_seq"}
    if not is_plain or (len(body["messages"]) <= _MOST_MESSAGES and len(content) <= _MOST_BYTES):
        return {"content": content, "headers": {"Content-Type": "application/json"}}
    lines = b"\n".join(map(encode, body["messages"]))
    params = {"expected_seq": body.get("expected_seq")}
    return {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}, "params": params}


def decode(body: bytes, kind: type[T]) -> T:
    """Returns an answer as a struct."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # half of a surrogate pair, which json reads
        return msgspec.convert(json.loads(body), kind)


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def parameters(values: Mapping[str, Any]) -> httpx.QueryParams:
    """Returns query parameters: tags one by one, lists with commas, truth in lower case."""
    found: list[tuple[str, str]] = []
    for name, value in present(values).items():
        if isinstance(value, Mapping):
            found += [(name, f"{key}:{text}") for key, text in value.items()]
        elif isinstance(value, bool):
            found.append((name, str(value).lower()))
        elif isinstance(value, (list, tuple)):
            found += [(name, ",".join(map(str, value)))] if value else []
        else:
            found.append((name, value.isoformat() if hasattr(value, "isoformat") else str(value)))
    return httpx.QueryParams(found)  # type: ignore[arg-type]


def idempotency_key() -> str:
    """Returns a key by which the service knows a request again."""
    return str(uuid.uuid4())


@contextlib.contextmanager
def connection_faults(url: str) -> Iterator[None]:
    """Raises faults of connections as NoConnection."""
    try:
        yield
    except httpx.TransportError as fault:
        words = str(fault) or type(fault).__name__
        raise NoConnection(f"no answer from {url}: {words}; is the service running, is AMPLIFIER_URL right?") from fault


def problem(response: httpx.Response) -> Problem:
    """Returns the exception for an answer that is an error; the body must have been read."""
    try:
        document = decode(response.content, models.Problem)
    except (ValueError, msgspec.MsgspecError):  # of a proxy
        words = response.reason_phrase or "no answer of the service"
        document = models.Problem(type="about:blank", title=words, status=response.status_code, detail=words)
    return problem_of(response.status_code, document, _seconds(response.headers.get("Retry-After")))


def delay(attempt: int, fault: AmplifierError) -> float | None:
    """Returns the seconds to wait before a request is repeated for the `attempt`-th time, or None if that is no use."""
    if isinstance(fault, Problem):
        if fault.retry_after is not None and fault.status in (409, 429, 503):
            return fault.retry_after if fault.retry_after <= LONGEST_WAIT else None
        if fault.status not in (429, 502, 503, 504) or fault.run_id is not None:
            return None
    elif not isinstance(fault, NoConnection):
        return None
    elif fault.retry_after is not None:
        return fault.retry_after
    return float(min(0.1 * 2 ** min(attempt, 7), 10) * random.uniform(0.5, 1))  # noqa: S311


class Event(msgspec.Struct, frozen=True):
    """An event of a stream. `seq` is its number on the session's clock, None of those that are never replayed."""

    type: str
    data: dict[str, Any]
    id: str | None = None

    @property
    def seq(self) -> int | None:
        return int(self.id) if self.id and self.id.isdigit() else None


class EventLines:
    """Puts the lines of a stream of server-sent events together."""

    def __init__(self) -> None:
        self._type, self._id = "", ""
        self._data: list[str] = []
        self.retry: float | None = None  # seconds

    def feed(self, line: str) -> Event | None:
        """Returns the event that ends with this line."""
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                self._type = value
            elif field == "data":
                self._data.append(value)
            elif field == "id":
                self._id = value
            elif field == "retry" and value.isdigit():
                self.retry = int(value) / 1000
            return None
        type_, data, identifier = self._type, self._data, self._id
        self._type, self._data, self._id = "", [], ""
        return Event(type_, json.loads("\n".join(data)), identifier or None) if data else None


def run_event(event: Event) -> Event:
    """Returns an event of a run's stream, whose type and data are in its object."""
    type_, data = event.data.get("type", ""), event.data
    inner = data.get("data", {name: value for name, value in data.items() if name != "type"})
    return Event(type_, inner, event.id)


def run_failure(event: Event) -> AmplifierError:
    """Returns the exception for a run's event `error`: NoConnection if the run goes on and can be joined again."""
    detail = str(event.data.get("detail", ""))
    if _JOIN_AGAIN in detail:
        return NoConnection(detail)
    return RunFailed(detail, event.data.get("code"), event.data.get("retry_after"))


def _seconds(text: str | None) -> float | None:
    """Returns the seconds of a Retry-After, None for dates and other text."""
    return float(text) if text and text.isdigit() else None
