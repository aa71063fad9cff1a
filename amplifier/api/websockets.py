"""Events over WebSocket, for clients that also send: typing notes and read markers."""

import asyncio
import contextlib
import logging
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from litestar import Controller, WebSocket, websocket
from litestar.params import FromPath

from amplifier.errors import Problem
from amplifier.live.frames import Frame, frame
from amplifier.live.subscriber import Subscriber
from amplifier.telemetry import served, tracing
from amplifier.web.authentication import Authenticator
from amplifier.web.bodies import Body
from amplifier.web.event_stream import SHARED_FROM, Opening, authenticate_stream, drained, mark_read
from amplifier.web.hosts import is_foreign
from amplifier.web.problems import MEDIA_TYPE, describe, document, encoded
from amplifier.web.scope_keys import CONNECTION
from amplifier.web.websocket_limits import Saying

logger = logging.getLogger(__name__)

MAX_MESSAGE = 4096  # bytes that a client may say at once
_MAX_ERRORS = 3
_GOING_AWAY, _POLICY, _RESTART = 1001, 1008, 1012  # why a socket is closed (RFC 6455)

Socket = WebSocket[Any, Any, Any]


class Typing(Body, tag="typing"):
    """The caller is writing something."""


class Read(Body, tag="read"):
    """The number of the last message that the caller has read."""

    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class WebSocketsController(Controller):
    """`/sessions/{id}/ws` and `/ws`, which takes nothing."""

    tags = ["events"]

    @websocket("/sessions/{session_id:str}/ws", query=("after", "ticket"))
    async def session_socket(self, socket: Socket, session_id: FromPath[str]) -> None:
        """The events of `GET /sessions/{id}/events` as `{type, seq, data}`; takes `typing` and `read`."""
        await _serve(socket)

    @websocket("/ws", query=("ticket",))
    async def hints_socket(self, socket: Socket) -> None:
        """The hints of `GET /events`."""
        await _serve(socket)


async def _serve(socket: Socket) -> None:
    state, accepted = socket.app.state, False
    try:
        if is_foreign(socket.scope["headers"], state.origins):  # browsers let any page open sockets to anywhere
            raise Problem(403, "Pages of this origin may not connect (ALLOWED_ORIGINS)")
        await authenticate_stream(socket)
        opening = Opening(socket.scope["user"], socket.path_params.get("session_id"), _after(socket))
        async with opening.opened(state) as subscriber:
            await socket.accept()
            accepted = True
            served.opened()
            tracing.end_early(socket.scope, 101)
            await _converse(socket, subscriber)
    except OSError:
        logger.debug("the client disconnected")
    except Exception as error:
        if accepted:
            raise
        await _refuse(socket, error)


async def _converse(socket: Socket, subscriber: Subscriber) -> None:
    """Sends what happens and listens to what the client says, until one of both is over."""

    async def write(frames: list[Frame]) -> None:
        for one in frames:
            if connection is None or len(one.message) < SHARED_FROM:
                await socket.send({"type": "websocket.send", "text": one.text, "bytes": None})
            else:
                await connection.share(one.message)
        await drained(socket.scope)

    connection: Any = socket.scope.get(CONNECTION)

    listening = asyncio.create_task(_Listening(socket, subscriber).listen())
    try:
        await subscriber.follow(socket.app.state.hub.catch_up, write)
    finally:
        listening.cancel()
    code = _RESTART if subscriber.reconnect else _POLICY if subscriber.ending else _GOING_AWAY
    await socket.send({"type": "websocket.close", "code": code, "reason": ""})


class _Listening:
    """Does what a client says; the third error of the client ends its stream."""

    def __init__(self, socket: Socket, subscriber: Subscriber) -> None:
        self._socket, self._subscriber, self._errors = socket, subscriber, 0
        self._saying: Saying = socket.app.state.saying

    async def listen(self) -> None:
        """Listens until the client goes away, or says what is not understood too often."""
        user_id, session_id = self._subscriber.user_id, str(self._subscriber.session_id)
        while (event := await self._socket.receive())["type"] != "websocket.disconnect":
            await self._saying.pace(user_id)
            try:
                said = _decoded(event, self._subscriber)
                if isinstance(said, Read):
                    self._saying.mark(user_id, self._subscriber.stream_id, partial(self._write, said.seq))
                elif self._saying.may_type(user_id, session_id):
                    await self._admit()
                    data = msgspec.json.encode({"user_id": user_id})
                    self._socket.app.state.hub.say(session_id, "typing", data)
            except Exception as error:
                self._answer(error)
            if self._errors == _MAX_ERRORS:
                return
        self._subscriber.end()

    async def _write(self, seq: int) -> None:
        """Moves the caller's read marker."""
        try:
            await self._admit()
            if await mark_read(self._socket, str(self._subscriber.session_id), seq) is None:
                raise Problem(422, "seq: is beyond the session's last_seq")
        except Exception as error:
            self._answer(error)

    async def _admit(self) -> None:
        """Counts what makes work as a request. Raises Problem 429, and Unavailable."""
        authenticator: Authenticator = self._socket.app.state.authenticator
        key = authenticator.limit_of(self._socket.scope["user"])
        if key is not None:
            await authenticator.limiter.admit(self._socket.scope, key)

    def _answer(self, error: Exception) -> None:
        problem = describe(error)
        if problem.status >= 500:  # not the client's fault
            logger.warning("a message of a socket was not handled: %r", error)
        elif problem.status != 429:  # which a client that waits does not get again
            self._errors += 1
        reply = frame("error", **document(problem))
        if self._errors == _MAX_ERRORS:
            self._subscriber.end(reply)
        else:
            self._subscriber.note(reply)


def _decoded(event: Any, subscriber: Subscriber) -> Typing | Read:
    """Returns a client's message, decoded. Raises Problem 413, 422 and 403."""
    text = event.get("text")
    if text is None or subscriber.session_id is None:
        raise Problem(422, "Only text is understood here" if text is None else "Nothing is understood here")
    if len(text.encode(errors="replace")) > MAX_MESSAGE:
        raise Problem(413, f"A message must not be larger than {MAX_MESSAGE} bytes")
    try:
        said: Typing | Read = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Problem(422, f'Send {{"type": "typing"}} or {{"type": "read", "seq": n}}: {error}') from None
    if isinstance(said, Typing) and not subscriber.may_send:
        raise Problem(403, "Only owners, editors and whoever has the permission send may say that they type")
    return said


def _after(socket: Socket) -> int | None:
    given = parse_qs(socket.scope["query_string"].decode("latin-1"), keep_blank_values=True).get("after")
    if given is None:
        return None
    try:
        return msgspec.convert({"seq": given[-1]}, Read, strict=False).seq
    except msgspec.ValidationError:
        raise Problem(422, "after: must be the number of an event of this session") from None


async def _refuse(socket: Socket, error: Exception) -> None:
    """Answers the handshake with a problem document."""
    problem = describe(error)
    if problem.status >= 500:
        logger.warning("a socket was refused: %r", error)
    headers = {"content-type": MEDIA_TYPE, **problem.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    body = encoded(problem)
    with contextlib.suppress(OSError):
        await socket.send({"type": "websocket.http.response.start", "status": problem.status, "headers": raw})
        await socket.send({"type": "websocket.http.response.body", "body": body, "more_body": False})


_decoder = msgspec.json.Decoder(Typing | Read)
