"""Checks pass or fail independently of the rows in the database, and so do starts and reloads."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.database.pool import Database
from amplifier.queries.checks import access_probe, run
from amplifier.queries.checks.tenants import Tenants
from amplifier.queries.registry import Queries
from amplifier.server.row_structs import STRUCTS
from tests.conftest import CONFIG, SECRET, Api, settings_for
from tests.queries.test_checks import alone, blocks, edit
from tests.support import odd_rows
from tests.support.service import command, running_service

Sql = Callable[..., list[Any]]
# a CTE with which tickets.create began in an earlier release
SWEEP = "removed_tickets as (delete from stream_tickets where expires_at < now() - interval '1 minute' {})"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The service's database."""
    database = Database(settings_for(dsn), dsn)
    await database.connect()
    yield database
    await database.close()


async def found(database: Database, folder: Path) -> str:
    """Returns the findings for the queries of a folder."""
    return "\n".join(map(str, await run.findings(Queries(database, folder), STRUCTS)))


async def test_expired_ticket_does_not_fail_check(
    database: Database, alice: httpx.AsyncClient, session_id: str, folder: Path, sql: Sql
) -> None:
    assert (await alice.post(f"/sessions/{session_id}/events/ticket")).status_code == 201
    sql("update stream_tickets set expires_at = now() - interval '95 seconds'")
    assert await found(database, folder) == ""
    assert sql("select count(*) from stream_tickets") == [(1,)]


@pytest.mark.slow
def test_expired_huge_and_odd_rows_do_not_stop_start(dsn: str, folder: Path, sql: Sql) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in odd_rows.fill(connection):
            assert sql(f"select count(*) > 2000 from {table}") == [(True,)], table
    environ = {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET, "QUERIES_DIR": str(folder)}
    checked = command(environ, "queries", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    with running_service(environ) as service:
        reloaded = command(environ, "queries", "reload")
        assert (reloaded.returncode, reloaded.stderr) == (0, ""), reloaded.stdout
        assert "Traceback" not in service.output


@pytest.mark.slow
async def test_used_and_aged_database_passes_checks(
    database: Database,
    api: Api,
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    session_id: str,
    folder: Path,
    dsn: str,
) -> None:
    await use(api, alice, bob, session_id)
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("select count(*) > 2 from messages").fetchone() == (True,)
        odd_rows.age(connection)
    assert await found(database, folder) == ""


@pytest.mark.slow
async def test_locked_rows_do_not_fail_check(database: Database, session_id: str, folder: Path, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = odd_rows.fill(connection)
        with connection.transaction():
            for table in sorted(tables):
                connection.execute(f"select from {table} for update".encode())
            assert await found(database, folder) == ""


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("tickets.create", ""),
        # runs only for callers that may get a ticket, so that strangers change nothing
        (
            "tickets.create",
            "and exists (select from session_participants where session_id = :session_id and user_id = :actor_id)",
        ),
        ("tickets.create_for_hints", ""),
        ("sessions.get", ""),
    ],
)
async def test_sweeping_in_a_request_is_refused_on_an_empty_database(
    database: Database, folder: Path, tmp_path: Path, name: str, condition: str
) -> None:
    text = blocks(folder)[name]
    body = re.search(r"^(?:insert|select)", text, re.MULTILINE)
    assert body is not None
    broken = f"{text[: body.start()]}with {SWEEP.format(condition)}\n{text[body.start() :]}"
    told = await found(database, alone(tmp_path, name, broken))
    assert re.search(rf"{name}: [\w ]+ (gets or )?changes what (is|it) ", told), told


@pytest.mark.parametrize(
    "table", ["streams", "idempotency_keys", "rate_limits", "run_approvals", "session_invitations"]
)
async def test_rows_of_every_kind_that_expires_are_watched(
    database: Database, folder: Path, tmp_path: Path, table: str
) -> None:
    column = {"streams": "seen_at", "idempotency_keys": "created_at", "rate_limits": "full_at"}.get(table, "expires_at")
    text = blocks(folder)["tickets.create_for_hints"]
    before, insert, after = text.partition("insert into stream_tickets")
    swept = f"with swept as (update {table} set {column} = now() where {column} < now() - interval '9 years')\n"
    told = await found(database, alone(tmp_path, "tickets.create_for_hints", before + swept + insert + after))
    assert "tickets.create_for_hints: somebody with nothing gets or changes what is not theirs" in told


async def test_tenants_have_rows_in_every_table_that_a_query_can_change(database: Database, sql: Sql) -> None:
    async with database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        tenants = Tenants(connection)
        await tenants.build()
        await transaction.rollback()
    may = "has_table_privilege('amplifier_app', oid, 'update') or has_table_privilege('amplifier_app', oid, 'delete')"
    changeable = sql(
        f"select oid, relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and ({may})"
    )
    assert len(changeable) > 10
    assert {name for oid, name in changeable if oid not in tenants.tables} == set(), "give both tenants a row there"


@pytest.mark.slow
async def test_query_without_verdict_passes_only_as_released(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The statement times out, as on a table that is too large for its plan."""
    sleepy = "where user_id = :actor_id and pg_sleep(4) is not null;"
    edit(folder, "users.get", "where user_id = :actor_id;", sleepy)
    monkeypatch.setattr(access_probe, "_LIMIT", 0.1)
    monkeypatch.setattr(access_probe, "_PATIENCE", 0.2)
    assert "users.get: it takes longer" in await found(database, folder)
    released = frozenset(text.rstrip() for text in blocks(folder).values())
    monkeypatch.setattr(run, "_released", lambda _: released)
    assert await found(database, folder) == ""
    assert "used as it was released" in caplog.text


async def use(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    """Sends requests of many kinds, so that most tables have rows."""
    session, admin = f"/sessions/{session_id}", await api.as_user("root", "admin")
    said = {"messages": [{"role": "user", "content": "hello"}]}
    key = {"Idempotency-Key": "one"}
    invitation = (await alice.post(f"{session}/invitations", json={"role": "viewer"})).json()
    for client, path, body, headers in (
        (alice, f"{session}/transcript", said, key),
        (alice, f"{session}/transcript", said, key),
        (alice, f"{session}/transcript", said, {}),
        (bob, "/invitations/accept", {"token": invitation.get("token")}, {}),
        (alice, f"{session}/events/ticket", None, {}),
        (alice, "/events/ticket", None, {}),
        (bob, "/configs", CONFIG, {}),
        (alice, f"{session}/fork", {}, {}),
        (admin, "/applications", {"app_id": "another", "app_name": "Another"}, {}),
        (admin, "/applications/another/regenerate-key", None, {}),
    ):
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), (path, answer.text)
    for path in ("/sessions?q=hello", "/search?q=hello", f"{session}/search?q=hello", "/users/me", "/audit"):
        assert (await (admin if path == "/audit" else alice).get(path)).status_code == 200, path
    for client, path, body in (
        (alice, f"{session}/read", {"seq": 1}),
        (alice, f"{session}/participants", {"user_id": "carol", "role": "editor"}),
        (alice, f"{session}/messages", {"message": "hello"}),
    ):
        assert (await client.post(path, json=body)).status_code < 500, path
    assert (await admin.put("/settings/theme", json={"value": {"dark": True}})).status_code < 300
    await api.app.state.queries.streams.open_hints(
        actor_id="alice", stream_id="left", process_id="dead", most_elsewhere=10
    )
    await api.app.state.activity.flush()
