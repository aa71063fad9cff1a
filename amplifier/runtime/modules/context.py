"""The context manager `context-simple`: keeps messages in memory and selects the newest turns that a model can take.

Messages are stored by `transcript_writer.py`, which wraps every context manager.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from amplifier.transcripts.message_formats import Message, answered, is_human

_CHARACTERS = 4  # per token, approximately
_IMAGE = 6_400  # the size of an image in characters
_LONGEST_PROMPT = 100_000
_ENCODER = msgspec.json.Encoder(enc_hook=str)


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    """Mounts the context manager. Raises ValueError for an invalid `system_prompt` or `max_tokens`."""
    await coordinator.mount("context", Window(config))


class Window:
    """The messages of a session, in order. Requests leave out the oldest turns if the messages exceed the budget."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        config = config or {}
        self._prompt = _prompt(config.get("system_prompt"))
        self._budget = _budget(config.get("max_tokens"))
        self._messages: list[Message] = []
        self._turns = _Turns()

    async def add_message(self, message: Message) -> None:
        """Appends a message."""
        self._messages.append(message)

    async def get_messages(self) -> list[Message]:
        """Returns all messages."""
        return list(self._messages)

    async def set_messages(self, messages: list[Message]) -> None:
        """Replaces all messages."""
        self._messages = list(messages)
        self._turns = _Turns()

    async def clear(self) -> None:
        """Removes all messages."""
        await self.set_messages([])

    async def get_messages_for_request(
        self, token_budget: int | None = None, provider: Any | None = None
    ) -> list[Message]:
        """Returns the system prompt and the newest turns that fit the budget in tokens.

        The budget is `token_budget`, else `max_tokens` of the config, else the window of the provider's model. The last
        turn is always included, and a call is never separated from its result.
        """
        system: list[Message] = [{"role": "system", "content": self._prompt}] if self._prompt else []
        budget = token_budget or self._budget or _window_of(provider)
        if budget is None:
            return system + self._messages
        room = budget * _CHARACTERS - len(self._prompt)
        return system + self._turns.newest(self._messages, room)


class _Turns:
    """The sizes and turns of a list that only grows. Each message is counted once, when that is first needed."""

    def __init__(self) -> None:
        self._ends = [0]  # the total size of all messages before an index
        self._starts: list[int] = []  # indexes at which the transcript may be cut
        self._calls: dict[str, int] = {}

    def newest(self, messages: list[Message], room: int) -> list[Message]:
        """Returns the newest turns that fit, at least the last one, after the system messages before the first turn.

        `room` is in characters.
        """
        if len(self._ends) == 1 and _written(messages) <= room:
            return list(messages)  # encoding all of them at once is far faster than measuring each
        self._count(messages)
        if self._ends[-1] <= room or not self._starts:
            return list(messages)
        head = [message for message in messages[: self._starts[0]] if message.get("role") in ("system", "developer")]
        room -= sum(map(_size, head))
        start = next((at for at in self._starts if self._ends[-1] - self._ends[at] <= room), self._starts[-1])
        return head + messages[start:]

    def _count(self, messages: list[Message]) -> None:
        for index in range(len(self._ends) - 1, len(messages)):
            message = messages[index]
            self._ends.append(self._ends[-1] + _size(message))
            role = message.get("role")
            if role == "assistant":
                self._calls.update(dict.fromkeys(_identified(message), index))
            elif role == "user" and is_human(message):
                self._starts.append(index)
            else:
                self._join(answered(message))

    def _join(self, results: list[str]) -> None:
        """Prevents a cut between these results and their calls."""
        first = min((self._calls[one] for one in results if one in self._calls), default=None)
        while first is not None and self._starts and self._starts[-1] > first:
            self._starts.pop()


def _identified(message: Message) -> list[str]:
    """Returns all ids in an assistant's message. Calls have them in every format; ids of other blocks do no harm."""
    parts = [given for given in (message.get("tool_calls"), message.get("content")) if isinstance(given, list)]
    return [
        part["id"] for given in parts for part in given if isinstance(part, dict) and isinstance(part.get("id"), str)
    ]


def _size(message: Message) -> int:
    content = message.get("content")
    if isinstance(content, str) and "tool_calls" not in message:
        return len(content)
    if isinstance(content, list):
        return sum(map(_size_of_block, content)) + _written(message.get("tool_calls"))
    return _written(message)


def _size_of_block(block: Any) -> int:
    if not isinstance(block, dict):
        return _written(block)
    text = block.get("text")
    if isinstance(text, str):
        return len(text)
    return _IMAGE if block.get("type") in ("image", "image_url", "input_image") else _written(block)


def _written(value: Any) -> int:
    return len(_ENCODER.encode(value)) if value is not None else 0


def _window_of(provider: Any) -> int | None:
    """Returns the tokens that a provider's model accepts besides its answer, or None if the provider gives no size."""
    info = getattr(provider, "get_info", None)
    defaults = getattr(info(), "defaults", None) if callable(info) else None
    if not isinstance(defaults, dict):
        return None
    window, *outputs = _numbers(defaults, "context_window", "max_output_tokens", "max_tokens")
    if window is None:
        return None
    return max(window - next((output for output in outputs if output), 0), window // 2)


def _numbers(given: dict[str, Any], *keys: str) -> Iterator[int | None]:
    for key in keys:
        value = given.get(key)
        yield value if isinstance(value, int) and value > 0 else None


def _prompt(given: Any) -> str:
    if given is not None and (not isinstance(given, str) or len(given) > _LONGEST_PROMPT):
        raise ValueError(f"system_prompt must be a text of at most {_LONGEST_PROMPT} characters")
    return given or ""


def _budget(given: Any) -> int | None:
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise ValueError("max_tokens must be a whole number above 0")
    return given
