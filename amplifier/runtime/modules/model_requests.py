"""Makes a provider's ChatRequest from stored messages.

Messages that do not have the format of amplifier-core are written in it by `core_messages.py`. The translation to the
request bodies of model APIs is in `providers/`.
"""

import contextlib
from typing import Any, TypeAlias

from amplifier_core import ChatRequest
from amplifier_core.message_models import Message, ToolSpec
from pydantic import TypeAdapter, ValidationError

from amplifier.errors import Unsendable
from amplifier.runtime.modules.core_messages import Writer
from amplifier.transcripts import parts

_ALL = TypeAdapter(list[Message])
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_SAYING = ("user", "assistant")
_KNOWN = frozenset({"role", "content", "name", "tool_call_id", "tool_calls", "metadata", "thinking_block", "timestamp"})
_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_call", "tool_result", "image", "reasoning")

Known: TypeAlias = tuple[parts.Message, Any, Message | list[Message]]  # a message, its content, and what it is sent as


class Requests:
    """Makes the requests of a turn. An unchanged message is validated once in a turn.

    `kept` has what earlier turns validated, by the identity of the message, and None for other messages that outlast
    the turn; these are added.
    """

    def __init__(self, tools: list[Any], kept: dict[int, Known | None] | None = None) -> None:
        self._specs = [_spec(tool) for tool in tools] or None
        self._kept = {} if kept is None else kept
        self._known: dict[int, Known] = {key: known for key, known in self._kept.items() if known is not None}
        self._writer = Writer()

    def request(self, messages: list[parts.Message], notes: list[Any], last: bool) -> ChatRequest:
        """Returns a request with the messages and the `notes` that hooks add to this request only.

        In the `last` request the model may not call tools. Raises Unsendable if amplifier-core refuses a message.
        """
        sent = _with_notes(messages, notes)
        models = self._learn(sent) if not self._known else None
        if models is None:
            models = [model for message in sent for model in self._models(message)]
        # the last request has the tools, too: Anthropic refuses calls of tools that the request does not describe
        choice = "none" if last and self._specs else None
        return ChatRequest(messages=models, tools=self._specs, tool_choice=choice)

    def _learn(self, messages: list[parts.Message]) -> list[Message] | None:
        """Validates all usual messages at once, which takes half the time of one by one.

        Returns their models if all messages are usual ones.
        """
        usual = [message for message in messages if _is_usual(message)]
        try:
            models: list[Message] = _ALL.validate_python(usual)
        except ValidationError:
            return None
        known = zip(usual, models, strict=True)
        for message, model in known:
            self._keep(message, (message, message["content"], model))
        return models if len(models) == len(messages) else None

    def _models(self, message: parts.Message) -> list[Message]:
        known = self._known.get(id(message))
        content = message.get("content")
        if known is None or known[1] is not content:
            known = self._keep(message, (message, content, self._written(message)))
        models = known[2]  # a list for each message would have the garbage collector run twice as often
        return models if isinstance(models, list) else [models]

    def _keep(self, message: parts.Message, known: Known) -> Known:
        self._known[id(message)] = known
        if id(message) in self._kept:
            self._kept[id(message)] = known
        return known

    def _written(self, message: parts.Message) -> list[Message]:
        if _is_usual(message):
            with contextlib.suppress(ValidationError):  # a block may lack a member that amplifier-core demands
                return [Message.model_validate(message)]
        try:
            models: list[Message] = _ALL.validate_python(self._writer.write(message))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise Unsendable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", message) from None
        return models


def _is_usual(message: parts.Message) -> bool:
    """Returns whether a message looks like one of amplifier-core, with texts or its blocks as content."""
    role, content = message.get("role"), message.get("content")
    if type(role) is not str:
        return False
    if len(message) == 2 and type(content) is str and role in _SAYING:
        return True  # a text and nothing else, as most messages are
    if role not in _ROLES or not message.keys() <= _KNOWN or (role == "tool" and not message.get("tool_call_id")):
        return False
    calls = message.get("tool_calls")
    if calls and not (isinstance(calls, list) and all(isinstance(call, dict) and call.get("id") for call in calls)):
        return False
    if isinstance(content, list):
        return all(isinstance(block, dict) and block.get("type") in _BLOCKS for block in content)
    return isinstance(content, str)


def _with_notes(messages: list[parts.Message], notes: list[Any]) -> list[parts.Message]:
    sent = list(messages)
    for note in notes:
        last = sent[-1] if sent else {}
        if note.append_to_last_tool_result and last.get("role") == "tool" and isinstance(last.get("content"), str):
            sent[-1] = {**last, "content": f"{last['content']}\n\n{note.content}"}
        else:
            sent.append({"role": note.role, "content": note.content})
    return sent


def _spec(tool: Any) -> ToolSpec:
    schema = getattr(tool, "input_schema", None) or {"type": "object", "properties": {}}
    return ToolSpec(name=tool.name, description=tool.description, parameters=schema)
