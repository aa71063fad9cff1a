"""Reads messages and options of a request, for all providers.

The formats of the APIs are written in `anthropic_messages.py` and `openai_messages.py`.
"""

import re
from typing import Any

import msgspec
from amplifier_core import InvalidRequestError
from amplifier_core.message_models import ChatRequest, Message

Plain = dict[str, Any]

_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


def plain(message: Message) -> Plain:
    """Returns a message as a dict in its stored form, with its extra keys. Ten times faster than dumping the model."""
    found = {key: value for key, value in message.__dict__.items() if value is not None}
    found |= message.model_extra or {}
    if isinstance(message.content, list):
        found["content"] = [block.__dict__ | (block.model_extra or {}) for block in message.content]
    return found


def as_text(value: Any) -> str:
    """Returns a tool's result as text: a text unchanged, blocks as their texts, any other value as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) and "text" in item for item in value):
        return "\n".join(str(item["text"]) for item in value)
    return msgspec.json.encode(value).decode()


def image(source: Any) -> tuple[str, str, str]:
    """Returns `("url", "", address)` or `("base64", media type, data)`. Raises InvalidRequestError otherwise."""
    if isinstance(source, dict):
        match source.get("type"), source.get("media_type"), source.get("data"), source.get("url"):
            case "url", _, _, str(url):
                return "url", "", url
            case "base64", str(media_type), str(data), _:
                return "base64", media_type, data
    raise InvalidRequestError("an image must have a source of type url or base64")


def option(request: ChatRequest, more: dict[str, Any], name: str, default: Any = None) -> Any:
    """Returns an option of a request: from the options of the call, else from the request's field, else the default."""
    value = more.get(name)
    if value is None:
        value = getattr(request, name)
    return default if value is None else value


def chosen_tool(choice: str | dict[str, Any]) -> str:
    """Returns a `tool_choice` of any format as `auto`, `none`, `required`, or `=NAME` for one tool."""
    if isinstance(choice, dict):
        function = choice.get("function")
        name = choice.get("name") or (function.get("name") if isinstance(function, dict) else None)
        kind = str(choice.get("type", "auto"))
        return f"={name}" if name else {"any": "required"}.get(kind, kind)
    return {"any": "required"}.get(choice, choice if choice in ("auto", "none", "required") else f"={choice}")


def safe_id(identifier: Any) -> str:
    """Returns the id of a call in characters that every API accepts. A call and its result keep equal ids."""
    return _UNSAFE.sub("_", str(identifier))
