"""Reads a message of any known format: says its role and author, and turns it into typed parts. Never fails.

Known are the formats of OpenAI (chat messages, response items), Anthropic, Gemini, Bedrock, Mistral, Ollama, Amplifier,
and of the AI SDK of Vercel, LangChain, pydantic-ai, AutoGen, ADK, A2A, AG-UI, Claude Code, Codex and opencode. The
function `message_texts` in the database reads the same; the tests run `tests/transcripts/examples/` through both.
"""

from typing import Any

from amplifier.transcripts import blocks, tool_blocks
from amplifier.transcripts.parts import (
    Audio,
    Call,
    Message,
    Part,
    Reading,
    Refusal,
    Result,
    Role,
    Thinking,
    Unknown,
)

_ROLES: dict[str, Role] = {
    **{role: role for role in ("system", "developer", "user", "assistant", "function", "tool")},
    **dict.fromkeys(("human", "humanmessage", "humanmessagechunk", "role_user", "request"), "user"),
    **dict.fromkeys(("ai", "model", "agent", "bot", "aimessage", "aimessagechunk", "role_agent"), "assistant"),
    **dict.fromkeys(("response", "reasoning", "chatbot", "tool-call"), "assistant"),
    "systemmessage": "system",
    **dict.fromkeys(("toolmessage", "tool-response"), "tool"),
    "functionmessage": "function",
}
_OF_ITEMS: dict[str, Role] = {
    **dict.fromkeys(("reasoning", "compaction", "agent_message"), "assistant"),
    "message": "user",
}
_LANGCHAIN = ("human", "ai", "system", "tool", "function", "chat", "remove")
_THOUGHTS: tuple[str, ...] = (
    "thinking_block",
    "thinking_text",
    "reasoning_details",
    "reasoning_content",
    "reasoning",
    "thinking",
)
_THOUGHTS += ("tool_plan", "thought")
_CONTENTS = ("content", "parts", "text", "blocks", "items")
_ITEMS = ("_call", "_output", "tool_result", "tool_use")  # ends of the types of messages that are blocks themselves


def read(message: Message, hidden: bool = True) -> Reading:
    """Reads a message. Without `hidden`, blocks marked as internal are left out."""
    inner, author = _unwrapped(message)
    role = _role(inner)
    if role is None:
        return Reading(None, [Unknown(message)] if message else [])
    parts = _parts(inner, role)
    is_of_tool = role == "user" and parts and all(isinstance(part, Result) for part in parts)
    if not hidden:
        parts = _parts(blocks.shown(inner), role)
    if is_of_tool:
        role = "tool"
    return Reading(role, parts, author or _author(inner, role))


def answer_of(message: Message) -> str | None:
    """Returns a mark that adjacent messages of an assistant share if they are pieces of one answer, else None.

    Such are items of the Responses API, and the lines into which Claude Code divides an answer.
    """
    inner, _ = _unwrapped(message)
    if _is_item(inner):
        return "item"
    identifier = inner.get("id")
    if isinstance(identifier, str) and identifier:
        return identifier
    return "line" if inner is not message else None


def _unwrapped(message: Message) -> tuple[Message, str | None]:
    """Returns the message within an entry of a session file or a framework, and the author that the entry names."""
    inner = message.get("message")
    if isinstance(inner, dict) and inner.keys() & {"role", "content", "parts"}:  # Claude Code
        return {"role": message.get("type"), **inner}, None
    inner = message.get("payload")
    if isinstance(inner, dict) and message.get("type") == "response_item":  # Codex
        return inner, None
    inner = message.get("kwargs")
    if isinstance(inner, dict) and isinstance(path := message.get("id"), list) and path:  # LangChain
        return {**inner, "role": inner.get("role", path[-1])}, None
    inner = message.get("data")
    if isinstance(inner, dict) and message.get("type") in _LANGCHAIN:
        return {**inner, "role": inner.get("role", message["type"])}, None
    inner = message.get("content")
    if isinstance(inner, dict) and isinstance(inner.get("parts"), list) and not isinstance(message.get("role"), str):
        role = _text(inner.get("role")) or message.get("author")  # ADK
        return {**inner, "role": role}, _text(message.get("author"))
    inner = message.get("info")
    if isinstance(inner, dict) and isinstance(message.get("parts"), list):  # opencode
        return {**inner, "parts": message["parts"]}, None
    return message, None


def _role(message: Message) -> Role | None:
    """Returns the role, of a message without one by its type. A role that nobody knows is a user's."""
    given, kind = message.get("role"), message.get("type")
    if isinstance(given, str) and given:
        return _ROLES.get(given.lower(), "user")
    if isinstance(message.get("source"), str) and "content" in message:  # AutoGen
        if kind == "ToolCallExecutionEvent":
            return "tool"
        return {"user": "user", "system": "system"}.get(message["source"], "assistant")  # type: ignore[return-value]
    if message.get("kind") in ("request", "response") and isinstance(message.get("parts"), list):  # pydantic-ai
        return _ROLES[message["kind"]]
    if not isinstance(kind, str):
        return "user" if message.keys() & set(_CONTENTS) else None
    if kind in _LANGCHAIN:
        return _ROLES.get(kind, "user") if "content" in message and "sessionId" not in message else None
    if kind.endswith(_ITEMS):
        return "tool" if kind.endswith(("_output", "_result")) else "assistant"
    return _OF_ITEMS.get(kind)


def _author(message: Message, role: Role) -> str | None:
    if role in ("tool", "function") or _is_item(message):
        return None
    return next((text for key in ("name", "source", "agent_name", "author") if (text := _text(message.get(key)))), None)


def _parts(message: Message, role: Role) -> list[Part]:
    """Reads the content and the members beside it: thinking, a refusal, a recording, calls."""
    if _is_item(message):
        return blocks.block(message)
    given = _given(message)
    if role in ("tool", "function") or tool_blocks.identified(message):
        return _returned(message, role, given)
    parts = blocks.thinking(given) if _is_thought(message) else blocks.content(given)
    if not any(isinstance(part, Thinking) for part in parts):
        parts = _thoughts(message) + parts
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts.append(Refusal(refusal))
    if isinstance(audio := message.get("audio"), dict):
        parts.append(Audio(transcript=_text(audio.get("transcript"))))
    if not message.get("parts") and isinstance(invocations := message.get("toolInvocations"), list):
        calls = [{"type": "tool-invocation", "toolInvocation": one} for one in invocations if isinstance(one, dict)]
        parts += blocks.content(calls)
    if isinstance(images := message.get("images"), list):
        given = [{"type": "image", "data": image} if isinstance(image, str) else image for image in images]
        parts += blocks.content(given)
    return parts + _calls(message, {part.id for part in parts if isinstance(part, Call)} - {None})


def _is_item(message: Message) -> bool:
    """Returns whether a message is itself a block, such as an item of the Responses API."""
    kind = message.get("type")
    return isinstance(kind, str) and (kind in ("reasoning", "compaction") or kind.endswith(_ITEMS))


def _given(message: Message) -> Any:
    """Returns the content. Of a text beside parts, as some user interfaces keep it, only the parts count."""
    parts = message.get("parts")
    if isinstance(parts, list) and parts and not isinstance(message.get("content"), list | dict):
        return parts
    return next((message[key] for key in _CONTENTS if message.get(key) is not None), None)


def _is_thought(message: Message) -> bool:
    role = message.get("role")
    return message.get("type") == "ThoughtEvent" or (isinstance(role, str) and role.lower() == "reasoning")


def _returned(message: Message, role: Role, given: Any) -> list[Part]:
    """Reads a message of a tool: its blocks that are results, or all of its content as one result."""
    identifier = tool_blocks.identified(message)
    parts = blocks.content(given) if isinstance(given, list) else []
    if identifier is None and any(isinstance(part, Result) for part in parts):
        return parts
    whole = tool_blocks.result({**message, "content": given, "output": given}, blocks.content)
    mark = message.get("cache_control")
    whole.cache_control = mark if isinstance(mark, dict) else None
    whole.call_id, whole.name, whole.hosted = identifier, tool_blocks.named(message), None
    return [whole]


def _thoughts(message: Message) -> list[Part]:
    for key in _THOUGHTS:
        given = message.get(key)
        if given:
            found = [part for item in given for part in blocks.thinking(item)] if isinstance(given, list) else None
            if found := blocks.thinking(given) if found is None else found:
                return found
    return []


def _calls(message: Message, known: set[str | None]) -> list[Part]:
    """Reads the calls beside the content. Those in the content with the same id are the same."""
    extra = message.get("additional_kwargs")
    lists = [message.get("tool_calls"), message.get("toolCalls"), [message.get("function_call")]]
    if isinstance(extra, dict):
        lists += [extra.get("tool_calls"), [extra.get("function_call")]]
    parts: list[Part] = []
    for listed in lists:
        found = [part for part in tool_blocks.calls(listed) if not isinstance(part, Call) or part.id not in known]
        known |= {part.id for part in found if isinstance(part, Call)} - {None}
        parts += found
    return parts


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
