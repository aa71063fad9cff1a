"""A database with transcripts, for tests of migrations and reindexing of all of them."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from amplifier import paths
from amplifier.schema import migrate
from tests.support.service import wait_until

SESSIONS, MESSAGES = 20, 150  # the fill takes two thousand rows in a transaction
ROWS = f"""
    insert into applications (app_id, app_name, api_key_hash, api_key_prefix) values ('old', 'Old', repeat('0', 64), 'p');
    insert into configs (config_id, name, config_json)
    values ('en', 'En', '{{}}'), ('de', 'De', '{{"metadata": {{"language": "de-AT"}}}}');
    insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, title, tags, last_seq, updated_at)
    select
        's' || n, case when n = 1 then 'de' else 'en' end, 'alice', 'old', 'Flights of day ' || n, '{{"team": "blue"}}',
        {MESSAGES}, '2020-02-02T02:02:02Z'::timestamptz + n * interval '1 day'
    from generate_series(1, {SESSIONS}) as n;
    insert into session_participants (session_id, user_id, role) select session_id, 'alice', 'owner' from sessions;
    insert into messages (session_id, seq, message, author_user_id, author_app_id)
    select
        session_id, seq, jsonb_build_object('role', 'user', 'content', format('Passengers gelaufen mark-%s-%s', session_id, seq)),
        'alice', 'old'
    from sessions, generate_series(1, {MESSAGES}) as seq;
"""  # noqa: E501
APPEND = """
    with s as (update sessions set last_seq = last_seq + 1, updated_at = clock_timestamp() where session_id = %s returning *)
    insert into messages (session_id, seq, message, author_user_id, author_app_id)
    select session_id, last_seq, '{"role": "user", "content": "An appended passenger"}', 'alice', 'old' from s
"""  # noqa: E501
STALE = """
    select m.session_id, m.seq, m.search_revision
    from messages as m join sessions as s using (session_id)
    where m.search is null or m.search_revision is distinct from search_revision(
        coalesce(s.search_language, search_default_language())
    )
    union all
    select session_id, 0, search_revision
    from sessions
    where search is null or search_revision is distinct from search_revision(
        coalesce(search_language, search_default_language())
    )
"""
MIGRATIONS = sorted(
    file.stem for file in paths.folder("migrations").glob("*.sql") if not file.stem.endswith(".rollback")
)


def migrations() -> list[Any]:
    """Returns the parsed migrations in their order."""
    return sorted(migrate.known(), key=lambda migration: str(migration.id))


class Archive:
    """The database, as a DBA sees it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def run(self, statement: str, *args: Any) -> list[Any]:
        """Runs a statement outside a transaction."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, args or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def locked(self, table: str, where: str) -> Iterator[None]:
        """Locks rows in another transaction for as long as the context lasts."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute(f"select from {table} where {where} for update")
            yield

    def apply(self, first: int, last: int) -> None:
        """Applies the migrations of these numbers."""
        with migrate.yoyo_backend(self.dsn) as backend:
            for migration in migrations()[first - 1 : last]:
                backend.apply_one(migration)

    def unfilled(self, table: str) -> int:
        """Returns the number of rows without an index entry."""
        return int(self.run(f"select count(*) from {table} where search is null")[0][0])

    @contextlib.contextmanager
    def filling(self) -> Iterator[Future[list[str]]]:
        """Runs a migration that has one message left to fill, which is locked until the context ends."""
        self.apply(14, 15)
        with ThreadPoolExecutor(1) as pool, self.locked("messages", "session_id = 's3' and seq = 7"):
            migrated = pool.submit(migrate.migrate, self.dsn)
            wait_until(lambda: migrated.done() or self.unfilled("messages") == 1)
            assert not migrated.done(), migrated.result()
            yield migrated
