"""Recognises messages of formats that several tools write, and finds times, models and prompts in them."""

from datetime import datetime
from typing import Any

import msgspec

from amplifier.imports import lines, titles

MESSAGES, RESPONSES, LANGCHAIN, UI = "messages", "responses", "langchain", "ui-messages"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "model", "human", "ai"})
_LANGCHAIN_TYPES = frozenset({"human", "ai", "system", "tool", "function", "chat", "remove", "developer"})
_ITEM_TYPES = frozenset(
    {"message", "reasoning", "compaction", "function_call", "function_call_output", "custom_tool_call"}
    | {"custom_tool_call_output", "web_search_call", "file_search_call", "computer_call", "computer_call_output"}
    | {"code_interpreter_call", "image_generation_call", "local_shell_call", "local_shell_call_output", "shell_call"}
    | {"shell_call_output", "apply_patch_call", "apply_patch_call_output", "mcp_call", "mcp_list_tools"}
    | {"mcp_approval_request", "mcp_approval_response"}
)
_SAID_BY = frozenset({"user", "human"})


class Shape(msgspec.Struct):
    """The members of a message by which it is recognised. Those that may be large are not decoded."""

    role: Any = None
    type: Any = None
    id: Any = None
    model: Any = None
    lc: Any = None
    created_at: Any = None
    createdAt: Any = None  # noqa: N815 - as in the file
    created: Any = None
    timestamp: Any = None
    metadata: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()
    parts: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    kwargs: msgspec.Raw = msgspec.Raw()
    tool_calls: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()


class _Inner(msgspec.Struct):
    content: Any = None
    response_metadata: Any = None


_decoder = msgspec.json.Decoder(Shape)
_inner = msgspec.json.Decoder(_Inner)


def decoded(text: bytes) -> Shape | None:
    """Returns the shape of a message, or None if the text is no JSON object. `text` is as `lines.stored` returns it."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def kind(shape: Shape | None) -> str | None:
    """Returns the format of a message, or None if it is none that is known."""
    if shape is None:
        return None
    type = shape.type if isinstance(shape.type, str) else ""
    has_content = bool(shape.content or shape.tool_calls or shape.function_call)
    if _is(shape.kwargs, b"{") and shape.lc == 1:
        return LANGCHAIN
    if not isinstance(shape.role, str) and (type in _LANGCHAIN_TYPES or type.endswith(("Message", "MessageChunk"))):
        return LANGCHAIN if _is(shape.data, b"{") or shape.content else None
    if type in _ITEM_TYPES and (type != "message" or _is(shape.content, b"[") or _is(shape.content, b'"')):
        return RESPONSES
    if not isinstance(shape.role, str) or shape.role not in _ROLES:
        return None
    if _is(shape.parts, b"["):
        return UI if b'"type"' in bytes(memoryview(shape.parts)[:300]) else MESSAGES
    return MESSAGES if has_content else None


def created_at(shape: Shape) -> datetime | None:
    """Returns the time of a message, or None."""
    values = (shape.created_at, shape.createdAt, shape.timestamp, shape.created)
    return next((found for value in values if (found := lines.time(value))), None)


def model(shape: Shape) -> str | None:
    """Returns the model that wrote a message, or None."""
    if isinstance(shape.model, str):
        return lines.text(shape.model)
    about = _inside(shape).response_metadata
    return lines.text(about.get("model_name") or about.get("model")) if isinstance(about, dict) else None


def is_said(shape: Shape) -> bool:
    """Returns whether a message is of a user."""
    return shape.role in _SAID_BY if isinstance(shape.role, str) else _langchain_type(shape) in _SAID_BY


def prompt(shape: Shape) -> str | None:
    """Returns the beginning of what a user said, as a title, or None."""
    if not is_said(shape):
        return None
    content = _json(shape.content) or _json(shape.parts) or _inside(shape).content
    return titles.title(titles.said(content))


def _langchain_type(shape: Shape) -> Any:
    if shape.lc == 1 and isinstance(shape.id, list) and shape.id:
        return "human" if str(shape.id[-1]).startswith("Human") else "other"
    return "human" if shape.type in ("human", "HumanMessage", "HumanMessageChunk") else shape.type


def _inside(shape: Shape) -> _Inner:
    """Returns what a message of LangChain has inside."""
    try:
        return _inner.decode(shape.kwargs if _is(shape.kwargs, b"{") else shape.data)
    except (msgspec.MsgspecError, RecursionError):
        return _Inner()


def _json(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is(raw: msgspec.Raw, begin: bytes) -> bool:
    return bool(raw) and bytes(memoryview(raw)[:1]) == begin
