"""What people send to an agent, and its answer: whole, or as a stream while it is made."""

import asyncio
import uuid
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody

from amplifier.errors import Problem
from amplifier.queries.rows import Rights
from amplifier.runtime.runner import Runner
from amplifier.web.request import Request, participation
from amplifier.web.responses import Answer
from amplifier.web.routing import post
from amplifier.web.run_stream import Place, RunStream, place
from amplifier.web.uvicorn_protocols import DRAINING

_LATE = 5.0  # seconds after which an answer is not waited for any more, besides those that a run may take
_LOOK = 1.0  # seconds between two looks, in case that no notification comes
# how a run that did not end well is answered, by the type of its error
_STATUSES = {"cancelled": 409, "config": 400, "interrupted": 503, "provider": 502, "refused": 409, "timeout": 504}
_SOON = {"Retry-After": "1"}
_STREAM = {
    200: ResponseSpec(
        str, description="Events until the run is over", media_type="text/event-stream", generate_examples=False
    )
}

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="Joins the run of this event instead of sending the message; goes on behind it",
    ),
]


class SendMessage(msgspec.Struct):
    """A message for the agent. The model gets `context` behind it, as JSON. `on_busy` says what becomes of it while the
    agent is at work: it waits, it is refused (409), or the agent is interrupted."""

    message: Text
    context: dict[str, Any] | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"


class AnswerMetadata(msgspec.Struct):
    """Which config answered, and in which run."""

    config_id: str
    run_id: str


class AgentAnswer(msgspec.Struct):
    """What the agent said at the end of its turn."""

    session_id: str
    response: str
    metadata: AnswerMetadata


class Accepted(msgspec.Struct):
    """A message that became a run, and where on the session's clock that stands."""

    run_id: str
    seq: int
    queued: bool


class MessagesController(Controller):
    """Routes of a session that run its agent."""

    path = "/sessions/{session_id:str}"
    tags = ["agent"]

    # the row of the run says who sent it: no entry in the audit log
    @post(
        "/messages",
        operation_id="send_message",
        summary="Send a message",
        status_code=200,
        audited=False,
        errors=(400, 403, 409, 429, 501, 502, 504),
        goes_on=lambda request, result: _answered(request, _accepted(result)),
    )
    async def send_message(
        self, request: Request, session_id: FromPath[str], data: JSONBody[SendMessage]
    ) -> AgentAnswer:
        """Runs the agent and answers with what it says; the turn goes on when the client leaves. For owners, editors
        and whoever has `send`; the session must be active. The same Idempotency-Key waits for the same run."""
        return await _accept(request, session_id, data)  # type: ignore[return-value]

    @post(
        "/stream",
        operation_id="stream_message",
        summary="Send a message and follow the answer",
        status_code=200,
        audited=False,
        responses=_STREAM,
        errors=(403, 409, 429, 501),
        goes_on=lambda request, result: _streamed(request, _accepted(result)),
    )
    async def stream_message(
        self,
        request: Request,
        session_id: FromPath[str],
        data: JSONBody[SendMessage],
        last_event_id: LastEventId = None,
    ) -> Any:
        """As `send_message`, as server-sent events of `data: {"type", ...}`: `connected`, then what the agent does, as
        `{"type", "data"}`, then `response` with the `content` and `done`, or else one `error`. Whoever was cut off
        sends the same request with Last-Event-ID."""
        if last_event_id:
            return await _joined(request, session_id, place(last_event_id))
        with request.hub.admitted(request.caller.user_id, request.app.state.max_streams):
            return await _accept(request, session_id, data)  # of a stream too many nothing is sent


async def _joined(request: Request, session_id: str, start: Place) -> Accepted:
    """The place in a run that exists. Raises Problem 404 and 422."""
    queries, actor_id = request.queries, request.caller.user_id
    session = await queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if session is None:
        raise Problem(404, f"Session not found: {session_id}")
    if await queries.runs.get(actor_id=actor_id, session_id=session_id, run_id=start.run_id) is None:
        raise Problem(404, f"Run not found: {start.run_id}")
    if start.seq > session["last_seq"]:
        raise Problem(422, "Last-Event-ID: must be the id of an event of a run's stream")
    return Accepted(start.run_id, start.seq, start.queued)


async def _accept(request: Request, session_id: str, data: SendMessage) -> Accepted:
    """Begins a run of the message, or has it wait. Raises Problem."""
    runner, caller = _runner(request), request.caller
    metadata = {"metadata": {"context": data.context}} if data.context else {}
    message = msgspec.json.encode({"role": "user", "content": data.message} | metadata)
    run_id = str(uuid.uuid4())
    key = {"actor_id": caller.user_id, "actor_app_id": caller.app_id, "session_id": session_id, "run_id": run_id}
    if runner.reserve(run_id, caller.user_id):
        row = await request.queries.runs.start(
            **key, message=message, process_id=runner.process_id, seconds=runner.lease
        )
        if row is not None:
            request.scope["state"]["going"] = row
            return Accepted(run_id, row["last_seq"] - 2, False)
        runner.give_back(run_id)
    return await _enqueue(request, key, message, data.on_busy)


async def _enqueue(request: Request, key: dict[str, str], message: bytes, on_busy: str) -> Accepted:
    session_id, runner = key["session_id"], _runner(request)
    most, most_of_user = runner.most_queued, runner.most_queued_of_user
    if on_busy != "enqueue":
        await _make_way(request, session_id, on_busy)
    row = await request.queries.runs.enqueue(**key, message=message, most=most, most_of_user=most_of_user)
    if row is None:
        raise await _refusal(request, session_id)
    return Accepted(key["run_id"], row["last_seq"], True)


async def _refusal(request: Request, session_id: str) -> Problem:
    """Why a message does not wait; asked only then. Raises Problem 404, 403 and 409."""
    await _sender(request, session_id)
    runner = _runner(request)
    rows = await request.queries.runs.list_going(actor_id=request.caller.user_id, session_id=session_id)
    detail = f"The session has {runner.most_queued} messages waiting (MAX_QUEUED_RUNS): try again later"
    if sum(row["status"] == "queued" for row in rows) < runner.most_queued:
        detail = f"You have {runner.most_queued_of_user} messages waiting (MAX_QUEUED_RUNS_PER_USER): try again later"
    return Problem(429, detail, headers={"Retry-After": "5"})


async def _make_way(request: Request, session_id: str, on_busy: str) -> None:
    """Cancels the run that goes on. Raises Problem 409 where that is not wanted, 403 where it is not allowed."""
    part = await _sender(request, session_id)
    rows = await request.queries.runs.list_going(actor_id=request.caller.user_id, session_id=session_id)
    if on_busy == "reject" and rows:
        raise Problem(409, "The agent is at work: wait, or send the message with on_busy enqueue or interrupt")
    if rows and not part.may_cancel:
        raise Problem(403, "Only owners, editors and whoever has the permission cancel may interrupt the agent")
    for row in rows:
        if row["status"] == "running":
            await request.queries.runs.cancel(
                actor_id=request.caller.user_id, session_id=session_id, run_id=row["run_id"]
            )


async def _sender(request: Request, session_id: str) -> Rights:
    """Returns the rights of the caller, who may send here. Raises Problem 404, 403 and 409."""
    try:
        part = await participation(request, session_id)
    except Problem:
        raise Problem(404, f"Session not found: {session_id}") from None
    if not part.may_send:
        raise Problem(403, "Only owners, editors and whoever has the permission send may send messages")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is not None and row["status"] != "active":
        raise Problem(409, f"The session is {row['status']}: resume it before you send messages")
    return part


def _runner(request: Request) -> Runner:
    """What runs agents here. Raises Problem 501 where it cannot."""
    runner: Runner = request.app.state.runner
    if not runner.available:
        raise Problem(501, "This service runs no agents: it lacks amplifier-api[runtime]. Transcripts can be recorded.")
    return runner


def _accepted(result: Any) -> Accepted:
    """What the handler returned, now or at the first request with this key."""
    accepted: Accepted = result
    return msgspec.json.decode(result.body, type=Accepted) if isinstance(result, Answer) else accepted


def _begin(request: Request) -> None:
    """Lets the run begin, now that it is committed."""
    runner, session_id = _runner(request), request.path_params["session_id"]
    if (row := request.scope["state"].pop("going", None)) is not None:
        runner.begin(row)
    else:
        runner.look()
        runner.claim_soon(session_id)
    request.hub.announce(session_id)


async def _streamed(request: Request, accepted: Accepted) -> RunStream:
    start = Place(accepted.run_id, accepted.seq, accepted.queued)
    return RunStream(request.caller, request.path_params["session_id"], start, partial(_begin, request))


async def _answered(request: Request, accepted: Accepted) -> AgentAnswer:
    """Waits for the end of the run. Raises Problem."""
    runner, session_id = _runner(request), request.path_params["session_id"]
    _begin(request)
    request.scope[DRAINING] = runner.drain  # type: ignore[literal-required]
    row = await _ended(request, session_id, accepted.run_id, runner.longest + _LATE)
    if row["status"] == "completed":
        return AgentAnswer(session_id, row["response"] or "", AnswerMetadata(row["config_id"], row["run_id"]))
    error = msgspec.json.decode(row["error"] or b'{"type": "cancelled", "message": "The run was cancelled"}')
    status = _STATUSES.get(error["type"], 500)
    headers = _SOON if status == 503 else None
    code = {"code": error["code"]} if "code" in error else {}
    raise Problem(status, error["message"], headers=headers, run_id=accepted.run_id, **code)


async def _ended(request: Request, session_id: str, run_id: str, seconds: float) -> Any:
    deadline = asyncio.get_running_loop().time() + seconds
    runner = _runner(request)
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
