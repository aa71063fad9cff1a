"""The quick check of transcripts, which most pass before each turn: those of the usual chat messages, in order."""

from amplifier.transcripts.parts import Message
from amplifier.transcripts.turns import ELSEWHERE, is_placeholder

_ODD = ELSEWHERE - {"tool_calls", "tool_call_id"}
_ABOVE = ("system", "developer")


def is_plain(messages: list[Message]) -> bool:
    """Returns whether a transcript is valid by a quick check: texts, `tool_calls`, and their results in order.

    It takes a sixth of the time of `diagnose`. If it returns False, the transcript may still be valid.
    """
    waiting: list[str] = []
    step = ""
    for message in messages:
        role, content = message.get("role"), message.get("content")
        more = len(message) > 2 or content is None  # members besides role and content
        if role == "tool":
            if not waiting or message.get("tool_call_id") != waiting.pop() or not _ODD.isdisjoint(message):
                return False
            if isinstance(content, list):
                return False
            step = "result"
        elif waiting or (more and ("tool_call_id" in message or not _ODD.isdisjoint(message))):
            return False
        elif role == "assistant":
            waiting = _ids(message.get("tool_calls"))[::-1] if more else []
            if (
                waiting == [""]
                or not (content is None or isinstance(content, str))
                or (more and is_placeholder(message))
            ):
                return False
            step = "call" if waiting else "answer" if content and not content.isspace() else step
        elif not isinstance(content, str):
            return False
        elif role == "user":
            if step in ("call", "result") or content.startswith("<system-reminder>"):
                return False
            step = "begin"
        elif role not in _ABOVE:
            return False
    return not waiting and step != "result"


def _ids(calls: object) -> list[str]:
    """Returns the ids of calls in the formats of Amplifier and OpenAI, or `[""]` for other calls or repeated ids."""
    if not calls:
        return []
    ids = [_id(call) for call in calls] if isinstance(calls, list) else [""]
    return ids if all(ids) and len(set(ids)) == len(ids) else [""]


def _id(call: object) -> str:
    if not isinstance(call, dict):
        return ""
    function = call.get("function")
    name = call.get("tool") or (function.get("name") if isinstance(function, dict) else None)
    identifier = call.get("id")
    return identifier if isinstance(name, str) and name and isinstance(identifier, str) else ""
