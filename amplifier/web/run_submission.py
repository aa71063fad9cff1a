"""A message on its way to a run: starts or queues the run in one transaction and lets it begin after the commit.

Waiting for the answer lives in api/agent.py, streaming it in run_stream.py.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from amplifier.errors import Problem
from amplifier.queries.rows import Rights
from amplifier.runtime.runner import Runner
from amplifier.telemetry import tracing
from amplifier.web.request import Request, participation
from amplifier.web.responses import Answer
from amplifier.web.unit_of_work import commit


class Accepted(msgspec.Struct):
    """A message that became a run, and its place on the session's clock. It is stored for the Idempotency-Key."""

    run_id: str
    seq: int
    queued: bool


class Submission:
    """One message to the agent of a session: `commit` stores it as a run, then `begin` lets this run begin."""

    def __init__(self, request: Request, session_id: str) -> None:
        self._request, self._session_id = request, session_id
        self._row: Any = None  # of `runs.start`, when this process has the lease of the new run
        self._origin = tracing.origin()  # kept, because the answer may be a stream, which ends the request's span

    async def commit(self, accept: Callable[[], Awaitable[Accepted]]) -> Accepted:
        """Returns the result of `accept` after its commit, or what the first request with this Idempotency-Key got.

        Raises Problem.
        """
        result = await commit(self._request, accept)
        accepted: Accepted = msgspec.json.decode(result.body, type=Accepted) if isinstance(result, Answer) else result
        return accepted

    async def accept(self, message: bytes, on_busy: Literal["enqueue", "reject", "interrupt"]) -> Accepted:
        """Starts a run for the message, a JSON object, or queues it. Raises Problem 403, 404, 409, 429 and 501."""
        request, runner = self._request, runner_of(self._request)
        message = await request.app.state.scrubber.json(message)
        user_id, run_id = request.caller.user_id, str(uuid.uuid4())
        key = {
            "actor_id": user_id,
            "actor_app_id": request.caller.app_id,
            "session_id": self._session_id,
            "run_id": run_id,
        }
        if runner.reserve(run_id, user_id):
            self._row = await request.queries.runs.start(
                **key, message=message, process_id=runner.process_id, seconds=runner.lease
            )
            if self._row is not None:
                return Accepted(run_id, self._row["last_seq"] - 2, False)
            runner.give_back(run_id)
        if on_busy != "enqueue":
            await self._make_way(on_busy)
        most, most_of_user = runner.most_queued, runner.most_queued_of_user
        traceparent = self._origin and self._origin.traceparent
        row = await request.queries.runs.enqueue(
            **key, message=message, most=most, most_of_user=most_of_user, traceparent=traceparent
        )
        if row is None:
            raise await self._refusal(runner)
        return Accepted(run_id, row["last_seq"], True)

    def begin(self) -> None:
        """Begins the committed run, or the session's next one. Raises Problem 501."""
        runner = runner_of(self._request)
        if self._row is not None:
            runner.begin(self._row, self._origin)
        else:
            runner.look()
            runner.claim_soon(self._session_id)
        self._request.hub.announce(self._session_id)

    async def _refusal(self, runner: Runner) -> Problem:
        """Returns why the message was not queued. Raises Problem 404, 403 and 409."""
        await self._sender()
        rows = await self._unfinished_runs()
        detail = f"The session has {runner.most_queued} messages waiting (MAX_QUEUED_RUNS): try again later"
        if sum(row["status"] == "queued" for row in rows) < runner.most_queued:
            detail = (
                f"You have {runner.most_queued_of_user} messages waiting (MAX_QUEUED_RUNS_PER_USER): try again later"
            )
        return Problem(429, detail, headers={"Retry-After": "5"})

    async def _make_way(self, on_busy: str) -> None:
        """Cancels the session's running run. Raises Problem 409 for `reject`, 403 for callers who may not cancel."""
        rights = await self._sender()
        rows = await self._unfinished_runs()
        if on_busy == "reject" and rows:
            raise Problem(409, "The agent is at work: wait, or send the message with on_busy enqueue or interrupt")
        if rows and not rights.may_cancel:
            raise Problem(403, "Only owners, editors and whoever has the permission cancel may interrupt the agent")
        for row in rows:
            if row["status"] == "running":
                await self._request.queries.runs.cancel(
                    actor_id=self._request.caller.user_id, session_id=self._session_id, run_id=row["run_id"]
                )

    async def _unfinished_runs(self) -> list[Any]:
        runs = self._request.queries.runs
        return await runs.list_going(actor_id=self._request.caller.user_id, session_id=self._session_id)

    async def _sender(self) -> Rights:
        """Returns the rights of the caller, who may send here. Raises Problem 404, 403 and 409."""
        request, session_id = self._request, self._session_id
        try:
            rights = await participation(request, session_id)
        except Problem:
            raise Problem(404, f"Session not found: {session_id}") from None
        if not rights.may_send:
            raise Problem(403, "Only owners, editors and whoever has the permission send may send messages")
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is not None and row["status"] != "active":
            raise Problem(409, f"The session is {row['status']}: resume it before you send messages")
        if row is not None and row["config_id"] is None:
            path = f"/sessions/{session_id}"
            raise Problem(409, f"The session has no config for an agent: set config_id with PATCH {path}")
        return rights


def runner_of(request: Request) -> Runner:
    """Returns the service's runner. Raises Problem 501 where the extra `runtime` is not installed."""
    runner: Runner = request.app.state.runner
    if not runner.available:
        raise Problem(501, "This service runs no agents: it lacks amplifier-api[runtime]. Transcripts can be recorded.")
    return runner
