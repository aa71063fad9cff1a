"""The migrations that count the messages of sessions that exist, while an earlier release appends."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from amplifier.schema import migrate
from tests.support.archive import MESSAGES, MIGRATIONS, ROWS, SESSIONS, Archive
from tests.support.service import wait_until

FIRST = next(number for number, name in enumerate(MIGRATIONS, 1) if name.endswith("sessions-add_messages_total"))
EARLIER = """
    set role amplifier_app;
    with s as (update sessions set last_seq = last_seq + 1 where session_id = 's3' returning *)
    insert into messages (session_id, seq, message, author_user_id, author_app_id)
    select session_id, last_seq, '{"role": "user"}', 'alice', 'old' from s
"""
TOTALS = "select session_id, messages_total from sessions order by session_id"


@pytest.mark.slow
def test_existing_messages_are_counted_while_others_append(empty_dsn: str) -> None:
    archive = Archive(empty_dsn)
    archive.apply(1, FIRST - 1)
    archive.run(ROWS)
    before = archive.run("select session_id, updated_at from sessions order by session_id")
    archive.apply(FIRST, FIRST + 1)
    archive.run(EARLIER)
    with psycopg.connect(empty_dsn) as earlier, ThreadPoolExecutor(1) as pool:
        earlier.execute(EARLIER)  # not yet committed
        filled = pool.submit(migrate.migrate, empty_dsn)
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        wait_until(lambda: filled.done() or archive.run(waiting) != [(0,)])
        assert not filled.done(), filled.result()
        earlier.commit()
        filled.result()
    totals = dict(archive.run(TOTALS))
    assert totals.pop("s3") == MESSAGES + 2
    assert totals == {f"s{n}": MESSAGES for n in range(1, SESSIONS + 1) if n != 3}
    after = archive.run("select session_id, updated_at from sessions order by session_id")
    assert [row for row in after if row[0] != "s3"] == [row for row in before if row[0] != "s3"]
