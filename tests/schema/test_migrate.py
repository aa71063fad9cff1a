"""Migrations apply, roll back and apply again on every PostgreSQL at hand, by yoyo and by several processes at once."""

import difflib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from amplifier import paths
from amplifier.postgres import embedded
from amplifier.schema import migrate, rollbacks
from tests.conftest import private_folder, with_database
from tests.support.paths import ROOT
from tests.support.service import command, free_port

MIGRATIONS = paths.folder("migrations")
INSTALLS = [18, 16, *(file.parent.parent for file in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")))]
DUMP = ROOT / "tests/schema.sql"
UPDATED = {  # a row for every table that has updated_at
    "applications": "insert into applications (app_id, app_name, api_key_hash, api_key_prefix)"
    " values ('a', 'A', repeat('0', 64), 'p')",
    "configs": "insert into configs (config_id, name, config_json) values ('c', 'C', '{}')",
    "sessions": "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)"
    " values ('s', 'c', 'u', 'a')",
    "configuration": "insert into configuration (key, value) values ('k', '1')",
    "session_states": "insert into session_states (session_id) values ('s')",
    "session_origins": "insert into session_origins (session_id, tool, source_id, path, digest)"
    " values ('s', 't', 'i', 'p', repeat('0', 64))",
    "user_states": "insert into user_states (user_id, app_id) values ('u', 'a')",
    "application_states": "insert into application_states (app_id) values ('a')",
}
OURS = """
    select 'relation ' || relname from pg_class where relnamespace = 'public'::regnamespace and relkind <> 'i'
    union all select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typelem = 0
        and typrelid = 0
"""


class Server:
    """A PostgreSQL server and its client programs."""

    def __init__(self, install: Path, dsn: str) -> None:
        self.install = install
        self.dsn = dsn

    def dump(self, dsn: str) -> str:
        """Returns the schema of a database without the lines that differ from run to run."""
        return rollbacks.dump(dsn, self.install / "bin/pg_dump")


@pytest.fixture(scope="module", params=INSTALLS, ids=str)
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Every server at hand, one per test."""
    install = embedded.wheel_install(request.param) if isinstance(request.param, int) else request.param
    with private_folder() as folder, embedded.running(folder, "amplifier-api", install) as dsn:
        yield Server(install, dsn)


@pytest.mark.slow
def test_yoyo_alone_applies_and_rolls_back_everything(any_server: Server) -> None:
    dsn = any_server.dsn
    before = _names(dsn)
    dumps = []
    for _ in range(2):
        _yoyo(dsn, "apply")
        dumps.append(any_server.dump(dsn))
        assert _names(dsn) > {"relation sessions", "relation session_transcripts", "function set_updated_at"}
        assert migrate.pending(dsn) == []
        _yoyo(dsn, "rollback", "--all")
        assert {name for name in _names(dsn) - before if "yoyo" not in name} == set()
    assert dumps[0] == dumps[1]
    if any_server.install == embedded.wheel_install(18):
        _assert_committed(dumps[0])


def _assert_committed(dump: str) -> None:
    if os.environ.get("UPDATE_SCHEMA"):
        DUMP.write_text(dump)
    committed = DUMP.read_text() if DUMP.exists() else ""
    difference = "\n".join(difflib.unified_diff(committed.splitlines(), dump.splitlines(), DUMP.name, "migrations"))
    assert dump == committed, f"to write it anew: UPDATE_SCHEMA=1 pytest tests/schema/test_migrate.py\n{difference}"


def test_committed_schema_is_what_migrations_make(dsn: str) -> None:
    if not dsn.startswith(f"postgresql://{embedded.ROLE}@/"):
        pytest.skip("the committed schema was written by the embedded server")
    _assert_committed(rollbacks.dump(dsn, embedded.wheel_install(18) / "bin/pg_dump"))


@pytest.mark.slow
def test_eight_processes_migrate_an_empty_database_at_once(empty_dsn: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: command({"DATABASE_URL": empty_dsn}, "migrate", limit=60), range(8)))
    assert [process.returncode for process in done] == [0] * 8, done
    outputs = sorted(process.stdout for process in done)
    assert outputs[1:] == ["the schema is up to date\n"] * 7
    assert outputs[0].startswith("applied 0001-applications-create\n")
    assert migrate.pending(empty_dsn) == []


@pytest.mark.slow
def test_lock_of_dead_process_does_not_block(empty_dsn: str) -> None:
    _yoyo(empty_dsn, "apply", "--revision", "0002-users-create")
    _run(empty_dsn, "insert into yoyo_lock (locked, ctime, pid) values (1, now(), 1)")
    done = command({"DATABASE_URL": empty_dsn}, "migrate")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("applied 0003-")
    assert _run(empty_dsn, "select from yoyo_lock") == []


@pytest.mark.slow
def test_serve_refuses_outdated_schema(empty_dsn: str) -> None:
    port = free_port()
    done = command({"DATABASE_URL": empty_dsn, "SERVICE_PORT": str(port)}, "serve")
    assert done.returncode == 1
    assert "schema is behind" in done.stderr
    assert "run: amplifier-api migrate" in done.stderr
    assert "Traceback" not in done.stderr
    assert _run(empty_dsn, OURS) == [], "it changes nothing"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["an odd näme", "a+b%20c", "a'b\"c"])
def test_database_may_have_any_name(name: str, server: str) -> None:
    quoted = psycopg.sql.Identifier(f"{name} {os.getpid()}").as_string()
    _run(server, f"create database {quoted}")
    try:
        dsn = with_database(server, quote(f"{name} {os.getpid()}"))
        assert migrate.migrate(dsn) != []
        assert migrate.pending(dsn) == []
    finally:
        _run(server, f"drop database {quoted} with (force)")


def test_constraints_are_named_after_table_and_column(dsn: str) -> None:
    rows = _run(
        dsn,
        """
        select conrelid::regclass::text, conname, contype::text, array_agg(attname::text)
        from pg_constraint
        left join pg_attribute on attrelid = conrelid and attnum = any(conkey)
        where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'c') and conrelid <> 0
            and conrelid::regclass::text not like '%yoyo%'
        group by pg_constraint.oid, conrelid, conname, contype
        """,
    )
    assert len(rows) > 30
    for table, name, kind, columns in rows:
        ending = {"p": "pkey", "u": "key", "f": "fkey", "c": "check"}[kind]
        column = "" if kind == "p" else f"({'|'.join(columns)})_(\\w+_)?"
        assert re.fullmatch(f"{table}_{column}{ending}", name), (table, name)


def test_indexes_are_named_after_table_and_column(dsn: str) -> None:
    rows = _run(
        dsn,
        """
        select indrelid::regclass::text, indexrelid::regclass::text, array_agg(attname::text)
        from pg_index
        join pg_attribute on attrelid = indexrelid
        where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
            and not exists (select from pg_constraint where conindid = indexrelid)
            and indrelid::regclass::text not like '%yoyo%'
        group by indrelid, indexrelid
        """,
    )
    assert len(rows) > 5
    for table, name, columns in rows:
        assert re.fullmatch(f"{table}_({'|'.join(columns)})_(\\w+_)?idx", name), (table, name)


def test_updated_at_moves_with_each_update(dsn: str) -> None:
    rows = _run(
        dsn,
        "select relname from pg_class join pg_attribute on attrelid = pg_class.oid"
        " where relnamespace = 'public'::regnamespace and relkind = 'r' and attname = 'updated_at'",
    )
    assert {table for (table,) in rows} == set(UPDATED), "give the new table a row above"
    for table, insert in UPDATED.items():
        _run(dsn, insert)
        [(before,)] = _run(dsn, f"select updated_at from {table}")
        _run(dsn, f"update {table} set updated_at = updated_at")
        [(after,)] = _run(dsn, f"select updated_at from {table}")
        assert after > before, table


def test_transcript_view_is_one_json_array(dsn: str) -> None:
    for table in ("applications", "configs", "sessions"):
        _run(dsn, UPDATED[table])
    assert _run(dsn, "select session_id, transcript from session_transcripts") == [("s", [])]
    _run(
        dsn,
        "insert into messages (session_id, seq, message, author_user_id, author_app_id)"
        " select 's', seq, jsonb_build_object('role', 'user', 'content', seq), 'u', 'a'"
        " from unnest(array[2, 10, 1]) as seq",
    )
    [(kind, transcript)] = _run(dsn, "select jsonb_typeof(transcript), transcript from session_transcripts")
    assert (kind, [message["content"] for message in transcript]) == ("array", [1, 2, 10])


def _yoyo(dsn: str, *arguments: str) -> None:
    program = [str(Path(sys.executable).parent / "yoyo"), arguments[0], "--batch", "--no-config-file", *arguments[1:]]
    address = dsn.replace("postgresql://", "postgresql+psycopg://", 1)
    done = subprocess.run(
        [*program, "--database", address, str(MIGRATIONS)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _names(dsn: str) -> set[str]:
    return {name for (name,) in _run(dsn, OURS)}


def _run(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []
