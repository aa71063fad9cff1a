"""Vectors go with the messages that they were made of, whatever removes these, and are made anew after a restore."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.embeddings.indexing import Indexing
from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.retention import Retention
from amplifier.maintenance.retention_rules import Rule
from amplifier.maintenance.session_archive import Archive
from amplifier.maintenance.user_erasure import Erasure
from tests.api.test_search_by_meaning import found, prepare
from tests.conftest import Api
from tests.maintenance.test_session_archive import read
from tests.support.embeddings import Stub, finish, use
from tests.support.old_sessions import insert_session

Sql = Callable[..., list[Any]]
VECTORS = "select session_id, count(*) from message_embeddings where embedding is not null group by 1 order by 1"


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


@pytest.fixture(params=[True, False], ids=["pgvector", "arrays"])
async def indexing(request: pytest.FixtureRequest, sql: Sql, api: Api) -> Indexing:
    """The job of an application. Two sessions of ann, one of them old, and one of bob in which she takes part."""
    prepare(sql, request.param)
    insert_session(sql, "old", 100)
    insert_session(sql, "new", 1)
    insert_session(sql, "shared", 1, users=("bob", "ann"), config_id="c2")
    job = use(api, Stub())
    assert await finish(job) == 6
    assert sql(VECTORS) == [("new", 2), ("old", 2), ("shared", 2)]
    return job


async def test_retention_removes_vectors(indexing: Indexing, sql: Sql, connection: psycopg.Connection[Any]) -> None:
    Retention(connection, "legal-hold").apply(Rule(older_than="90d"), [], lambda _: None)
    assert sql(VECTORS) == [("new", 2), ("shared", 2)]


async def test_erasure_of_a_user_removes_vectors(
    indexing: Indexing, sql: Sql, connection: psycopg.Connection[Any]
) -> None:
    Erasure(connection, "ann", "legal-hold").apply(lambda *_: None)
    assert sql(VECTORS) == [("shared", 2)]
    assert sql("select count(*) from message_embeddings") == sql("select count(*) from messages")


async def test_restored_session_is_embedded_again(
    indexing: Indexing, sql: Sql, connection: psycopg.Connection[Any], tmp_path: Path, api: Api
) -> None:
    Retention(connection, "legal-hold", Archive(tmp_path)).apply(Rule(older_than="90d"), [], lambda _: None)
    [lines] = read(tmp_path)
    rows = {one["type"]: one["row"] for one in lines if "row" in one}
    for kind, table in (("session", "sessions"), ("participant", "session_participants")):
        _restore(sql, table, rows[kind])
    for one in lines:
        if one["type"] == "message":
            _restore(sql, "messages", one["row"])
    await finish(indexing)  # it may copy vectors of equal texts
    assert sql(VECTORS) == [("new", 2), ("old", 2), ("shared", 2)]
    ann: httpx.AsyncClient = await api.as_user("ann")
    assert await found(ann, "hello", "/sessions/old/search") != []


def _restore(sql: Sql, table: str, row: dict[str, Any]) -> None:
    """Inserts a row of an archive, without the columns that PostgreSQL computes."""
    computed = sql(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attgenerated <> ''", table
    )
    columns = [name for name in row if (name,) not in computed]
    names = ", ".join(columns)
    sql(
        f"insert into {table} ({names}) select {names} from json_populate_record(null::{table}, %s)",
        json.dumps({name: row[name] for name in columns}),
    )
