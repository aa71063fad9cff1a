"""Writes the outcomes of runs, with the messages that their turns lack in the transcript.

Runs that cannot be begun are refused in `queue.py`.
"""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import msgspec

from amplifier import json_numbers
from amplifier.database.outages import is_of_data, is_too_slow
from amplifier.errors import Unavailable
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.telemetry import recorder
from amplifier.transcripts.integrity import closing

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution, Outcome

logger = logging.getLogger(__name__)

TOO_LARGE = {"type": "refused", "message": "A message of it cannot be stored: it is too large or nested too deeply"}
_HISTORY, _HISTORY_BYTES = 1000, 8 * 1024 * 1024  # messages and bytes that are read to close a turn
_TRIES = 60  # a second apart; after that the lease has expired, and another process ends the run


class Endings:
    """Ends the runs of this process and those that it took over from dead processes."""

    def __init__(self, queries: Queries, hub: Hub) -> None:
        self._queries, self._hub = queries, hub

    async def end(self, execution: "Execution", outcome: "Outcome") -> bool:
        """Ends a run that was executed here, unless another process took it over.

        Returns whether other runs of the session may be waiting. Raises errors of the database, Unavailable only after
        the last try.
        """
        if execution.stopped == "lost":
            await self._count_lost(execution.session_id)
            return False
        answer = execution.answer
        if answer and outcome.status == "completed":
            if (row := await self._at_once(execution, outcome, answer)) is not None:
                return bool(row["others_wait"])
            outcome, answer = await execution.write_answer(answer, outcome), b""
        row = await self._write(_TRIES, execution.timing["total"], **await _ending(execution, outcome, answer))
        execution.feed.end()
        if row is None:
            await self._count_lost(execution.session_id)
        return row is None or row["others_wait"]

    async def _at_once(self, execution: "Execution", outcome: "Outcome", answer: bytes) -> Any:
        """Ends a run and writes its answer, in one commit, and returns the row of `runs.finish`.

        Returns None if this is not possible, or the database did not say that it was done.
        """
        ending = await _ending(execution, outcome, answer)
        with contextlib.suppress(Unavailable, asyncpg.PostgresError):
            row = await self._finish(execution.timing["total"], **ending, answers=True)
            if row is not None:
                execution.feed.end()
            return row
        return None

    async def end_abandoned(self, row: Any) -> None:
        """Ends a run whose process died, given its row of `runs.reap`. Raises any error of the database."""
        key = {"session_id": row["session_id"]}
        status: Literal["cancelled", "failed"] = "cancelled" if row["cancelled"] else "failed"
        error = {"type": "interrupted", "message": "The process that ran it ended or lost the database"}
        if row["cancelled"]:
            error = {"type": "cancelled", "message": "The run was cancelled"}
        await self._write(
            1,  # the next try comes when the lease of this process has expired
            None,
            **key,
            run_id=row["run_id"],
            status=status,
            response=None,
            finish_reason=None,
            error=msgspec.json.encode(error),
            usage=b"{}",
            timing=b"{}",
            messages=await self._missing(row, status),
        )
        recorder.current.run_taken_over()

    async def _count_lost(self, session_id: str) -> None:
        """Counts a run that another process took over, not one whose session was deleted."""
        with contextlib.suppress(Unavailable):
            if await self._queries.events.list_existing(session_ids=[session_id]):
                recorder.current.lease_lost()

    async def _missing(self, row: Any, status: Literal["cancelled", "failed"]) -> bytes:
        """Returns the messages that close the turn of a dead process's run, as JSON.

        Returns an empty list if the transcript cannot be read. Raises Unavailable.
        """
        try:
            history = await self._queries.runs.get_history(
                session_id=row["session_id"],
                after=0,
                up_to_seq=2**62,  # larger than any
                limit=_HISTORY,
                max_bytes=_HISTORY_BYTES,
            )
            return msgspec.json.encode(closing(json_numbers.read(history["messages"] or "[]"), status))
        except Exception as error:
            if isinstance(error, Unavailable) and not is_too_slow(error):
                raise
            logger.warning("run %s/%s ends without its messages: %r", row["session_id"], row["run_id"], error)
            return b"[]"

    async def _write(self, tries: int, seconds: float | None, **ending: Any) -> Any:
        """Returns the row of `runs.finish`, or None if another process ends the run.

        If the database refuses the data or needs too long, ends the run without response and messages, as failed.
        Raises Unavailable after the last try.
        """
        for left in reversed(range(tries)):
            try:
                return await self._finish(seconds, **ending)
            except Exception as error:
                hopeless = is_of_data(error) or (is_too_slow(error) and not left)
                if hopeless and not ending.items() >= _BARE.items():
                    place = ending["session_id"], ending["run_id"]
                    logger.warning("run %s/%s ends without its messages: %r", *place, error)
                    return await self._write(tries, seconds, **(ending | _BARE | _failed(ending)))
                if not isinstance(error, Unavailable) or not left:
                    raise
                await asyncio.sleep(1)
        return None

    async def _finish(self, seconds: float | None, answers: bool = False, **ending: Any) -> Any:
        row = await self._queries.runs.finish(process_id=self._hub.process_id, answers=answers, **ending)
        if row is not None:
            recorder.current.run_ended(ending["status"], seconds)
        self._hub.announce(ending["session_id"])
        return row


_BARE: dict[str, Any] = {"response": None, "usage": b"{}", "timing": b"{}", "messages": b"[]"}


def _failed(ending: dict[str, Any]) -> dict[str, Any]:
    """Returns the status and error of a run whose outcome is too large to be written."""
    return {} if ending["status"] == "cancelled" else {"status": "failed", "error": msgspec.json.encode(TOO_LARGE)}


async def _ending(execution: "Execution", outcome: "Outcome", answer: bytes) -> dict[str, Any]:
    """Returns the arguments of `runs.finish`. `answer` is a message of the turn that is not written yet, or empty."""
    error = None if outcome.failure is None else await execution.scrubbed(msgspec.json.encode(outcome.failure))
    closing = await execution.scrubbed(_closed(execution, outcome))
    return {
        "session_id": execution.session_id,
        "run_id": execution.run_id,
        "status": outcome.status,
        "response": outcome.response,
        "finish_reason": execution.meter.finish_reason,
        "error": error,
        "usage": msgspec.json.encode(execution.meter.numbers),
        "timing": msgspec.json.encode(execution.timing),
        "messages": closing if not answer else b"[" + answer + (b"]" if closing == b"[]" else b"," + closing[1:]),
    }


def _closed(execution: "Execution", outcome: "Outcome") -> bytes:
    """Returns the messages that close the turn of a run, as JSON."""
    # a completed turn lacks its answer when a hook denied it, or an orchestrator wrote none
    text = outcome.response or "" if outcome.status == "completed" else execution.feed.partial
    messages = closing(execution.turn.messages, outcome.status, text if text.strip() else "")
    reason = execution.meter.finish_reason
    if outcome.status == "failed" and reason and messages and messages[-1]["role"] == "assistant":
        messages[-1]["metadata"] = messages[-1].get("metadata", {}) | {"finish_reason": reason}
    return msgspec.json.encode(messages)
