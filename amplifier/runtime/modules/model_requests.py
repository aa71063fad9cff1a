"""Makes a provider's ChatRequest from stored messages in any of the known formats.

The translation to the request bodies of model APIs is in `providers/`.
"""

import contextlib
import json
from typing import Any

from amplifier_core import ChatRequest
from amplifier_core.message_models import Message, ToolSpec
from pydantic import TypeAdapter, ValidationError

from amplifier.transcripts import message_formats

_ALL = TypeAdapter(list[Message])
_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_call", "tool_result", "image", "reasoning"})


class Requests:
    """Makes the requests of a turn. An unchanged message is validated once in a turn."""

    def __init__(self, tools: list[Any]) -> None:
        self._specs = [_spec(tool) for tool in tools] or None
        self._known: dict[int, tuple[message_formats.Message, Any, Message]] = {}

    def request(self, messages: list[message_formats.Message], notes: list[Any], last: bool) -> ChatRequest:
        """Returns a request with the messages and the `notes` that hooks add to this request only.

        In the `last` request the model may not call tools. Raises ValueError with the number of an invalid message.
        """
        sent = _with_notes(messages, notes)
        if not self._known:
            self._learn(sent)
        models = [self._model(number, message) for number, message in enumerate(sent, 1)]
        # the last request has the tools, too: Anthropic refuses calls of tools that the request does not describe
        choice = "none" if last and self._specs else None
        return ChatRequest(messages=models, tools=self._specs, tool_choice=choice)

    def _learn(self, messages: list[message_formats.Message]) -> None:
        """Validates all messages at once, which takes half the time of one by one. Does nothing if one is invalid."""
        with contextlib.suppress(ValidationError):
            models = _ALL.validate_python(messages)
            known = zip(messages, models, strict=True)
            self._known = {id(message): (message, message.get("content"), model) for message, model in known}

    def _model(self, number: int, message: message_formats.Message) -> Message:
        known = self._known.get(id(message))
        content = message.get("content")
        if known is None or known[1] is not content:
            known = self._known[id(message)] = (message, content, _checked(number, message))
        return known[2]


def _with_notes(messages: list[message_formats.Message], notes: list[Any]) -> list[message_formats.Message]:
    sent = list(messages)
    for note in notes:
        last = sent[-1] if sent else {}
        if note.append_to_last_tool_result and last.get("role") == "tool":
            sent[-1] = {**last, "content": f"{last.get('content', '')}\n\n{note.content}"}
        else:
            sent.append({"role": note.role, "content": note.content})
    return sent


def _spec(tool: Any) -> ToolSpec:
    schema = getattr(tool, "input_schema", None) or {"type": "object", "properties": {}}
    return ToolSpec(name=tool.name, description=tool.description, parameters=schema)


def _checked(number: int, message: message_formats.Message) -> Message:
    with contextlib.suppress(ValidationError):  # most messages have the format of amplifier-core
        return Message.model_validate(message)
    try:
        return Message.model_validate({**message, "content": _understood(message.get("content"))})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"message {number} cannot be sent, {place}: {first['msg']}") from None


def _understood(content: Any) -> Any:
    if isinstance(content, list):
        return [_block(block) for block in content]
    return "" if content is None else content


def _block(block: Any) -> Any:
    """Returns a block in the format of amplifier-core. An unknown block becomes text, so that no message is lost."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind in _BLOCKS:
        return block
    if kind == "tool_use":
        return {"type": "tool_call", "id": block.get("id"), "name": block.get("name"), "input": block.get("input", {})}
    return {"type": "text", "text": block if isinstance(block, str) else json.dumps(block, default=str)}
