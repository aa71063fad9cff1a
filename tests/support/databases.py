"""A database that tests share one after the other, and helpers for the fixtures of databases."""

import time
from typing import Any

import psycopg


def execute(dsn: str, statement: str) -> None:
    """Runs a statement outside a transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


_EMPTY = """
    delete from sessions; delete from configs; delete from users; delete from applications; delete from configuration;
    delete from streams; delete from stream_tickets; delete from searches; delete from idempotency_keys;
    delete from audit_log; delete from rate_limits; delete from attachment_removals;
    delete from processes; delete from imports; delete from embedding_models
"""
_OTHERS = """
    select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_SCHEMA = (  # what a test may have changed, apart from rows
    "relname, relkind, relacl, relowner from pg_class where relnamespace = 'public'::regnamespace",
    "tgname, tgenabled from pg_trigger where not tgisinternal",
    "attrelid, attname, attnum, attisdropped from pg_attribute where attnum > 0 and attrelid >= 16384",
    "conname, convalidated from pg_constraint where connamespace = 'public'::regnamespace",
    "proname, prosrc, proconfig, proacl from pg_proc where pronamespace = 'public'::regnamespace",
    "setdatabase, setrole, setconfig from pg_db_role_setting",
    "nspname, nspacl from pg_namespace where nspname not like 'pg_%'",
)


class Clone:
    """A database for one test after the other, with a permanent connection: new ones read the whole catalog first."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        # else a statement would wait for ever for a transaction of the event loop that it blocks
        limit = "-c lock_timeout=30s"
        self.connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, options=limit)
        self._schema = self._digests()

    def run(self, statement: str, *args: Any) -> list[Any]:
        """Runs a statement and returns its rows."""
        cursor = self.connection.execute(statement, args or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []

    def is_emptied(self) -> bool:
        """Deletes all rows. Returns whether that succeeded and all other connections have closed."""
        try:
            self.run("discard all")
            deadline = time.monotonic() + 1
            while self.run(_OTHERS):
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.001)
            self.run(f"set lock_timeout = '1s'; {_EMPTY}; reset lock_timeout")
            return True
        except psycopg.Error:
            return False

    def has_its_schema(self) -> bool:
        """Returns whether the schema is unchanged."""
        return self._digests() == self._schema

    def _digests(self) -> list[Any]:
        digests = (
            f"(select md5(string_agg(t::text, '|' order by t::text)) from (select {part}) as t)" for part in _SCHEMA
        )
        return self.run(f"select {', '.join(digests)}")


def engine_answers() -> bool:
    """Returns whether a container engine is available."""
    import docker

    try:
        client = docker.from_env(timeout=10)  # a busy machine takes some seconds
        try:
            return bool(client.ping())
        finally:
            client.close()
    except docker.errors.DockerException:
        return False
