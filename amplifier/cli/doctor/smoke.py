"""The smoke test of a deployment: makes a config and a session, uses them as clients do, and deletes them again."""

import asyncio
import contextlib
import time
import uuid
from typing import Any

import httpx

from amplifier.cli.doctor import answers
from amplifier.cli.doctor.deployment import Deployment, broken
from amplifier.cli.doctor.findings import Fault, Outcome, failed, ok, skipped

_CONFIG = {"config_data": {"bundle": {"name": "doctor"}}}
_OPENING, _ARRIVING, _ENDING = 1.5, 2.5, 2.0  # seconds to wait for a stream's beginning, for an event, for its end
BUFFERED = (
    "let the proxy pass answers on as they come: nginx: proxy_buffering off; Apache: flushpackets=on; Azure "
    "Application Gateway: response buffering off; no compression of text/event-stream"
)


class Smoke:
    """The things that the smoke test makes in a deployment, until they are deleted."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        # one word for the search, which is found nowhere else
        self.word = f"doctor{uuid.uuid4().hex}"
        self.made: list[str] = []  # paths of what has to be deleted, the first made first
        self.session = self._config_id = ""
        self._unanswered: tuple[str, str, dict[str, Any]] | None = None  # path, member and options of a request

    async def identify(self) -> Outcome:
        """Asks for the user that the credentials belong to."""
        user = await self.deployment.json("GET", "/users/me")
        return ok(f"as {user['user_id']}")

    async def create(self) -> Outcome:
        """Makes a config and a session."""
        self._config_id = await self._make("/configs", "config_id", {"name": self.word} | _CONFIG)
        self.session = await self._new_session()
        return ok(f"config {self._config_id}, session {self.session}")

    async def _new_session(self) -> str:
        body = {"config_id": self._config_id, "title": "amplifier-api doctor"}
        return await self._make("/sessions", "session_id", body)

    async def _make(self, path: str, member: str, body: dict[str, Any]) -> str:
        """Makes something and returns its id. If the answer is lost, `clean_up` finds out the id by a repeat."""
        repeatable = {"json": body, "headers": {"Idempotency-Key": uuid.uuid4().hex}}
        self._unanswered = (path, member, repeatable)
        made = str((await self.deployment.json("POST", path, **repeatable))[member])
        self.made.append(f"{path}/{made}")
        self._unanswered = None
        return made

    async def append(self) -> Outcome:
        """Appends a message, and repeats the request as after a lost answer."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        first, again = [await self._append(self.session, self.word, key) for _ in range(2)]
        if first["first_seq"] != again["first_seq"]:
            remedy = "let the proxy pass the header Idempotency-Key on"
            return failed(
                f"messages {first['first_seq']} and {again['first_seq']}", "the repeat was stored, too", remedy
            )
        return ok(f"message {first['first_seq']}, once after a repeat with its Idempotency-Key")

    async def append_to_session(self, text: str) -> None:
        """Appends a message to the session. Raises Fault."""
        await self._append(self.session, text)

    async def _append(self, session_id: str, text: str, headers: dict[str, str] | None = None) -> Any:
        body = {"messages": [{"role": "user", "content": text}]}
        return await self.deployment.json("POST", f"/sessions/{session_id}/transcript", json=body, headers=headers)

    async def read(self) -> Outcome:
        """Reads the message back."""
        page = await self.deployment.json("GET", f"/sessions/{self.session}/transcript")
        found = [entry["message"].get("content") for entry in page["messages"]]
        if found != [self.word]:
            remedy = "see whether a cache in front keeps answers, or the address belongs to several deployments"
            return failed(f"{len(found)} messages", "the appended message does not come back", remedy)
        return ok("the message comes back as it was sent")

    async def search(self) -> Outcome:
        """Searches for the word of the message."""
        found = await self.deployment.json("GET", "/search", params={"q": self.word, "session_id": self.session})
        if len(found["items"]) != 1:
            remedy = "where the service runs: amplifier-api doctor, then amplifier-api search reindex"
            return failed(f"{len(found['items'])} results", "the search does not find the message", remedy)
        return ok("the message is found")

    async def stream(self) -> Outcome:
        """Follows a session of its own, and waits for the event of a message."""
        session_id, word = await self._new_session(), f"{self.word}stream"
        opened, arrived = asyncio.Event(), asyncio.Event()
        following = asyncio.create_task(self._follow(session_id, word, opened, arrived))
        try:
            await _first(opened, following, _OPENING)
            await self._append(session_id, word)
            began = time.monotonic()
            if await _first(arrived, following, _ARRIVING):
                return ok(f"the event of a message arrives after {(time.monotonic() - began) * 1000:.0f} ms")
            return await self._after_its_end(session_id, arrived, following)
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _follow(self, session_id: str, word: str, opened: asyncio.Event, arrived: asyncio.Event) -> None:
        """Reads a stream to its end. Raises Fault."""
        path = f"/sessions/{session_id}/events"
        try:
            async with self.deployment.client.stream("GET", path, params={"after": 0}, timeout=30) as response:
                if not response.is_success:
                    await response.aread()
                    raise answers.fault(response)
                opened.set()
                async for line in response.aiter_lines():
                    if word in line:
                        arrived.set()
        except httpx.HTTPError as error:
            raise broken(f"GET {path}", error) from error

    async def _after_its_end(self, session_id: str, arrived: asyncio.Event, following: "asyncio.Task[None]") -> Outcome:
        """Ends a stream by deleting its session, to see whether something on the way held the event back."""
        await self._delete(f"/sessions/{session_id}")
        with contextlib.suppress(Fault):
            await _first(arrived, following, _ENDING)
        if arrived.is_set():
            seen = "the event of a message arrives only when the stream ends"
            return failed(seen, "a proxy collects the answer instead of passing it on", BUFFERED)
        return failed(
            "the event of a message never arrives",
            "a proxy holds the stream back, or the service does not deliver",
            f"{BUFFERED}. Without a proxy: amplifier-api doctor where the service runs (LISTEN)",
        )

    async def clean_up(self) -> Outcome:
        """Deletes what was made, the last first. Reports what it could not delete."""
        if self._unanswered is not None:
            await self._learn(*self._unanswered)
        if not self.made:
            return skipped("because nothing was made")
        paths, fault = list(reversed(self.made)), None
        for path in paths:
            try:
                await self._delete(path)
            except Fault as error:
                fault = error
        if fault is None:
            return ok(f"deleted: {', '.join(paths)}")
        return failed(fault.outcome.seen, str(fault), f"{fault.outcome.remedy}{self.left()}")

    def left(self) -> str:
        """Returns commands that delete what is left, as lines after another text. Empty if nothing is left."""
        if not self.made:
            return ""
        commands = "\n".join(f"curl -X DELETE {self.deployment.url}{path}" for path in reversed(self.made))
        return f"\nThen delete what the test left, with the same credentials:\n{commands}"

    async def _learn(self, path: str, member: str, repeatable: dict[str, Any]) -> None:
        """Repeats a request whose answer was lost, to have the id of what it made."""
        with contextlib.suppress(Fault):
            made = await self.deployment.json("POST", path, **repeatable)
            self.made.append(f"{path}/{made[member]}")

    async def _delete(self, path: str) -> None:
        await self.deployment.request("DELETE", path)
        if path.startswith("/configs/"):
            self.made.clear()  # its sessions go with it
        else:
            self.made.remove(path)


async def _first(event: asyncio.Event, task: "asyncio.Task[None]", seconds: float) -> bool:
    """Waits until an event is set. Returns False after `seconds`, or when the task has ended; raises its error."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([waiting, task], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if task.done() and not event.is_set():
        task.result()
    return event.is_set()
