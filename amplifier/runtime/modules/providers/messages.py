"""Reads messages and options of a request, for all providers.

The formats of the APIs are written in `anthropic_messages.py` and `openai_messages.py`.
"""

from typing import Any

from amplifier_core.message_models import ChatRequest, Message

Plain = dict[str, Any]

ORIGINAL = "original"  # key of the block that a text block of a request stands for


def plain(message: Message) -> Plain:
    """Returns a message as a dict in its stored form, with its extra keys. Ten times faster than dumping the model."""
    found = {key: value for key, value in message.__dict__.items() if value is not None}
    found |= message.model_extra or {}
    if isinstance(message.content, list):
        found["content"] = [_plain_block(block) for block in message.content]
    return found


def _plain_block(block: Any) -> Plain:
    extra = block.model_extra or {}
    original = extra.get(ORIGINAL)
    return original if isinstance(original, dict) else block.__dict__ | extra


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
