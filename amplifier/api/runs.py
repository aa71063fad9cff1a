"""The runs of a session's agent: what each took, and how to stop one."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.runtime.runner import Runner
from amplifier.web.paging import LATEST, After, Cursor, Limit, Pages, Position
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post
from amplifier.web.unit_of_work import recorded

RunStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
OfStatus = Annotated[RunStatus | None, QueryParameter(name="status", description="Only runs in this state")]
RunId = Annotated[
    str | None,
    QueryParameter(max_length=255, description="This run; by default the one that goes on, else the next one"),
]


_PAGES = Pages("runs", Position, LATEST, "queued_at", "run_id")


class RunError(msgspec.Struct):
    """The reason why a run failed; `code` is the provider's kind of error, `retry_after` its wait in seconds."""

    type: Literal["cancelled", "config", "internal", "interrupted", "provider", "refused", "timeout"]
    detail: str
    code: str | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


class ModelUsage(msgspec.Struct):
    """The calls of one model in a run, their seconds and the tokens that the provider reports, without numbers of 0."""

    model_calls: int | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    total_tokens: int | UnsetType = UNSET
    reasoning_tokens: int | UnsetType = UNSET
    cache_read_tokens: int | UnsetType = UNSET
    cache_write_tokens: int | UnsetType = UNSET


class RunUsage(msgspec.Struct):
    """The calls of models and tools in a run, the messages that models were not sent, and the tokens that the provider
    reports; `models` has those of each model, by its name. Numbers of 0 are absent."""

    model_calls: int | UnsetType = UNSET
    tool_calls: int | UnsetType = UNSET
    messages_left_out: int | UnsetType = UNSET
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    total_tokens: int | UnsetType = UNSET
    reasoning_tokens: int | UnsetType = UNSET
    cache_read_tokens: int | UnsetType = UNSET
    cache_write_tokens: int | UnsetType = UNSET
    models: dict[str, ModelUsage] | UnsetType = UNSET


class RunTiming(msgspec.Struct):
    """The seconds of a run: until the first part of the answer (`first_delta`), in models, in tools, in all. Empty for
    a run that its process did not finish."""

    first_delta: float | UnsetType = UNSET
    model: float | UnsetType = UNSET
    tools: float | UnsetType = UNSET
    total: float | UnsetType = UNSET


class Run(msgspec.Struct):
    """One turn of the agent, from the message that it answers to the `response` or the `error`.

    `error`, `usage` and `timing` stay JSON text on their way from the database: other members of older rows pass, too.
    """

    run_id: str
    session_id: str
    status: RunStatus
    message: msgspec.Raw
    user_id: str
    app_id: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    response: str | None
    finish_reason: str | None
    error: RunError | None
    usage: RunUsage
    timing: RunTiming
    cancelled_by_user_id: str | None
    config_id: str


class RunList(msgspec.Struct):
    """A page of runs; `next` is the cursor of the page after it."""

    items: list[Run]
    next: str | None


class RunMessage(msgspec.Struct):
    """Confirms the cancellation."""

    message: str


class RunsController(Controller):
    """Routes of a session's runs."""

    path = "/sessions/{session_id:str}"
    tags = ["agent"]

    @get("/runs", operation_id="list_runs", summary="The agent's runs")
    async def list_runs(
        self,
        request: Request,
        session_id: FromPath[str],
        status: OfStatus = None,
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
    ) -> RunList:
        """Newest first, those that wait and the one that goes on among them. For participants."""
        before = _PAGES.start(cursor, after)
        rows = await request.queries.runs.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            run_status=status,
            before_queued_at=before.moment,
            before_run_id=before.identifier,
            limit=limit + 1,
        )
        if not rows:
            await participation(request, session_id)
        return RunList(*_PAGES.page(rows, Run, limit))

    @get("/runs/{run_id:str}", operation_id="get_run", summary="One run")
    async def get_run(self, request: Request, session_id: FromPath[str], run_id: FromPath[str]) -> Run:
        """For participants of the session."""
        row = await request.queries.runs.get(actor_id=request.caller.user_id, session_id=session_id, run_id=run_id)
        if row is None:
            await participation(request, session_id)
            raise Problem(404, "Run not found")
        return Run(*row)

    @post(
        "/cancel",
        operation_id="cancel_run",
        ignores_body=True,
        summary="Stop the agent",
        status_code=200,
        errors=(403, 409),
        one_statement=True,
    )
    async def cancel_run(self, request: Request, session_id: FromPath[str], run_id: RunId = None) -> RunMessage:
        """Ends the model's call and the turn; the session stays active. A message that waits is taken back. 409 if
        nothing runs or waits, or the run has ended. For owners, editors and participants with `cancel`."""
        row = await recorded(request, request.queries.runs.cancel)(
            actor_id=request.caller.user_id, session_id=session_id, run_id=run_id
        )
        if row is None:
            raise await _refusal(request, session_id, run_id)
        request.afterwards(partial(_told, request.app.state.runner, session_id))
        return RunMessage("Cancellation requested")


def _told(runner: Runner, session_id: str) -> None:
    """Ends the cancelled run, or begins the next message of the session: another process may have skipped it."""
    runner.look()
    runner.claim_soon(session_id)


async def _refusal(request: Request, session_id: str, run_id: str | None) -> Problem:
    """Returns the problem of a cancellation that changed nothing."""
    try:
        part = await participation(request, session_id)
    except Problem:
        return Problem(404, "Session not found or not active")
    if not part.may_cancel:
        return Problem(403, "Only owners, editors and whoever has the permission cancel may stop the agent")
    if run_id is None:
        return Problem(409, "No run is going on or waiting: there is nothing to cancel")
    row = await request.queries.runs.get(actor_id=request.caller.user_id, session_id=session_id, run_id=run_id)
    if row is None:
        return Problem(404, "Run not found")
    return Problem(409, f"The run has ended, as {row['status']}: there is nothing to cancel")
