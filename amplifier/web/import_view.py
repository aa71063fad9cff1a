"""An import that was sent to the service, as its routes answer with it, and the stream of its progress."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar.types import Receive, Scope, Send

from amplifier.errors import Problem, Unavailable
from amplifier.live.frames import escaped
from amplifier.telemetry import served, tracing
from amplifier.web.event_stream import STREAM_HEADERS
from amplifier.web.request import Caller
from amplifier.web.responses import gone
from amplifier.web.scope_keys import ENDING

_PACE = 0.5  # seconds between two looks
_SILENCE = 15.0  # seconds after which a comment shows that the stream is alive

ImportStatus = Literal["running", "done", "failed", "cancelled", "interrupted"]


class ImportCounts(msgspec.Struct):
    """The files of a tool that were read, its sessions by what became of them, and the messages that were added."""

    files: int = 0
    new: int = 0
    grown: int = 0
    forked: int = 0
    same: int = 0
    messages: int = 0


class ImportRemark(msgspec.Struct):
    """Something about a file, or about one of its lines. `is_loss` if it did not become what it should."""

    file: str
    line: int | None
    detail: str
    is_loss: bool


class ImportSummary(msgspec.Struct):
    """An import without its remarks."""

    import_id: str
    user_id: str
    status: ImportStatus
    filename: str | None
    format: str
    config_id: str | None
    size: int
    bytes_read: int
    bytes_total: int | None
    counts: dict[str, ImportCounts]
    losses: int
    notes: int
    detail: str | None
    created_at: datetime
    finished_at: datetime | None


class Import(msgspec.Struct):
    """An import, with at most 1,000 remarks about files and lines when it has ended, those about losses first."""

    import_id: str
    user_id: str
    status: ImportStatus
    filename: str | None
    format: str
    config_id: str | None
    size: int
    bytes_read: int
    bytes_total: int | None
    counts: dict[str, ImportCounts]
    remarks: list[ImportRemark]
    losses: int
    notes: int
    detail: str | None
    created_at: datetime
    finished_at: datetime | None


class ImportStream:
    """The answer that sends an import whenever it has changed, at most twice a second, until it has ended."""

    def __init__(self, caller: Caller, read: Callable[[], Awaitable[Any]]) -> None:
        """`read` returns the row of the import, or None if it is gone."""
        self._caller, self._read = caller, read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem before anything is sent."""
        state = scope["litestar_app"].state
        with state.hub.admitted(self._caller.user_id, state.max_streams):
            row = await self._read()
            if row is None:
                raise Problem(404, "Import not found")
            ending = asyncio.Event()
            scope[ENDING] = ending.set  # type: ignore[literal-required]
            tracing.end_early(scope, 200)
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            served.opened()
            if not scope["state"].get("head"):
                absent = asyncio.create_task(gone(receive))
                try:
                    await self._follow(row, ending, absent, send)
                finally:
                    absent.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, row: Any, ending: asyncio.Event, absent: "asyncio.Task[None]", send: Send) -> None:
        shown, said = b"", time.monotonic()
        ended = asyncio.create_task(ending.wait())
        try:
            while row is not None:
                event, now = _event(row), time.monotonic()
                if event != shown or now - said > _SILENCE:
                    body = event if event != shown else b": still here\n\n"
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    shown, said = event, now
                if row["status"] != "running" or time.time() > self._caller.expires_at:
                    return
                await asyncio.wait((absent, ended), timeout=_PACE, return_when=asyncio.FIRST_COMPLETED)
                if absent.done() or ended.done():
                    return
                row = await self._read()
        except Unavailable:
            return  # the client comes back
        finally:
            ended.cancel()


def _event(row: Any) -> bytes:
    kind = b"import.progress" if row["status"] == "running" else b"import.finished"
    return b"event: " + kind + b"\n" + escaped(b"data: " + msgspec.json.encode(Import(*row))) + b"\n\n"
