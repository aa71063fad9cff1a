"""Replies for the stub of the models' APIs, and the requests that it received."""

import asyncio
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.llm_wire import Call, Said


class Gate:
    """Holds back deltas. It is closed at first, and can be used from any thread."""

    def __init__(self) -> None:
        self._left = 0.0
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()

    def let(self, count: float = 1) -> None:
        """Lets `count` deltas through, in the order in which requests wait."""
        with self._lock:
            self._left += count
            while self._left and self._waiting:
                loop, future = self._waiting.popleft()
                if future.done():  # its client left
                    continue
                self._left -= 1
                loop.call_soon_threadsafe(lambda future=future: future.done() or future.set_result(None))

    def open(self) -> None:
        """Lets all deltas through from now on."""
        self.let(float("inf"))

    async def wait(self) -> None:
        """Waits until one more delta may pass."""
        with self._lock:
            if self._left:
                self._left -= 1
                return
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((asyncio.get_running_loop(), future))
        await future


@dataclass(frozen=True)
class Reply:
    """An answer. `text` is cut into `pieces` deltas unless `deltas` are given; `usage` has Anthropic's names."""

    text: str = ""
    pieces: int = 3
    deltas: list[str] | None = None
    thinking: list[str] = field(default_factory=list)
    signature: str = "signed"
    redacted: str = ""
    calls: list[Call] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=lambda: {"input_tokens": 10, "output_tokens": 5})
    reason: str | None = None
    status: int = 200
    error: str = "this is an error"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # the whole body, instead of all above
    gate: Gate | None = None
    pause: float = 0
    drip: float = 0  # seconds before each byte of a stream
    stall_after: int | None = None
    cut_after: int | None = None

    def said(self, number: int) -> Said:
        """The parts of the answer."""
        deltas = _pieces(self.text, self.pieces) if self.deltas is None else self.deltas
        return Said(deltas, self.thinking, self.calls, self.usage, self.reason, self.signature, self.redacted, number)


@dataclass
class Seen:
    """A request. Times are those of `time.perf_counter`; `sent` are those just before each delta was written."""

    number: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    raw: bytes
    at: float
    asked: str = ""  # the text of the last human message
    step: int = 0  # how many assistant's messages follow it
    sent: list[float] = field(default_factory=list)
    status: int | None = None
    done: bool = False  # the answer was written
    disconnected: bool = False  # the client left before that

    @property
    def body(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.raw) if self.raw else {}

    @property
    def api(self) -> str:
        """`openai` or `anthropic`."""
        return "anthropic" if self.path.endswith("/messages") else "openai"

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(urlsplit(self.target).query))

    def header(self, name: str) -> str | None:
        """Returns the value of a header. The case of its name does not matter."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def _pieces(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]


def last_human(messages: list[dict[str, Any]]) -> tuple[str, int]:
    """Returns the text of the last human message, and the number of assistant's messages after it."""
    step = 0
    for message in reversed(messages):
        texts = _texts(message) if message["role"] == "user" else []
        if human := [text for text in texts if text and not text.startswith("<system-reminder>")]:
            return human[-1], step  # one message has several where two people's turns were merged
        step += message["role"] == "assistant"
    return "", step


def _texts(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if part["type"] == "text"]
