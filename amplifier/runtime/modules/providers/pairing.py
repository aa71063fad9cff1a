"""Finds the call that a result belongs to, in constant time."""

from collections import defaultdict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Pairing(Generic[Item]):
    """Calls without a result so far, each with what belongs to it."""

    def __init__(self) -> None:
        self._queues: defaultdict[tuple[str | None, ...], deque[tuple[int, Item]]] = defaultdict(deque)
        self._taken: set[int] = set()
        self._count = 0

    def add(self, identifier: str | None, name: str, item: Item) -> None:
        """Adds a call, after those before."""
        entry = (self._count, item)
        self._count += 1
        if identifier:
            self._queues["id", identifier].append(entry)
        else:
            self._queues["bare", name].append(entry)
            self._queues["bare",].append(entry)
        self._queues["any", name].append(entry)
        self._queues["any",].append(entry)

    def take(self, identifier: str | None, name: str | None) -> Item | None:
        """Removes the first call with this id and returns what belongs to it.

        Without an id, the first call of the tool, or else the first of all; calls without ids come before others.
        """
        keys = [("id", identifier)] if identifier else [("bare", name), ("bare",), ("any", name), ("any",)]
        for key in keys:
            queue = self._queues.get(key)
            while queue:
                number, item = queue.popleft()
                if number not in self._taken:
                    self._taken.add(number)
                    return item
        return None
