"""The rules of Anthropic's messages API, from its documentation and its error messages."""

import re
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MOST_MARKS = 4
_OF_USERS = ("text", "image", "document", "search_result", "tool_result")
_OF_ASSISTANTS = ("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use")
_OF_RESULTS = ("text", "image", "document", "search_result")


def faults(body: Body) -> Iterator[str]:
    """Yields the reasons to refuse a request."""
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    yield from _of_tools(body)
    yield from _of_marks(body)
    system = body.get("system", [])
    for block in system if isinstance(system, list) else [{"type": "text", "text": system}]:
        if block["type"] != "text" or not block["text"].strip():
            yield "system: text content blocks must be non-empty"
    yield from _of_messages(body)


def _of_messages(body: Body) -> Iterator[str]:
    waiting: set[str] = set()
    known: set[str] = set()
    for index, message in enumerate(body["messages"]):
        place, content, role = f"messages.{index}", message["content"], message["role"]
        if role != ("user", "assistant")[index % 2] or message.keys() != {"role", "content"}:
            yield "messages: roles must alternate between user and assistant, and the first is user"
        if not content or (isinstance(content, str) and not content.strip()):
            yield f"{place}: text content blocks must be non-empty"
        parts = content if isinstance(content, list) else []
        yield from (f"{place}: {fault}" for fault in _of_content(parts, role, index == len(body["messages"]) - 1))
        results = [part["tool_use_id"] for part in parts if part["type"] == "tool_result"]
        if waiting - set(results):
            yield f"{place}: `tool_use` ids were found without `tool_result` blocks: {sorted(waiting)}"
        if set(results) - waiting or len(set(results)) < len(results):
            yield f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {sorted(results)}"
        used = [part["id"] for part in parts if part["type"] in ("tool_use", "server_tool_use")]
        if len(set(used)) < len(used) or known & set(used):
            yield f"{place}: `tool_use` ids must be unique"
        known |= set(used)
        waiting = {part["id"] for part in parts if part["type"] == "tool_use"}
    if waiting:
        yield f"`tool_use` ids were found without `tool_result` blocks: {sorted(waiting)}"


def _of_tools(body: Body) -> Iterator[str]:
    names = [tool["name"] for tool in body.get("tools", [])]
    if len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        yield "tools: names must be unique and match '^[a-zA-Z0-9_-]{1,128}$'"
    if any(tool["input_schema"].get("type") != "object" for tool in body.get("tools", [])):
        yield "tools: input_schema.type must be object"
    choice = body.get("tool_choice", {})
    if choice.get("type") == "tool" and choice["name"] not in names:
        yield "tool_choice: no such tool"
    blocks = (
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    )
    if not names and any(block["type"] in ("tool_use", "tool_result") for block in blocks):
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools"


def _of_marks(body: Body) -> Iterator[str]:
    system = body.get("system", [])
    blocks = [*body.get("tools", []), *(system if isinstance(system, list) else [])]
    for message in body["messages"]:
        blocks += message["content"] if isinstance(message["content"], list) else []
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    if len(marks) > _MOST_MARKS:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}."
    if any(mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in ("5m", "1h") for mark in marks):
        yield "cache_control: invalid"
    times = [mark.get("ttl", "5m") for mark in marks]
    if times != sorted(times):
        yield "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
    if any("cache_control" in block for block in blocks if str(block.get("type")).endswith("thinking")):
        yield "cache_control: Extra inputs are not permitted for thinking"


def _of_content(parts: list[Body], role: str, is_last: bool) -> Iterator[str]:
    beyond = False  # True after the results at the beginning of a user's message
    called: set[str] = set()
    for part in parts:
        kind = part["type"]
        hosted = kind.endswith("_tool_result") and kind != "mcp_tool_result"
        if kind not in (_OF_USERS if role == "user" else _OF_ASSISTANTS) and not (role == "assistant" and hosted):
            yield f"content.type: {kind} is not allowed for {role}"
        yield from _of_block(part)
        if kind == "tool_result" and beyond:
            yield "tool_result blocks must come first in the content"
        beyond = beyond or kind != "tool_result"
        if kind == "server_tool_use":
            called.add(part["id"])
        if hosted and part["tool_use_id"] not in called:
            yield f"unexpected `tool_use_id` found in `{kind}` blocks"
        elif hosted:
            called.remove(part["tool_use_id"])
    if called and not is_last:
        yield f"`server_tool_use` ids were found without results: {sorted(called)}"


def _of_block(part: Body) -> Iterator[str]:
    kind = part["type"]
    if kind == "text" and not part["text"].strip():
        yield "text content blocks must be non-empty"
    elif kind == "thinking" and not (isinstance(part["thinking"], str) and part["signature"]):
        yield "thinking.signature: Field required"
    elif kind in ("image", "document"):
        yield from _of_source(kind, part["source"])
    elif kind == "tool_use":
        if not _ID.fullmatch(part["id"]) or not _NAME.fullmatch(part["name"]) or not isinstance(part["input"], dict):
            yield "tool_use: id or name does not match its pattern, or input is no dictionary"
    elif kind == "tool_result":
        yield from _of_result(part)


def _of_source(kind: str, source: Body) -> Iterator[str]:
    accepted = _IMAGES if kind == "image" else ("application/pdf",)
    if source["type"] == "base64" and (source["media_type"] not in accepted or not source["data"]):
        yield f"{kind}.source.base64.media_type: invalid"
    elif source["type"] == "url" and not source["url"].startswith(("http://", "https://")):
        yield f"{kind}.source.url: invalid"
    elif source["type"] == "text" and (kind == "image" or source["media_type"] != "text/plain" or not source["data"]):
        yield f"{kind}.source.text: invalid"
    elif source["type"] not in ("base64", "url", "text"):
        yield f"{kind}.source.type: invalid"


def _of_result(part: Body) -> Iterator[str]:
    content = part.get("content", "")
    if not _ID.fullmatch(part["tool_use_id"]):
        yield "tool_result.tool_use_id: does not match '^[a-zA-Z0-9_-]+$'"
    for block in content if isinstance(content, list) else []:
        if block["type"] not in _OF_RESULTS or (part.get("is_error") and block["type"] != "text"):
            yield f"tool_result.content.type: {block['type']} is not allowed"
        yield from _of_block(block)
