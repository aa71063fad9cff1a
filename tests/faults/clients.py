"""The clients of a load.

Each repeats what was not acknowledged, with the same Idempotency-Key and through the next process.
"""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import Any

from tests.faults.caller import Caller
from tests.faults.history import Call, now
from tests.faults.stored import marker_of

GIVE_UP = 30.0  # seconds after the end of a load for a last acknowledgement
PAUSE = 0.05  # seconds between two actions, and two attempts

_numbers = itertools.count(1)


def new_marker() -> str:
    """Returns a text that no other message has, and that is one word for the search."""
    return f"mark{next(_numbers)}x{uuid.uuid4().hex[:8]}"


class Client:
    """A user who acts through all processes in turn until `stop` is set."""

    def __init__(self, caller: Caller, user: str, stop: asyncio.Event, first: int = 0) -> None:
        self.caller, self.user, self.stop = caller, user, stop
        self.turn = first

    async def run(self) -> None:
        """Acts until the load ends."""
        while not self.stop.is_set():
            await self.act()
            await asyncio.sleep(PAUSE)

    async def act(self) -> None:
        """Does one thing. Subclasses define it."""
        raise NotImplementedError

    def process(self, turn: int) -> int:
        """Returns the number of the process for a turn."""
        return turn % len(self.caller.targets)

    def new_call(self, kind: str, turn: int, session: str, **more: Any) -> Call:
        """Returns a call that has not been sent."""
        return Call(kind, self.process(turn), self.user, session, 0, 0, 0, **more)

    async def repeated(
        self,
        call: Call,
        method: str,
        path: str,
        body: Any = None,
        understand: Callable[[Call, Any], None] = lambda _, __: None,
    ) -> Call:
        """Sends a request until it is acknowledged or refused for good, each time to another process."""
        ended: float | None = None
        while True:
            done = await self.caller.call(call, method, path, body, understand)
            if 200 <= done.status < 300 or done.is_final or done.status in (404, 500):
                return done
            if self.stop.is_set():
                ended = ended or now()
                if now() > ended + GIVE_UP:
                    return done
            await asyncio.sleep(PAUSE)
            self.turn += 1
            fields = {"key": call.key, "marker": call.marker, "after": call.after}
            call = self.new_call(call.kind, self.turn, call.session, **fields)


class Writer(Client):
    """Appends to its sessions, and reads what it wrote through the next process. `last` is the marker of that."""

    sessions: list[str]
    last = ""

    async def act(self) -> None:
        """Appends one message and reads it."""
        self.turn += 1
        number = next(_numbers)
        session = self.sessions[number % len(self.sessions)]
        marker = new_marker()
        body = {"messages": [{"role": "user", "content": f"{marker} and some words that a person might write"}]}
        call = self.new_call("append", self.turn, session, key=uuid.uuid4().hex, marker=marker)
        done = await self.repeated(call, "POST", f"/sessions/{session}/transcript", body, _appended)
        if not 200 <= done.status < 300:
            return
        after = max(0, done.first_seq - 3)
        path = f"/sessions/{session}/transcript?after={after}&limit=100"
        await self.caller.call(self.new_call("read", done.process + 1, session, after=after), "GET", path, None, _read)
        self.last = marker


class Searcher(Client):
    """Searches for what a writer wrote last, as the same user."""

    writer: Writer

    async def act(self) -> None:
        """Searches once."""
        if marker := self.writer.last:
            self.turn += 1
            call = self.new_call("search", self.turn, "", marker=marker)
            await self.caller.call(call, "GET", f"/search?q={marker}", None, _found)


class Agent(Client):
    """Sends messages to an agent and waits for the answers."""

    session: str

    async def act(self) -> None:
        """Sends a message."""
        self.turn += 1
        marker = new_marker()
        call = self.new_call("message", self.turn, self.session, key=uuid.uuid4().hex, marker=marker)
        await self.repeated(call, "POST", f"/sessions/{self.session}/messages", {"message": marker}, _answered)


class Guest(Client):
    """Reads a session from which somebody removes it again and again."""

    session: str

    async def act(self) -> None:
        """Reads the session's last messages."""
        self.turn += 1
        path = f"/sessions/{self.session}/transcript?last=1"
        await self.caller.call(self.new_call("read", self.turn, self.session), "GET", path, None, _read)


class Doorkeeper(Client):
    """The owner of a session, who removes a guest and adds it again."""

    session: str
    guest: str

    async def act(self) -> None:
        """Removes the guest, waits, and adds it again."""
        path = f"/sessions/{self.session}/participants"
        await self._change("revoke", "DELETE", f"{path}/{self.guest}")
        await asyncio.sleep(4 * PAUSE)
        await self._change("restore", "POST", path, {"user_id": self.guest, "role": "viewer"})
        await asyncio.sleep(4 * PAUSE)

    async def _change(self, kind: str, method: str, path: str, body: Any = None) -> None:
        self.turn += 1
        call = self.new_call(kind, self.turn, self.session, key=uuid.uuid4().hex, marker=self.guest)
        await self.repeated(call, method, path, body)


def _appended(call: Call, answer: Any) -> None:
    call.first_seq, call.last_seq = answer["first_seq"], answer["last_seq"]


def _read(call: Call, answer: Any) -> None:
    call.last_seq = answer["last_seq"]
    call.found = [marker_of(str(one["message"].get("content"))) for one in answer["messages"]]


def _found(call: Call, answer: Any) -> None:
    call.found = [call.marker] if any(call.marker in one["headline"] for one in answer["items"]) else []


def _answered(call: Call, answer: Any) -> None:
    call.found = [marker_of(answer["response"])]
