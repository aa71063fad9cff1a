"""Sends the events of a running agent to its streams in this process at once, and to followers in batches.

Nothing here is stored: the messages of the turn are written by `transcript_writer.py`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from amplifier_core import HookResult

from amplifier.live.frames import Frame
from amplifier.live.hub import Hub
from amplifier.runtime.hooks import ALREADY_SHOWN
from amplifier.runtime.secret_references import Veil, redacted
from amplifier.runtime.transcript_writer import cleaned, encoded

CUT = "context:compaction"  # a model is not sent all messages of the transcript
DELTA = "llm:stream_block_delta"
# The events of amplifier-core that clients see; the others contain prompts and configs.
SHOWN = (
    "cancel:completed",
    "cancel:requested",
    "content_block:end",
    "content_block:start",
    "execution:end",
    "execution:start",
    "llm:stream_aborted",
    "llm:stream_block_end",
    "llm:stream_block_start",
    "orchestrator:complete",
    "provider:error",
    "provider:request",
    "provider:retry",
    "thinking:final",
    "tool:error",
    "tool:post",
    "tool:pre",
    "user:notification",
    CUT,
    DELTA,
)
# No more of an answer comes after these events, so that its rest is shown: some modules emit no end of a block.
_END, _ABORTED = "llm:stream_block_end", "llm:stream_aborted"
_LAST = (_ABORTED, "content_block:start", "execution:end", "orchestrator:complete", "provider:request")
_BATCH = 0.05  # seconds of deltas that followers get in one event
_MOST = 4000  # bytes of an event for followers, which has to fit into a notification with others
_NAMES = ("request_id", "block_index", "block_type", "tool_name", "tool_call_id")  # all that is kept of a larger event
_Block = tuple[Any, Any, Any]


class Feed:
    """The events of one run, for the streams in this process and for followers."""

    def __init__(self, hub: Hub, session_id: str, run_id: str) -> None:
        self._hub, self._session_id, self._run_id = hub, session_id, run_id
        self.secrets: frozenset[str] = frozenset()
        self.followed_elsewhere = True  # unknown until the lease is renewed for the first time
        self.first_delta_at: float | None = None
        self._listeners: dict[Callable[[Frame], None], Callable[[], None]] = {}
        self._batch: dict[_Block, list[str]] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._text: list[str] = []
        self._last: dict[str, Any] = {}  # the newest part of the model's answer
        self._open: dict[_Block, tuple[Veil, dict[str, Any]]] = {}  # with the newest part of each

    @property
    def partial(self) -> str:
        """Returns the text of the model's answer that is not in the transcript yet."""
        return str(cleaned("".join(self._text)))

    def settle(self) -> None:
        """Forgets the partial answer: it is in the transcript now."""
        self.release()
        self._text = []

    def listen(self, listener: Callable[[Frame], None], wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` with the partial answer and then with every event, and `wake` at the end of the run.

        Returns the function that removes the listener.
        """
        if self._text:
            listener(Frame(DELTA, self._encoded(self._last | {"text": self.partial})))
        self._listeners[listener] = wake
        return lambda: self._forget(listener)

    def _forget(self, listener: Callable[[Frame], None]) -> None:
        self._listeners.pop(listener, None)

    def end(self) -> None:
        """Wakes the streams in this process: the outcome of the run is in the database."""
        for wake in self._listeners.values():
            wake()

    def live(self, event: str, data: dict[str, Any]) -> None:
        """Shows one part of the model's answer. The end of a text that may begin a secret is held back."""
        if self.first_delta_at is None:
            self.first_delta_at = time.perf_counter()
        block = _block(data)
        if any(other[0] != block[0] for other in self._open):
            self.release()
        if data.get("request_id") != self._last.get("request_id"):
            self._text = []
        veil = self._open[block][0] if block in self._open else Veil(self.secrets)
        self._open[block] = veil, data
        self._show_text(block, data, veil.show(str(data.get("text") or "")))

    def _show_text(self, block: _Block, data: dict[str, Any], text: str) -> None:
        """Shows a text that contains no secret, and adds it to the batch for followers."""
        if not text:
            return
        data = data | {"text": text}
        if block[2] == "text":
            self._text.append(text)
            self._last = data
        self._send_to_streams(DELTA, data)
        self._batch.setdefault(block, []).append(text)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_BATCH, self.flush)

    def release(self, cut_off: bool = False) -> None:
        """Shows the held-back texts of all blocks. Unless `cut_off`, the blocks are complete."""
        for block in list(self._open):
            self._close(block, cut_off)

    def _close(self, block: _Block, cut_off: bool = False) -> None:
        veil, data = self._open.pop(block, (None, {}))
        if veil is not None:
            self._show_text(block, data, veil.end(cut_off))

    def show(self, event: str, data: dict[str, Any]) -> None:
        """Shows an event of amplifier-core, if it is one of SHOWN."""
        if event == DELTA:
            self.live(event, data)
        elif event in SHOWN:
            if event == _END:
                self._close(_block(data))
            elif event in _LAST:
                self.release(cut_off=event == _ABORTED)
            self.flush()
            self._send_to_streams(event, data)
            self._send_to_followers(event, data)

    async def handle(self, event: str, data: dict[str, Any]) -> HookResult:
        """Shows events as a hook handler, for modules that emit them and do not call `show`."""
        if ALREADY_SHOWN not in data:
            self.show(event, data)
        return HookResult(action="continue")

    def flush(self) -> None:
        """Sends the batch of deltas to followers."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        batch, self._batch = self._batch, {}
        for (request_id, index, type), texts in batch.items():
            for text in _pieces("".join(texts)):
                data = {"request_id": request_id, "block_index": index, "block_type": type, "text": text}
                self._send_to_followers(DELTA, data)

    def _send_to_streams(self, event: str, data: dict[str, Any]) -> None:
        if self._listeners:
            frame = Frame(event, self._encoded(data))
            for listener in self._listeners:
                listener(frame)

    def _send_to_followers(self, event: str, data: dict[str, Any]) -> None:
        encoded = self._encoded(data)
        if len(encoded) > _MOST:
            encoded = self._encoded({name: data[name] for name in _NAMES if name in data} | {"truncated": True})
        self._hub.show(self._session_id, event, encoded, self.followed_elsewhere)

    def _encoded(self, data: dict[str, Any]) -> bytes:
        shown = redacted(data, self.secrets) if self.secrets else data
        return encoded({"run_id": self._run_id} | shown)


def _block(data: dict[str, Any]) -> _Block:
    return data.get("request_id"), data.get("block_index"), data.get("block_type", "text")


def _pieces(text: str) -> Iterable[str]:
    """Returns the text in parts that fit into an event, even if every character is escaped."""
    size = _MOST // 8
    return (text[start : start + size] for start in range(0, len(text), size))
