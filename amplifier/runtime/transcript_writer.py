"""The context manager of a run, which writes each message to the transcript when it is added.

It makes messages storable and decides nothing about what the model sees; that is the task of the context module.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from amplifier.runtime.argument_order import with_order
from amplifier.runtime.secret_references import redacted
from amplifier.transcripts.turns import is_of_hook

Message = dict[str, Any]
_UNWRITTEN = ("system", "developer")  # roles of messages that belong to the agent; each run creates them anew
# what earlier releases wrote in the agent's name when a run had no answer
_NOTICES = frozenset(
    {
        "The run failed before it answered.",
        "The run was cancelled before it answered.",
        "The limit of rounds is reached, and there is no answer.",
    }
)


class Transcript:
    """Wraps the context manager that the config names, which decides what the model sees.

    Raises the errors of `append`: a message that is not written does not reach the context.
    """

    def __init__(
        self,
        inner: Any,
        append: Callable[[bytes], Coroutine[Any, Any, None]],
        secrets: frozenset[str],
        fill: Callable[[list[Message]], Coroutine[Any, Any, list[Message]]] | None = None,
    ) -> None:
        """`append` writes an encoded message. `secrets` are masked, also if a tool or a provider repeats them.

        `fill` puts content into the messages of a request in the place of references.
        """
        self._inner, self._append, self._secrets, self._fill = inner, append, secrets, fill
        self._begun = False

    async def add_message(self, message: Message) -> None:
        """Writes the message, except the user's first one, which is in the transcript since the run began."""
        role = message.get("role")
        if role == "user" and not self._begun and not is_of_hook(message):
            self._begun = True
        elif role not in _UNWRITTEN:
            message = redacted(message, self._secrets)
            await _uninterrupted(self._append(encoded(with_order(message))))
        await self._inner.add_message(message)

    async def get_messages_for_request(self, *given: Any, **named: Any) -> list[Message]:
        """Returns the messages that the context manager selects for a request, with the content of attachments."""
        messages: list[Message] = await self._inner.get_messages_for_request(*given, **named)
        return messages if self._fill is None else await self._fill(messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def _uninterrupted(writing: Coroutine[Any, Any, None]) -> None:
    """Waits until the message is written, even if cancelled: closing the turn requires knowing what was written."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
    finally:
        task.cancel()


def encoded(message: Message) -> bytes:
    """Returns the message as JSON that PostgreSQL accepts: without NUL characters and lone surrogates."""
    try:
        text = msgspec.json.encode(message, enc_hook=_plain)
    except UnicodeEncodeError:
        text = b"\\u0000"
    if b"\\u0000" not in text:
        return text
    return msgspec.json.encode(cleaned(msgspec.to_builtins(message, enc_hook=_plain)))


def cleaned(value: Any) -> Any:
    """Returns a copy of a JSON value with texts that PostgreSQL accepts."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {cleaned(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Converts other values that modules put into messages: models of pydantic by their dump, the rest by `str`."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump else str(value)


def is_notice(message: Message) -> bool:
    """Returns whether a message is not the agent's own: an earlier release wrote it because a run had no answer."""
    content = message.get("content")
    return message.get("role") == "assistant" and isinstance(content, str) and content in _NOTICES


def spoken(message: Message) -> Message:
    """Returns a user's message as the model receives it: the text, followed by the context sent with it as JSON."""
    metadata = message.get("metadata") if message.get("role") == "user" else None
    context = metadata.get("context") if isinstance(metadata, dict) else None
    if not context or not isinstance(message.get("content"), str):
        return message
    given = msgspec.json.encode(context, order="sorted").decode()
    return message | {"content": f"{message['content']}\n\n<context>\n{given}\n</context>"}
