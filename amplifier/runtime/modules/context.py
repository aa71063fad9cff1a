"""The context manager `context-simple`: the messages in memory, and as many of the newest as a model can take."""

from collections.abc import Iterator
from typing import Any

import msgspec

from amplifier.transcripts.message_formats import Message, answered, is_human

_CHARACTERS = 4  # of a token, about
_IMAGE = 6_400  # characters that an image counts as
_LONGEST_PROMPT = 100_000
_ENCODER = msgspec.json.Encoder(enc_hook=str)


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    """Mounts it. Raises ValueError for a wrong `system_prompt` or `max_tokens`."""
    await coordinator.mount("context", Window(config))


class Window:
    """Messages in order. A request gets all of them, or without the oldest turns if they are too many."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        config = config or {}
        self._prompt = _prompt(config.get("system_prompt"))
        self._budget = _budget(config.get("max_tokens"))
        self._messages: list[Message] = []
        self._turns = _Turns()

    async def add_message(self, message: Message) -> None:
        """Adds one at the end."""
        self._messages.append(message)

    async def get_messages(self) -> list[Message]:
        """All messages."""
        return list(self._messages)

    async def set_messages(self, messages: list[Message]) -> None:
        """These instead of all others."""
        self._messages = list(messages)
        self._turns = _Turns()

    async def clear(self) -> None:
        """No messages."""
        await self.set_messages([])

    async def get_messages_for_request(
        self, token_budget: int | None = None, provider: Any | None = None
    ) -> list[Message]:
        """The system prompt, and the messages without the oldest turns that are too much for the budget.

        The last turn is always there, and a call is never parted from its result.
        """
        system: list[Message] = [{"role": "system", "content": self._prompt}] if self._prompt else []
        budget = token_budget or self._budget or _window_of(provider)
        if budget is None:
            return system + self._messages
        room = budget * _CHARACTERS - len(self._prompt)
        return system + self._turns.newest(self._messages, room)


class _Turns:
    """Sizes and turns of a list that only grows; counted once, when they are first needed."""

    def __init__(self) -> None:
        self._ends = [0]  # sizes of all messages before an index
        self._starts: list[int] = []  # where the transcript may be cut
        self._calls: dict[str, int] = {}

    def newest(self, messages: list[Message], room: int) -> list[Message]:
        """The turns that fit, at least the last one, and what the system said before the first turn."""
        if len(self._ends) == 1 and _written(messages) <= room:
            return list(messages)  # writing all of them is far quicker than looking at each
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
        """No cut between these results and their calls."""
        first = min((self._calls[one] for one in results if one in self._calls), default=None)
        while first is not None and self._starts and self._starts[-1] > first:
            self._starts.pop()


def _identified(message: Message) -> list[str]:
    """The ids in an assistant's message: those of its calls, in each of the dialects, and others that do no harm."""
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
    """What a provider's model takes besides its answer, in tokens; none when it does not say."""
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
