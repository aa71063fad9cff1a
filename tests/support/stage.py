"""Concurrent statements on a session: one transaction stays open until the test ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Context
from typing import Any, NamedTuple

import psycopg

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.queries.registry import Queries
from tests.conftest import settings_for
from tests.support.live import LIMIT, until

Sql = Callable[..., list[Any]]
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
HERE = {"session_id": "here"}
ALICE = HERE | {"actor_id": "alice", "actor_app_id": "app"}
ENDING = {
    **{"status": "completed", "response": "Done", "error": None, "usage": b"{}", "timing": b"{}", "messages": b"[]"},
    **{"run_id": "going", "process_id": "one", "finish_reason": "stop", "answers": False},
}
QUESTION = {"run_id": "going", "process_id": "one", "prompt": "May I?", "options": ["Allow", "Deny"], "seconds": 60.0}


class Stage(NamedTuple):
    """A session of alice and bob, and statements that run while another connection's transaction is open."""

    queries: Any
    sql: Sql

    def soon(self, statement: Any) -> "asyncio.Task[Any]":
        """Runs a statement as a task on a connection of its own."""
        return asyncio.create_task(statement, context=Context())

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Opens a transaction that is committed when the context ends."""
        async with self.queries.database.transaction():
            yield

    async def until_waiting(self, count: int = 1) -> None:
        """Waits until `count` statements wait for a lock."""
        await until(lambda: self.sql(WAITING) == [(count,)])

    def ask(self, approval_id: str = "question") -> Any:
        return self.queries.approvals.create(**HERE, **QUESTION, approval_id=approval_id)

    def start(self, run_id: str, actor_id: str = "alice", process_id: str = "one") -> Any:
        who = ALICE | {"actor_id": actor_id, "run_id": run_id, "process_id": process_id}
        return self.queries.runs.start(**who, message=message(run_id), seconds=60.0)

    def enqueue(self, run_id: str, actor_id: str = "alice") -> Any:
        who = ALICE | {"actor_id": actor_id, "run_id": run_id}
        return self.queries.runs.enqueue(**who, message=message(run_id), most=20, most_of_user=200, traceparent=None)

    def claim(self, run_id: str = "queued", process_id: str = "one") -> Any:
        return self.queries.runs.claim(**HERE, run_id=run_id, process_id=process_id, seconds=60.0)

    def finish(self, **changes: Any) -> Any:
        return self.queries.runs.finish(**HERE, **(ENDING | changes))

    def cancel(self, run_id: str | None = None) -> Any:
        return self.queries.runs.cancel(**HERE, actor_id="alice", run_id=run_id)

    def statuses(self) -> dict[str, str]:
        """Returns the statuses of all runs."""
        return dict(self.sql("select run_id, status from runs"))

    def log(self) -> list[str]:
        """Returns the types of the log in order, after a check that each number occurs once."""
        rows = self.sql(
            "select seq, type from session_events union all select seq, 'message' from messages order by seq"
        )
        assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
        assert self.sql("select last_seq from sessions") == [(len(rows),)]
        return [type_ for _, type_ in rows]


@contextlib.contextmanager
def holding(dsn: str, statement: str) -> Iterator[Callable[[], None]]:
    """Locks rows until the yielded function is called."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)  # type: ignore[arg-type]
        yield connection.rollback


def message(text: str) -> bytes:
    return f'{{"role": "user", "content": "{text}"}}'.encode()


@contextlib.asynccontextmanager
async def staged(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Creates the session in an empty database."""
    sql("insert into users (user_id) values ('alice')")
    sql("insert into configs (config_id, name, config_json, user_id) values ('config', 'config', '{}', 'alice')")
    sql(
        "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)"
        " values ('here', 'config', 'alice', 'app')"
    )
    sql(
        "insert into session_participants (session_id, user_id, role)"
        " values ('here', 'alice', 'owner'), ('here', 'bob', 'editor')"
    )
    # locks are held for as long as the test needs, also on a busy machine
    settings = settings_for(dsn, database_lock_timeout=LIMIT, database_statement_timeout=2 * LIMIT)
    database = Database(settings, dsn)
    await database.connect()
    yield Stage(Queries(database, paths.folder("queries")), sql)
    await database.close()
