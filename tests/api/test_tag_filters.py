"""Filters by tags whose keys have colons, on every list and search that takes them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]
TAGS: dict[str, dict[str, str]] = {
    "key": {"a:b": "c", "n": "1"},
    "value": {"a": "b:c", "n": "2"},
    "both": {"a:b": "c", "a": "b:c", "n": "1"},
    "end": {"a:b:c": ""},
    "other": {"a": "b", "b": "c"},
}
FOUND = {
    "tag=a:b:c": {"key", "value", "both"},
    "tag=a%3Ab%3Ac": {"key", "value", "both"},
    "tag=a:b:c:": {"end"},
    "tag=a:b:c&tag=n:1": {"key", "both"},
    "tag=a:b:c&tag=a:b:c": {"key", "value", "both"},
    "tag=a:b": {"other"},
    "tag=n:1": {"key", "both"},
    "tag=a:b:d": set(),
}
ROUTES = {"/sessions?": "sessions", "/users/me/sessions?": "items", "/sessions?q=needle&": "sessions"}
ROUTES |= {"/sessions?status=active&": "sessions", "/users/me/sessions?sort=created_at&": "items"}


@pytest.fixture
async def made(alice: httpx.AsyncClient, config_id: str) -> dict[str, str]:
    """Sessions of alice with the tags, each with one message: names by id."""
    names = {}
    for name, tags in TAGS.items():
        body = {"config_id": config_id, "tags": tags}
        session_id = (await alice.post("/sessions", json=body)).json()["session_id"]
        message = {"role": "user", "content": f"needle {name}"}
        await alice.post(f"/sessions/{session_id}/transcript", json={"messages": [message]})
        names[session_id] = name
    return names


@pytest.mark.parametrize("route", ROUTES)
async def test_lists_of_sessions(alice: httpx.AsyncClient, made: dict[str, str], route: str) -> None:
    for query, expected in FOUND.items():
        page = (await alice.get(route + query)).json()
        assert {made[row["session_id"]] for row in page[ROUTES[route]]} == expected, query
        assert page.get("total", len(expected)) == len(expected), query
        one = (await alice.get(f"{route}{query}&limit=1")).json()
        assert one.get("total", len(expected)) == len(expected), f"{query}: not counted from the page"


@pytest.mark.parametrize("by_words", [False, True])
async def test_search_of_messages(
    alice: httpx.AsyncClient, made: dict[str, str], config_id: str, sql: Sql, by_words: bool
) -> None:
    if by_words:  # more sessions than the words have messages: the search starts at the words
        for _ in range(101):
            await alice.post("/sessions", json={"config_id": config_id})
        sql("analyze messages")
    for query, expected in FOUND.items():
        items = (await alice.get(f"/search?q=needle&{query}")).json()["items"]
        assert {made[item["session_id"]] for item in items} == expected, query


@pytest.mark.parametrize("order", ["", "order=asc&"])
async def test_list_of_configs(alice: httpx.AsyncClient, order: str) -> None:
    for name, tags in TAGS.items():
        assert (await alice.post("/configs", json=CONFIG | {"name": name, "tags": tags})).status_code == 201
    for query, expected in FOUND.items():
        page = (await alice.get(f"/configs?{order}{query}&limit=1")).json()
        rows = (await alice.get(f"/configs?{order}{query}")).json()["configs"]
        assert ({row["name"] for row in rows}, page["total"]) == (expected, len(expected)), query


async def test_wrong_tag_is_named_and_stranger_finds_nothing(
    api: Api, alice: httpx.AsyncClient, made: dict[str, str]
) -> None:
    stranger = await api.as_user("stranger")
    for route in ("/search?q=needle&", "/configs?", *ROUTES):
        answer = await alice.get(f"{route}tag=n:1&tag=red")
        assert_problem(answer, 422, "tag: must be of the form key:value, not 'red'")
        answer = await alice.get(f"{route}tag=team:a&tag=team:b")
        assert_problem(answer, 422, "tag: team cannot have two values at once")
        page = (await stranger.get(f"{route}tag=a:b:c")).json()
        assert next(page[name] for name in ("items", "sessions", "configs") if name in page) == []
