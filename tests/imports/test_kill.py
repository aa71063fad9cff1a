"""An import that is killed loses nothing and doubles nothing: the next one continues."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.live import LIMIT
from tests.support.service import _environment, wait_until
from tests.support.session_files import Claude, imported, write

pytestmark = pytest.mark.slow

Sql = Callable[..., list[Any]]
LINES = """
select string_agg(l.line || '\\x0a'::bytea, '' order by l.number)
from session_origins as o
join session_origin_lines as b using (session_id)
cross join unnest(b.numbers, b.lines) as l (number, line)
where o.source_id = %s
"""
LOCKS = """
select count(*) from pg_locks
where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""


def test_killed_import_is_continued(dsn: str, sql: Sql, tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    long = Claude("long")
    text = "x" * 200_000
    write(folder / "long.jsonl", [long.say(f"{text} {number}") for number in range(150)])
    for number in range(50):
        one = Claude(f"s{number}")
        write(folder / f"s{number}.jsonl", [one.say("one"), one.answer("two")])
    process = subprocess.Popen(
        [sys.executable, "-m", "amplifier", "import", "--user", "ann", str(folder)],
        env=_environment({"DATABASE_URL": dsn}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: sql("select count(*) > 0 from messages") == [(True,)] or process.poll() is not None, LIMIT)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait(LIMIT) == -signal.SIGKILL
    wait_until(lambda: sql(LOCKS) == [(0,)], LIMIT)
    [(stored,)] = sql("select count(*)::int from messages")
    assert 0 < stored < 250
    report = imported(dsn, folder)
    assert report.total("messages") == 250 - stored
    assert report.total("forked") == 0
    assert sql("select count(*)::int, count(distinct external_id)::int from sessions") == [(51, 51)]
    assert sql("select sum(messages_total)::int, sum(message_count)::int from sessions") == [(250, 200)]
    for path in folder.iterdir():
        [(lines,)] = sql(LINES, path.stem)
        assert bytes(lines) == path.read_bytes()
    assert imported(dsn, folder).changed == 0
