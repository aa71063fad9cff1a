"""Encodes answers for the APIs of OpenAI and Anthropic, as a stream or as one body."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call by the model. `arguments` may be a text that is not JSON."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    id: str = ""

    def text(self) -> str:
        """The arguments as a text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Said:
    """The parts of a model's answer in their order, each text as its deltas."""

    deltas: list[str]
    thinking: list[str]
    calls: list[Call]
    usage: dict[str, int]
    reason: str | None
    signature: str
    redacted: str
    number: int  # number of the request, for ids


def openai(said: Said, body: Body) -> Iterator[tuple[bytes, bool]]:
    """The events, each with whether it is a delta."""
    yield _chunk({"role": "assistant", "content": ""}), False
    for text in said.thinking:
        yield _chunk({"reasoning_content": text}), True
    for text in said.deltas:
        yield _chunk({"content": text}), True
    for index, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": _id(said, index), "type": "function", "function": function}
        yield _chunk({"tool_calls": [first]}), False
        for text in _halves(call.text()):
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]}), True
    yield _chunk({}, said.reason or ("tool_calls" if said.calls else "stop")), False
    if (body.get("stream_options") or {}).get("include_usage"):
        last = {"object": "chat.completion.chunk", "model": body["model"], "choices": []}
        yield _event(last | {"usage": _openai_usage(said.usage)}), False
    yield b"data: [DONE]\n\n", False


def openai_whole(said: Said, body: Body) -> Body:
    """The answer to a request without `stream`."""
    calls = [
        {"id": _id(said, i), "type": "function", "function": {"name": call.name, "arguments": call.text()}}
        for i, call in enumerate(said.calls)
    ]
    message = {"role": "assistant", "content": "".join(said.deltas) or None} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": said.reason or ("tool_calls" if calls else "stop")}
    known = {"id": f"chatcmpl-{said.number}", "object": "chat.completion", "created": 0, "model": body["model"]}
    return known | {"choices": [choice], "usage": _openai_usage(said.usage)}


def anthropic(said: Said, body: Body) -> Iterator[tuple[bytes, bool]]:
    """The events, each with whether it is a delta."""
    usage = said.usage | {"output_tokens": 1}
    whole = {"id": f"msg_{said.number}", "type": "message", "role": "assistant", "content": [], "model": body["model"]}
    yield _named({"type": "message_start", "message": whole | {"usage": usage}}), False
    yield _named({"type": "ping"}), False
    for index, (start, deltas) in enumerate(_blocks(said)):
        yield _named({"type": "content_block_start", "index": index, "content_block": start}), False
        for delta in deltas:
            yield _named({"type": "content_block_delta", "index": index, "delta": delta}), "signature" not in delta
        yield _named({"type": "content_block_stop", "index": index}), False
    reason = {"stop_reason": said.reason or ("tool_use" if said.calls else "end_turn"), "stop_sequence": None}
    counted = {"output_tokens": said.usage.get("output_tokens", 0)}
    yield _named({"type": "message_delta", "delta": reason, "usage": counted}), False
    yield _named({"type": "message_stop"}), False


def anthropic_whole(said: Said, body: Body) -> Body:
    """The answer to a request without `stream`."""
    content: list[Body] = [{"type": "text", "text": "".join(said.deltas)}] if said.deltas else []
    content += [_use(said, index) | {"input": call.arguments} for index, call in enumerate(said.calls)]
    reason = said.reason or ("tool_use" if said.calls else "end_turn")
    known = {"id": f"msg_{said.number}", "type": "message", "role": "assistant", "model": body["model"]}
    return known | {"content": content, "stop_reason": reason, "stop_sequence": None, "usage": said.usage}


def error(api: str, status: int, message: str) -> Body:
    """Returns the body of an error."""
    types = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kind = types.get(status) or {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
    inner: Body = {"type": kind, "message": message}
    return {"error": inner | {"code": None, "param": None}} if api == "openai" else {"type": "error", "error": inner}


def _blocks(said: Said) -> Iterator[tuple[Body, list[Body]]]:
    if said.thinking:
        deltas = [{"type": "thinking_delta", "thinking": text} for text in said.thinking]
        signed = {"type": "signature_delta", "signature": said.signature}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if said.redacted:
        yield {"type": "redacted_thinking", "data": said.redacted}, []
    if said.deltas:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in said.deltas]
    for index, call in enumerate(said.calls):
        parts = [{"type": "input_json_delta", "partial_json": text} for text in _halves(call.text())]
        yield _use(said, index) | {"input": {}}, parts


def _use(said: Said, index: int) -> Body:
    return {"type": "tool_use", "id": _id(said, index), "name": said.calls[index].name}


def _id(said: Said, index: int) -> str:
    return said.calls[index].id or f"call_{said.number}_{index}"


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [part for part in (text[:middle], text[middle:]) if part]


def _openai_usage(usage: dict[str, int]) -> Body:
    given, made = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": usage.get("cache_read_input_tokens", 0)},
        "completion_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0)},
    }


def _chunk(delta: Body, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": None})


def _named(event: Body) -> bytes:
    return b"event: " + event["type"].encode() + b"\n" + _event(event)


def _event(event: Body) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"
