"""OpenAI's Responses API: a message to the agent of a conversation, and its answer, whole or as a stream."""

import contextlib
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, PathParameter

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.conversation_view import not_found, session_of
from amplifier.web.request import Request
from amplifier.web.response_stream import ResponseStream
from amplifier.web.response_view import AgentResponse, begun, of_run, place_of
from amplifier.web.routing import get, post
from amplifier.web.run_result import ended
from amplifier.web.run_stream import Place
from amplifier.web.run_submission import Accepted, Submission

ResponseId = Annotated[str, PathParameter(max_length=600, description="The response's id")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]
Input = Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=1)]
# of the API, and decided by the agent's config
_REFUSED = {
    "instructions": "the config of the conversation has them",
    "previous_response_id": "send conversation, which has all that was said before",
    "tools": "the agent has the tools of its config",
    "background": "send stream to follow the answer",
}


class ConversationReference(Body):
    """A conversation by its id."""

    id: str


class CreateResponse(Body, kw_only=True):
    """A message for the agent of a conversation: a text, or a list of one message of the user. `model` is the config of
    the conversation, or absent. `instructions`, `tools`, `previous_response_id` and `background` are refused."""

    conversation: str | ConversationReference | None = None
    input: Text | Input
    model: str | None = None
    stream: bool | None = False
    instructions: Any = None
    previous_response_id: Any = None
    tools: Any = None
    background: Any = None
    include: Any = None
    metadata: Any = None
    parallel_tool_calls: Any = None
    prompt_cache_key: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None
    stream_options: Any = None
    tool_choice: Any = None
    truncation: Any = None
    user: Any = None


class OpenAIResponsesController(Controller):
    """Routes below /v1/responses."""

    path = "/v1/responses"
    tags = ["openai"]

    # the row of the run says who sent it: no entry in the audit log
    @post(
        operation_id="create_response",
        summary="Ask the agent of a conversation",
        status_code=200,
        audited=False,
        errors=(403, 404, 409, 429, 501),
        commits_itself=True,
    )
    async def create_response(self, request: Request, data: JSONBody[CreateResponse]) -> AgentResponse:
        """Runs the agent of the conversation's session and answers with what it said, with `stream` as server-sent
        events `response.*`. A run that failed is a response with the status `failed`. For owners, editors and
        participants with `send`; the session must be active, and its agent must not be at work (409)."""
        return await _commit_and_answer(request, data)  # type: ignore[no-any-return]

    @get("/{response_id:str}", operation_id="get_response", summary="One response")
    async def get_response(self, request: Request, response_id: FromPath[ResponseId]) -> AgentResponse:
        """Returns the run of the response as it is now. For the participants of its session."""
        place = place_of(response_id)
        row = None
        if place is not None:
            key = {"actor_id": request.caller.user_id, "session_id": place[0], "run_id": place[1]}
            row = await request.queries.runs.get(**key)
        if row is None:
            raise Problem(404, "Response not found")
        return of_run(row)


async def _commit_and_answer(request: Request, data: CreateResponse) -> Any:
    """Commits the message, begins its run, and returns the answer or the stream. Raises Problem."""
    given = data.conversation
    if given is None:
        raise _unfit("conversation", "send the id of a conversation, whose agent answers")
    for name, remedy in _REFUSED.items():
        if getattr(data, name):
            raise _unfit(name, f"leave it out: {remedy}")
    message = _message(data.input)
    session_id = session_of(request, given if isinstance(given, str) else given.id)
    submission = Submission(request, session_id)
    config_id = await _config(request, session_id, data.model)

    async def accept() -> Accepted:
        most = request.app.state.max_streams
        with request.hub.admitted(request.caller.user_id, most) if data.stream else contextlib.nullcontext():
            return await submission.accept(message, "reject")  # of a stream too many nothing is sent

    accepted = await submission.commit(accept)
    if data.stream:
        start = Place(accepted.run_id, accepted.seq, accepted.queued)
        stream = ResponseStream(request.caller, session_id, start, submission.begin)
        stream.config_id = config_id
        return stream
    submission.begin()
    try:
        return of_run(await ended(request, session_id, accepted.run_id))
    except Problem as problem:
        if "run_id" not in problem.members:
            raise
        return begun(session_id, accepted.run_id, config_id)  # it goes on: a client would repeat what failed


async def _config(request: Request, session_id: str, model: str | None) -> str:
    """Returns the config of the session, which is `model` if that is given. Raises Problem 403, 404, 409 and 422."""
    sessions, caller = request.queries.sessions, request.caller
    row = await sessions.get(actor_id=caller.user_id, session_id=session_id)
    if row is None:
        raise not_found()
    config_id: str | None = row["config_id"]
    if config_id is None:
        raise Problem(
            409, f"The conversation has no config for an agent: set config_id with PATCH /sessions/{session_id}"
        )
    if model not in (None, config_id):
        raise _unfit(
            "model", f"the agent of the conversation answers: leave model out, or send its config, {config_id}"
        )
    return config_id


def _message(given: str | list[dict[str, Any]]) -> bytes:
    """Returns the message as it enters the transcript. Raises Problem 422."""
    if isinstance(given, str):
        return msgspec.json.encode({"role": "user", "content": given})
    item = given[0]
    content = item.get("content")
    if item.get("type", "message") != "message" or item.get("role") != "user":
        raise _unfit("input", "send a text or one message of the user; add other items to the conversation before")
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    texts = [_text_of(part) for part in parts] if isinstance(parts, list) else []
    if not any(texts) or None in texts:
        raise _unfit("input", "the message must have text, and nothing else; add images and files to the conversation")
    return msgspec.json.encode({"role": "user", "content": "\n".join(text for text in texts if text)})


def _text_of(part: Any) -> str | None:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "input_text" else None
    return text if isinstance(text, str) else None


def _unfit(name: str, detail: str) -> Problem:
    return Problem(422, f"{name}: {detail}", errors=[{"field": name, "detail": detail}])
