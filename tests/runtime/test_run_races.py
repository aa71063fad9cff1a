"""Concurrent statements about runs: the one that waited sees what the other one committed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conftest import serving
from tests.support.agents import agent, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Gate, Reply, Stub
from tests.support.stage import HERE, WAITING, Sql, Stage, holding, staged


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Yields a session of alice and bob."""
    async with staged(dsn, sql) as stage:
        yield stage


@pytest.mark.parametrize("other", ["alice", "bob"])
async def test_second_concurrent_start_begins_nothing(stage: Stage, other: str) -> None:
    async with stage.open():
        assert await stage.start("first") is not None
        second = stage.soon(stage.start("second", other, "two"))
        await stage.until_waiting()
    assert await second is None
    assert (stage.statuses(), stage.log()) == ({"first": "running"}, ["run.started", "message"])


async def test_second_concurrent_claim_begins_nothing(stage: Stage) -> None:
    await stage.enqueue("queued")
    async with stage.open():
        assert (await stage.claim())["run_id"] == "queued"
        second = stage.soon(stage.claim(process_id="two"))
        await stage.until_waiting()
    assert await second is None
    assert (stage.statuses(), stage.log()) == ({"queued": "running"}, ["run.queued", "run.started", "message"])


async def test_run_does_not_begin_before_message_that_came_while_it_waited(stage: Stage) -> None:
    """The snapshot of the start, taken before it waited for a lock, does not contain the queued run."""
    async with stage.open():
        with holding(
            stage.queries.database.dsn, "select from session_participants where user_id = 'alice' for update"
        ) as release:
            begun = asyncio.create_task(stage.start("first"))
            await stage.until_waiting()
            await stage.soon(stage.enqueue("queued", "bob"))
            release()
            assert await begun is None
    assert (await stage.claim())["run_id"] == "queued"
    assert stage.log() == ["run.queued", "run.started", "message"]


async def test_claim_begins_nothing_after_concurrent_start(stage: Stage) -> None:
    """The queued run was cancelled and another one begun; the snapshot of the claim contains neither."""
    await stage.enqueue("queued")
    async with stage.open():
        await stage.cancel("queued")
        assert await stage.start("first", "bob") is not None
        claim = stage.soon(stage.claim(process_id="two"))
        await stage.until_waiting()
    assert await claim is None
    assert stage.statuses() == {"first": "running", "queued": "cancelled"}


async def test_start_begins_nothing_after_concurrent_claim(stage: Stage) -> None:
    """The snapshot of the start contains neither the queued run nor its claim."""
    async with stage.open():
        await stage.enqueue("queued", "bob")
        assert await stage.claim() is not None
        second = stage.soon(stage.start("second", "alice", "two"))
        await stage.until_waiting()
    assert await second is None
    assert stage.statuses() == {"queued": "running"}


async def test_message_sent_as_run_ends_can_begin(stage: Stage) -> None:
    """Either the end of the run reports that others wait, or the sender can claim the new run."""
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
    assert (await stage.claim("late"))["run_id"] == "late"


async def test_cancelling_ended_run_changes_nothing(stage: Stage) -> None:
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


async def test_run_may_complete_after_cancellation(stage: Stage) -> None:
    await stage.start("going")
    async with stage.open():
        await stage.cancel()
        end = stage.soon(stage.finish())
        await stage.until_waiting()
    assert await end is not None
    assert stage.log()[2:] == ["run.cancelling", "run.completed"]


async def test_cancellation_and_claim_of_one_run_are_serialized(stage: Stage) -> None:
    """A claimed run continues until its process notices the cancellation; a cancelled one is not claimed."""
    await stage.enqueue("first", "bob")
    async with stage.open():
        await stage.claim("first")
        cancelled = stage.soon(stage.cancel("first"))
        await stage.until_waiting()
    assert (await cancelled)["run_id"] == "first"
    assert stage.log()[1:] == ["run.started", "message", "run.cancelling"]
    await stage.finish(run_id="first")
    await stage.enqueue("second", "bob")
    async with stage.open():
        await stage.cancel("second")
        claim = stage.soon(stage.claim("second"))
        await stage.until_waiting()
    assert await claim is None
    assert stage.statuses()["second"] == "cancelled"


async def test_run_after_cancelled_one_begins(dsn: str, stub: Stub, installed: None, sql: Sql) -> None:
    """The claim of the cancelled run finds nothing, and the next queued run begins."""
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
                await until(lambda: sql(WAITING) == [(2,)])  # the claim of the next run
                release()
        assert [run["status"] for run in await here.runs()] == ["completed", "cancelled", "completed"]


async def test_lease_is_renewed_or_taken_over(stage: Stage) -> None:
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


async def test_decision_after_end_of_run_has_no_effect(stage: Stage) -> None:
    await stage.start("going")
    await stage.ask()
    answer = HERE | {"actor_id": "bob", "approval_id": "question", "granted": True, "decision": "Allow"}
    async with stage.open():
        await stage.finish()
        decided = stage.soon(stage.queries.approval_decisions.decide(**answer))
        await stage.until_waiting()
    assert await decided is None
    assert stage.log()[3:] == ["run.completed"]


async def test_decision_before_expiry_stays(stage: Stage) -> None:
    await stage.start("going")
    await stage.ask()
    answer = HERE | {"actor_id": "bob", "approval_id": "question", "granted": True, "decision": "Allow"}
    async with stage.open():
        await stage.queries.approval_decisions.decide(**answer)
        expired = stage.soon(stage.queries.approval_decisions.expire(**HERE, approval_id="question"))
        await stage.until_waiting()
    assert await expired is None
    assert (await stage.queries.approval_decisions.get(**HERE, approval_id="question"))["granted"]
