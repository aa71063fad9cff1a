"""The service's role at the database owns nothing, and can change neither the schema nor stored messages."""

from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import psycopg
import pytest

from amplifier.database.connections import ROLE
from amplifier.database.pool import Database
from tests.conftest import Api

READER = "amplifier_readonly"
OWNED = """
    select 'relation', relname from pg_class where relowner = $1::regrole
    union all select 'function', proname from pg_proc where proowner = $1::regrole
    union all select 'schema', nspname from pg_namespace where nspowner = $1::regrole
    union all select 'type', typname from pg_type where typowner = $1::regrole
    union all select 'database', datname from pg_database where datdba = $1::regrole
"""
RELATIONS = "select relname, relkind::text from pg_class where relnamespace = 'public'::regnamespace and relkind <> 'i'"
FORBIDDEN = [
    # the schema
    "create table things (id text)",
    "create table public.things as select 1 as id",
    "create view things as select 1 as id",
    "create sequence things",
    "create type things as (id text)",
    "create function things() returns integer language sql return 1",
    "create schema things",
    "drop extension plpgsql",
    "create index on sessions (title)",
    "alter table sessions add column things text",
    "alter table sessions drop constraint sessions_status_check",
    "alter table sessions rename to things",
    "alter table messages owner to amplifier_app",
    "alter view session_transcripts rename to things",
    "drop table messages",
    "drop table configuration",
    "drop view session_transcripts",
    "drop schema public cascade",
    "truncate messages",
    "truncate configuration",
    "comment on table sessions is 'things'",
    # triggers
    "alter table sessions disable trigger all",
    "alter table messages disable trigger user",
    "create trigger things before update on sessions for each row execute function set_updated_at()",
    "set session_replication_role = replica",
    # what happened
    "delete from messages",
    "update messages set message = '{}'",
    "delete from session_events",
    "update session_events set actor_user_id = 'x'",
    "delete from session_invitations",
    "delete from users",
    "copy messages from program 'true'",
    # others, and the server
    "select from pg_authid",
    "select from pg_shadow",
    "select pg_read_file('postgresql.conf')",
    "copy (select 1) to '/tmp/things'",
    "create role things",
    "alter role amplifier_app superuser",
    "grant amplifier_readonly to amplifier_app",
    "alter system set log_statement = 'none'",
    # the migrations' own tables
    "select from _yoyo_log",
    "select from _yoyo_version",
    "select from yoyo_lock",
    "delete from _yoyo_migration",
    "update _yoyo_migration set migration_id = 'x'",
    "insert into _yoyo_migration (migration_hash) values ('x')",
    "drop table _yoyo_migration",
]


@pytest.fixture
def database(api: Api) -> Database:
    """The database with the application's connections."""
    database: Database = api.app.state.queries.database
    return database


@pytest.mark.xdist_group("roles")  # others change them
async def test_service_role_is_unprivileged(database: Database) -> None:
    row = await database.fetchrow("select * from pg_roles where rolname = current_user")
    assert row["rolname"] == ROLE
    for attribute in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls", "rolcanlogin"):
        assert row[attribute] is False, attribute
    assert await database.fetch(OWNED, ROLE) == []
    assert await database.fetch("select roleid::regrole from pg_auth_members where member = $1::regrole", ROLE) == []
    listener = await database.dedicated()
    try:
        assert await listener.fetchval("select current_user") == ROLE
    finally:
        await listener.close()


async def test_service_cannot_change_schema_or_messages(database: Database) -> None:
    for statement in FORBIDDEN:
        try:
            await database.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        pytest.fail(f"allowed: {statement}")


async def test_reset_keeps_the_service_role(database: Database) -> None:
    async with database.connection() as connection:
        for statement in ("reset role", "reset all", "reset session authorization"):
            await connection.execute(statement)
            assert await connection.fetchval("select current_user") == ROLE, statement
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("delete from messages")


async def test_service_role_has_exactly_the_rights_it_uses(database: Database) -> None:
    rights = {
        "applications": "select insert update delete",
        "configs": "select insert update delete",
        "sessions": "select insert update delete",
        "session_participants": "select insert update delete",
        "configuration": "select insert update delete",
        "users": "select insert update",
        "run_approvals": "select insert update",
        "runs": "select insert update",
        "session_invitations": "select insert update",
        "searches": "select insert update",
        "application_keys": "select insert update delete",
        "attachments": "select insert delete",
        "attachment_chunks": "select insert",
        "attachment_removals": "select insert delete",
        "audit_log": "select insert",
        "config_versions": "select insert",
        "idempotency_keys": "select insert update delete",
        "rate_limits": "select insert update delete",
        "imports": "select insert update delete",
        "processes": "select insert update delete",
        "run_usage": "select",
        "streams": "select insert update delete",
        "stream_tickets": "select insert update delete",
        "session_states": "select insert update",
        "embedding_models": "select",
        "message_embeddings": "select insert update delete",
        "session_origins": "select insert update",
        "session_origin_lines": "select insert",
        "user_states": "select insert update",
        "application_states": "select insert update",
        "messages": "select insert",
        "retracted_messages": "select insert",
        "session_events": "select insert",
        "notification_keys": "select",
        "_yoyo_migration": "select",
    }
    for name, _ in await database.fetch(RELATIONS):
        assert await _rights(database, ROLE, name) == rights.get(name, ""), name


async def test_analysts_read_views_only(
    database: Database, sql: Callable[..., list[Any]], alice: httpx.AsyncClient, session_id: str
) -> None:
    said = {"role": "user", "content": "hi"}
    assert (await alice.post(f"/sessions/{session_id}/transcript", json={"messages": [said]})).status_code == 201
    relations = sql(RELATIONS)
    assert {kind for _, kind in relations} >= {"r", "v"}
    sql(f"set role {READER}")
    assert sql("select session_id, transcript from session_transcripts") == [(session_id, [said])]
    for name, kind in relations:
        assert await _rights(database, READER, name) == ("select" if kind == "v" else ""), name
        for statement in [f'select from "{name}"'] * (kind != "v") + [f'insert into "{name}" default values']:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                sql(statement)
    for statement in (
        "update session_transcripts set session_id = 'x'",
        "delete from session_transcripts",
        "drop view session_transcripts",
        "create table things (id text)",
        "truncate messages",
    ):
        with pytest.raises(psycopg.Error) as caught:
            sql(statement)
        assert caught.value.sqlstate in ("42501", "55000"), statement  # 55000: such a view is never writable
    assert await database.fetch(OWNED, READER) == []


async def _rights(database: Database, role: str, relation: str) -> str:
    """Returns the privileges of a role on a relation."""
    kinds = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
    query = "select has_table_privilege($1, format('public.%I', $2::text), $3)"
    return " ".join([kind for kind in kinds if await database.fetchval(query, role, relation, kind)])
