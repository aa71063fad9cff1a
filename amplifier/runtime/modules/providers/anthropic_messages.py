"""Converts messages and tools for Anthropic's messages API."""

from typing import Any

from amplifier_core.message_models import Message, ToolSpec

from amplifier.runtime.modules.providers.messages import Plain, as_text, chosen_tool, image, plain, safe_id
from amplifier.transcripts import message_formats

_BEGINNING = "(The assistant began the conversation.)"  # the API requires a user's message first
_BLANK = "(The message is blank.)"  # the API refuses blank texts, and would continue a last message of the assistant


def convert(messages: list[Message]) -> tuple[str, list[Plain]]:
    """Returns the text of the system messages, and the other messages. Joins adjacent messages of the same role."""
    system: list[str] = []
    converted: list[Plain] = []
    for message in map(plain, messages):
        if message["role"] in ("system", "developer"):
            system.append(message_formats.text_of(message))
            continue
        role, content = _convert(message)
        if content and converted and converted[-1]["role"] == role:
            converted[-1]["content"] += content
        elif content:
            converted.append({"role": role, "content": content})
    if converted and converted[0]["role"] == "assistant":
        converted.insert(0, {"role": "user", "content": _content(_BEGINNING)})
    if messages and messages[-1].role == "user" and (not converted or converted[-1]["role"] == "assistant"):
        converted.append({"role": "user", "content": _content(_BLANK)})
    return "\n\n".join(filter(None, system)), converted


def convert_tools(tools: list[ToolSpec]) -> list[Plain]:
    """Converts the tools that the model may call."""
    return [_tool(tool) for tool in tools]


def convert_choice(choice: str | dict[str, Any]) -> Plain:
    """Converts the choice of the tool that the model must call."""
    chosen = chosen_tool(choice)
    return (
        {"type": "tool", "name": chosen[1:]}
        if chosen.startswith("=")
        else {"type": {"required": "any"}.get(chosen, chosen)}
    )


def _tool(tool: ToolSpec) -> Plain:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": {"type": "object"} | tool.parameters}


def _convert(message: Plain) -> tuple[str, list[Plain]]:
    if message["role"] == "assistant":
        return "assistant", _assistant(message)
    if "tool_call_id" in message or (message["role"] in ("tool", "function") and not message_formats.answered(message)):
        return "user", [_result(message.get("tool_call_id"), message["content"])]
    return "user", _content(message["content"])


def _assistant(message: Plain) -> list[Plain]:
    """Returns the content in its order, which the API requires unchanged, and then the calls that are not in it."""
    content = _content(message["content"])
    thought = message.get("thinking_block")
    if isinstance(thought, dict) and not any(part["type"].endswith("thinking") for part in content):
        content = [*_content([thought]), *content]
    written = {part["id"] for part in content if part["type"] == "tool_use"}
    calls = [call for call in message_formats.tool_calls(message) if safe_id(call.id) not in written]
    return [*content, *(_use(call.id, call.name, call.arguments) for call in calls)]


def _content(content: Any) -> list[Plain]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    parts = [_part(block) for block in content if isinstance(block, dict)]
    return [part for part in parts if part is not None]


def _part(block: Plain) -> Plain | None:
    """Converts a block. Returns None if the API would refuse it: blank text, or thinking without a signature."""
    match block.get("type"):
        case "text" if str(block["text"]).strip():
            return {"type": "text", "text": block["text"]}
        case "thinking" if block.get("signature"):
            return {"type": "thinking", "thinking": block["thinking"], "signature": block["signature"]}
        case "redacted_thinking":
            return {"type": "redacted_thinking", "data": block["data"]}
        case "tool_call":
            return _use(block["id"], block["name"], block["input"])
        case "tool_result":
            return _result(block["tool_call_id"], block["output"])
        case "image":
            return _image(block["source"])
    return None


def _image(source: Any) -> Plain:
    kind, media_type, data = image(source)
    if kind == "url":
        return {"type": "image", "source": {"type": "url", "url": data}}
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _use(identifier: str, name: str, arguments: dict[str, Any]) -> Plain:
    return {"type": "tool_use", "id": safe_id(identifier), "name": name, "input": arguments}


def _result(identifier: Any, output: Any) -> Plain:
    known = {"type": "tool_result", "tool_use_id": safe_id(identifier or "")}
    if isinstance(output, list) and any(isinstance(block, dict) and block.get("type") == "image" for block in output):
        return known | {"content": [part for part in _content(output) if part["type"] in ("text", "image")]}
    return known | {"content": as_text(output)}
