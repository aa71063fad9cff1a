"""`amplifier-api queries top` shows what clients cost, not what the checks of starts and reloads do."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.queries import control
from amplifier.queries.checks.access_probe import set_apart
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from tests.conftest import CONFIG, private_folder, settings_for
from tests.support.service import command, running_service

DEBIAN = Path("/usr/lib/postgresql/15")


def test_statement_of_probe_returns_the_same_columns(dsn: str, folder: Path) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for query in Queries(Database(settings_for(dsn), dsn), folder).all():
            described = []
            for statement in (query.statement, set_apart(query)):
                connection.pgconn.prepare(b"", statement.encode())
                result = connection.pgconn.describe_prepared(b"")
                columns = [(result.fname(n), result.ftype(n)) for n in range(result.nfields)]
                described.append((columns, [result.param_type(n) for n in range(result.nparams)]))
            assert described[0] == described[1], query.name
            assert set_apart(query) != query.statement
            assert f"/* {query.name} */" not in set_apart(query)


@pytest.mark.slow
def test_missing_statistics_are_explained(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        [there] = connection.execute(
            "select exists (select from pg_available_extensions where name = 'pg_stat_statements')"
        ).fetchone() or (None,)
    done = command({"DATABASE_URL": dsn}, "queries", "top")
    assert (done.returncode, done.stdout) == (1, "")
    assert ("create extension pg_stat_statements" in done.stderr) == there
    assert ("install its contrib modules" in done.stderr) != there


@pytest.fixture
def measured() -> Iterator[str]:
    """The address of a database with pg_stat_statements."""
    with private_folder() as home:
        with embedded.running(home, "amplifier-api", DEBIAN) as dsn, psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("create extension pg_stat_statements")
            owner.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
        with embedded.running(home, "amplifier-api", DEBIAN) as dsn:
            migrate.migrate(dsn)
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute("alter system set pg_stat_statements.track_planning = on")
                owner.execute("select pg_reload_conf()")
            yield dsn


@pytest.mark.slow
@pytest.mark.skipif(not (DEBIAN / "bin/postgres").exists(), reason="needs a PostgreSQL with pg_stat_statements")
def test_top_counts_requests_and_no_checks(measured: str, folder: Path) -> None:
    environ = {"DATABASE_URL": measured}
    queries = Queries(Database(settings_for(measured), measured), folder).all()
    background = {query.name for query in queries if query.header.access in ("public", "system")}
    assert command(environ, "queries", "check", limit=60).returncode == 0
    with running_service(environ) as service:
        assert command(environ, "queries", "reload").returncode == 0
        before = {name for name, *_ in control.top(measured, 1000)}
        for _ in range(3):
            assert httpx.post(f"{service.url}/configs", json=CONFIG, verify=False).status_code == 201
        calls = {name: count for name, count, *_ in control.top(measured, 1000)}
    assert before <= background - {"search.get_languages"}
    assert calls.keys() - background == {"configs.create"}
    assert calls["configs.create"] == 3, "with the entry of the audit log"
    assert "audit.add" not in calls
    with psycopg.connect(measured) as owner:
        [probed] = owner.execute("select count(*) from pg_stat_statements where query ~ 'probe of '").fetchone() or (0,)
    assert probed > 50, "the checks ran, and are counted apart"
