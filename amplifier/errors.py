"""Exceptions that every layer may raise. `web/problems.py` maps them to responses."""

from pathlib import Path
from typing import Any


class OperatorError(Exception):
    """A command cannot continue, and exits with `status`. The message tells the operator what to do."""

    status = 1


class InputError(OperatorError):
    """A file or folder that a command works on is missing, empty or unreadable."""

    status = 2

    def __init__(self, path: Path, problem: str, remedy: str | None = None) -> None:
        super().__init__(f"{path}: {problem}" + (f" ({remedy})" if remedy else ""))
        self.path, self.problem, self.remedy = path, problem, remedy


def one_line(error: BaseException) -> str:
    """Returns an error's message in one line. Those of libpq have several, with hints."""
    return " ".join(str(error).split())


class Unavailable(Exception):
    """The database is unreachable, read-only, out of connections or too slow. The same call may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoneFree(Unavailable):
    """All connections of the pool are in use. The database itself may be well."""

    def __init__(self) -> None:
        super().__init__("No database connection became free in time.")


class TooSlow(Unavailable):
    """A statement exceeded the time limit of the server or of this process."""


class Crowded(Unavailable):
    """A user's own requests occupy all the places that one user may have."""

    def __init__(self) -> None:
        super().__init__(
            "No database connection became free in time: your other requests hold all that one user gets. "
            "Wait for their answers before you send more."
        )


class Unsendable(ValueError):
    """A transcript, or the `message` of it, cannot be sent to any model. The text says why."""

    def __init__(self, reason: str, message: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.message = message


class Problem(Exception):
    """An error for the client: a status, a detail that tells what to do, and further members of the document."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, headers or {}, members


def too_many_streams(most: int) -> Problem:
    """Returns Problem 429 for a user who has `most` streams open already."""
    detail = f"You have {most} streams open: close one first (MAX_STREAMS_PER_USER)"
    return Problem(429, detail, headers={"Retry-After": "5"})
