"""Rate limits: by application and user, exact over all processes, and shown in every answer."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.maintenance.expiry import sweep
from tests.conftest import assert_problem, serving, settings_for


def left(answer: httpx.Response) -> int:
    """Returns the requests that are left according to the answer."""
    match = re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert match is not None
    return int(match[1])


async def test_answers_without_limit_have_no_rate_limit_headers(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    answer = await alice.get("/configs")
    assert "ratelimit" not in answer.headers
    assert sql("select count(*) from rate_limits") == [(0,)]


async def test_requests_beyond_limit_are_refused(dsn: str) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=20)) as api:
        alice, bob = await api.as_user("alice"), await api.as_user("bob")
        answers = [await alice.get("/configs") for _ in range(25)]
        assert [answer.status_code for answer in answers[:20]] == [200] * 20
        assert [left(answer) for answer in answers[:20]] == sorted(range(20), reverse=True)
        assert answers[0].headers["ratelimit-policy"] == '"default";q=20;w=60'
        for refused in answers[21:]:
            problem = assert_problem(refused, 429)
            assert re.fullmatch(r"You have made 20 requests in a minute: wait [1-3] s", problem["detail"])
            assert 1 <= int(refused.headers["retry-after"]) <= 3
            assert left(refused) == 0
        for other in (bob, await api.as_user("alice", "other-app")):
            assert (await other.get("/configs")).status_code == 200
        assert (await api.client().get("/health")).status_code == 200


async def test_limit_refills_with_time(dsn: str, sql: Callable[..., list[Any]]) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=6)) as api:
        alice = await api.as_user("alice")
        assert [(await alice.get("/configs")).status_code for _ in range(7)] == [200] * 6 + [429]
    sql("update rate_limits set full_at = full_at - interval '30 seconds'")  # half a minute later, in another process
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=6)) as api:
        api.keys["app"] = alice.headers["x-api-key"]
        alice = await api.as_user("alice")
        assert [(await alice.get("/configs")).status_code for _ in range(4)] == [200] * 3 + [429]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 7, 50, 300])
async def test_processes_share_one_limit(dsn: str, limit: int) -> None:
    """Of concurrent requests through three processes, no more than the limit are admitted, nor far fewer."""
    config = settings_for(dsn, rate_limit_requests_per_minute=limit)
    async with serving(config) as first, serving(config) as second, serving(config) as third:
        alice = await first.as_user("alice")
        clients = [api.client(dict(alice.headers)) for api in (first, second, third)]
        started = time.monotonic()
        answers: list[httpx.Response] = []
        while len(answers) < limit * 2 + 10:
            more = await asyncio.gather(*(clients[n % 3].get("/configs") for n in range(30)))
            answers += [answer for answer in more if answer.status_code != 503]  # in line for longer than a second
    admitted = [answer.status_code for answer in answers].count(200)
    refilled = 2 + int(limit * (time.monotonic() - started) / 60)
    assert limit - 3 * (limit // 10) <= admitted <= limit + refilled
    assert {answer.status_code for answer in answers} == {200, 429}


async def test_streams_and_tickets_count(dsn: str) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=2)) as api:
        alice = await api.as_user("alice")
        ticket = (await alice.post("/events/ticket")).json()["ticket"]
        assert (await api.client().head(f"/events?ticket={ticket}")).status_code == 200
        assert_problem(await alice.get("/events"), 429)


async def test_full_buckets_are_deleted(dsn: str, sql: Callable[..., list[Any]]) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=60)) as api:
        await (await api.as_user("alice")).get("/configs")
        await sweep(api.app.state.queries)
        assert sql("select count(*) from rate_limits") == [(1,)]
        sql("update rate_limits set full_at = now() - interval '1 second'")
        await sweep(api.app.state.queries)
        assert sql("select count(*) from rate_limits") == [(0,)]
