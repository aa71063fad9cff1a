"""Messages that people send to an agent, and its answer: whole, or as a stream while it is produced."""

from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody
from msgspec import UNSET

from amplifier.errors import Problem
from amplifier.web.bodies import LenientBody, Warnings
from amplifier.web.request import Request
from amplifier.web.routing import post
from amplifier.web.run_result import ended, problem
from amplifier.web.run_stream import Place, RunStream, place
from amplifier.web.run_submission import Accepted, Submission

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
        description="The `id` of the last event that the client has: joins its run instead of sending the message",
    ),
]


class SendMessage(LenientBody):
    """A message for the agent. The model receives `context` after it, as JSON. `on_busy` decides what happens while the
    agent is at work: the message waits, it is refused (409), or it interrupts the agent."""

    message: Text
    context: dict[str, Any] | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"


class AnswerMetadata(msgspec.Struct):
    """The config that answered, the run, and the reason for which the model ended its answer."""

    config_id: str
    run_id: str
    finish_reason: str | None


class AgentAnswer(msgspec.Struct):
    """The agent's last message of the turn."""

    session_id: str
    response: str
    metadata: AnswerMetadata
    warnings: Warnings = UNSET


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
        commits_itself=True,
    )
    async def send_message(
        self, request: Request, session_id: FromPath[str], data: JSONBody[SendMessage]
    ) -> AgentAnswer:
        """Runs the agent and answers with its last message; the turn continues when the client disconnects. For owners,
        editors and participants with `send`; the session must be active. The same Idempotency-Key waits for the
        same run."""
        return await _commit_and_wait(request, session_id, data)

    @post(
        "/stream",
        operation_id="stream_message",
        summary="Send a message and follow the answer",
        status_code=200,
        audited=False,
        responses=_STREAM,
        errors=(403, 409, 429, 501),
        commits_itself=True,
    )
    async def stream_message(
        self,
        request: Request,
        session_id: FromPath[str],
        data: JSONBody[SendMessage],
        last_event_id: LastEventId = None,
    ) -> RunStream:
        """Like `send_message`, as server-sent events of `data: {"type", ...}`: `connected`, then the agent's events, as
        `{"type", "data"}`, then `response` with the `content` and `done`, or else one `error`. A client that was
        disconnected sends the same request with Last-Event-ID."""
        return await _commit_and_follow(request, session_id, data, last_event_id)


async def _commit_and_wait(request: Request, session_id: str, data: SendMessage) -> AgentAnswer:
    """Commits the message, begins its run and waits for the end of the run. Raises Problem."""
    submission = Submission(request, session_id)
    accepted = await submission.commit(partial(submission.accept, _encoded(data), data.on_busy))
    submission.begin()
    row = await ended(request, session_id, accepted.run_id)
    if row["status"] != "completed":
        raise problem(row)
    metadata = AnswerMetadata(row["config_id"], row["run_id"], row["finish_reason"])
    return AgentAnswer(session_id, row["response"] or "", metadata)


async def _commit_and_follow(
    request: Request, session_id: str, data: SendMessage, last_event_id: str | None
) -> RunStream:
    """Commits the message, or finds the run of `last_event_id`, and returns the stream that lets the run begin.

    Raises Problem.
    """
    submission = Submission(request, session_id)

    async def accept() -> Accepted:
        if last_event_id:
            return await _joined(request, session_id, place(last_event_id))
        with request.hub.admitted(request.caller.user_id, request.app.state.max_streams):
            return await submission.accept(_encoded(data), data.on_busy)  # of a stream too many nothing is sent

    accepted = await submission.commit(accept)
    start = Place(accepted.run_id, accepted.seq, accepted.queued)
    return RunStream(request.caller, session_id, start, submission.begin)


def _encoded(data: SendMessage) -> bytes:
    """Returns the message as it enters the transcript."""
    metadata = {"metadata": {"context": data.context}} if data.context else {}
    return msgspec.json.encode({"role": "user", "content": data.message} | metadata)


async def _joined(request: Request, session_id: str, start: Place) -> Accepted:
    """Returns the place in a run that exists. Raises Problem 404 and 422."""
    queries, actor_id = request.queries, request.caller.user_id
    session = await queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if session is None:
        raise Problem(404, f"Session not found: {session_id}")
    if await queries.runs.get(actor_id=actor_id, session_id=session_id, run_id=start.run_id) is None:
        raise Problem(404, f"Run not found: {start.run_id}")
    if start.seq > session["last_seq"]:
        raise Problem(422, "Last-Event-ID: must be the id of an event of a run's stream")
    return Accepted(start.run_id, start.seq, start.queued)
