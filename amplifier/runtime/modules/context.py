"""The context manager `context-simple`: keeps messages in memory and selects the newest turns that a model can take.

Messages are stored by `transcript_writer.py`, which wraps every context manager. `sizes.py` estimates their sizes.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from amplifier.runtime.hooks import show_and_emit
from amplifier.runtime.modules.sizes import CHARACTERS, fits, size, written
from amplifier.transcripts.parts import Call, Message, Result
from amplifier.transcripts.reader import read
from amplifier.transcripts.turns import is_human, is_text

_CUT = "context:compaction"
_SYSTEM = ("system", "developer")
_USUAL = frozenset(("role", "content", "tool_calls", "tool_call_id", "name", "metadata"))
_LONGEST_PROMPT = 100_000
Tell = Callable[[str, dict[str, Any]], Awaitable[Any]]


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    """Mounts the context manager. Raises ValueError for an invalid `system_prompt` or `max_tokens`."""
    tell = partial(show_and_emit, coordinator, getattr(coordinator, "hooks", None))
    await coordinator.mount("context", Window(config, tell))


class Window:
    """The messages of a session, in order. Requests leave out the oldest turns if the messages exceed the budget."""

    def __init__(self, config: dict[str, Any] | None = None, tell: Tell | None = None) -> None:
        """`tell` emits an event, for each request that leaves out another number of messages than the one before."""
        config = config or {}
        self._prompt = _prompt(config.get("system_prompt"))
        self._budget = _budget(config.get("max_tokens"))
        self._tell, self._left_out = tell, 0
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
        """Returns the system prompt, the newest turns that fit the budget in tokens, and the system messages before.

        The budget is `token_budget`, else `max_tokens` of the config, else the window of the provider's model. The last
        turn is always included, and a call is never separated from its result.
        """
        system: list[Message] = [{"role": "system", "content": self._prompt}] if self._prompt else []
        given = token_budget or self._budget
        budget = given or _window_of(provider)
        if budget is None:
            return system + self._messages
        newest = self._turns.newest(self._messages, budget * CHARACTERS - len(self._prompt))
        await self._show(len(newest), "max_tokens" if given else "context_window")
        return system + newest

    async def _show(self, messages: int, limit: str) -> None:
        left_out = len(self._messages) - messages
        if left_out != self._left_out and self._tell is not None:
            await self._tell(_CUT, {"messages": messages, "left_out": left_out, "limit": limit})
        self._left_out = left_out


class _Turns:
    """The sizes and turns of a list that only grows. Each message is counted once, when that is first needed."""

    def __init__(self) -> None:
        self._ends = [0]  # the total size of all messages before an index
        self._system_ends = [0]  # the same of the messages of the system
        self._system: list[int] = []  # indexes of the messages of the system
        self._starts: list[int] = []  # indexes at which the transcript may be cut
        self._calls: dict[str, int] = {}

    def newest(self, messages: list[Message], room: int) -> list[Message]:
        """Returns the newest turns that fit, at least the last one, after the system messages before them.

        `room` is in characters.
        """
        if len(self._ends) == 1 and fits(messages, room):
            return list(messages)
        self._count(messages)
        if self._ends[-1] <= room or not self._starts:
            return list(messages)
        start = next((at for at in self._starts if self._size_from(at) <= room), self._starts[-1])
        return [messages[at] for at in self._system if at < start] + messages[start:]

    def _size_from(self, start: int) -> int:
        return self._ends[-1] - self._ends[start] + self._system_ends[start]

    def _count(self, messages: list[Message]) -> None:
        for index in range(len(self._ends) - 1, len(messages)):
            counted = _counted(messages[index])
            self._ends.append(self._ends[-1] + counted.size)
            is_system = counted.role in _SYSTEM
            self._system_ends.append(self._system_ends[-1] + counted.size * is_system)
            self._system += [index] * is_system
            if counted.begins_turn:
                self._starts.append(index)
            for name in counted.calls:
                self._calls[name] = index
            for name in counted.results:
                self._join(name)

    def _join(self, result: str) -> None:
        """Prevents a cut between this result and its call."""
        first = self._calls.get(result)
        while first is not None and self._starts and self._starts[-1] > first:
            self._starts.pop()


class _Counted(NamedTuple):
    """The properties of a message that matter for a cut. Calls without an id are known by the names of their tools."""

    size: int
    role: str | None
    begins_turn: bool = False
    calls: Sequence[str] = ()
    results: Sequence[str] = ()


def _counted(message: Message) -> _Counted:
    if is_text(message):
        return _Counted(len(message["content"]), message["role"], is_human(message))
    if (counted := _quickly_counted(message)) is not None:
        return counted
    reading = read(message)
    calls = [part.id or part.name for part in reading.parts if isinstance(part, Call)]
    results = [part.call_id or part.name or "" for part in reading.parts if isinstance(part, Result)]
    return _Counted(size(reading), reading.role, is_human(message, reading), calls, results)


def _quickly_counted(message: Message) -> _Counted | None:
    """Counts a call or a result in the format of Amplifier or OpenAI, which takes a fifth of the time of `read`."""
    role, content, others = message.get("role"), message.get("content"), message.keys() - _USUAL
    if others or not isinstance(content, str):
        return None
    identifier, calls = message.get("tool_call_id"), message.get("tool_calls")
    if role == "tool" and isinstance(identifier, str) and not calls:
        return _Counted(len(content), "tool", results=(identifier,))
    if role != "assistant" or not isinstance(calls, list) or identifier is not None:
        return None
    ids = [call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)]
    return _Counted(len(content) + written(calls), "assistant", calls=ids) if len(ids) == len(calls) else None


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
