"""Filters of the search, hits in titles and tags, and parameters that are refused."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.test_search import Sql, add, search, second_session, seqs
from tests.conftest import Api, assert_problem

NOON = datetime(2024, 5, 20, 12, tzinfo=UTC)
CALLS: list[dict[str, Any]] = [  # every dialect
    {"tool_calls": [{"id": "1", "tool": "book", "arguments": {"a": "needle"}}]},
    {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "book", "arguments": '{"a": "needle"}'}}]},
    {"tool_calls": [{"id": "1", "name": "book", "arguments": '{"a": "needle"}'}]},
    {"content": [{"type": "tool_call", "id": "1", "name": "book", "input": {"a": "needle"}}]},
    {"content": [{"type": "tool_use", "id": "1", "name": "book", "input": {"a": "needle"}}]},
    {"content": "needle", "tool_calls": [{"id": "1", "tool": "pay"}, {"id": "2", "function": {"name": "book"}}]},
]
OTHERS: list[dict[str, Any]] = [
    {"role": "tool", "tool_call_id": "1", "name": "book", "content": '{"tool": "book", "output": "needle"}'},
    {"role": "user", "content": "needle: book it"},
    {"role": "system", "content": "needle"},
    {"role": "assistant", "content": "needle", "tool_calls": [{"id": "1", "tool": "Book"}]},
]
Predicate = Callable[[Any], bool]


class World:
    """Messages of two people in three sessions of two configs, at known times; each has the word `needle`."""

    def __init__(self, client: httpx.AsyncClient, rows: list[dict[str, Any]]) -> None:
        self.client, self.rows = client, rows

    def expected(self, predicates: list[Predicate]) -> list[tuple[str, int]]:
        return sorted((row["session_id"], row["seq"]) for row in self.rows if all(one(row) for one in predicates))

    async def found(self, **params: Any) -> list[tuple[str, int]]:
        hits = (await search(self.client, "needle", limit=100, **params))["items"]
        return sorted((hit["session_id"], hit["seq"]) for hit in hits)


@pytest.fixture
async def world(api: Api, alice: httpx.AsyncClient, config_id: str, sql: Sql) -> World:
    bob, config = await api.as_user("bob"), {"name": "other", "config_data": {"bundle": {"name": "other"}}}
    other_config = (await alice.post("/configs", json=config)).json()["config_id"]
    for config_name, tags in ((config_id, {"team": "red", "n": "1"}), (config_id, {"team": "red"}), (other_config, {})):
        session = await second_session(alice, config_name, tags=tags)
        await alice.post(f"/sessions/{session}/participants", json={"user_id": "bob", "role": "editor"})
        await add(alice, session, *[{"role": "assistant", **call} for call in CALLS])
        await add(bob, session, *OTHERS)
    sql("update messages set created_at = %s::timestamptz + (seq - 5) * interval '1 hour'", NOON)
    query = """
        select session_id, seq, m.role, author_user_id as author, m.created_at, config_id, tags,
            author_user_id = 'alice' as books
        from messages as m inner join sessions as s using (session_id)
        order by s.created_at, seq
    """
    names = ["session_id", "seq", "role", "author", "created_at", "config_id", "tags", "books"]
    return World(alice, [dict(zip(names, row, strict=True)) for row in sql(query)])


def filters(world: World) -> list[tuple[str, str, Predicate]]:
    """Parameters and what they mean."""
    first = world.rows[0]
    return [
        *[("role", role, lambda row, role=role: row["role"] == role) for role in ("user", "assistant", "developer")],
        *[("author", name, lambda row, name=name: row["author"] == name) for name in ("alice", "bob", "eve")],
        ("tool", "book", lambda row: row["books"]),
        ("tool", "needle", lambda row: False),
        ("session_id", first["session_id"], lambda row: row["session_id"] == first["session_id"]),
        ("config_id", first["config_id"], lambda row: row["config_id"] == first["config_id"]),
        ("config_id", "absent", lambda row: False),
        ("tag", "team:red", lambda row: row["tags"].get("team") == "red"),
        ("tag", "n:1", lambda row: row["tags"].get("n") == "1"),
        ("created_after", NOON.isoformat(), lambda row: row["created_at"] >= NOON),
        ("created_before", "2024-05-20T14:00:00", lambda row: row["created_at"] < NOON + timedelta(hours=2)),
        ("created_before", "2024-05-20T12:00:00.000001+00:00", lambda row: row["created_at"] <= NOON),
        ("created_after", "2024-05-20T12:00:00+02:00", lambda row: row["created_at"] >= NOON - timedelta(hours=2)),
    ]


@pytest.mark.parametrize("together", [1, 2])
async def test_filters_alone_and_together(world: World, together: int) -> None:
    for chosen in itertools.combinations(filters(world), together):
        names = [name for name, _, _ in chosen]
        if len(set(names)) < len(names) and set(names) != {"tag"}:
            continue
        params: dict[str, Any] = {}
        for name, value, _ in chosen:
            params[name] = [*params.get(name, []), value] if name == "tag" else value
        if params.get("created_after", "") > params.get("created_before", "9"):
            continue
        assert await world.found(**params) == world.expected([one for *_, one in chosen]), params


async def test_filters_within_a_session(world: World) -> None:
    session_id = world.rows[0]["session_id"]
    for name, value, predicate in filters(world):
        if name not in ("session_id", "config_id", "tag"):
            found = await world.found(path=f"/sessions/{session_id}/search", **{name: value})
            assert found == world.expected([predicate, lambda row: row["session_id"] == session_id]), (name, value)


async def test_every_filter_at_once(world: World) -> None:
    first = world.rows[0]
    params = {"session_id": first["session_id"], "config_id": first["config_id"], "tag": ["team:red", "n:1"]}
    params |= {"role": "assistant", "author": "alice", "tool": "book", "created_after": "2024-05-20T10:00:00Z"}
    found = await world.found(**params, created_before="2024-05-20T12:00:00Z", sort="recent")
    assert found == [(first["session_id"], seq) for seq in (3, 4)]


async def test_tool_called_in_an_internal_block_is_not_found(alice: httpx.AsyncClient, session_id: str) -> None:
    call = {"type": "tool_call", "id": "1", "name": "secretly", "input": {}, "visibility": "internal"}
    await add(alice, session_id, {"role": "assistant", "content": [{"type": "text", "text": "needle"}, call]})
    assert await seqs(alice, "needle") == [1]
    assert await seqs(alice, "needle", tool="secretly") == []


async def test_title_and_tags_are_found(alice: httpx.AsyncClient, config_id: str) -> None:
    body = {"title": "Flights to Genève", "tags": {"customer": "mia_li_3668", "stage": "booked"}}
    session_id = await second_session(alice, config_id, **body)
    created_at = (await alice.get(f"/sessions/{session_id}")).json()["created_at"]
    for q in ("flight", "genève", "customer", "mia_li_3668", "mia_li_36*", '"stage booked"', "flight booked -trains"):
        [hit] = (await search(alice, q, context=2))["items"]
        assert "<mark>" in hit.pop("headline")
        assert 0 < hit.pop("rank") < 1
        assert hit == {
            "session_id": session_id,
            "title": "Flights to Genève",
            "seq": None,
            "role": None,
            "author_user_id": None,
            "created_at": created_at,
            "before": [],
            "after": [],
        }
    assert await seqs(alice, "flight", tag="stage:booked", config_id=config_id, session_id=session_id) == [None]
    assert await seqs(alice, "-trains") == [], "what only says what is not there gives no title"


async def test_changing_the_title_moves_the_hit(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "needle")
    assert await seqs(alice, "zebra") == []
    for change in ({"title": "zebra"}, {"title": "lion", "tags": {"zebra": "1"}}, {"tags": {"a": "zebras"}}):
        await alice.patch(f"/sessions/{session_id}", json=change)
        assert await seqs(alice, "zebra or lion") == [None]
    await alice.patch(f"/sessions/{session_id}", json={"title": "", "tags": {}})
    assert await seqs(alice, "zebra or lion") == []


async def test_filters_of_messages_exclude_titles(alice: httpx.AsyncClient, config_id: str) -> None:
    session_id = await second_session(alice, config_id, title="needle")
    await add(alice, session_id, "needle")
    for params in ({"role": "user"}, {"author": "alice"}, {"role": "user", "author": "alice"}):
        assert await seqs(alice, "needle", **params) == [1]
    assert await seqs(alice, "needle", tool="x") == []
    created = datetime.fromisoformat((await alice.get(f"/sessions/{session_id}")).json()["created_at"])
    late = (created + timedelta(microseconds=1)).isoformat()
    assert await seqs(alice, "needle", created_after=late) == [1]
    assert await seqs(alice, "needle", created_before=late) == [None]
    assert sorted(await seqs(alice, "needle", created_after=created.isoformat()), key=str) == [1, None]


BAD = [
    "",
    f"q={'x' * 1001}",
    f"q={quote('ü') * 1001}",
    *[f"q=x&limit={limit}" for limit in ("0", "101", "-1", "x", "1.5", "9" * 30, "")],
    *[f"q=x&context={context}" for context in ("-1", "6", "x", "9" * 30)],
    *[f"q=x&role={role}" for role in ("nobody", "User", "", "%00")],
    *[f"q=x&sort={order}" for order in ("best", "", "RANK")],
    *[
        f"q=x&{name}={day}"
        for name in ("created_after", "created_before")
        for day in ("x", "2024-13-01T00:00:00Z", "2024-05-20", "%00", "")
    ],
    "q=x&created_after=9999-12-31T23:59:59-14:00",
    "q=x&created_before=0001-01-01T00:00:00%2B14:00",
    "q=x&created_after=10000-01-01T00:00:00Z",
    "q=x&created_after=2024-05-20T12:00:00Z&created_before=2024-05-20T11:59:59Z",
    "q=x&created_after=2024-05-20T12:00:00&created_before=2024-05-20T13:00:00%2B02:00",
    f"q=x&author={'x' * 256}",
    f"q=x&tool={'x' * 256}",
    f"q=x&cursor={'x' * 2001}",
    "q=%00",
    "q=a%00b",
    "q=x&author=%00",
    "q=x&tool=%00",
    "q=x&cursor=%00",
]
BAD += ["q=x&unknown=1", "q=x&q=y", "q=x&author=", "q=x&tool="]
BAD_THERE = [
    *[f"q=x&tag={tag}" for tag in ("red", ":red", "%00", "a:%00", "")],
    "q=x&tag=a:b&tag=a:c",
    "q=x&" + "&".join(["tag=a:b"] * 21),
    f"q=x&session_id={'x' * 256}",
    f"q=x&config_id={'x' * 256}",
    "q=x&config_id=%00",
]
HARMLESS = [
    "q=%ff%fe",
    "q=%ed%a0%80",
    "q=x&created_after=0001-01-01T00:00:00Z&created_before=9999-12-31T23:59:59.999999Z",
    "q=x&created_after=2024-05-20T12:00:00&created_before=2024-05-20T12:00:00",
    "q=x&created_before=9999-12-31T23:59:59",
    "q=x&author=%ff",
]


async def test_bad_parameters_are_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    paths = ["/search", f"/sessions/{session_id}/search"]
    for path, query in [*itertools.product(paths, BAD), *(("/search", query) for query in BAD_THERE)]:
        response = await alice.get(f"{path}?{query}")
        assert response.status_code == 422, (path, query[:100], response.text[:300])
        assert_problem(response, 422)


@pytest.mark.parametrize("query", HARMLESS)
async def test_odd_parameters_do_no_harm(alice: httpx.AsyncClient, session_id: str, query: str) -> None:
    for path in ("/search", f"/sessions/{session_id}/search"):
        response = await alice.get(f"{path}?{query}")
        not_text = "%ff" in query or "%ed" in query
        assert response.status_code == (400 if not_text else 200), (path, response.text)


@pytest.mark.parametrize("name", ["absent", "%00", "%ff", "x" * 300])
async def test_session_that_does_not_exist_is_404(alice: httpx.AsyncClient, name: str) -> None:
    for url in (f"/search?q=x&session_id={name}", f"/sessions/{name}/search?q=x"):
        response = await alice.get(url)
        assert response.status_code == (404 if name == "absent" else response.status_code) < 500, response.text
        assert response.status_code in ((400,) if name == "%ff" else (404, 422))
