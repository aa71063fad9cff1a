"""The response of OpenAI's Responses API: a run of an agent, as OpenAI's clients know it."""

from typing import Any, Literal

import msgspec

from amplifier import clock
from amplifier.transcripts.response_items import message_item
from amplifier.web.conversation_view import identifier

_PREFIX = "resp_"
_STATUSES = {"queued": "queued", "running": "in_progress"}
_CUT = ("length", "max_tokens")  # reasons for which a model ends an answer too early
_CODES = {"rate_limit": "rate_limit_exceeded"}  # of errors, in the words of OpenAI's API

Item = dict[str, Any]


class OutputItem(msgspec.Struct):
    """The message of the agent, with the content `output_text`."""

    id: str
    type: str
    role: str
    status: str
    content: list[dict[str, Any]]


class ResponseConversation(msgspec.Struct):
    """The conversation in which the agent answered."""

    id: str


class ResponseFailure(msgspec.Struct):
    """Why the agent did not answer."""

    code: str
    message: str


class ResponseUsage(msgspec.Struct):
    """The tokens of all calls of models in the turn."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class AgentResponse(msgspec.Struct, kw_only=True):
    """An answer of a conversation's agent. `model` is the config that answered; `error` is why the run failed."""

    id: str
    object: str = "response"
    created_at: float
    completed_at: float | None = None
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
    error: ResponseFailure | None = None
    incomplete_details: dict[str, str] | None = None
    model: str
    output: list[OutputItem] = []
    conversation: ResponseConversation
    usage: ResponseUsage | None = None
    instructions: None = None
    metadata: dict[str, str] = {}
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    temperature: None = None
    tool_choice: str = "auto"
    tools: list[dict[str, Any]] = []
    top_p: None = None


def begun(session_id: str, run_id: str, config_id: str) -> AgentResponse:
    """Returns the response of a run that has not finished."""
    return AgentResponse(
        id=response_id(session_id, run_id),
        created_at=float(int(clock.now())),
        status="in_progress",
        model=config_id,
        conversation=ResponseConversation(identifier(session_id)),
    )


def of_run(row: Any, output: list[OutputItem] | None = None) -> AgentResponse:
    """Returns the response of a run's row. `output` is what it said, by default its last message."""
    session_id, run_id = row["session_id"], row["run_id"]
    response = begun(session_id, run_id, row["config_id"])
    response.created_at = row["queued_at"].timestamp()
    response.status = _STATUSES.get(row["status"], row["status"])
    if output is None and row["response"]:
        output = [said(f"msg_{run_id}", row["response"])]
    response.output = output or []
    if row["finished_at"] is None:
        return response
    response.completed_at = row["finished_at"].timestamp()
    response.usage = _usage(msgspec.json.decode(row["usage"] or b"{}"))
    if row["status"] == "completed" and row["finish_reason"] in _CUT:
        response.status, response.incomplete_details = "incomplete", {"reason": "max_output_tokens"}
    if row["status"] == "failed":
        error = msgspec.json.decode(row["error"] or b'{"detail": "The run failed"}')
        response.error = failure(error["detail"], error.get("code"))
    return response


def failure(detail: str, code: str | None = None) -> ResponseFailure:
    """Returns the error of a response."""
    return ResponseFailure(_CODES.get(code or "", "server_error"), detail)


def said(item_id: str, text: str) -> OutputItem:
    """Returns the item for a text of the agent."""
    return OutputItem(id=item_id, **message_item("assistant", text))


def response_id(session_id: str, run_id: str) -> str:
    """Returns the id of a run's response, which also names the session."""
    return f"{_PREFIX}{session_id}_{run_id}"


def place_of(response_id: str) -> tuple[str, str] | None:
    """Returns session and run of a response's id, or None for other text."""
    session_id, _, run_id = response_id.removeprefix(_PREFIX).rpartition("_")
    return (session_id, run_id) if response_id.startswith(_PREFIX) and session_id and run_id else None


def _usage(given: dict[str, int]) -> ResponseUsage:
    def of(name: str) -> int:
        return given.get(f"{name}_tokens", 0)

    return ResponseUsage(
        of("input"),
        {"cached_tokens": of("cache_read"), "cache_write_tokens": of("cache_write")},
        of("output"),
        {"reasoning_tokens": of("reasoning")},
        of("total"),
    )
