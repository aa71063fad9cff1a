"""Recognises conversations of texts, calls and their results in order, which most are, so that they are written fast.

Providers write all others from `conversation.py`, which takes three times as long. Both ways write the same.
"""

from collections.abc import Iterable
from typing import Any

from amplifier_core.message_models import Message

from amplifier.transcripts import tool_blocks
from amplifier.transcripts.parts import Call

_OWN = frozenset(("id", "tool", "arguments"))  # members of a call as the loop writes it


def usual(messages: Iterable[Message]) -> list[list[Call] | None] | None:
    """Returns the calls of each message, or None if there is anything but texts, calls, and results in their order."""
    calls_of: list[list[Call] | None] = []
    waiting: list[str | None] = []
    for message in messages:
        role, extra, calls = message.role, message.model_extra, None
        if not isinstance(message.content, str):
            return None
        if role == "tool":
            if extra or not waiting or waiting.pop() != message.tool_call_id:
                return None
        elif waiting or message.tool_call_id is not None or role == "function":
            return None
        elif extra:
            if role != "assistant" or len(extra) > 1 or not (calls := _calls(extra.get("tool_calls"))):
                return None
            waiting = [call.id for call in reversed(calls)]
        elif not message.content:
            return None
        calls_of.append(calls)
    return None if waiting else calls_of


def _calls(listed: Any) -> list[Call] | None:
    """Returns the calls of a message; None if they are not usual or two have one id."""
    if not isinstance(listed, list):
        return None
    calls = [call for one in listed for call in _call(one)]
    return calls if len({call.id for call in calls}) == len(listed) == len(calls) else None


def _call(given: Any) -> list[Any]:
    """Returns a call as a list; an empty one if it has what only `conversation.py` understands."""
    if isinstance(given, dict) and given.keys() == _OWN and isinstance(given["arguments"], dict):
        identifier, name, arguments = given["id"], given["tool"], given["arguments"]
        if identifier and name and isinstance(identifier, str) and isinstance(name, str):
            return [Call(identifier, name, arguments)]  # takes a tenth of the time of `tool_blocks`
    return [call for call in tool_blocks.calls([given]) if _is_usual(call)]


def _is_usual(call: Any) -> bool:
    return isinstance(call, Call) and bool(call.id) and call.hosted is None and call.cache_control is None
