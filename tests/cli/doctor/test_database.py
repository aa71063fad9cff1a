"""Each fault of a database is made, and doctor names it and its remedy. Those of the sign-in are in test_sign_in.py."""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplifier.cli.doctor import database
from amplifier.cli.doctor.target import Target
from amplifier.setting_sources import load
from tests.conftest import private_folder, with_database
from tests.support.databases import execute
from tests.support.doctor import examined

Sql = Callable[..., list[Any]]


@contextlib.contextmanager
def altered(sql: Sql, **settings: str) -> Iterator[None]:
    """Sets defaults of the database during the context."""
    [(name,)] = sql("select current_database()")
    for setting, value in settings.items():
        sql(f"alter database {name} set {setting} = {value}")
    try:
        yield
    finally:
        sql(f"alter database {name} reset all")


@pytest.mark.slow
async def test_usable_database_passes_every_check(dsn: str) -> None:
    found = await examined({"DATABASE_URL": dsn})
    assert {name for name, one in found.items() if one.status == "failed"} == set(), found
    assert found["queries"].seen.endswith(" queries hold")
    assert (found["LISTEN"].seen, found["writable"].seen) == ("a notification arrives", "accepts changes")
    assert sum(one.milliseconds for one in found.values()) < 30_000


async def test_login_of_the_owner_is_a_risk(dsn: str) -> None:
    found = (await examined({"DATABASE_URL": dsn}, "role"))["role"]
    assert (found.status, "is a superuser" in found.seen) == ("warning", True)
    assert "DATABASE_SERVICE_PASSWORD=... amplifier-api migrate" in str(found.remedy)


async def test_schema_that_is_behind_is_named(dsn: str, sql: Sql) -> None:
    [row] = sql("delete from _yoyo_migration where migration_id like '0084%%' returning *")
    try:
        found = (await examined({"DATABASE_URL": dsn}, "schema version"))["schema version"]
    finally:
        sql(f"insert into _yoyo_migration values ({', '.join(['%s'] * len(row))})", *row)
    assert found.status == "failed"
    assert "the first 0084-" in found.seen
    assert "amplifier-api migrate" in str(found.remedy)


async def test_schema_of_a_newer_release_is_named(dsn: str, sql: Sql) -> None:
    sql("insert into _yoyo_migration (migration_hash, migration_id) values ('newer', '9999-sessions-add_future')")
    try:
        found = (await examined({"DATABASE_URL": dsn}, "schema version"))["schema version"]
    finally:
        sql("delete from _yoyo_migration where migration_hash = 'newer'")
    assert (found.status, "the last 9999-sessions-add_future" in found.seen) == ("warning", True)


async def test_database_without_schema_is_named(template: str, empty_dsn: str) -> None:
    found = await examined({"DATABASE_URL": empty_dsn}, "schema version", "search language")
    assert (found["schema version"].status, found["search language"].status) == ("failed", "skipped")
    assert "amplifier-api migrate" in str(found["schema version"].remedy)


@pytest.mark.parametrize(
    ("language", "problem", "remedy"),
    [
        ("german", "serve refuses to start", "SEARCH_LANGUAGE=german amplifier-api search reindex"),
        ("klingon", "no such text search configuration", "pg_ts_config"),
    ],
)
async def test_other_language_of_the_search_is_named(dsn: str, language: str, problem: str, remedy: str) -> None:
    environ = {"DATABASE_URL": dsn, "SEARCH_LANGUAGE": language}
    found = (await examined(environ, "search language"))["search language"]
    assert found.status == "failed"
    assert problem in str(found.problem)
    assert remedy in str(found.remedy)


async def test_read_only_default_is_named(dsn: str, sql: Sql) -> None:
    with altered(sql, default_transaction_read_only="on"):
        found = (await examined({"DATABASE_URL": dsn}, "writable"))["writable"]
    assert (found.status, found.seen) == ("failed", "default_transaction_read_only is on")
    assert "reset default_transaction_read_only" in str(found.remedy)


async def test_settings_that_hurt_are_named_with_their_mending(dsn: str, sql: Sql) -> None:
    with altered(sql, idle_session_timeout="'30s'", default_transaction_isolation="serializable", log_statement="mod"):
        found = (await examined({"DATABASE_URL": dsn}, "server settings"))["server settings"]
    assert found.status == "warning"
    assert "idle_session_timeout = 30000ms" in found.seen
    assert "alter system set idle_session_timeout = 0;" in str(found.remedy)
    assert "the server's log contains what is said" in str(found.problem)
    assert "default_transaction_isolation = serializable" in found.seen


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, "ok"),
        ({"SERVICE_WORKERS": "8", "DATABASE_POOL_MAX_SIZE": "500"}, "failed"),
    ],
)
async def test_pools_are_compared_with_max_connections(dsn: str, environ: dict[str, str], status: str) -> None:
    found = (await examined({"DATABASE_URL": dsn, **environ}, "connections"))["connections"]
    assert found.status == status, found
    assert status == "ok" or "need 4008; the server has" in found.seen


async def test_pools_that_fit_only_without_others_are_a_risk(dsn: str, sql: Sql) -> None:
    [(most, others)] = sql(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,"
        " count(*) from pg_stat_activity where backend_type = 'client backend'"
    )
    assert others >= 1
    environ = {"DATABASE_URL": dsn, "DATABASE_POOL_MAX_SIZE": str(most - 1)}
    found = (await examined(environ, "connections"))["connections"]
    assert (found.status, "while others use" in str(found.problem)) == ("warning", True), found


@pytest.fixture
async def target(dsn: str) -> AsyncIterator[Target]:
    """A signed-in target."""
    from amplifier.cli.doctor import login

    target = Target(lambda: load({"DATABASE_URL": dsn}, env_file="no such file"))
    await target.load()
    await target.choose()
    await login.sign_in(target)
    yield target
    await target.close()


async def test_clock_of_the_database_is_compared_with_that_of_the_machine(target: Target) -> None:
    outcomes = [await database.clock(target, lambda: time.time() + offset) for offset in (0, -30, 7200)]  # noqa: B023
    assert [one.status for one in outcomes] == ["ok", "warning", "failed"]
    assert "the database is 30 s ahead of this machine" in outcomes[1].seen
    assert "timedatectl" in str(outcomes[2].remedy)


@pytest.fixture
def odd_database(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database with the options of the test."""
    name = f"test_odd_{os.getpid()}_{time.monotonic_ns()}"
    execute(server, f"create database {name} template template0 {request.param}")
    yield with_database(server, name)
    execute(server, f"drop database {name} with (force)")


@pytest.mark.parametrize(
    ("odd_database", "status", "problem"),
    [
        ("encoding 'SQL_ASCII' locale_provider libc locale 'C'", "failed", "cannot store every character"),
        ("encoding 'UTF8' locale_provider libc locale 'C'", "warning", "a search for école does not find ÉCOLE"),
    ],
    indirect=["odd_database"],
)
async def test_encoding_and_collation_are_judged(odd_database: str, status: str, problem: str) -> None:
    found = (await examined({"DATABASE_URL": odd_database}, "encoding"))["encoding"]
    assert (found.status, problem in str(found.problem)) == (status, True), found


async def test_missing_folder_of_queries_is_named(tmp_path: Path) -> None:
    found = (await examined({"QUERIES_DIR": str(tmp_path / "none")}, "query files"))["query files"]
    assert (found.status, "there is no such folder" in str(found.problem)) == ("failed", True)


async def test_wrong_header_of_a_query_is_named(folder: Path) -> None:
    with (folder / "sessions.sql").open("a") as file:
        file.write("\n-- name: odd()$\n-- Without a return.\nselect 1;\n")
    found = (await examined({"QUERIES_DIR": str(folder)}, "query files"))["query files"]
    assert (found.status, "sessions.odd" in str(found.problem)) == ("failed", True)


@pytest.mark.slow
async def test_query_that_does_not_pass_the_checks_is_named(dsn: str, folder: Path) -> None:
    file = folder / "service.sql"
    file.write_text(file.read_text().replace("select 1;", "select 1 from no_such_table;"))
    found = (await examined({"DATABASE_URL": dsn, "QUERIES_DIR": str(folder)}, "queries"))["queries"]
    assert (found.status, "service.ping" in str(found.problem)) == ("failed", True)


async def test_embedded_database_that_does_not_run_is_not_started() -> None:
    with private_folder() as folder:
        folder.chmod(0o755)
        found = await examined({"AMPLIFIER_HOME": str(folder / "home")})
        assert os.listdir(folder) == []
    assert found["database"].seen.startswith("none is configured: serve starts the embedded PostgreSQL")
    assert {found[name].status for name in ("TCP", "sign-in", "role", "LISTEN")} == {"skipped"}


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as the user itself")
async def test_home_that_the_user_of_postgresql_cannot_enter_is_named(server: str) -> None:
    with private_folder() as folder:
        found = (await examined({"AMPLIFIER_HOME": str(folder / "home")}, "database"))["database"]
    assert (found.status, "is out of reach for the user" in str(found.problem)) == ("failed", True)


async def test_home_with_other_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    found = (await examined({"AMPLIFIER_HOME": str(tmp_path)}, "database"))["database"]
    assert (found.status, "has other files in it" in str(found.problem)) == ("failed", True)
