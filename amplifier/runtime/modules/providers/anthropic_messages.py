"""Writes messages and tools for Anthropic's messages API. The marks of its prompt cache are in `anthropic_cache.py`."""

from typing import Any

from amplifier_core.message_models import Message, ToolSpec

from amplifier.runtime.modules.providers import attachments, notes
from amplifier.runtime.modules.providers.conversation import conversation
from amplifier.runtime.modules.providers.messages import Plain, chosen_tool
from amplifier.runtime.modules.providers.names import Distinct, Names, safe
from amplifier.transcripts.parts import Call, File, Image, Part, Result, Text, Thinking

_EXECUTED = (Call, Result)


def convert(messages: list[Message], names: Names, vision: bool = True) -> tuple[list[Plain], list[Plain]]:
    """Returns the blocks of the system messages, and the other messages. Joins adjacent messages of the same role."""
    ids = Distinct(spelled=safe)
    system: list[Plain] = []
    converted: list[Plain] = []
    entries = conversation(messages, names.sent, ids.fresh)
    for index, (role, parts) in enumerate(entries, 1):
        if type(parts) is str:
            content = [{"type": "text", "text": parts}] if not parts.isspace() else []
        elif role in ("system", "developer"):
            system += [block for part in parts if (block := _text(notes.words(part), part)) is not None]
            continue
        elif role == "assistant":
            content = _assistant(parts, ids, is_paused=index == len(entries))
        else:
            role, content = "user", _user(parts, vision)
        if content and converted and converted[-1]["role"] == role:
            converted[-1]["content"] += content
        elif content:
            converted.append({"role": role, "content": content})
    if converted and converted[0]["role"] == "assistant":
        converted.insert(0, _note(notes.BEGINNING))  # the API requires a user's message first
    if not converted or (messages[-1].role == "user" and converted[-1]["role"] == "assistant"):
        converted.append(_note(notes.BLANK))
    return system, converted


def convert_tools(tools: list[ToolSpec], names: Names) -> list[Plain]:
    """Converts the tools that the model may call."""
    return [_tool(tool, names) for tool in tools]


def describe_called(names: Names) -> list[Plain]:
    """Returns descriptions of the tools that were called before. The API refuses calls in requests without tools."""
    return [{"name": name, "input_schema": {"type": "object"}} for name in names.all()]


def convert_choice(choice: str | dict[str, Any], names: Names) -> Plain:
    """Converts the choice of the tool that the model must call."""
    chosen = chosen_tool(choice)
    if chosen.startswith("="):
        return {"type": "tool", "name": names.sent(chosen[1:])}
    return {"type": {"required": "any"}.get(chosen, chosen)}


def _tool(tool: ToolSpec, names: Names) -> Plain:
    described = {"description": tool.description} if tool.description else {}
    return {"name": names.sent(tool.name), **described, "input_schema": {"type": "object"} | tool.parameters}


def _assistant(parts: list[Part], ids: Distinct, is_paused: bool) -> list[Plain]:
    """Returns the content in its order, which the API requires unchanged.

    With `is_paused` the API is to continue it: it executes calls of its own tools that have no result so far.
    """
    has_hosted = any(isinstance(part, _EXECUTED) and part.hosted is not None for part in parts)
    hosted = _hosted(parts, ids, is_paused) if has_hosted else set()
    blocks = [block for part in parts if (block := _said(part, hosted)) is not None]
    return sorted(blocks, key=lambda block: block["type"] == "tool_use")  # the calls at the end, before their results


def _said(part: Part, hosted: set[int]) -> Plain | None:
    """Writes a part of an assistant. Returns None for what the API would refuse: thoughts of other models."""
    if type(part) is Text:
        return _text(part.text, part)
    if isinstance(part, Thinking):
        return _thought(part)
    if isinstance(part, Call) and part.hosted is None:
        return _marked({"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}, part)
    if isinstance(part, Call | Result) and id(part) in hosted:
        hosted_block: Plain = _ordered(part.hosted)
        return hosted_block
    return _text(notes.words(part), part)


def _thought(part: Thinking) -> Plain | None:
    if part.by != "anthropic":
        return None
    if part.sealed:
        return {"type": "redacted_thinking", "data": part.sealed}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _hosted(parts: list[Part], ids: Distinct, is_paused: bool) -> set[int]:
    """Returns the identities of the calls that the API executed itself and their results, if it accepts them again.

    It does so if both are there. Calls of MCP servers are only accepted in requests that name the servers.
    """
    found: set[int] = set()
    calls: dict[str, Call] = {}
    for part in parts:
        kind = part.hosted.get("type") if isinstance(part, Call | Result) and part.hosted else None
        if isinstance(part, Call) and kind == "server_tool_use" and part.id:
            calls[part.id] = part
        elif isinstance(part, Result) and str(kind).endswith("_tool_result") and kind != "mcp_tool_result":
            call = calls.pop(part.call_id or "", None)
            if call is not None and ids.claim(str(call.id)):
                found |= {id(call), id(part)}
    return found | {id(call) for call in calls.values() if is_paused and ids.claim(str(call.id))}


def _user(parts: list[Part], vision: bool) -> list[Plain]:
    blocks = [_answered(part, vision) for part in parts]
    return [block for block in blocks if block is not None]


def _answered(part: Part, vision: bool) -> Plain | None:
    """Writes a part of a user or a tool. Only results of tools of the caller are results for the API."""
    if isinstance(part, Result) and part.hosted is None:
        return _result(part, vision)
    return _shown(part, vision)


def _result(result: Result, vision: bool) -> Plain:
    known: Plain = {"type": "tool_result", "tool_use_id": result.call_id}
    if result.is_error:  # an error must be text
        return _marked(known | {"content": notes.text_of(result.content), "is_error": True}, result)
    if len(result.content) == 1 and type(text := result.content[0]) is Text:
        return _marked(known | {"content": text.text if text.text.strip() else ""}, result)
    blocks = [block for part in result.content if (block := _shown(part, vision)) is not None]
    for block in blocks:
        block.pop("cache_control", None)  # the mark of a result stands at the result
    if all(block["type"] == "text" for block in blocks):
        return _marked(known | {"content": "\n".join(block["text"] for block in blocks)}, result)
    return _marked(known | {"content": blocks}, result)


def _shown(part: Part, vision: bool) -> Plain | None:
    source = title = None
    if isinstance(part, Image) and vision:
        source = _source(part.url, part.data, part.media_type, attachments.IMAGES)
    elif isinstance(part, File):
        part = attachments.with_text(part)
        source, title = _of_file(part, vision), part.name
    if source is None:
        return _text(notes.words(part), part)
    if isinstance(part, Image):
        return _marked({"type": "image", "source": source}, part)
    return _marked({"type": "document", "source": source} | ({"title": title} if title else {}), part)


def _of_file(file: File, vision: bool) -> Plain | None:
    if file.text is not None and file.text.strip():
        return {"type": "text", "media_type": "text/plain", "data": file.text}
    is_pdf = file.media_type == attachments.PDF or (file.url or "").lower().endswith(".pdf")
    return _source(file.url, file.data, attachments.PDF, {attachments.PDF}) if is_pdf and vision else None


def _source(url: str | None, data: str | None, kind: str | None, accepted: set[str] | frozenset[str]) -> Plain | None:
    if attachments.has_bytes(data):
        return {"type": "base64", "media_type": kind, "data": data} if kind in accepted else None
    address = attachments.web_address(url)
    return {"type": "url", "url": address} if address else None


def _text(text: str, part: Part) -> Plain | None:
    return _marked({"type": "text", "text": text}, part) if text.strip() else None


def _note(text: str) -> Plain:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _marked(block: Plain, part: Part) -> Plain:
    return block if part.cache_control is None else block | {"cache_control": part.cache_control}


def _ordered(value: Any) -> Any:
    """Returns a block with its keys in one order: the database keeps none, and a prompt cache needs the same."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
