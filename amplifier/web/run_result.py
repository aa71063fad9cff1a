"""Waits for the end of a run, and says how it ended."""

import asyncio
from typing import Any

import msgspec

from amplifier.errors import Problem
from amplifier.web.request import Request
from amplifier.web.run_submission import runner_of
from amplifier.web.scope_keys import DRAINING

_LATE = 5.0  # seconds after which an answer is not waited for any more, besides those that a run may take
_LOOK = 1.0  # seconds between two looks, in case that no notification comes
# how a run that did not end well is answered, by the type of its error
_STATUSES = {"cancelled": 409, "config": 400, "interrupted": 503, "provider": 502, "refused": 409, "timeout": 504}
_SOON = {"Retry-After": "1"}


def problem(row: Any) -> Problem:
    """Returns the problem of a run that failed or was cancelled."""
    error = msgspec.json.decode(row["error"] or b'{"type": "cancelled", "detail": "The run was cancelled"}')
    status = _STATUSES.get(error["type"], 500)
    headers = _SOON if status == 503 else None
    if "retry_after" in error:
        headers = {"Retry-After": str(error["retry_after"])}
    more = {name: error[name] for name in ("code", "retry_after") if name in error}
    return Problem(status, error["detail"], headers=headers, run_id=row["run_id"], **more)


async def ended(request: Request, session_id: str, run_id: str) -> Any:
    """Returns the row of a run when the run has finished. Raises Problem 404, 503, and 504 if it takes too long."""
    runner = runner_of(request)
    request.scope[DRAINING] = runner.drain  # type: ignore[literal-required]
    deadline = asyncio.get_running_loop().time() + runner.longest + _LATE
    execution = runner.find(run_id)
    with request.hub.watched(session_id) as changed:
        flag = changed if execution is None else execution.ended
        while True:
            changed.clear()
            row = await request.queries.runs.get(actor_id=request.caller.user_id, session_id=session_id, run_id=run_id)
            if row is None:
                raise Problem(404, f"Session not found: {session_id}")
            if row["finished_at"] is not None:
                return row
            later = f"ask GET /sessions/{session_id}/runs/{run_id}"
            if asyncio.get_running_loop().time() > deadline:
                raise Problem(504, f"The run goes on: {later}", run_id=run_id)
            if execution is None and runner.stopping.is_set():
                raise Problem(503, f"The service stops, the message waits: {later}", headers=_SOON, run_id=run_id)
            try:
                async with asyncio.timeout(_LOOK):
                    await flag.wait()
            except TimeoutError:
                continue
