"""What the fixtures of databases are made of."""

import time
from typing import Any

import psycopg


def execute(dsn: str, statement: str) -> None:
    """Runs a statement outside a transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def is_emptied(dsn: str) -> bool:
    """Whether all rows are gone now and nobody else is connected any more, which takes a closed connection a moment."""
    others = "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    try:
        with psycopg.connect(dsn, autocommit=True, options="-c lock_timeout=1s") as connection:
            deadline = time.monotonic() + 1
            while connection.execute(f"{others} and backend_type = 'client backend'").fetchone() is not None:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.001)
            connection.execute(
                "delete from configs; delete from users; delete from applications; delete from configuration;"
                " delete from streams; delete from stream_tickets; delete from searches;"
                " delete from idempotency_keys; delete from audit_log; delete from rate_limits"
            )
            return True
    except psycopg.Error:
        return False


def schema_of(dsn: str) -> list[Any]:
    """What a test may have changed besides rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [
            connection.execute(
                f"select md5(string_agg(t::text, '|' order by t::text)) from (select {columns}) as t"
            ).fetchone()
            for columns in (
                "relname, relkind, relacl, relowner from pg_class where relnamespace = 'public'::regnamespace",
                "tgname, tgenabled from pg_trigger where not tgisinternal",
                "attrelid, attname, attnum, attisdropped from pg_attribute where attnum > 0 and attrelid >= 16384",
                "conname, convalidated from pg_constraint where connamespace = 'public'::regnamespace",
                "proname, prosrc, proconfig, proacl from pg_proc where pronamespace = 'public'::regnamespace",
                "setdatabase, setrole, setconfig from pg_db_role_setting",
                "nspname, nspacl from pg_namespace where nspname not like 'pg_%'",
            )
        ]


def engine_answers() -> bool:
    """Whether containers can be run here."""
    import docker

    try:
        client = docker.from_env(timeout=1)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except docker.errors.DockerException:
        return False
