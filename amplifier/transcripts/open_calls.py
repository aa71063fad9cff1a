"""The calls of a transcript, and those that wait for a result while it is read from its beginning."""

from collections import deque
from typing import Any

from amplifier.transcripts.parts import Message, Result


class Group:
    """The calls of one answer of an assistant: of one message, or of adjacent messages that are pieces of an answer.

    `end` is the index of the last message with a call. Calls with their result in the same message are left out.
    """

    __slots__ = ("calls", "end", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.calls: list[Call] = []
        self.end = -1


class Call:
    """A tool call in a transcript.

    `caller` is the index of its message, `number` its position in its group, and `result` the index of the message with
    its result, if there is one.
    """

    __slots__ = ("caller", "group", "id", "name", "number", "result")

    def __init__(self, caller: int, group: Group, id: str | None, name: str) -> None:
        self.caller, self.group, self.number, self.id, self.name = caller, group, -1, id, name
        self.result: int | None = None


class OpenCalls:
    """Calls without a result, by their ids and by the names of their tools.

    For each id and name only those of the latest group count. Calls that have a result are removed when they are met.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, deque[Call]] = {}
        self._by_name: dict[str | None, deque[Call]] = {}  # calls without an id by None, too

    def add(self, call: Call) -> None:
        """Adds a call that waits for its result."""
        _queue(self._by_name, call.name, call.group).append(call)
        if call.id is None:
            _queue(self._by_name, None, call.group).append(call)
        else:
            _queue(self._by_id, call.id, call.group).append(call)

    def belonging(self, result: Result) -> deque[Call] | None:
        """Returns the calls that a result may belong to, the first one first; None if there never was one."""
        by_id = result.call_id is not None
        queue = self._by_id.get(result.call_id or "") if by_id else self._by_name.get(result.name)
        first_open(queue)
        return queue

    def takes_next(self, call: Call) -> bool:
        """Returns whether a result of this call that is appended to the transcript belongs to its group."""
        queue = self._by_name[call.name] if call.id is None else self._by_id[call.id]
        return bool(queue) and queue[0].group is call.group


def first_open(queue: deque[Call] | None) -> Call | None:
    """Returns the first call without a result, and removes those before it."""
    while queue and queue[0].result is not None:
        queue.popleft()
    return queue[0] if queue else None


def _queue(queues: dict[Any, deque[Call]], key: str | None, group: Group) -> deque[Call]:
    queue = queues.get(key)
    if not queue or queue[0].group is not group:
        queue = queues[key] = deque()
    return queue
