"""Authenticates and opens streams, for server-sent events and WebSockets, and sends events as an answer.

The stream of one run lives in run_stream.py, WebSockets in api/websockets.py.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.types import Receive, Scope, Send

from amplifier.errors import Problem, too_many_streams
from amplifier.fair_share import current
from amplifier.live.frames import Frame
from amplifier.live.hub import Hub
from amplifier.live.subscriber import Subscriber
from amplifier.queries.registry import Queries
from amplifier.telemetry import served, tracing
from amplifier.web import query_parameters, request_target
from amplifier.web.authentication import Authenticator, authenticate, hash_secret
from amplifier.web.problems import unauthorized
from amplifier.web.request import Caller
from amplifier.web.scope_keys import CONNECTION, ENDING

SHARED_FROM = 256 * 1024  # bytes of an event; larger ones are written without a copy for each follower
_RETRY = 2000  # milliseconds after which a client should reconnect
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),  # proxies pass events on at once
]


async def authenticate_stream(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Authenticates like `authentication.authenticate`, or by a single-use ticket in the query string."""
    gate = connection.app.state.authenticator.gate
    if gate is not None:
        gate.admit(connection.scope, is_stream=True)
    if b"ticket=" not in connection.scope["query_string"]:
        return await authenticate(connection)
    request_target.restore(connection.scope)
    tickets = parse_qs(connection.scope["query_string"].decode("latin-1")).get("ticket", [""])
    row = await connection.app.state.queries.tickets.claim(
        ticket_hash=hash_secret(tickets[0]), session_id=connection.path_params.get("session_id")
    )
    if row is None:
        raise unauthorized("The ticket is used up, has expired, or is for another stream: ask for a new one")
    expires_at = row["token_expires_at"].timestamp()
    caller = Caller(row["app_id"], row["user_id"], False, expires_at, row["requests_per_minute"])
    connection.scope["user"] = caller
    authenticator: Authenticator = connection.app.state.authenticator
    current.set(authenticator.counted_for(caller))
    if (key := authenticator.limit_of(caller)) is not None:
        await authenticator.limiter.admit(connection.scope, key)
    return query_parameters.refuse(connection)


class Opening(NamedTuple):
    """A requested stream: of a session's events after `after`, None for from now on, or of hints without a session."""

    caller: Caller
    session_id: str | None
    after: int | None = None
    kind: type[Subscriber] = Subscriber

    @contextlib.asynccontextmanager
    async def opened(self, state: State) -> AsyncIterator[Subscriber]:
        """Yields the subscriber, which the hub wakes within the context. Raises Problem 404, 422 and 429."""
        hub: Hub = state.hub
        with hub.admitted(self.caller.user_id, state.max_streams) as most_elsewhere:
            subscriber = await self._open(state.queries, hub.process_id, most_elsewhere)
            if subscriber is None:
                raise too_many_streams(state.max_streams)
            with hub.subscribed(subscriber):
                yield subscriber

    async def _open(self, queries: Queries, process_id: str, most_elsewhere: int) -> Subscriber | None:
        """Returns the subscriber, or None if the caller has too many streams in other processes."""
        caller, after = self.caller, self.after
        subscriber = self.kind(caller.user_id, caller.app_id, caller.expires_at, self.session_id)
        key: dict[str, Any] = {"actor_id": caller.user_id, "stream_id": subscriber.stream_id}
        key |= {"process_id": process_id, "most_elsewhere": most_elsewhere}
        if self.session_id is None:
            return subscriber if await queries.streams.open_hints(**key) else None
        row = await queries.streams.open(**key, session_id=self.session_id, after=after)
        if row is None:
            raise Problem(404, "Session not found")
        if after is not None and after > row["last_seq"]:
            raise Problem(422, f"after: {after} is beyond the session's last_seq, {row['last_seq']}")
        subscriber.cursor, subscriber.may_send = row["last_seq"] if after is None else after, row["may_send"]
        return subscriber if row["open_elsewhere"] <= most_elsewhere else None


class EventStream:
    """An answer that sends events until the stream ends."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem before anything is sent."""

        async def write(frames: list[Frame]) -> None:
            events = [one.event for one in frames]
            if connection is None or max(map(len, events), default=0) < SHARED_FROM:
                await _body(send, b"".join(events) or b": still here\n\n")
            else:
                for event in events:
                    await connection.share(event)
            await drained(scope)

        state = scope["litestar_app"].state
        connection: Any = scope.get(CONNECTION)
        async with self._opening.opened(state) as subscriber, watched(receive, subscriber):
            scope[ENDING] = lambda: subscriber.end(reconnect=True)  # type: ignore[literal-required]
            tracing.end_early(scope, 200)
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            served.opened()
            if scope["state"].get("head"):
                return await _body(send, b"", more=False)
            await _body(send, b"retry: %d\n\n" % _RETRY)
            await subscriber.follow(state.hub.catch_up, write)
        # followers of a service that stops reconnect at different times
        last = b"retry: %d\n\n" % random.randint(500, 5000) if subscriber.reconnect else b""  # noqa: S311
        return await _body(send, last, more=False)


async def drained(scope: Any) -> None:
    """Waits until the client has read most of the data written, so that its events wait in the subscriber only."""
    if CONNECTION in scope:
        await scope[CONNECTION].drained()


@contextlib.asynccontextmanager
async def watched(receive: Receive, subscriber: Subscriber) -> AsyncIterator[None]:
    """Ends the subscriber's stream when the client disconnects within the context."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        subscriber.end()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


async def _body(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def mark_read(connection: ASGIConnection[Any, Any, Any, Any], session_id: str, seq: int) -> Any:
    """Moves the caller's read marker and notifies followers. Returns the row of `participants.read` or None."""
    state, user_id = connection.app.state, connection.scope["user"].user_id
    row = await state.queries.participants.read(actor_id=user_id, session_id=session_id, seq=seq)
    if row is not None:
        data = {"user_id": user_id, "last_read_seq": row["last_read_seq"]}
        state.hub.say(session_id, "read", msgspec.json.encode(data))
    return row
