"""Wakes the keeper of leases when another process changed a session in which this process executes a run.

Notices about other sessions do not: the more processes there are, the more of them arrive, and each renewal of the
leases writes all runs of the process.
"""

import asyncio
from collections import Counter

from amplifier.live.notifications import Notice


class RunNotices:
    """The sessions in which this process executes runs. `noticed` is set when one of them may have been changed."""

    def __init__(self) -> None:
        self.noticed = asyncio.Event()
        self._sessions: Counter[str] = Counter()

    def begin(self, session_id: str) -> None:
        """Adds the session of a run that begins."""
        self._sessions[session_id] += 1

    def end(self, session_id: str) -> None:
        """Removes the session of a run that has ended."""
        self._sessions[session_id] -= 1
        if not self._sessions[session_id]:
            del self._sessions[session_id]

    def take(self, notice: Notice) -> None:
        """Sets `noticed` if the notice of another process is about one of the sessions."""
        changed = any(one in self._sessions for names in (notice.changed, notice.present) for one in names)
        if changed or (notice.everything and self._sessions):
            self.noticed.set()
