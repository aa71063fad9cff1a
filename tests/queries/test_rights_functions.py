"""The functions that queries call are inlined in every plan, and an edit of queries cannot change rights."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplifier import paths
from amplifier.database.connections import ROLE
from amplifier.database.pool import Database
from amplifier.postgres import embedded, scratch
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from tests.conftest import private_folder, settings_for

FUNCTIONS = ("may_send", "may_cancel", "may_invite", "may_export")
SETS = ("search_matches", "search_queries")  # functions that return rows
INSTALLS = [16, *(file.parent.parent for file in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")))]


@pytest.fixture(params=["the tests' own", *(pytest.param(one, marks=pytest.mark.slow) for one in INSTALLS)], ids=str)
def any_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a migrated database, on the tests' server and on every other version at hand."""
    if request.param == "the tests' own":
        yield request.getfixturevalue("dsn")
        return
    install = embedded.wheel_install(request.param) if isinstance(request.param, int) else request.param
    with (
        private_folder() as home,
        embedded.running(home, "amplifier-api", install) as server,
        scratch.database(server) as dsn,
    ):
        migrate.migrate(dsn)
        yield dsn


def calls(dsn: str, change: str | None = None) -> set[tuple[str, str]]:
    """Returns each function that a query's generic plan calls, with the query's name.

    `change` is made before and rolled back afterwards.
    """
    queries = Queries(Database(settings_for(dsn), dsn), paths.folder("queries"))
    found = set()
    with psycopg.connect(dsn) as connection:
        connection.prepare_threshold = None
        if change is not None:
            connection.execute(change.encode())
        connection.execute(f"set local role {ROLE}; set local plan_cache_mode = force_generic_plan".encode())
        for number, query in enumerate(queries.all()):
            connection.execute(f"prepare q{number} as {query.statement}".encode())
            arguments = f"({', '.join(['null'] * len(query.parameters))})" if query.parameters else ""
            row = connection.execute(f"explain (verbose, format json) execute q{number}{arguments}".encode()).fetchone()
            assert row is not None
            for text, name in itertools.product(texts(row[0]), FUNCTIONS + SETS):
                if f"{name}(" in text:
                    found.add((name, query.name))
        connection.rollback()
    return found


def texts(value: Any) -> Iterator[str]:
    """Yields every text of a plan: conditions, outputs, names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


def test_no_plan_calls_functions(any_dsn: str) -> None:
    assert calls(any_dsn) == set()


@pytest.mark.parametrize("change", ["strict", "set search_path to public", "security definer"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_that_cannot_be_planned_away_is_found(dsn: str, name: str, change: str) -> None:
    found = calls(dsn, f"alter function {name}(text, jsonb) {change}")
    assert (name, "participant_rights.get") in found
    assert {function for function, _ in found} == {name}


@pytest.mark.parametrize("change", ["strict", "set search_path to public", "volatile"])
@pytest.mark.parametrize("name", SETS)
def test_set_that_cannot_be_planned_away_is_found(dsn: str, name: str, change: str) -> None:
    with psycopg.connect(dsn) as connection:
        # the forms that an earlier release calls have fewer arguments
        [(signature,)] = connection.execute(
            "select oid::regprocedure::text from pg_proc where proname = %s order by pronargs desc limit 1", [name]
        ).fetchall()
    assert (name, "search.list_sessions") in calls(dsn, f"alter function {signature} {change}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rights_allow_parallel_plans(dsn: str, name: str) -> None:
    with psycopg.connect(dsn) as connection:
        # forces parallel plans; until version 15 the setting had another name
        connection.execute(
            "select set_config(name, 'on', false) from pg_settings"
            " where name in ('debug_parallel_query', 'force_parallel_mode')"
        )
        plan = connection.execute(
            f"explain select from session_participants where {name}(role, permissions)".encode()
        ).fetchall()
        assert "Gather" in plan[0][0], plan


@pytest.mark.parametrize(
    ("role", "permissions", "rights"),
    [
        ("owner", "{}", (True, True, True, True)),
        ("editor", "{}", (True, True, False, True)),
        ("viewer", "{}", (False, False, False, True)),
        ("owner", '{"send": false, "cancel": false, "invite": false, "export": false}', (False, False, False, False)),
        ("editor", '{"send": false, "invite": true, "export": false}', (False, True, True, False)),
        ("viewer", '{"send": true, "cancel": true, "invite": true, "export": true}', (True, True, True, True)),
    ],
)
def test_permissions_override_roles(dsn: str, role: str, permissions: str, rights: tuple[bool, ...]) -> None:
    columns = ", ".join(f"{name}(%(role)s, %(permissions)s)" for name in FUNCTIONS)
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select {columns}".encode(), {"role": role, "permissions": permissions}).fetchone()
    assert row == rights


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "statement",
    [
        "create or replace function {}(role text, permissions jsonb) returns boolean language sql return true",
        "create function {}(role varchar, permissions jsonb) returns boolean language sql return true",
        "alter function {}(text, jsonb) strict",
        "drop function {}(text, jsonb)",
    ],
)
def test_service_role_cannot_change_rights(dsn: str, name: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"set role {ROLE}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.format(name).encode())
