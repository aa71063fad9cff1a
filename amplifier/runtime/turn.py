"""Writes the messages of one run's turn to the transcript.

The agent's answer is held back for a moment: the end of the run, which mostly follows at once, writes it in the same
commit (`finish.py`). Calls of tools are written before the tools are executed.
"""

import asyncio
import contextlib
from typing import Any

import asyncpg
import msgspec

from amplifier import json_numbers
from amplifier.errors import Unavailable
from amplifier.runtime.failures import Refused
from amplifier.runtime.host import Host
from amplifier.runtime.run_events import Feed
from amplifier.transcripts.parts import Call
from amplifier.transcripts.reader import read

RETRY_DELAY = 0.5  # seconds between two tries while the database is unavailable
_HELD = 0.05  # seconds until an answer is written although the run goes on
_MOST_HELD = 64 * 1024  # bytes
_ALL = 2**62  # larger than any number of a message
_ADDED, _ADDED_BYTES = 1000, 8 * 1024 * 1024  # messages and bytes that are read to find one that was written


class Turn:
    """The messages of a turn, from the user's on, as they are in the transcript; the last one may be held back."""

    def __init__(self, host: Host, feed: Feed, row: Any) -> None:
        """`row` is the one with which the run began."""
        self._queries, self._hub, self._feed = host.queries, host.hub, feed
        self._key = {"session_id": row["session_id"], "run_id": row["run_id"], "process_id": host.hub.process_id}
        self._last_seq: int = row["last_seq"]
        self.messages: list[dict[str, Any]] = [json_numbers.read(row["message"])]
        self._held = b""
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None

    async def append(self, message: bytes) -> None:
        """Adds a message of the agent. Raises Refused if the run may not continue."""
        if self._held and self._late is None:
            self._write_late()
        await self.settled()
        decoded = msgspec.json.decode(message)
        if len(message) > _MOST_HELD or not _is_answer(decoded):
            await self.write(message, settles=decoded.get("role") == "assistant")
            self.messages.append(decoded)
            return
        self.messages.append(decoded)
        self._held = message
        self._feed.release()
        self._timer = asyncio.get_running_loop().call_later(_HELD, self._write_late)

    async def settled(self) -> None:
        """Waits until an answer is written whose time is over. Raises Refused if it may not be."""
        if (late := self._late) is not None:
            await asyncio.wait({late})
            if self._late is late:
                self._late = None
            late.result()

    async def take(self, seconds: float | None = None) -> bytes:
        """Returns the answer that is held back, which the end of the run has to write, or nothing.

        Waits for one that is being written, or so many seconds for the database. Raises Refused if it was not written.
        """
        self._hold_no_longer()
        if self._late is not None and not (await asyncio.wait({self._late}, timeout=seconds))[0]:
            self._late.cancel()
        await self.settled()
        held, self._held = self._held, b""
        return held

    async def write(self, message: bytes, settles: bool = True) -> None:
        """Writes a message at once; one of the agent settles what is shown of it. Raises Refused if it may not be."""
        try:
            row = await self._queries.runs.append(**self._key, messages=b"[" + message + b"]")
        except Unavailable:
            row = await self._write_again(message)
        except asyncpg.PostgresError as error:
            raise Refused("A message of the agent cannot be stored: it is too large or nested too deeply") from error
        if row is None:
            raise Refused(
                "Its sender may not send any more, the session is not active, or another process ended the run"
            )
        self._last_seq = row["last_seq"]
        if settles:
            self._feed.settle()
        self._hub.announce(self._key["session_id"])

    async def _write_again(self, message: bytes) -> Any:
        """Writes a message unless it is in the transcript: a broken connection leaves open whether it was committed."""
        wanted, runs = msgspec.json.decode(message), self._queries.runs
        while True:
            await asyncio.sleep(RETRY_DELAY)
            with contextlib.suppress(Unavailable):
                newer = await runs.get_history(
                    session_id=self._key["session_id"],
                    after=self._last_seq,
                    up_to_seq=_ALL,
                    limit=_ADDED,
                    max_bytes=_ADDED_BYTES,
                )
                if wanted in json_numbers.read(newer["messages"] or "[]"):
                    return newer
                return await runs.append(**self._key, messages=b"[" + message + b"]")

    def _write_late(self) -> None:
        self._hold_no_longer()
        held, self._held = self._held, b""
        self._late = asyncio.ensure_future(self._write_held(held))

    async def _write_held(self, message: bytes) -> None:
        try:
            await self.write(message)
        except BaseException as error:
            self.messages.pop()
            if isinstance(error, asyncio.CancelledError):
                raise Refused("The database was away when its answer was written") from error
            raise

    def _hold_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_answer(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant" and not any(isinstance(part, Call) for part in read(message).parts)
