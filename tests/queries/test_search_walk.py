"""The function search_matches reads no more groups of sessions than it needs, and search_estimate counts."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

Sql = Callable[..., list[Any]]

SESSIONS, MESSAGES = 160, 6  # four groups, two of them of a viewer
READER = "alice"
FIND = """
    select session_id, seq, created_at
    from search_matches(%s, %s, false, null, null, '{{}}', null, null, null, null, null{last})
    where (created_at, session_id, seq) < (%s, %s, %s)
    order by created_at desc, session_id desc, seq desc
    limit %s
"""
ALL, NEWEST = FIND.format(last=""), FIND.format(last=", %s, %s, %s, %s")
END = ("infinity", "", 0)
SESSION = """
    with made as (
        insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, title, last_seq, updated_at)
        select id, %s, 'ann', 'app', title, 99, changed from jsonb_to_recordset(%s)
            as s (id text, title text, changed timestamptz)
        returning session_id
    )
    insert into session_participants (session_id, user_id, role)
    select session_id, 'alice', case when session_id::int %% 2 = 0 then 'viewer' else 'owner' end from made
"""
MESSAGE = """
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select id, seq, jsonb_build_object('role', 'user', 'content', words), 'ann', 'app', moment
    from jsonb_to_recordset(%s) as m (id text, seq bigint, words text, moment timestamptz)
"""


@pytest.fixture
def messages(sql: Sql, config_id: str) -> None:
    """Messages of sessions that were changed at random moments, and never before their last message."""
    chance, sessions, added = random.Random(24), [], []
    for number in range(SESSIONS):
        moments = sorted(chance.sample(range(10_000), MESSAGES))
        title = "bakum" if chance.random() < 0.1 else "plain"
        changed = moments[-1] + chance.choice([0, 0, 1, 3000])
        sessions.append({"id": str(number), "title": title, "changed": _moment(changed)})
        for seq, moment in enumerate(moments, 1):
            words = " ".join(chance.choices(["bakum", "tirok", "zumat"], [6, 2, 1], k=2))
            added.append({"id": str(number), "seq": seq, "words": words, "moment": _moment(moment)})
    sql(SESSION, config_id, json.dumps(sessions))
    sql(MESSAGE, json.dumps(added))


def _moment(seconds: int) -> str:
    return f"2025-01-01 {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}+00"


@pytest.mark.parametrize("q", ["bakum", "bakum tirok", "bak*", "-zumat", "zumat or tirok"])
@pytest.mark.usefixtures("messages")
async def test_newest_matches_are_those_of_all_groups(sql: Sql, q: str) -> None:
    sql("analyze messages")
    everything = sql(ALL, READER, q, *END, 100_000)
    assert len(everything) > SESSIONS / 4
    for most in (1, 7, 40, 5000):
        for moment, name, seq in (END, *((row[2], row[0], row[1]) for row in everything[:: len(everything) // 4])):
            newest = sql(NEWEST, READER, q, most, moment, name, seq, moment, name, seq, most)
            assert newest == sql(ALL, READER, q, moment, name, seq, most), (q, most, moment)


@pytest.mark.parametrize(("q", "most", "groups"), [("bakum", 1, (2, 4)), ("bakum", 5000, (5, 5)), ("bak*", 1, (2, 4))])
@pytest.mark.usefixtures("messages")
async def test_walk_ends_when_the_rest_is_older(sql: Sql, q: str, most: int, groups: tuple[int, int]) -> None:
    sql("delete from session_participants where session_id::int >= 100")  # so few that every search is walked
    sql("insert into session_participants (session_id, user_id, role) select session_id, 'bob', 'owner' from sessions")
    sql("analyze messages")
    given = (READER, q, most, *END, *END, most)
    statement = NEWEST % tuple(f"'{value}'" if isinstance(value, str) else value for value in given)
    plan = "\n".join(row[0] for row in sql(f"explain (analyze, costs off, timing off) {statement}"))
    (walked,) = re.findall(r"WorkTable Scan on walked_groups\b.* loops=(\d+)\)", plan)
    assert groups[0] <= int(walked) <= groups[1], plan


@pytest.mark.parametrize("analyzed", [True, False])
@pytest.mark.usefixtures("messages")
async def test_estimate_counts_words_that_statistics_do_not_know(sql: Sql, analyzed: bool) -> None:
    if analyzed:
        sql("analyze messages")
    else:
        sql("delete from pg_statistic where starelid = 'messages'::regclass")
    [(frequent,)] = sql("select search_estimate('bakum', 50)")
    assert frequent > 50
    sql(
        "insert into messages (session_id, seq, message, author_user_id, author_app_id)"
        ' select session_id, 50, \'{"role": "user", "content": "rimak"}\', \'ann\', \'app\' from sessions limit 9'
    )
    assert sql("select search_estimate('rimak', 50), search_estimate('rimak & bakum', 50)") == [(9, 0)]
    [(beginning,)] = sql("select search_estimate('bak:*', 50)")
    assert (beginning is not None) == analyzed


@pytest.mark.usefixtures("messages")
async def test_estimate_of_short_beginning_is_not_reduced(sql: Sql) -> None:
    """Three letters may begin far more words than the statistics assume of words that they do not know."""
    sql("analyze messages")
    [(short, shorter, long)] = sql(
        "select search_estimate('bak:*', 50) - search_estimate('bak:*'), search_estimate('b:*A & bak:*', 50)"
        " - search_estimate('b:*A & bak:*'), search_estimate('baku:*', 50) - search_estimate('baku:*') / 10"
    )
    assert (short, shorter, long) == (0, 0, 0)
