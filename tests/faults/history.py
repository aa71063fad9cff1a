"""The history of a load: every call with its answer, and every event that a follower received.

All times are seconds of one monotonic clock, that of the process of the tests.
"""

import time
from pathlib import Path
from typing import TypeAlias

import msgspec

now = time.monotonic


class Call(msgspec.Struct, tag_field="record", tag="call", omit_defaults=True):
    """One request. `status` is 0 if the connection was lost or the client gave up."""

    kind: str  # append, read, search, message, follow, revoke, restore
    process: int
    user: str
    session: str
    start: float
    end: float
    status: int
    key: str = ""  # the Idempotency-Key: calls with the same one are attempts at the same thing
    marker: str = ""  # the unique text that the request writes, or looks for
    after: int = 0  # of a read or a stream: the number after which it begins
    first_seq: int = 0  # of an append that was acknowledged
    last_seq: int = 0  # the session's clock in the answer
    found: list[str] = []  # markers in the answer
    retry_after: bool = False
    is_final: bool = False  # a run that ended otherwise than with an answer: repeating the key changes nothing
    error: str = ""


class Seen(msgspec.Struct, tag_field="record", tag="seen", omit_defaults=True):
    """An event with a number that a follower received."""

    follower: str
    user: str
    session: str
    process: int
    at: float
    seq: int
    type: str
    marker: str = ""


Record: TypeAlias = Call | Seen


class History:
    """Records in the order of their ends, in memory and in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: list[Record] = []
        self._file = path.open("wb")

    def add(self, record: Record) -> None:
        """Appends a record."""
        self.records.append(record)
        self._file.write(msgspec.json.encode(record) + b"\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read(path: Path) -> list[Record]:
    """Returns the records of a file."""
    return [msgspec.json.decode(line, type=Record) for line in path.read_bytes().splitlines()]
