"""Search over HTTP: what a hit says, its order, its pages and its context."""

import base64
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]
MANY = """
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select %s, n, jsonb_build_object('role', 'user', 'content', 'needle ' || n), 'alice', 'app',
        now() - interval '1 day' + n * interval '1 s'
    from generate_series(%s::int, %s::int) as n
"""
both_orders = pytest.mark.parametrize("sort", ["rank", "recent"])


async def add(client: httpx.AsyncClient, session_id: str, *messages: Any) -> int:
    """Appends texts of a user, or whole messages; gives the last number."""
    bodies = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
    response = await client.post(f"/sessions/{session_id}/transcript", json={"messages": bodies})
    assert response.status_code == 201, response.text
    return int(response.json()["last_seq"])


async def search(client: httpx.AsyncClient, q: str, path: str = "/search", **params: Any) -> dict[str, Any]:
    response = await client.get(path, params={"q": q, **params})
    assert response.status_code == 200, (q, response.text)
    results: dict[str, Any] = response.json()
    return results


async def seqs(client: httpx.AsyncClient, q: str, **params: Any) -> list[int | None]:
    """The numbers of the hits."""
    found: list[Any] = (await search(client, q, **params))["items"]
    return [hit["seq"] for hit in found]


async def all_pages(
    client: httpx.AsyncClient, q: str, meanwhile: Callable[[], Awaitable[Any]] | None = None, **params: Any
) -> list[Any]:
    """The hits of all pages; `meanwhile` happens once, after the first."""
    page = await search(client, q, **params)
    hits = page["items"]
    if meanwhile is not None:
        await meanwhile()
    while page["next"] is not None:
        page = await search(client, q, cursor=page["next"], **params)
        assert page["items"], "a page behind `next` has something"
        hits += page["items"]
    return list(hits)


def place(hit: Any) -> tuple[str, int]:
    return hit["session_id"], hit["seq"]


async def second_session(client: httpx.AsyncClient, config_id: str, **body: Any) -> str:
    response = await client.post("/sessions", json={"config_id": config_id, **body})
    return str(response.json()["session_id"])


async def test_hit_says_where_it_is(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "A trip"})
    await add(alice, session_id, "We fly to Geneva", {"role": "assistant", "content": "Three passengers booked"})
    [entry] = (await alice.get(f"/sessions/{session_id}/transcript", params={"after": 2})).json()["messages"]
    results = await search(alice, "passenger")
    [hit] = results["items"]
    assert results | {"items": []} == {"items": [], "next": None, "notice": None, "mode": "words"}
    assert 0 < hit.pop("rank") < 1
    assert hit == {
        "session_id": session_id,
        "title": "A trip",
        "seq": 3,
        "role": "assistant",
        "author_user_id": "alice",
        "created_at": entry["created_at"],
        "headline": "Three <mark>passengers</mark> booked",
        "before": [],
        "after": [],
    }
    within = await search(alice, "passenger", f"/sessions/{session_id}/search")
    assert within["items"][0]["headline"] == hit["headline"]


async def test_messages_rank_before_calls_results_and_thoughts(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(
        alice,
        session_id,
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "needle one"}]},
        {"role": "tool", "tool_call_id": "1", "content": "needle two"},
        {"role": "assistant", "content": [{"type": "tool_call", "id": "1", "name": "needle", "input": {"a": "x"}}]},
        {"role": "user", "content": "needle four"},
        {"role": "user", "content": "a needle in a long stack of hay, where nobody will find whatever they look for"},
    )
    hits = (await search(alice, "needle"))["items"]
    assert [hit["seq"] for hit in hits if hit["seq"] != 5] == [4, 3, 2, 1]
    ranks = [hit["rank"] for hit in hits]
    assert ranks == sorted(ranks, reverse=True)
    assert all(0 < rank < 1 for rank in ranks)
    assert [hit["seq"] for hit in hits].index(4) < [hit["seq"] for hit in hits].index(5), "what is shorter, first"


async def test_newest_come_first_when_asked_for(
    alice: httpx.AsyncClient, session_id: str, config_id: str, sql: Sql
) -> None:
    other = await second_session(alice, config_id)
    for name in (session_id, other, session_id):
        await add(alice, name, "needle", "needle needle", "nothing", "needle and more")
    hits = (await search(alice, "needle", sort="recent"))["items"]
    stored = sql("select session_id, seq from messages order by created_at desc, session_id desc, seq desc")
    assert [place(hit) for hit in hits] == [row for row in stored if row[1] % 4 != 3]


@both_orders
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_give_every_hit_once_in_order(
    alice: httpx.AsyncClient, session_id: str, config_id: str, sort: str, limit: int
) -> None:
    other = await second_session(alice, config_id, title="A needle")
    for name in (session_id, other):
        await add(alice, name, *["needle", "needle stack " * 3, "hay"] * 4)
    hits = await all_pages(alice, "needle", sort=sort, limit=limit)
    assert hits == (await search(alice, "needle", sort=sort, limit=100))["items"]
    assert len({place(hit) for hit in hits}) == len(hits) == 17


@both_orders
async def test_hits_added_between_pages_hide_and_repeat_none(
    alice: httpx.AsyncClient, session_id: str, sort: str
) -> None:
    await add(alice, session_id, *[f"needle {'hay ' * (number % 5)}" for number in range(12)])
    expected = [place(hit) for hit in (await search(alice, "needle", sort=sort))["items"]]

    async def more() -> None:
        await add(alice, session_id, *["needle", "needle hay hay"] * 3)

    hits = [place(hit) for hit in await all_pages(alice, "needle", more, sort=sort, limit=2)]
    assert len(set(hits)) == len(hits)
    assert [hit for hit in hits if hit[1] <= 12] == expected


@pytest.mark.slow
@both_orders
async def test_more_matches_than_are_ranked(alice: httpx.AsyncClient, session_id: str, sql: Sql, sort: str) -> None:
    sql(MANY, session_id, 1, 2050)
    sql("update sessions set last_seq = 2050 where session_id = %s", session_id)
    expected = [hit["seq"] for hit in await all_pages(alice, "needle", sort=sort, limit=100)]

    async def more() -> None:
        await add(alice, session_id, *["needle"] * 60)

    hits = [hit["seq"] for hit in await all_pages(alice, "needle", more, sort=sort, limit=100)]
    assert [seq for seq in hits if seq <= 2050] == expected, "none of before is lost"
    newest = list(range(2050, 0, -1))
    assert sorted(expected, reverse=True) == (newest if sort == "recent" else newest[:2000])
    notice = (await search(alice, "needle", sort=sort))["notice"]
    assert notice is None if sort == "recent" else "More than 2,000" in notice
    assert (await search(alice, "needle 17", sort=sort))["notice"] is None


async def test_as_many_matches_as_are_ranked_are_not_more(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    for first, last, noticed in ((1, 2000, False), (2001, 2001, True)):
        sql(MANY, session_id, first, last)
        assert ((await search(alice, "needle"))["notice"] is not None) == noticed, last


async def test_cursor_belongs_to_its_search(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, *["needle hay"] * 5)
    cursor = (await search(alice, "needle", limit=2))["next"]
    same = await search(alice, "needle", limit=3, cursor=cursor, context=1, sort="rank")
    assert len(same["items"]) == 3, "another limit is no other search"
    others = [{"q": "hay"}, {"q": "needle "}, {"sort": "recent"}, {"role": "user"}, {"author": "alice"}]
    others += [{"session_id": session_id}, {"tag": "a:b"}, {"tool": "x"}, {"created_after": "2020-01-01T00:00:00Z"}]
    others += [{"config_id": "x"}, {"created_before": "2999-01-01T00:00:00Z"}]
    for other in others:
        assert_problem(await alice.get("/search", params={"q": "needle", "cursor": cursor, **other}), 422)
    for path in (f"/sessions/{session_id}/search", "/sessions"):
        params = {"q": "needle", "cursor": cursor}
        assert_problem(await alice.get(path, params={k: v for k, v in params.items() if v}), 422)


def forged(cursor: str, *values: Any) -> str:
    """A cursor with other positions after the fingerprint."""
    fingerprint, positions = json.loads(base64.urlsafe_b64decode(cursor + "==="))
    changed = [old if new is None else new for old, new in itertools.zip_longest(positions, values)]
    return base64.urlsafe_b64encode(json.dumps([fingerprint, changed]).encode()).decode().rstrip("=")


async def test_no_cursor_is_an_error_of_the_service(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, *["needle"] * 3)
    cursor = (await search(alice, "needle", limit=1))["next"]
    for garbage in ("", "x", "=", "\0", "é", "%%%", cursor[:-3], cursor + "AAAA", "W10", "bnVsbA", "A" * 2000):
        assert_problem(await alice.get("/search", params={"q": "needle", "cursor": garbage}), 422)
    dates = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    places: list[list[Any]] = [[date] for date in dates] + [[None, None, date] for date in dates]
    places += [[None, rank] for rank in (1e300, -1e300, 1e-300, 5, "x")]
    places += [[None, None, None, name] for name in ("\0", "\ud800", "x" * 255, "x" * 256)]
    places += [[None, None, None, None, seq] for seq in (-1, 0, 2**63 - 1, 2**63)]
    for values in places:
        params = {"q": "needle", "cursor": forged(cursor, *values)}
        response = await alice.get("/search", params=params)
        assert response.status_code in (200, 422), (values, response.text)


async def test_cursor_gives_no_right(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, *["needle"] * 3)
    cursor = (await search(alice, "needle", limit=1))["next"]
    bob = await api.as_user("bob")
    assert (await search(bob, "needle", cursor=cursor))["items"] == []
    own = (await bob.post("/configs", json={"name": "c", "config_data": {"bundle": {"name": "c"}}})).json()["config_id"]
    await add(bob, await second_session(bob, own), "needle")
    hits = (await search(bob, "needle", cursor=cursor))["items"]
    assert {hit["author_user_id"] for hit in hits} <= {"bob"}


@pytest.mark.parametrize("context", range(6))
async def test_context_is_what_stands_around_a_hit(alice: httpx.AsyncClient, session_id: str, context: int) -> None:
    await add(alice, session_id, "needle", *[f"hay {number}" for number in range(2, 9)], "needle")
    last, first = (await search(alice, "needle", context=context, sort="recent"))["items"]
    assert [one["seq"] for one in first["after"]] == list(range(2, 2 + context))
    assert [one["seq"] for one in last["before"]] == list(range(9 - context, 9))
    assert first["before"] == last["after"] == []
    for one in first["after"] + last["before"]:
        assert one == {
            "seq": one["seq"],
            "role": "user",
            "author_user_id": "alice",
            "created_at": one["created_at"],
            "text": f"hay {one['seq']}",
        }
        assert datetime.fromisoformat(one["created_at"]) == datetime.fromisoformat(first["created_at"])


async def test_context_is_plain_text_of_a_thousand_characters(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "haystack"})
    call = {"role": "assistant", "tool_calls": [{"id": "1", "tool": "book", "arguments": {"to": "GVA"}}]}
    await add(alice, session_id, "<b>é</b>" * 200, {"role": "assistant", "content": []}, "needle", call)
    [hit] = (await search(alice, "needle", context=5))["items"]
    assert [one["text"] for one in hit["before"]] == [("<b>é</b>" * 200)[:1000], ""]
    assert [one["text"] for one in hit["after"]] == ["book GVA"]
    [title] = (await search(alice, "haystack", context=5))["items"]
    assert (title["before"], title["after"]) == ([], [])
