"""`amplifier-api distribute`: its order, its undoing, and where it refuses, on a stand-in for Citus."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from amplifier import paths
from amplifier.database.connections import ROLE
from amplifier.database.placement import DISTRIBUTED, LOCAL, REFERENCE
from amplifier.database.pool import Database
from amplifier.queries.checks import run
from amplifier.queries.registry import Queries
from amplifier.schema.distribution import DistributionError, distribute
from amplifier.server.row_structs import STRUCTS
from tests.conftest import settings_for
from tests.support import citus
from tests.support.databases import Clone
from tests.support.service import command

Sql = Callable[..., list[Any]]
KEYS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
where contype = 'f' and connamespace = 'public'::regnamespace order by 1, 2
"""
SCHEMA = (
    KEYS,
    "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal order by 1, 2",
    "select indexdef from pg_indexes where schemaname = 'public' order by 1",
    "select * from pg_dist_partition order by 1",
    "select * from calls",
    f"select rolcanlogin from pg_roles where rolname = '{ROLE}'",
)
ROWS = """
insert into applications (app_id, app_name, api_key_hash, api_key_prefix) values ('app', 'app', repeat('a', 64), 'amp');
insert into sessions (session_id, owner_user_id, created_by_app_id) values ('one', 'alice', 'app');
insert into session_participants (session_id, user_id, role) values ('one', 'alice', 'owner');
insert into stream_tickets (ticket_hash, session_id, user_id, app_id, token_expires_at, expires_at)
values ('ticket', 'one', 'alice', 'app', now(), now());
"""
# workers that share the server of DATABASE_URL share its roles
pytestmark = pytest.mark.xdist_group("roles")
PLACING = ("select create_reference_table(", "select create_distributed_table(")


@pytest.fixture
def coordinator(clone: Clone, sql: Sql) -> Iterator[str]:
    """The address of a database that takes part in the pretence of being a coordinator's."""
    [(could_log_in,)] = sql(f"select rolcanlogin from pg_roles where rolname = '{ROLE}'")
    with citus.coordinator(sql):
        yield clone.dsn
    if not could_log_in:  # roles belong to all databases of the server
        sql(f"alter role {ROLE} nologin")


def schema(sql: Sql) -> list[Any]:
    """Returns everything that the command may change."""
    return [sql(query) for query in SCHEMA]


def calls(sql: Sql) -> list[str]:
    """Returns the calls of functions of Citus, in order."""
    return [call for (call,) in sql("select call from calls order by number")]


def test_tables_are_placed_in_order(coordinator: str, sql: Sql) -> None:
    before = sql(KEYS)
    steps = distribute(coordinator, dry_run=False)
    placed = [call for call in calls(sql) if not call.startswith("function")]
    assert placed == [
        *(f"reference {table}" for table in REFERENCE),
        "distributed sessions by session_id beside default",
        *(f"distributed {table} by session_id beside sessions" for table in DISTRIBUTED[1:]),
    ]
    assert [key for key in before if key not in sql(KEYS)] == [
        ("stream_tickets", "stream_tickets_session_id_fkey", before_of(before, "stream_tickets_session_id_fkey"))
    ]
    assert sql(f"select rolcanlogin from pg_roles where rolname = '{ROLE}'") == [(True,)]
    assert steps[0].statement == "set local citus.enable_unsafe_triggers = on"


def before_of(keys: list[Any], name: str) -> str:
    """Returns the definition of a foreign key."""
    [definition] = [definition for _, one, definition in keys if one == name]
    return str(definition)


def test_only_functions_without_tables_are_sent_to_nodes(coordinator: str, sql: Sql) -> None:
    distribute(coordinator, dry_run=False)
    sent = {re.sub(r"function (\w+)\(.*", r"\1", call) for call in calls(sql) if call.startswith("function")}
    assert {"may_send", "message_texts", "message_tools", "search_query", "search_headline"} <= sent
    assert not sent & {"messages_move", "messages_by_key", "states_patch", "announce", "refuse_value", "count_unread"}


def test_dry_run_changes_nothing(coordinator: str, sql: Sql) -> None:
    before = schema(sql)
    steps = distribute(coordinator, dry_run=True)
    assert len(steps) > len(DISTRIBUTED) + len(REFERENCE)
    assert schema(sql) == before
    assert distribute(coordinator, dry_run=False) == steps, "it takes the steps that it shows"


def test_second_run_does_nothing(coordinator: str, sql: Sql) -> None:
    distribute(coordinator, dry_run=False)
    before = schema(sql)
    assert distribute(coordinator, dry_run=False) == []
    assert schema(sql) == before


def test_new_table_is_placed_beside_the_others(coordinator: str, sql: Sql) -> None:
    distribute(coordinator, dry_run=False)
    sql("delete from pg_dist_partition where logicalrelid = 'session_events'::regclass")
    steps = [step.statement for step in distribute(coordinator, dry_run=False)]
    placing = [one for one in steps if one.startswith(PLACING)]
    assert placing == ["select create_distributed_table('session_events', 'session_id', colocate_with => 'sessions')"]


@pytest.mark.parametrize(
    "fails", ["create_reference_table(name regclass)", "create_distributed_function(name regprocedure)"]
)
def test_failure_undoes_every_step(coordinator: str, sql: Sql, fails: str) -> None:
    sql(ROWS)
    sql(
        f"create or replace function {fails} returns void language plpgsql as $$ begin raise 'a worker is away'; end $$"
    )
    before = schema(sql)
    with pytest.raises(DistributionError, match=r"^nothing was changed: a worker is away at: select create_"):
        distribute(coordinator, dry_run=False)
    assert schema(sql) == before


def test_unknown_unique_index_is_refused(coordinator: str, sql: Sql) -> None:
    sql("create unique index runs_run_id_idx on runs (run_id)")
    with pytest.raises(DistributionError, match=r"runs_run_id_idx is unique without session_id"):
        distribute(coordinator, dry_run=True)


def test_plain_database_is_refused(dsn: str) -> None:
    for options in ((), ("--dry-run",)):
        done = command({"DATABASE_URL": dsn}, "distribute", *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert "does not have the extension Citus, and nothing is to be distributed on one server" in done.stderr


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "update pg_dist_local_group set groupid = 1",
            "this is a worker of Citus: set DATABASE_URL to its coordinator",
        ),
        (
            "create or replace function citus_get_active_worker_nodes() "
            "returns table (node_name text, node_port bigint) language sql as $$ select 'a', 1 where false $$",
            "the coordinator has no workers",
        ),
    ],
)
def test_other_nodes_are_refused(coordinator: str, sql: Sql, change: str, problem: str) -> None:
    sql(change)
    with pytest.raises(DistributionError, match=problem):
        distribute(coordinator, dry_run=False)


def test_running_service_is_refused(coordinator: str, sql: Sql) -> None:
    before = schema(sql)
    with (
        psycopg.connect(coordinator, application_name="amplifier-api"),
        pytest.raises(DistributionError, match="the service has 1 connections to this database: stop it"),
    ):
        distribute(coordinator, dry_run=False)
    assert schema(sql) == before


def test_command_prints_statements(coordinator: str) -> None:
    shown = command({"DATABASE_URL": coordinator}, "distribute", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("-- triggers of shards are allowed\nset local citus.enable_unsafe_triggers = on;\n")
    done = command({"DATABASE_URL": coordinator}, "distribute")
    assert re.fullmatch(r"took \d+ steps in one transaction; start the service after: .*\n", done.stdout), done.stderr
    again = command({"DATABASE_URL": coordinator}, "distribute")
    assert again.stdout == "all tables are distributed already\n"


async def test_queries_hold_on_distributed_schema(coordinator: str) -> None:
    distribute(coordinator, dry_run=False)
    database = Database(settings_for(coordinator), coordinator)
    queries = Queries(database, paths.folder("queries"))
    await database.connect()
    try:
        queries.lay_over()
        assert await run.findings(queries, STRUCTS) == []
    finally:
        await database.close()


def test_every_table_has_a_place(sql: Sql) -> None:
    tables = {table for (table,) in sql("select tablename from pg_tables where schemaname = 'public'")}
    assert {table for table in tables if not table.startswith(("_yoyo", "yoyo"))} == {*DISTRIBUTED, *REFERENCE, *LOCAL}
