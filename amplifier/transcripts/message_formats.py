"""Reads tool calls, results and texts of messages in the formats of Amplifier, OpenAI and Anthropic. Writes none."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

Message = dict[str, Any]

_CALLS = ("tool_call", "tool_use")  # types of content blocks
RESULTS = ("tool_result",)
_ANSWERING = ("tool", "function", "user")  # roles


class ToolCall(NamedTuple):
    """A tool call of an assistant. `arguments` is empty if they are not a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


def tool_calls(message: Message) -> list[ToolCall]:
    """Returns the calls in an assistant's message, from `tool_calls` and then from its content blocks, each id once."""
    if message.get("role") != "assistant":
        return []
    listed = message.get("tool_calls")
    calls = [call for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []
    if isinstance(message.get("content"), list):
        calls.extend(blocks(message, _CALLS))
    found = {call.id: call for call in map(_call, calls) if call is not None}
    return list(found.values())


def results(message: Message) -> list[str | None]:
    """Returns the call id of each result in a message, in order; None for a result that names no call."""
    role = message.get("role")
    if role not in _ANSWERING:
        return []
    identifier = message.get("tool_call_id")
    if isinstance(identifier, str):
        return [identifier]
    if isinstance(message.get("content"), list) and (found := list(map(result_of, blocks(message, RESULTS)))):
        return found
    return [] if role == "user" else [None]


def result_of(block: dict[str, Any]) -> str | None:
    """Returns the call id of a content block that is a result, or None if it names no call."""
    identifier = block.get("tool_call_id", block.get("tool_use_id"))
    return identifier if isinstance(identifier, str) else None


def answered(message: Message) -> list[str]:
    """Returns the call ids of the results in a message, without results that name no call."""
    return [identifier for identifier in results(message) if identifier is not None]


def is_human(message: Message) -> bool:
    """Returns whether a message begins a turn: its role is `user`, and it is neither a tool result nor from a hook."""
    if message.get("role") != "user" or message.get("tool_call_id") is not None or results(message):
        return False
    return not is_of_hook(message) and not text_of(message).startswith("<system-reminder>")


def is_of_hook(message: Message) -> bool:
    """Returns whether a hook put a message into the context, by the mark of amplifier-core."""
    metadata = message.get("metadata")
    return isinstance(metadata, dict) and metadata.get("source") == "hook"


def text_of(message: Message) -> str:
    """Returns the text of a message: its content, or the text of its text blocks. Thinking is left out."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in blocks(message, ("text",)))


def blocks(message: Message, types: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yields the content blocks of these types."""
    content = message.get("content")
    if isinstance(content, list):
        yield from (block for block in content if isinstance(block, dict) and block.get("type") in types)


def _call(call: dict[str, Any]) -> ToolCall | None:
    function = call.get("function")
    inner: dict[str, Any] = function if isinstance(function, dict) else {}
    name = call.get("tool") or call.get("name") or inner.get("name")
    if not isinstance(call.get("id"), str) or not isinstance(name, str):
        return None
    given: Any = next((one[key] for one in (call, inner) for key in ("arguments", "input") if key in one), {})
    return ToolCall(call["id"], name, _arguments(given))


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given)
        except (msgspec.DecodeError, RecursionError):
            return {}
    return given if isinstance(given, dict) else {}
