"""Converts messages, tools and response formats for OpenAI's chat completions API."""

from collections.abc import Iterator
from typing import Any

import msgspec
from amplifier_core.message_models import Message, ResponseFormat, ToolSpec

from amplifier.runtime.modules.providers.messages import Plain, as_text, chosen_tool, image, plain
from amplifier.transcripts import message_formats

_SIMPLE = ("user", "assistant")  # roles whose texts are sent unchanged


def convert(messages: list[Message], developer: bool) -> list[Plain]:
    """Converts all messages, in order. Without `developer`, that role becomes `system`, which every server accepts."""
    sent: list[Plain] = []
    for message in messages:
        role, content, call_id = message.role, message.content, message.tool_call_id
        if not isinstance(content, str) or not content:
            sent.extend(_convert(plain(message), developer))
        elif role in _SIMPLE and not message.model_extra and call_id is None:
            sent.append({"role": role, "content": content})
        elif role == "tool" and call_id:
            sent.append({"role": role, "tool_call_id": call_id, "content": content})
        else:
            sent.extend(_convert(plain(message), developer))
    return sent


def convert_tools(tools: list[ToolSpec]) -> list[Plain]:
    """Converts the tools that the model may call."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def convert_choice(choice: str | dict[str, Any]) -> Any:
    """Converts the choice of the tool that the model must call."""
    chosen = chosen_tool(choice)
    return {"type": "function", "function": {"name": chosen[1:]}} if chosen.startswith("=") else chosen


def convert_format(wanted: ResponseFormat) -> Plain | None:
    """Converts the format of the answer; None for plain text."""
    if wanted.type == "json":
        return {"type": "json_object"}
    if wanted.type == "json_schema":
        given = wanted.json_schema
        schema = dict(given) if "schema" in given else {"schema": given}
        strict = {} if wanted.strict is None else {"strict": wanted.strict}
        return {"type": "json_schema", "json_schema": {"name": "response"} | schema | strict}
    return None


def _function(tool: ToolSpec) -> Plain:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": tool.parameters}


def _convert(message: Plain, developer: bool) -> Iterator[Plain]:
    role = message["role"]
    if role in ("system", "developer"):
        yield {"role": role if developer else "system", "content": message_formats.text_of(message)}
    elif role == "assistant":
        yield _assistant(message)
    elif "tool_call_id" in message or (role in ("tool", "function") and not message_formats.answered(message)):
        yield _result(message.get("tool_call_id"), message["content"])
    else:
        for block in message_formats.blocks(message, ("tool_result",)):
            yield _result(block.get("tool_call_id"), block.get("output"))
        content = _content(message)
        if content:
            yield {"role": "user", "content": content}


def _assistant(message: Plain) -> Plain:
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": msgspec.json.encode(call.arguments).decode()},
        }
        for call in message_formats.tool_calls(message)
    ]
    text = message_formats.text_of(message)
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def _result(identifier: Any, output: Any) -> Plain:
    return {"role": "tool", "tool_call_id": str(identifier or ""), "content": as_text(output)}


def _content(message: Plain) -> str | list[Plain]:
    content = message["content"]
    if isinstance(content, str):
        return content
    parts = [_part(block) for block in message_formats.blocks(message, ("text", "image"))]
    return parts if any(part["type"] == "image_url" for part in parts) else message_formats.text_of(message)


def _part(block: Plain) -> Plain:
    if block["type"] == "text":
        return {"type": "text", "text": block["text"]}
    kind, media_type, data = image(block["source"])
    url = data if kind == "url" else f"data:{media_type};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}}
