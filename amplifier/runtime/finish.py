"""Writes how runs ended, with what their turns lack in the transcript."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from amplifier import json_numbers
from amplifier.database.outages import is_of_data, is_too_slow
from amplifier.errors import Unavailable
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.transcripts.integrity import closing

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution, Outcome

logger = logging.getLogger(__name__)

TOO_LARGE = {"type": "refused", "message": "A message of it cannot be stored: it is too large or nested too deeply"}
_HISTORY, _HISTORY_BYTES = 1000, 8 * 1024 * 1024  # messages and bytes that are looked at to end a turn
_TRIES = 60  # a second apart; after that the lease is over, and another process ends the run


class Endings:
    """Ends the runs of this process, and those that it took over."""

    def __init__(self, queries: Queries, hub: Hub) -> None:
        self._queries, self._hub = queries, hub

    async def end(self, execution: "Execution", outcome: "Outcome") -> bool:
        """Ends a run that was carried out here, unless another process took it over. Whether others of the session may
        wait."""
        if execution.stopped == "lost":
            return False
        row = await self._write(
            _TRIES,
            session_id=execution.session_id,
            run_id=execution.run_id,
            status=outcome.status,
            response=outcome.response,
            error=None if outcome.failure is None else msgspec.json.encode(outcome.failure),
            usage=msgspec.json.encode({name: count for name, count in execution.meter.usage.items() if count}),
            timing=msgspec.json.encode(execution.timing),
            messages=_closed(execution, outcome),
        )
        execution.feed.end()
        return row is None or row["others_wait"]

    async def bury(self, row: Any) -> None:
        """Ends a run of `runs.reap`, whose process died. Raises whatever keeps it from that."""
        key = {"session_id": row["session_id"]}
        status: Literal["cancelled", "failed"] = "cancelled" if row["cancelled"] else "failed"
        error = {"type": "interrupted", "message": "The process that ran it ended or lost the database"}
        if row["cancelled"]:
            error = {"type": "cancelled", "message": "The run was cancelled"}
        await self._write(
            1,  # its lease ends, and then comes the next try
            **key,
            run_id=row["run_id"],
            status=status,
            response=None,
            error=msgspec.json.encode(error),
            usage=b"{}",
            timing=b"{}",
            messages=await self._missing(row, status),
        )

    async def _missing(self, row: Any, status: Literal["cancelled", "failed"]) -> bytes:
        """The messages that close the turn of a dead process's run, as JSON; none for a transcript that is not read."""
        try:
            history = await self._queries.runs.get_history(
                session_id=row["session_id"],
                after=0,
                up_to_seq=2**63 - 1,
                limit=_HISTORY,
                max_bytes=_HISTORY_BYTES,
            )
            return msgspec.json.encode(closing(json_numbers.read(history["messages"] or "[]"), status))
        except Exception as error:
            if isinstance(error, Unavailable) and not is_too_slow(error):
                raise
            logger.warning("run %s/%s ends without its turn: %r", row["session_id"], row["run_id"], error)
            return b"[]"

    async def _write(self, tries: int, **ending: Any) -> Any:
        """The row of `runs.finish`, or none where another process ends the run. Raises Unavailable after the last try.

        What cannot be written, whenever it is tried, is left out: then the run has failed for that.
        """
        for left in reversed(range(tries)):
            try:
                row = await self._queries.runs.finish(process_id=self._hub.process_id, **ending)
                self._hub.announce(ending["session_id"])
                return row
            except Exception as error:
                hopeless = is_of_data(error) or (is_too_slow(error) and not left)
                if hopeless and not ending.items() >= _BARE.items():
                    logger.warning("run %s/%s ends without its turn: %r", ending["session_id"], ending["run_id"], error)
                    return await self._write(tries, **(ending | _BARE | _failed(ending)))
                if not isinstance(error, Unavailable) or not left:
                    raise
                await asyncio.sleep(1)
        return None


_BARE: dict[str, Any] = {"response": None, "usage": b"{}", "timing": b"{}", "messages": b"[]"}


def _failed(ending: dict[str, Any]) -> dict[str, Any]:
    """The status and error of a run whose end was too large to be written."""
    return {} if ending["status"] == "cancelled" else {"status": "failed", "error": msgspec.json.encode(TOO_LARGE)}


def _closed(execution: "Execution", outcome: "Outcome") -> bytes:
    """The messages that close the turn of a run, as JSON."""
    if outcome.status != "completed":
        messages = closing(execution.turn, outcome.status, execution.feed.partial)
    elif messages := closing(execution.turn, "failed"):  # by a hook that refused, or a strange orchestrator
        messages[-1] = {"role": "assistant", "content": outcome.response}
    return msgspec.json.encode(messages)
