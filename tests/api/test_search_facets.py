"""Facets of the search: their counts are those of the hits that a filter by the value would leave."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_search import MANY, Sql, add, search, second_session
from tests.api.test_search_access import Shared
from tests.api.test_search_access import shared as shared
from tests.api.test_search_filters import BAD, BAD_THERE, World
from tests.api.test_search_filters import world as world
from tests.conftest import CONFIG, Api, assert_problem

FACETS = {"role": "role", "author": "author", "tool": "tool", "config": "config_id"}  # and their filters
NEXT = {"2024-05": "2024-06", "2024-06": "2024-07"}  # months


async def facets(client: httpx.AsyncClient, q: str = "needle", **params: Any) -> dict[str, Any]:
    return await search(client, q, "/search/facets", **params)


def counts(answer: dict[str, Any], facet: str) -> dict[str, int]:
    return {one["value"]: one["count"] for one in answer[facet]}


def filters(answer: dict[str, Any]) -> Iterator[tuple[dict[str, str], int]]:
    """Yields the filter for each value of each facet, and the count of the value."""
    for facet, name in FACETS.items():
        yield from (({name: value}, count) for value, count in counts(answer, facet).items())
    for month, count in counts(answer, "month").items():
        yield {"created_after": f"{month}-01T00:00Z", "created_before": f"{NEXT[month]}-01T00:00Z"}, count


def given(world: World) -> list[dict[str, Any]]:
    """Parameters, each with hits."""
    first = world.rows[0]
    return [
        {},
        {"role": "assistant", "tag": "team:red"},
        {"author": "bob", "config_id": first["config_id"]},
        {"tool": "book", "session_id": first["session_id"]},
    ]


@pytest.mark.parametrize("number", range(4))
async def test_count_is_that_of_the_hits_with_the_filter(world: World, sql: Sql, number: int) -> None:
    sql("update messages set created_at = '2024-05-31T23:59Z' where seq < 4")
    sql("update messages set created_at = '2024-06-01T00:00Z' where seq >= 4")
    params = given(world)[number]
    answer, hits = await facets(world.client, **params), len(await world.found(**params))
    assert (answer["hits"], answer["partial"]) == (hits, False)
    for value, count in filters(answer):
        assert (await facets(world.client, **params | value))["hits"] == count > 0, value
    for facet in ("role", "author", "config", "month"):
        assert sum(counts(answer, facet).values()) == hits, facet


async def test_most_frequent_value_comes_first(world: World) -> None:
    answer = await facets(world.client)
    assert list(counts(answer, "role").items()) == [("assistant", 21), ("system", 3), ("tool", 3), ("user", 3)]
    assert list(counts(answer, "tool").items()) == [("book", 18), ("Book", 3), ("pay", 3)]
    assert [one["name"] for one in answer["config"]] == [CONFIG["name"], "other"]


async def test_tool_that_a_message_calls_twice_counts_once(alice: httpx.AsyncClient, session_id: str) -> None:
    calls = [{"id": str(number), "tool": "book", "arguments": {}} for number in range(2)]
    await add(alice, session_id, {"role": "assistant", "content": "needle", "tool_calls": calls})
    assert counts(await facets(alice), "tool") == {"book": 1}


async def test_titles_count_in_configs_and_months_only(alice: httpx.AsyncClient, config_id: str) -> None:
    session_id = await second_session(alice, config_id, title="needle")
    created_at = (await alice.get(f"/sessions/{session_id}")).json()["created_at"]
    assert await facets(alice) == {
        "hits": 1,
        "partial": False,
        "role": [],
        "author": [],
        "tool": [],
        "config": [{"value": config_id, "name": CONFIG["name"], "count": 1}],
        "month": [{"value": created_at[:7], "count": 1}],
    }
    assert (await facets(alice, role="user"))["hits"] == 0


async def test_strangers_count_nothing(shared: Shared) -> None:
    await shared.add("needle")
    stranger = shared.clients["stranger"]
    for q in ("needle", "need*", "-absent", "the"):
        answer = await facets(stranger, q)
        assert list(answer.values()) == [0, False, [], [], [], [], []], q
        params = {"q": q, "session_id": shared.session_id}
        assert_problem(await stranger.get("/search/facets", params=params), 404, "Session not found")


async def test_only_those_who_may_send_count_thoughts(shared: Shared) -> None:
    await shared.add({"role": "assistant", "content": "hay", "thinking_text": "zebra"})
    found = {who: (await facets(client, "zebra"))["hits"] for who, client in shared.clients.items()}
    assert found == {"alice": 1, "partner": 1, "editor": 1, "sender": 1, "viewer": 0, "muted": 0, "stranger": 0}


async def test_config_has_its_name_for_its_owner_only(shared: Shared) -> None:
    await shared.add("needle")
    for who, name in (("alice", CONFIG["name"]), ("partner", None), ("viewer", None)):
        [config] = (await facets(shared.clients[who]))["config"]
        assert (config["name"], config["count"]) == (name, 1), who


async def test_only_the_newest_hits_are_counted(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sql(MANY, session_id, 1, 2000)
    assert [(await facets(alice))[name] for name in ("hits", "partial")] == [2000, False]
    sql("update messages set author_user_id = 'eve' where seq = 1")
    sql(MANY, session_id, 2001, 2001)
    answer = await facets(alice)
    assert (answer["hits"], answer["partial"], counts(answer, "author")) == (2000, True, {"alice": 2000})


async def test_facet_has_at_most_twenty_values(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sql(MANY, session_id, 1, 46)
    sql("update messages set author_user_id = 'author-' || lpad((seq % 23)::text, 2, '0')")
    sql("update messages set author_user_id = 'author-22' where seq <= 2")
    expected = {"author-22": 4, **{f"author-{number:02}": 2 for number in [0, *range(3, 21)]}}
    assert list(counts(await facets(alice), "author").items()) == list(expected.items())


async def test_bad_parameters_are_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    known = ("limit", "context", "sort", "cursor")
    others = [query for query in BAD + BAD_THERE if not any(f"&{name}=" in query for name in known)]
    for query in [*others, "q=x&limit=1", "q=x&sort=rank", "q=x&cursor=x", "q=x&context=0"]:
        response = await alice.get(f"/search/facets?{query}")
        assert_problem(response, 422)


async def test_only_searches_count_as_activity(api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await facets(alice)
    await search(alice, "needle")
    await api.app.state.activity.flush()
    assert sql("select searches from search_activity") == [(1,)]
