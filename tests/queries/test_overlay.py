"""The overlay for Citus: which queries a database gets, and the checks that it must pass on plain PostgreSQL."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.postgres import scratch
from amplifier.queries.checks import run
from amplifier.queries.findings import QueriesError
from amplifier.queries.plans import baseline
from amplifier.queries.registry import OVERLAY, Queries
from amplifier.schema import migrate
from amplifier.server.row_structs import STRUCTS
from tests.api.test_search import search
from tests.conftest import CONFIG, serving, settings_for
from tests.queries.test_checks import edit
from tests.queries.test_registry import load
from tests.queries.test_reload import reloaded
from tests.support import citus

Sql = Callable[..., list[Any]]
SETTINGS = "select current_setting('plan_cache_mode'), current_setting('citus.multi_shard_modify_mode', true)"


@pytest.fixture
def on_citus(sql: Sql) -> Iterator[None]:
    """Makes the catalog of the test's database name the extension."""
    with citus.pretended(sql):
        yield


def in_overlay(folder: Path, name: str, old: str, new: str) -> None:
    """Replaces text in one query of the overlay."""
    edit(folder / OVERLAY, name, old, new)


async def overlay_findings(folder: Path, dsn: str) -> str:
    """Returns the findings for the overlay of a folder, as text."""
    queries = load(folder, dsn)
    await queries.database.connect()
    try:
        return "\n".join(map(str, await run.overlay_findings(queries, STRUCTS)))
    finally:
        await queries.database.close()


def test_every_query_of_overlay_replaces_one(folder: Path) -> None:
    queries = load(folder)
    assert queries.overlay
    before = {query.name: query.text for query in queries.all()}
    assert all(before[name] != query.text for name, query in queries.overlay.items())
    queries.lay_over()
    after = {query.name: query.file for query in queries.all()}
    assert list(after) == list(before)
    assert {name for name, file in after.items() if file.parent.name == OVERLAY} == set(queries.overlay)
    assert queries.search.list_messages is queries.overlay["search.list_messages"]


def test_folder_without_overlay_has_none(folder: Path) -> None:
    shutil.rmtree(folder / OVERLAY)
    assert load(folder).overlay == {}


def test_overlay_without_original_is_refused(folder: Path) -> None:
    in_overlay(folder, "search.list_sessions", "-- name: list_sessions(", "-- name: find_sessions(")
    with pytest.raises(QueriesError, match=r"citus/search\.sql:\d+: search\.find_sessions: it replaces no query"):
        load(folder)


def test_overlay_of_other_access_is_refused(folder: Path) -> None:
    in_overlay(folder, "search_facets.count", "@access participant", "@access public")
    with pytest.raises(QueriesError, match=r"search_facets\.count: @access public differs from that of the query"):
        load(folder)


def test_hash_covers_overlay(folder: Path) -> None:
    before = load(folder).hash
    in_overlay(folder, "search_facets.count", "r.place <= :most_values", "r.place < :most_values + 1")
    assert load(folder).hash != before


async def test_service_uses_overlay_only_on_citus(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn)) as api:
        assert api.app.state.queries.search.list_messages.file.parent.name == "queries"
        assert tuple(await api.app.state.queries.database.fetchrow(SETTINGS)) == ("force_generic_plan", None)
    with citus.pretended(sql):
        async with serving(settings_for(dsn)) as api:
            queries = api.app.state.queries
            assert queries.search.list_messages.file.parent.name == OVERLAY
            assert queries.sessions.get.file.parent.name == "queries"
            assert tuple(await queries.database.fetchrow(SETTINGS)) == ("auto", "sequential")


@pytest.mark.usefixtures("on_citus")
async def test_search_on_citus_finds_messages(dsn: str) -> None:
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        messages = [{"role": "user", "content": text} for text in ("before", "a needle", "after")]
        await alice.post(f"/sessions/{session_id}/transcript", json={"messages": messages})
        [hit] = (await search(alice, "needle", context=1))["items"]
        assert (hit["session_id"], hit["role"]) == (session_id, "user")
        assert [one["text"] for one in (*hit["before"], *hit["after"])] == ["before", "after"]
        assert (await search(await api.as_user("bob"), "needle"))["items"] == []


@pytest.mark.usefixtures("on_citus")
async def test_reload_on_citus_reads_overlay(dsn: str, folder: Path, sql: Sql) -> None:
    async with serving(settings_for(dsn, queries_dir=str(folder))) as api:
        in_overlay(folder, "search_facets.count", "r.place <= :most_values", "r.place < :most_values + 1")
        assert (await reloaded(api, sql))["refused"] is None
        assert "most_values + 1" in api.app.state.queries.search_facets.count.text
        in_overlay(folder, "search_facets.count", "    r.facet,\n    r.value", "    r.value,\n    r.facet")
        refused = (await reloaded(api, sql))["refused"]
        assert "columns are in another order" in refused["findings"][0]["problem"]
        assert "most_values + 1" in api.app.state.queries.search_facets.count.text


@pytest.mark.usefixtures("on_citus")
async def test_folder_without_overlay_is_refused_on_citus(dsn: str, folder: Path) -> None:
    shutil.rmtree(folder / OVERLAY)
    queries = load(folder, dsn)
    await queries.database.connect()
    try:
        with pytest.raises(QueriesError, match=r"citus/search\.sql:1: search\.list_messages: is missing"):
            await run.check(queries, STRUCTS)
    finally:
        await queries.database.close()


@pytest.mark.usefixtures("on_citus")
async def test_process_limits_statements_that_wait_on_citus(dsn: str, sql: Sql) -> None:
    database = Database(settings_for(dsn, database_lock_timeout=0.2, database_statement_timeout=60), dsn)
    await database.connect()
    try:
        assert await database.fetchval("select 1") == 1
        with pytest.raises(Unavailable):  # `lock_timeout` does not count this wait, as it does not on a worker
            await database.execute("select pg_sleep(30)")
        with database.limited(5):
            assert await database.fetchval("select true from pg_sleep(1.3)")
    finally:
        await database.close()


async def test_overlay_passes_checks_on_plain_postgresql(dsn: str, folder: Path) -> None:
    assert await overlay_findings(folder, dsn) == ""


@pytest.mark.parametrize("name", ["search.list_messages", "search.list_sessions", "search_facets.count"])
async def test_overlay_that_serves_strangers_is_refused(dsn: str, folder: Path, name: str) -> None:
    file = folder / OVERLAY / f"{name.partition('.')[0]}.sql"
    file.write_text(re.sub(r"user_id = :actor_id\b", "user_id || :actor_id > ''", file.read_text()))
    assert f"{name}: somebody with nothing gets or changes what is not theirs" in await overlay_findings(folder, dsn)


@pytest.mark.slow
def test_overlay_with_other_results_is_refused(server: str, folder: Path) -> None:
    in_overlay(folder, "search_facets.count", "m.role = :message_role", "m.role <> :message_role")
    with scratch.database(server) as dsn:
        migrate.migrate(dsn)
        queries = Queries(Database(settings_for(dsn), dsn), folder)
        _, findings = baseline.compare(dsn, queries, update=False)
    assert {one.query for one in findings} == {"search_facets.count"}
    assert "than the query that it replaces (usual" in findings[0].problem
