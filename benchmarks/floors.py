"""The lower bounds of the service's times: a plain Litestar handler and a bare ASGI callable, with the same SQL."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, get, post
from litestar.params import FromPath

from amplifier import paths
from amplifier.api.transcripts import Appended
from amplifier.database.pool import Database
from amplifier.queries.registry import Queries
from amplifier.setting_sources import load
from amplifier.web.session_view import Session

USER, APPLICATION = "bench-user", "bench"


class Append(msgspec.Struct):
    """The body of an append, in its simplest form."""

    messages: list[dict[str, Any]]
    expected_seq: int | None = None


class Floor:
    """The service's pool and its own SQL."""

    def __init__(self) -> None:
        settings = load()
        self.database = Database(settings, os.environ["DATABASE_URL"])
        queries = Queries(self.database, paths.folder("queries"))
        self.get_sql = queries.sessions.get.statement
        self.get_order = queries.sessions.get.parameters
        self.append_sql = queries.messages.append.statement
        self.append_order = queries.messages.append.parameters
        self.read_sql = queries.messages.list.statement
        self.read_order = queries.messages.list.parameters
        self.page: bytes | None = None

    async def start(self) -> None:
        """Opens the pool."""
        await self.database.connect()

    async def get(self, session_id: str) -> Session:
        """Returns one session."""
        arguments = {"actor_id": USER, "session_id": session_id}
        row = await self.database.fetchrow(self.get_sql, *[arguments[name] for name in self.get_order])
        return Session(*row)

    async def append(self, session_id: str, messages: bytes) -> Appended:
        """Adds messages."""
        arguments = {
            "actor_id": USER,
            "actor_app_id": APPLICATION,
            "session_id": session_id,
            "messages": messages,
            "expected_seq": None,
        }
        row = await self.database.fetchrow(self.append_sql, *[arguments[name] for name in self.append_order])
        return Appended(*row)

    async def read(self, session_id: str) -> list[Any]:
        """Returns the rows of a page of 1,000 messages."""
        arguments = {
            "actor_id": USER,
            "session_id": session_id,
            "after": 0,
            "as_of": None,
            "limit": 1000,
            "max_bytes": 2**23,
        }
        return await self.database.fetch(self.read_sql, *[arguments[name] for name in self.read_order])


def plain() -> Litestar:
    """Litestar without authentication, middleware, limits or error handling."""
    floor = Floor()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await floor.start()
        yield

    @get("/sessions/{session_id:str}")
    async def get_session(session_id: FromPath[str]) -> Session:
        return await floor.get(session_id)

    @post("/sessions/{session_id:str}/transcript")
    async def append(session_id: FromPath[str], data: Append) -> Appended:
        return await floor.append(session_id, msgspec.json.encode(data.messages))

    return Litestar([get_session, append], lifespan=[lifespan], openapi_config=None, logging_config=None)


def bare() -> Any:
    """Returns an ASGI callable with three routes."""
    floor = Floor()
    decoder, encoder = msgspec.json.Decoder(Append), msgspec.json.Encoder()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await floor.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        session_id = scope["path"].split("/")[2]
        if scope["method"] == "POST":
            body, more = b"", True
            while more:
                event = await receive()
                body += event["body"]
                more = event["more_body"]
            messages = encoder.encode(decoder.decode(body).messages)
            status, content = 201, encoder.encode(await floor.append(session_id, messages))
        elif scope["path"].endswith("/transcript"):
            rows = await floor.read(session_id)
            floor.page = floor.page or await _page(session_id, rows)
            status, content = 200, floor.page
        else:
            status, content = 200, encoder.encode(await floor.get(session_id))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


async def _page(session_id: str, rows: list[Any]) -> bytes:
    """Returns the bytes of the service's response, encoded once."""
    from amplifier.api.transcripts import Entry, Transcript

    entries = [Entry(*row[2:]) for row in rows]
    following = entries[-1].seq if rows[-1]["next_seq"] is not None else None
    return msgspec.json.encode(Transcript(session_id, rows[0]["last_seq"], entries, following))
