"""Writes how runs ended, with what their turns lack in the transcript."""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from amplifier.events import Hub
from amplifier.integrity import closing
from amplifier.outages import Unavailable
from amplifier.queries import Queries

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution, Outcome

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
        if outcome.status != "completed":
            messages = closing(execution.turn, outcome.status, execution.feed.partial)
        elif messages := closing(execution.turn, "failed"):  # by a hook that refused, or a strange orchestrator
            messages[-1] = {"role": "assistant", "content": outcome.response}
        row = await self._write(
            session_id=execution.session_id,
            run_id=execution.run_id,
            status=outcome.status,
            response=outcome.response,
            error=None if outcome.failure is None else msgspec.json.encode(outcome.failure),
            usage=msgspec.json.encode({name: count for name, count in execution.meter.usage.items() if count}),
            timing=msgspec.json.encode(execution.timing),
            messages=msgspec.json.encode(messages),
        )
        execution.feed.end()
        return row is None or row["others_wait"]

    async def bury(self, row: Any) -> None:
        """Ends a run of `runs.reap`, whose process died."""
        key = {"session_id": row["session_id"]}
        history = await self._queries.runs.get_history(
            **key, after=0, up_to_seq=2**63 - 1, limit=_HISTORY, max_bytes=_HISTORY_BYTES
        )
        turn = msgspec.json.decode(history["messages"] or "[]")
        status: Literal["cancelled", "failed"] = "cancelled" if row["cancelled"] else "failed"
        error = {"type": "interrupted", "message": "The process that ran it ended or lost the database"}
        if row["cancelled"]:
            error = {"type": "cancelled", "message": "The run was cancelled"}
        await self._write(
            **key,
            run_id=row["run_id"],
            status=status,
            response=None,
            error=msgspec.json.encode(error),
            usage=b"{}",
            timing=b"{}",
            messages=msgspec.json.encode(closing(turn, status)),
        )

    async def _write(self, **ending: Any) -> Any:
        """The row of `runs.finish`, or none where another process ends the run."""
        for _ in range(_TRIES):
            try:
                row = await self._queries.runs.finish(process_id=self._hub.process_id, **ending)
                self._hub.announce(ending["session_id"])
                return row
            except Unavailable:
                await asyncio.sleep(1)
        return None
