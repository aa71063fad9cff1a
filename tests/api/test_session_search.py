"""Sessions by what was said in them, and every way of searching many sessions against a search in Python."""

import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_search import MANY, Sql, add, all_pages, search, second_session
from tests.conftest import Api, assert_problem

SESSIONS = 150
WORDS = {"bakum": 60, "tirok": 30, "zumat": 30, "zumok": 30, "felat": 10, "gorit": 10, "rimak": 1}  # by frequency
Words = list[str]


async def listed(client: httpx.AsyncClient, q: str, **params: Any) -> list[Any]:
    """The sessions of all pages; each says the same total."""
    page = await search(client, q, "/sessions", **params)
    total, rows = page["total"], page["sessions"]
    while page["next"] is not None:
        page = await search(client, q, "/sessions", **params, after=page["next"])
        rows += page["sessions"]
    assert len({row["session_id"] for row in rows}) == len(rows) == total
    return list(rows)


def words(number: int) -> str:
    """Returns different words, because repeated ones make a message no longer for its rank."""
    return " ".join(f"hay{one}" for one in range(number))


async def test_sessions_are_listed_by_their_best_hit(alice: httpx.AsyncClient, config_id: str) -> None:
    rare, best, none, title = [
        await second_session(alice, config_id, title=name, tags={"n": name[0]})
        for name in ("a stack", "b stack", "c stack", "d needle")
    ]
    await add(alice, rare, f"needle {words(30)}", "hay", f"hay and a needle {words(40)}")
    await add(alice, best, "first <needle> behind", f"{words(20)} needle")
    await add(alice, none, "hay")
    rows = await listed(alice, "needle")
    assert {row["session_id"]: row["hits"] for row in rows} == {rare: 2, best: 2, title: 1}
    order = [row["session_id"] for row in rows]
    assert order.index(best) < order.index(rare)
    found = {row["session_id"]: row for row in rows}
    assert found[best]["headline"] == "first &lt;<mark>needle</mark>&gt; behind"
    assert "<mark>needle</mark>" in found[title]["headline"]
    plain = {row["session_id"]: row for row in (await alice.get("/sessions")).json()["sessions"]}
    for name, row in found.items():
        assert row == plain[name] | {"hits": row["hits"], "headline": row["headline"]}


async def test_filters_and_pages_of_found_sessions(api: Api, alice: httpx.AsyncClient, config_id: str) -> None:
    bob, made = await api.as_user("bob"), []
    for number in range(7):
        made.append(await second_session(alice, config_id, tags={"odd": str(number % 2)}))
        await add(alice, made[-1], "needle " * (number % 3 + 1), "hay")
        await alice.post(f"/sessions/{made[-1]}/participants", json={"user_id": "bob", "role": "viewer"})
    everything = [row["session_id"] for row in await listed(alice, "needle")]
    assert sorted(everything) == sorted(made)
    for limit in (1, 2, 3, 7):
        assert [row["session_id"] for row in await listed(alice, "needle", limit=limit)] == everything
    rest = (await search(alice, "needle", "/sessions", limit=3, offset=3))["sessions"]
    assert [row["session_id"] for row in rest] == everything[3:6]
    beyond = await search(alice, "needle", "/sessions", offset=9)
    assert beyond == {"sessions": [], "total": 7, "next": None}, "as without q"
    assert {row["session_id"] for row in await listed(alice, "needle", tag="odd:1")} == set(made[1::2])
    assert [row["role"] for row in await listed(bob, "needle")] == ["viewer"] * 7
    assert await listed(bob, "needle", owned=True) == []
    assert len(await listed(alice, "needle", owned=True)) == 7


async def test_no_session_is_lost_between_pages(alice: httpx.AsyncClient, config_id: str) -> None:
    made = [await second_session(alice, config_id) for _ in range(6)]
    for number, name in enumerate(made):
        await add(alice, name, f"needle {words(10 * number)}")
    page = await search(alice, "needle", "/sessions", limit=1)
    rows = page["sessions"]
    for name in made:
        await add(alice, name, "needle", "needle")
    while page["next"] is not None:
        page = await search(alice, "needle", "/sessions", limit=1, after=page["next"])
        rows += page["sessions"]
    assert [row["session_id"] for row in rows] == made


async def test_sessions_with_only_old_hits_come_last(alice: httpx.AsyncClient, config_id: str, sql: Sql) -> None:
    many, old = [await second_session(alice, config_id) for _ in range(2)]
    await add(alice, old, "needle")
    sql("update messages set created_at = now() - interval '9 days'")
    sql(MANY, many, 1, 2010)
    rows = await listed(alice, "needle")
    assert [(row["session_id"], row["hits"]) for row in rows] == [(many, 2010), (old, 1)]
    assert rows[1]["headline"] == "<mark>needle</mark>"


async def test_queries_that_find_no_session(alice: httpx.AsyncClient, session_id: str) -> None:
    for q in ("", "the", "?!", '"'):
        page = await search(alice, q, "/sessions")
        assert (page["sessions"], page["total"], page["next"]) == ([], 0, None)
        assert "nothing to search for" in page["notice"]
    assert await search(alice, "absent", "/sessions") == {"sessions": [], "total": 0, "next": None}
    assert (await alice.get("/sessions")).json().keys() == {"sessions", "total", "next"}


async def test_parameters_that_list_refuses(alice: httpx.AsyncClient, config_id: str) -> None:
    for _ in range(2):
        await add(alice, await second_session(alice, config_id), "needle hay")
    cursor = (await search(alice, "needle", "/sessions", limit=1))["next"]
    plain = (await alice.get("/sessions", params={"limit": 1})).json()["next"]
    hits = (await search(alice, "needle", limit=1))["next"]
    refused: list[dict[str, Any]] = [{"q": "x" * 1001}, {"q": "\0"}, {"limit": 0}, {"limit": 201}, {"tag": "x"}]
    refused += [{"after": plain}, {"after": hits}, {"after": "x"}, {"after": ""}, {"q": "hay", "after": cursor}]
    refused += [{"after": cursor, "owned": True}, {"after": cursor, "tag": "a:b"}]
    for params in refused:
        assert_problem(await alice.get("/sessions", params={"q": "needle", **params}), 422)
    assert_problem(await alice.get("/sessions", params={"after": cursor}), 422)


def phrase(*beginnings: str) -> Callable[[Words], bool]:
    def found(words: Words) -> bool:
        size = len(beginnings)
        places = (words[start : start + size] for start in range(len(words) - size + 1))
        return any(all(map(str.startswith, place, beginnings)) for place in places)

    return found


QUERIES: dict[str, Callable[[Words], bool]] = {
    "bakum": lambda words: "bakum" in words,
    "rimak": lambda words: "rimak" in words,
    "absent": lambda words: False,
    "bakum tirok": lambda words: {"bakum", "tirok"} <= {*words},
    "bakum rimak": lambda words: {"bakum", "rimak"} <= {*words},
    "felat or rimak or gorit tirok": lambda words: bool(
        {"felat", "rimak"} & {*words} or {"gorit", "tirok"} <= {*words}
    ),
    "bakum -tirok -zumat": lambda words: "bakum" in words and not {"tirok", "zumat"} & {*words},
    "-bakum": lambda words: "bakum" not in words,
    "-rimak": lambda words: "rimak" not in words,
    "-bakum -tirok": lambda words: not {"bakum", "tirok"} & {*words},
    "bakum or -tirok": lambda words: "bakum" in words or "tirok" not in words,
    "zum*": phrase("zum"),
    "-zum*": lambda words: not phrase("zum")(words),
    "rim*": phrase("rim"),
    "bakum -z*": lambda words: "bakum" in words and not phrase("z")(words),
    '"bakum tirok"': phrase("bakum", "tirok"),
    '"tirok zum*"': phrase("tirok", "zum"),
    '-"bakum bakum"': lambda words: not phrase("bakum", "bakum")(words),
    '"bakum bakum" or rim* felat': lambda words: (
        phrase("bakum", "bakum")(words) or (phrase("rim")(words) and "felat" in words)
    ),
}
SESSION = """
    with made as (
        insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, metadata, last_seq)
        select n::text, %s, 'ann', 'app', case n %% 3 when 0 then '{"language": "simple"}'::jsonb else '{}' end, 8
        from generate_series(0, %s) as n
        returning session_id
    )
    insert into session_participants (session_id, user_id, role)
    select session_id, user_id, case when session_id::int %% 2 = 0 and user_id = 'alice' then 'viewer' else 'owner' end
    from made, (values ('alice'), ('bob')) as people (user_id)
    where user_id = 'bob' or session_id::int < %s
"""
MESSAGES = """
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select session_id, seq, message, 'ann', 'app', now() - interval '1 h' + seq * interval '1 s'
    from jsonb_to_recordset(%s) as m (session_id text, seq bigint, message jsonb)
"""


@pytest.fixture
def messages(sql: Sql, config_id: str) -> dict[tuple[str, int], tuple[Words, Words]]:
    """Messages and thoughts in alice's sessions; as many again are not hers."""
    chance, made = random.Random(7), {}
    for number in range(2 * SESSIONS):
        for seq in range(1, 9):
            words = chance.choices([*WORDS], [*WORDS.values()], k=7)
            made[str(number), seq] = words[:4], words[4:]
    sql(SESSION, config_id, 2 * SESSIONS - 1, SESSIONS)
    rows = [{"session_id": name, "seq": seq, "message": message(*words)} for (name, seq), words in made.items()]
    sql(MESSAGES, json.dumps(rows))
    return {key: words for key, words in made.items() if int(key[0]) < SESSIONS}


def message(said: Words, thought: Words) -> dict[str, str]:
    return {"role": "assistant", "content": " ".join(said), "thinking_text": " ".join(thought)}


@pytest.mark.parametrize("sort", ["rank", pytest.param("recent", marks=pytest.mark.slow)])
@pytest.mark.parametrize("analyzed", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_every_way_finds_the_same(
    alice: httpx.AsyncClient, messages: dict[tuple[str, int], tuple[Words, Words]], sql: Sql, analyzed: bool, sort: str
) -> None:
    if analyzed:
        sql("analyze messages")
        assert {way(sql, q) for q in QUERIES} == {"both", "words", "sessions"}
    for q, predicate in QUERIES.items():
        expected = sorted(
            key
            for key, (said, thought) in messages.items()
            if predicate(said if int(key[0]) % 2 == 0 else [*said, *thought])
        )
        hits = await all_pages(alice, q, sort=sort, limit=100)
        assert sorted((hit["session_id"], hit["seq"]) for hit in hits) == expected, q
        if sort == "recent":
            rows = await listed(alice, q, limit=200)
            assert sorted(row["session_id"] for row in rows for _ in range(row["hits"])) == [key[0] for key in expected]


def way(sql: Sql, q: str) -> str:
    """Returns the way that list_messages takes; see its header."""
    [(estimate, tree, text)] = sql(
        "select sum(search_estimate(query)), min(querytree(query)), min(query::text)"
        " from unnest('{english,simple}'::regconfig[]) as language, search_query(language, %s) as query",
        q,
    )
    if estimate < SESSIONS * (10 if "':*" in text else 1):
        return "words"
    return "sessions" if tree == "T" or "':*" in text else "both"
