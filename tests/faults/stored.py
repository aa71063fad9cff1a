"""The rows that the database holds after a load, in the form that the checker compares with the history."""

import re
from typing import Any, NamedTuple

import psycopg

MARKER = re.compile(r"\bmark[0-9a-z]+\b")


class Message(NamedTuple):
    """A stored message. `marker` is that of its text; an agent's answer has the marker of the question."""

    session: str
    seq: int
    role: str
    marker: str


class Event(NamedTuple):
    """A stored event. `user` is the participant that it is about, `run` the run."""

    session: str
    seq: int
    type: str
    user: str = ""
    run: str = ""


class Stored(NamedTuple):
    """Messages and events in the order of their numbers, the clock of each session, and runs that have not ended."""

    messages: list[Message]
    events: list[Event]
    clocks: dict[str, int]
    unfinished: list[str] = []


def marker_of(text: str) -> str:
    """Returns the marker in a text, or an empty string."""
    found = MARKER.search(text)
    return found[0] if found else ""


def read(dsn: str) -> Stored:
    """Reads everything that the database holds of a load."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def rows(statement: str) -> list[Any]:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

        return Stored(
            [
                Message(session, seq, role, marker_of(content or ""))
                for session, seq, role, content in rows(
                    "select session_id, seq, role, message ->> 'content' from messages order by session_id, seq"
                )
            ],
            [
                Event(*row)
                for row in rows(
                    "select session_id, seq, type, coalesce(data ->> 'user_id', ''), coalesce(data ->> 'run_id', '')"
                    " from session_events"
                    " order by session_id, seq"
                )
            ],
            dict(rows("select session_id, last_seq from sessions")),
            [run_id for (run_id,) in rows("select run_id from runs where finished_at is null")],
        )
