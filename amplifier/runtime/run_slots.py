"""Counts the runs that a process executes at once, in total and for each user."""

from collections import Counter

_REMEMBERED = 1000  # users who had a place lately


class Places:
    """The places for runs in one process.

    A run takes its place before the statement that begins it, so that two runs cannot get the last place.
    """

    def __init__(self, most: int, most_of_user: int) -> None:
        self._most, self._most_of_user = most, most_of_user
        self._taken: dict[str, str] = {}
        self._users: Counter[str] = Counter()
        self._served: dict[str, None] = {}

    @property
    def are_left(self) -> bool:
        """Returns whether a place is left for a run of any user."""
        return len(self._taken) < self._most

    @property
    def full_users(self) -> list[str]:
        """Returns the users who have as many runs as a user may have."""
        return [user_id for user_id, count in self._users.items() if count >= self._most_of_user]

    @property
    def served_users(self) -> list[str]:
        """Returns the users whose runs began lately, oldest first. All other users come before them."""
        return list(self._served)

    def take(self, run_id: str, user_id: str) -> bool:
        """Takes a place for a run. Returns whether the run has one now; a place taken before is kept."""
        if run_id in self._taken:
            return True
        if not self.are_left or self._users[user_id] >= self._most_of_user:
            return False
        self._taken[run_id] = user_id
        self._users[user_id] += 1
        self._served.pop(user_id, None)
        self._served[user_id] = None
        if len(self._served) > _REMEMBERED:
            del self._served[next(iter(self._served))]
        return True

    def free(self, run_id: str) -> bool:
        """Frees the place of a run, if it has one. Returns whether other runs may be waiting for it."""
        if (user_id := self._taken.get(run_id)) is None:
            return False
        awaited = not self.are_left or self._users[user_id] >= self._most_of_user
        del self._taken[run_id]
        self._users[user_id] -= 1
        if not self._users[user_id]:
            del self._users[user_id]
        return awaited
