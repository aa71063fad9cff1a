"""The migration that derives the role of a message: for rows that exist, and back."""

import pytest

from amplifier.schema import migrate
from tests.support.archive import MESSAGES, MIGRATIONS, ROWS, SESSIONS, Archive, migrations

FIRST = next(number for number, name in enumerate(MIGRATIONS, 1) if name.endswith("messages-derive_role"))
FILE = "select pg_relation_filenode('messages')"
INSERT = """
    insert into messages (session_id, message, author_user_id, author_app_id)
    select 's1', message::jsonb, 'dba', 'psql' from unnest(array['{"role": "model"}', '{"role": "tool"}', '{}']) as message
"""  # noqa: E501


@pytest.mark.slow
def test_roles_of_existing_messages_stay(empty_dsn: str) -> None:
    archive = Archive(empty_dsn)
    archive.apply(1, FIRST - 1)
    archive.run(ROWS)
    file = archive.run(FILE)
    archive.apply(FIRST, FIRST + 1)
    assert archive.run(FILE) == file, "the table is not rewritten"
    assert archive.run("select role, count(*) from messages group by role") == [("user", SESSIONS * MESSAGES)]
    archive.run(INSERT)
    roles = f"select role from messages where session_id = 's1' and seq > {MESSAGES} order by seq"
    assert archive.run(roles) == [("assistant",), ("tool",), (None,)]
    with migrate.yoyo_backend(empty_dsn) as backend:
        backend.rollback_one(migrations()[FIRST])
        backend.rollback_one(migrations()[FIRST - 1])
    assert archive.run(roles) == [("tool",)]
    assert archive.run("select count(*) from messages where role = 'user'") == [(SESSIONS * MESSAGES,)]
