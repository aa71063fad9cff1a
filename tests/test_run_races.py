"""Statements about runs that meet: whoever waits for the other goes on from what the other left, and none forever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Context
from typing import Any, NamedTuple

import asyncpg
import psycopg
import pytest

from amplifier import schema
from amplifier.database import Database
from amplifier.queries import Queries
from tests.agents import agent, model, settings, waiting
from tests.conftest import serving, settings_for
from tests.live import until
from tests.llm import Gate, Reply, Stub

Sql = Callable[..., list[Any]]
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
HERE = {"session_id": "here"}
ALICE = HERE | {"actor_id": "alice", "actor_app_id": "app"}
ENDING = {
    **{"status": "completed", "response": "Done", "error": None, "usage": b"{}", "timing": b"{}", "messages": b"[]"},
    **{"run_id": "going", "process_id": "one"},
}
QUESTION = {"run_id": "going", "process_id": "one", "prompt": "May I?", "options": ["Allow", "Deny"], "seconds": 60.0}


class Stage(NamedTuple):
    """A session of alice's and bob's, and statements that run while a transaction of another connection is open."""

    queries: Any
    sql: Sql

    def soon(self, statement: Any) -> "asyncio.Task[Any]":
        """The statement, on a connection of its own."""
        return asyncio.create_task(statement, context=Context())

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """What runs in the context is committed at its end."""
        async with self.queries.database.transaction():
            yield

    async def until_waiting(self, count: int = 1) -> None:
        """Returns when so many statements wait for a lock."""
        await until(lambda: self.sql(WAITING) == [(count,)])

    def start(self, run_id: str, actor_id: str = "alice", process_id: str = "one") -> Any:
        who = ALICE | {"actor_id": actor_id, "run_id": run_id, "process_id": process_id}
        return self.queries.runs.start(**who, message=message(run_id), seconds=60.0)

    def enqueue(self, run_id: str, actor_id: str = "alice") -> Any:
        who = ALICE | {"actor_id": actor_id, "run_id": run_id}
        return self.queries.runs.enqueue(**who, message=message(run_id), most=20)

    def claim(self, process_id: str = "one") -> Any:
        return self.queries.runs.claim(**HERE, process_id=process_id, seconds=60.0)

    def finish(self, **changes: Any) -> Any:
        return self.queries.runs.finish(**HERE, **(ENDING | changes))

    def cancel(self, run_id: str | None = None) -> Any:
        return self.queries.runs.cancel(**HERE, actor_id="alice", run_id=run_id)

    def statuses(self) -> dict[str, str]:
        """Of all runs."""
        return dict(self.sql("select run_id, status from runs"))

    def log(self) -> list[str]:
        """What happened, in order; each number once."""
        rows = self.sql(
            "select seq, type from session_events union all select seq, 'message' from messages order by seq"
        )
        assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
        assert self.sql("select last_seq from sessions") == [(len(rows),)]
        return [type_ for _, type_ in rows]


@contextlib.contextmanager
def holding(dsn: str, statement: str) -> Iterator[Callable[[], None]]:
    """Locks rows until what is given is called."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)  # type: ignore[arg-type]
        yield connection.rollback


def message(text: str) -> bytes:
    return f'{{"role": "user", "content": "{text}"}}'.encode()


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
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
    database = Database(settings_for(dsn), dsn)
    await database.connect()
    yield Stage(Queries(database, schema.share("queries")), sql)
    await database.close()


@pytest.mark.parametrize("other", ["alice", "bob"])
async def test_two_that_begin(stage: Stage, other: str) -> None:
    async with stage.open():
        assert await stage.start("first") is not None
        second = stage.soon(stage.start("second", other, "two"))
        await stage.until_waiting()
    assert await second is None
    assert (stage.statuses(), stage.log()) == ({"first": "running"}, ["run.started", "message"])


async def test_two_that_claim(stage: Stage) -> None:
    await stage.enqueue("queued")
    async with stage.open():
        assert (await stage.claim())["run_id"] == "queued"
        second = stage.soon(stage.claim("two"))
        await stage.until_waiting()
    assert await second is None
    assert (stage.statuses(), stage.log()) == ({"queued": "running"}, ["run.queued", "run.started", "message"])


async def test_a_claim_meets_one_that_began(stage: Stage) -> None:
    """The one that began knew of no message that waits: that came while it waited for its participant."""
    async with stage.open():
        with holding(
            stage.queries.database.dsn, "select from session_participants where user_id = 'alice' for update"
        ) as release:
            begun = asyncio.create_task(stage.start("first"))
            await stage.until_waiting()
            await stage.soon(stage.enqueue("queued", "bob"))
            release()
            assert await begun is not None
        claim = stage.soon(stage.claim("two"))
        await stage.until_waiting()
    with pytest.raises(asyncpg.UniqueViolationError):
        await claim
    assert stage.statuses() == {"first": "running", "queued": "queued"}
    assert stage.log() == ["run.queued", "run.started", "message"]


async def test_one_that_begins_meets_a_claim(stage: Stage) -> None:
    """The snapshot of the one that begins knows of no message that waits."""
    async with stage.open():
        await stage.enqueue("queued", "bob")
        assert await stage.claim() is not None
        second = stage.soon(stage.start("second", "alice", "two"))
        await stage.until_waiting()
    assert await second is None
    assert stage.statuses() == {"queued": "running"}


async def test_a_message_comes_as_the_run_ends(stage: Stage) -> None:
    """Either whoever ends the run hears of the message, or whoever sent it can begin it."""
    await stage.start("going")
    async with stage.open():
        await stage.enqueue("queued", "bob")
        end = stage.soon(stage.finish())
        await stage.until_waiting()
    assert (await end)["others_wait"]
    await stage.claim()
    async with stage.open():
        assert not (await stage.finish(run_id="queued"))["others_wait"]
        late = stage.soon(stage.enqueue("late", "bob"))
        await stage.until_waiting()
    await late
    assert (await stage.claim())["run_id"] == "late"


async def test_cancelled_as_it_ends(stage: Stage) -> None:
    await stage.start("going")
    async with stage.open():
        await stage.finish()
        cancelled = stage.soon(stage.cancel())
        await stage.until_waiting()
    assert await cancelled is None
    assert (stage.statuses(), stage.log()) == (
        {"going": "completed"},
        ["run.started", "message", "run.completed"],
    )


async def test_ends_as_it_is_cancelled(stage: Stage) -> None:
    await stage.start("going")
    async with stage.open():
        await stage.cancel()
        end = stage.soon(stage.finish())
        await stage.until_waiting()
    assert await end is not None
    assert stage.log()[2:] == ["run.cancelling", "run.completed"]


async def test_cancelled_as_it_is_begun(stage: Stage) -> None:
    """It goes on, and its process is told; or it is taken back, and nothing begins."""
    await stage.enqueue("first", "bob")
    async with stage.open():
        await stage.claim()
        cancelled = stage.soon(stage.cancel("first"))
        await stage.until_waiting()
    assert (await cancelled)["run_id"] == "first"
    assert stage.log()[1:] == ["run.started", "message", "run.cancelling"]
    await stage.finish(run_id="first")
    await stage.enqueue("second", "bob")
    async with stage.open():
        await stage.cancel("second")
        claim = stage.soon(stage.claim())
        await stage.until_waiting()
    assert await claim is None
    assert stage.statuses()["second"] == "cancelled"


async def test_the_next_one_is_taken_back_as_it_is_to_begin(dsn: str, stub: Stub, installed: None, sql: Sql) -> None:
    """Then the one behind it begins, though whoever was to begin a run found none."""
    async with serving(settings(dsn, stub, run_lease=600)) as api:
        here, gate = await agent(await api.as_user("alice"), model(stub)), Gate()
        await here.client.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
        bob = here._replace(client=await api.as_user("bob"))
        stub.when("first", Reply("1", gate=gate))
        ids = []
        async with waiting(bob.say("first")), asyncio.TaskGroup() as group:
            await until(lambda: stub.requests)
            for text, status in (("second", 409), ("third", 200)):
                group.create_task(here.say(text, status))
                ids.append((await here.run("queued"))["run_id"])
                await until(lambda: sql("select count(*) from runs") == [(1 + len(ids),)])
            with holding(dsn, f"select from runs where run_id = '{ids[0]}' for update") as release:
                group.create_task(here.cancel(run_id=ids[0]))
                await until(lambda: sql(WAITING) == [(1,)])
                gate.open()
                await until(lambda: sql(WAITING) == [(2,)])  # the claim of the next one
                release()
        assert [run["status"] for run in await here.runs()] == ["completed", "cancelled", "completed"]


async def test_a_lease_is_renewed_or_taken_over(stage: Stage) -> None:
    await stage.start("going")
    stage.sql("update runs set lease_expires_at = now() - interval '1 second'")
    lease = {"process_id": "one", "session_ids": ["here"], "run_ids": ["going"], "seconds": 60.0}
    async with stage.open():
        assert [row["run_id"] for row in await stage.queries.runs.renew(**lease)] == ["going"]
        assert await stage.soon(stage.queries.runs.reap(process_id="two", seconds=60.0, limit=9)) == []
    stage.sql("update runs set lease_expires_at = now() - interval '1 second'")
    async with stage.open():
        assert len(await stage.queries.runs.reap(process_id="two", seconds=60.0, limit=9)) == 1
        renewed = stage.soon(stage.queries.runs.renew(**lease))
        end = stage.soon(stage.finish())
        await stage.until_waiting(2)
    assert (await renewed, await end) == ([], None)
    assert await stage.finish(process_id="two", status="failed") is not None


@pytest.mark.parametrize("deletes", ["session", "config"])
@pytest.mark.parametrize("deleted_first", [True, False])
@pytest.mark.parametrize("name", ["finish", "append", "ask", "expire", "refuse"])
async def test_deleted_meanwhile(stage: Stage, deletes: str, name: str, deleted_first: bool) -> None:
    """Nobody waits for each other: locks are taken in one order."""
    await stage.start("going")
    await stage.queries.approvals.create(**HERE, **QUESTION, approval_id="question")
    if name == "refuse":
        await stage.enqueue("queued", "bob")
        await stage.finish()
        stage.sql("delete from session_participants where user_id = 'bob'")
    key = HERE | {"run_id": "going", "process_id": "one"}
    statements: dict[str, Callable[[], Any]] = {
        "finish": stage.finish,
        "append": lambda: stage.queries.runs.append(**key, messages=b'[{"role": "assistant"}]'),
        "ask": lambda: stage.queries.approvals.create(**HERE, **QUESTION, approval_id="another"),
        "expire": lambda: stage.queries.approvals.expire(**HERE, approval_id="question"),
        "refuse": stage.claim,
    }
    # the session's row is taken, so that whoever comes first stops with all other locks in its hands
    with holding(stage.queries.database.dsn, "select from sessions for no key update") as release:
        calls = [statements[name], lambda: delete(stage, deletes)]
        tasks = []
        for call in reversed(calls) if deleted_first else calls:
            tasks.append(stage.soon(call()))
            await stage.until_waiting(len(tasks))
        release()
        await asyncio.gather(*tasks)
    assert stage.sql("select from sessions") == []


async def delete(stage: Stage, what: str) -> None:
    queries = stage.queries
    async with queries.database.transaction():
        if what == "session":
            key = HERE | {"actor_id": "alice"}
            await queries.sessions.lock(**key)
            await queries.sessions.delete(**key, if_seqs=None)
        else:
            of = {"actor_id": "alice", "config_id": "config"}
            await queries.configs.lock(**of)
            await queries.configs.delete(**of, if_versions=None)


async def test_answered_as_the_run_ends(stage: Stage) -> None:
    await stage.start("going")
    await stage.queries.approvals.create(**HERE, **QUESTION, approval_id="question")
    answer = HERE | {"actor_id": "bob", "approval_id": "question", "granted": True, "decision": "Allow"}
    async with stage.open():
        await stage.finish()
        decided = stage.soon(stage.queries.approvals.decide(**answer))
        await stage.until_waiting()
    assert await decided is None
    assert stage.log()[3:] == ["run.completed"]


async def test_answered_as_its_time_ends(stage: Stage) -> None:
    await stage.start("going")
    await stage.queries.approvals.create(**HERE, **QUESTION, approval_id="question")
    answer = HERE | {"actor_id": "bob", "approval_id": "question", "granted": True, "decision": "Allow"}
    async with stage.open():
        await stage.queries.approvals.decide(**answer)
        expired = stage.soon(stage.queries.approvals.expire(**HERE, approval_id="question"))
        await stage.until_waiting()
    assert await expired is None
    assert (await stage.queries.approvals.get(**HERE, approval_id="question"))["granted"]
