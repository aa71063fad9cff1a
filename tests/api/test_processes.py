"""The processes that serve the database: each writes its row, and deletes it when it stops."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.live import until

Sql = Callable[..., list[Any]]
OTHERS = """
insert into processes (
    process_id, name, version, queries_hash, started_at, seen_at, is_accepting, runs, streams, connections,
    connections_in_use, most_connections
)
select
    'process-' || n, 'node:' || n, '1.0', 'hash', now() - n * interval '1 day', now() - n * interval '29 minutes',
    true, 1, 2, 3, 1, 10
from generate_series(1, 3) as n
"""


async def test_process_shows_itself_until_it_stops(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn)) as api:
        await until(lambda: sql("select process_id from processes"))
        answer = (await (await api.as_user("root", "admin")).get("/health/processes")).json()
        [process] = answer["items"]
        assert answer["process_id"] == process["process_id"] == api.app.state.hub.process_id
        assert (process["is_alive"], process["is_accepting"], process["runs"], process["streams"]) == (True, True, 0, 0)
        assert process["queries_hash"] == api.app.state.queries.hash
    assert sql("select process_id from processes") == []


async def test_dead_processes_are_shown_for_an_hour(api: Api, sql: Sql) -> None:
    sql(OTHERS)
    admin = await api.as_user("root", "admin")
    found, cursor = [], None
    for _ in range(3):
        page = (
            await admin.get("/health/processes", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found += [(one["process_id"], one["is_alive"]) for one in page["items"]]
        cursor = page["next"]
    assert found[-2:] == [("process-1", False), ("process-2", False)]
    assert await api.app.state.queries.processes.sweep(limit=100) == 1
    assert "process-3" not in {process_id for (process_id,) in sql("select process_id from processes")}


async def test_only_admin_applications_see_processes(api: Api, alice: httpx.AsyncClient) -> None:
    assert_problem(await alice.get("/health/processes"), 403, "Only admin applications may do this")
    admin = await api.as_user("root", "admin")
    for query in ("cursor=x", "limit=0", "limit=201", "name=x"):
        assert_problem(await admin.get(f"/health/processes?{query}"), 422)
