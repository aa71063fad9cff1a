"""Messages that come a line each (NDJSON): read from a file, checked, and written as batches for the database.

The database gets a batch in one statement, all of them in one transaction. Faults are named by the line's number.
"""

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

import asyncpg
import msgspec

from amplifier import json_characters, json_numbers
from amplifier.errors import Problem
from amplifier.transcripts.scrubber import Scrubber
from amplifier.web import message_faults
from amplifier.web.request import Request
from amplifier.web.spool import Space, Spool, receive
from amplifier.web.turns import patience, took_too_long, turn

MEDIA_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
DESCRIBED = {  # for the OpenAPI document
    "application/x-ndjson": {
        "schema": {
            "type": "string",
            "description": "A message, as a JSON object, on each line: up to 10,000, of 64 MB.",
        }
    }
}
_MOST_BYTES = 64 * 1024 * 1024  # of a body
_MOST_MESSAGES = 10_000
_TOO_LARGE = "The body is larger than 64 MB: send the messages in several requests"
_LONGEST = 8 * 1024 * 1024  # bytes of a line, as of other bodies
_BATCH_BYTES, _BATCH_MESSAGES = 1024 * 1024, 1000
_BOM = b"\xef\xbb\xbf"


class Batch(NamedTuple):
    """Where in the file a JSON array of messages is, and the lines that they were on."""

    start: int
    size: int
    lines: "array[int]"


class _Shape(msgspec.Struct):
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class _Refused(Exception):
    """The statement appended nothing."""


class Lines:
    """The messages of a body, checked and in a file. `hash` is that of the body."""

    def __init__(self, request: Request, written: Spool, batches: list[Batch], hash: bytes) -> None:
        self._request, self._written, self._batches, self.hash = request, written, batches, hash

    async def append(self, session_id: str, expected_seq: int | None) -> list[Any] | None:
        """Appends all messages. Returns a row of `messages.append`, or None if that appends nothing.

        The first statement locks the session's row until the transaction ends, so that all numbers are consecutive.
        Raises Problem 503 if it takes too long, and 422 for a message that the database refuses.
        """
        rows: list[Any] = []
        try:
            async with asyncio.timeout(patience(self._request, self._written.size)):
                async with self._request.queries.database.transaction():
                    for batch in self._batches:
                        rows.append(await self._append(batch, session_id, None if rows else expected_seq))
        except _Refused:
            return None
        except (asyncpg.QueryCanceledError, TimeoutError) as error:
            raise took_too_long() from error
        _, first_seq, *_ = rows[0]
        _, _, *totals = rows[-1]
        return [session_id, first_seq, *totals]

    async def _append(self, batch: Batch, session_id: str, expected_seq: int | None) -> Any:
        caller, queries = self._request.caller, self._request.queries
        text = await self._written.read(batch.start, batch.size)
        try:
            async with queries.database.patient(patience(self._request, batch.size)):
                row = await queries.messages.append(
                    actor_id=caller.user_id,
                    actor_app_id=caller.app_id,
                    session_id=session_id,
                    messages=json_characters.Stored(text),
                    expected_seq=expected_seq,
                )
        except (asyncpg.CheckViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            if (found := await asyncio.to_thread(_fault, batch, text)) is not None:
                raise found from None
            raise
        if row is None:
            raise _Refused  # rolls the batches before this one back
        return row


@contextlib.asynccontextmanager
async def received(request: Request) -> AsyncIterator[Lines]:
    """Receives a body, and yields its messages when it is this request's turn to store them.

    Raises Problem 413 and 422 for a body that does not fit, and 429 and 503 if too much is being sent.
    """
    space: Space = request.app.state.space
    async with space.file() as body, space.file() as written:
        await receive(request, body, _MOST_BYTES, _TOO_LARGE)
        async with turn(request, "append", "Other large appends are being stored: try again"):
            batches = await _split(body, written, request.app.state.scrubber)
            yield Lines(request, written, batches, body.hash.digest())


async def _split(body: Spool, written: Spool, scrubber: Scrubber) -> list[Batch]:
    """Writes the messages of a body as arrays, with secrets replaced, and returns where they are."""
    reader, found = _Reader(body), []
    while read := await asyncio.to_thread(reader.batch):
        messages, lines = read
        text = await scrubber.json(b"[" + b",".join(messages) + b"]")
        found.append(Batch(written.size, len(text), lines))
        await written.write(text)
    if not found:
        raise Problem(422, "The body has no messages: send one as a JSON object on each line")
    return found


def _fault(batch: Batch, text: bytes) -> Problem | None:
    """Returns 422 with the line of the first message that the database refuses, or None if every one seems to fit."""
    for line, message in zip(batch.lines, msgspec.json.decode(text, type=list[msgspec.Raw]), strict=True):
        if (found := message_faults.find_in_message(bytes(message))) is not None:
            return _problem(line, *found)
    return None


class _Reader:
    """Reads checked messages from a file, a batch at a time."""

    def __init__(self, spool: Spool) -> None:
        self._file = spool.file
        self._file.seek(0)
        self._line = self._count = 0

    def batch(self) -> "tuple[list[bytes], array[int]] | None":
        """Returns the next messages and their lines, or None at the end."""
        messages: list[bytes] = []
        lines, size = array("l"), 0
        while size < _BATCH_BYTES and len(messages) < _BATCH_MESSAGES:
            line = self._file.readline(_LONGEST + 1)
            if not line:
                break
            self._line += 1
            if message := self._checked(line):
                messages.append(message)
                lines.append(self._line)
                size += len(message)
        return (messages, lines) if messages else None

    def _checked(self, line: bytes) -> bytes:
        """Returns the message of a line as the database takes it, or nothing for an empty line."""
        if len(line) > _LONGEST:
            raise Problem(413, f"Line {self._line} is larger than 8 MB: split its message, or send its files apart")
        if self._line == 1:
            line = line.removeprefix(_BOM)
        line = line.strip(b" \t\r\n")
        if not line:
            return b""
        self._count += 1
        if self._count > _MOST_MESSAGES:
            raise Problem(
                413, f"Line {self._line}: a request has at most {_MOST_MESSAGES:,} messages, send it in parts"
            )
        try:
            line.decode()
            message = json_characters.stored(line)
            json_numbers.check(message)
            _decoder.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            found = message_faults.find_in_message(line) or ("", f"does not fit: {error}")
            raise _problem(self._line, *found) from None
        return message


def _problem(line: int, place: str, detail: str) -> Problem:
    place = f"line {line}{place}"
    return Problem(422, f"{place}: {detail}", errors=[{"field": place, "detail": detail}])


_decoder = msgspec.json.Decoder(_Shape)
