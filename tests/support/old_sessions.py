"""Rows of sessions with an age, for tests of retention and erasure, inserted as a DBA does."""

from collections.abc import Callable
from typing import Any

from psycopg.types.json import Jsonb

Sql = Callable[..., list[Any]]


def insert_config(sql: Sql, user_id: str = "ann", config_id: str = "c1") -> None:
    """Inserts a config."""
    sql(
        """
        insert into configs (config_id, name, config_json, user_id) values (%s, 'c', '{"bundle": {"name": "c"}}', %s)
        on conflict do nothing
        """,
        config_id,
        user_id,
    )


def insert_session(
    sql: Sql,
    session_id: str,
    days: float = 0,
    users: tuple[str, ...] = ("ann",),
    roles: tuple[str, ...] = ("owner", "editor", "viewer"),
    messages: int = 2,
    config_id: str = "c1",
    **values: Any,
) -> None:
    """Inserts a session of the first of `users` without activity for `days`, with messages of all in turns."""
    insert_config(sql, users[0], config_id)
    columns = {"status": "active", "tags": {}} | values
    sql(
        """
        insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, status, tags)
        values (%s, %s, %s, 'app', %s, %s)
        """,
        session_id,
        config_id,
        users[0],
        columns["status"],
        Jsonb(columns["tags"]),
    )
    for number, (user_id, role) in enumerate(zip(users, roles, strict=False)):
        sql(
            """
            insert into session_participants (session_id, user_id, role, joined_at)
            values (%s, %s, %s, now() + make_interval(secs => %s))
            """,
            session_id,
            user_id,
            role,
            number,
        )
    for number in range(messages):
        sql(
            """
            insert into messages (session_id, message, author_user_id, author_app_id) values (%s, %s, %s, 'app')
            """,
            session_id,
            Jsonb({"role": "user", "content": f'A flight to "Genève" \\ {number}'}),
            users[number % len(users)],
        )
    age(sql, session_id, days)


def age(sql: Sql, session_id: str, days: float) -> None:
    """Moves the last activity of a session and of its participants into the past."""
    sql(
        "update sessions set updated_at = now() - make_interval(secs => %s * 86400) where session_id = %s",
        days,
        session_id,
    )
    sql(
        "update session_participants set last_active_at = now() - make_interval(secs => %s * 86400)"
        " where session_id = %s",
        days,
        session_id,
    )


def insert_run(
    sql: Sql, session_id: str, user_id: str, run_id: str, days: float = 0, status: str = "completed"
) -> None:
    """Inserts a run that was queued, and ended unless it is running, `days` ago."""
    sql(
        """
        insert into runs (
            session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, process_id,
            lease_expires_at
        )
        select
            %s, %s, status, '{}', %s, 'app', moment, moment, case when status = 'running' then null else moment end,
            'p', now() + interval '1 hour'
        from (select %s as status, now() - make_interval(secs => %s * 86400) as moment) as r
        """,
        session_id,
        run_id,
        user_id,
        status,
        days,
    )


def places(sql: Sql, text: str) -> list[str]:
    """Returns the tables with a row that contains a text, as a search of a dump does."""
    tables = sql(
        "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'"
    )
    return sorted(
        name for (name,) in tables if sql(f"select 1 from {name} as t where strpos(t::text, %s) > 0 limit 1", text)
    )
