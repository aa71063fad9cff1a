"""Access of search: participants only, thoughts only for writers, from commit to removal."""

from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from tests.api.test_search import Sql, add, search, second_session, seqs
from tests.conftest import CONFIG, Api, assert_problem

PEOPLE: dict[str, dict[str, Any]] = {
    "partner": {"role": "owner"},
    "editor": {"role": "editor"},
    "sender": {"role": "viewer", "permissions": {"send": True}},
    "viewer": {"role": "viewer"},
    "muted": {"role": "editor", "permissions": {"send": False}},
}
FIRST = len(PEOPLE) + 1  # the number of the first message, behind the events of their coming
READERS = ("viewer", "muted")
WRITERS = ("partner", "editor", "sender")
THOUGHTS: list[dict[str, Any]] = [  # every place of a thought
    {
        "content": [
            {"type": "thinking", "thinking": "zebra crossing", "signature": "s"},
            {"type": "text", "text": "hay"},
        ]
    },
    {"content": [{"type": "reasoning", "content": ["zebra crossing"], "summary": []}, {"type": "text", "text": "hay"}]},
    {
        "content": [
            {"type": "reasoning", "content": [], "summary": [{"type": "summary_text", "text": "zebra crossing"}]}
        ]
    },
    {"content": "hay", "thinking_text": "zebra crossing"},
    {"content": "hay", "thinking_block": {"type": "thinking", "thinking": "zebra crossing", "signature": "s"}},
    {"content": "hay", "tool_calls": [], "thinking_text": "a zebra crossing"},
]


class Shared:
    """A session of alice's and clients of everybody in it, and of a stranger."""

    def __init__(self, session_id: str, clients: dict[str, httpx.AsyncClient]) -> None:
        self.session_id, self.clients = session_id, clients

    async def add(self, *messages: Any) -> None:
        await add(self.clients["alice"], self.session_id, *messages)

    async def found(self, who: str, q: str, **params: Any) -> list[Any]:
        """The hits over all sessions, which are those within the session and make it stand in the list."""
        hits: list[Any] = (await search(self.clients[who], q, limit=100, **params))["items"]
        path = f"/sessions/{self.session_id}/search"
        assert (await search(self.clients[who], q, path, limit=100, **params))["items"] == hits
        sessions = (await search(self.clients[who], q, "/sessions"))["sessions"]
        assert [row["hits"] for row in sessions] == ([len(hits)] if hits else [])
        best = (await search(self.clients[who], q, limit=1))["items"]
        assert [row["headline"] for row in sessions] == [hit["headline"] for hit in best]
        return hits

    async def numbers(self, who: str, q: str) -> list[int]:
        return sorted(hit["seq"] for hit in await self.found(who, q))


@pytest.fixture
async def shared(api: Api, alice: httpx.AsyncClient, session_id: str) -> Shared:
    clients = {name: await api.as_user(name) for name in [*PEOPLE, "stranger"]}
    for name, rights in PEOPLE.items():
        await alice.post(f"/sessions/{session_id}/participants", json={"user_id": name, **rights})
    return Shared(session_id, {"alice": alice, **clients})


async def test_stranger_finds_nothing(shared: Shared, sql: Sql) -> None:
    await shared.clients["alice"].patch(f"/sessions/{shared.session_id}", json={"title": "needle", "tags": {"a": "b"}})
    await shared.add("needle")
    stranger = shared.clients["stranger"]
    for q in ("needle", "need*", '"needle"', "-absent", "needle or x", "b", "the"):
        assert (await search(stranger, q))["items"] == []
        assert (await search(stranger, q, tag="a:b"))["items"] == []
        assert (await search(stranger, q, "/sessions"))["sessions"] == []
        for url in (f"/sessions/{shared.session_id}/search", "/search?session_id=" + shared.session_id):
            here = await stranger.get(url + ("&q=" if "?" in url else "?q=") + quote(q))
            there = await stranger.get("/sessions/absent/search", params={"q": q})
            assert assert_problem(here, 404)["detail"] == assert_problem(there, 404)["detail"]


async def test_search_finds_own_sessions_only(api: Api) -> None:
    own: dict[str, set[str]] = {}
    for name, app_id in (("ann", "first"), ("ben", "second"), ("ann", "third"), ("cy", "first")):
        client = await api.as_user(name, app_id)
        config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = await second_session(client, config_id, title="needle", tags={"team": "needle"})
        await add(client, session_id, "needle", "a needle")
        own.setdefault(name, set()).add(session_id)
    for name, session_ids in own.items():
        client = await api.as_user(name, "any")
        for params in ({}, {"tag": "team:needle"}, {"sort": "recent"}):
            hits = (await search(client, "needle", **params))["items"]
            assert {hit["session_id"] for hit in hits} == session_ids
            assert len(hits) == 3 * len(session_ids)
        listed = (await search(client, "needle", "/sessions"))["sessions"]
        assert {row["session_id"] for row in listed} == session_ids
        for foreign in set.union(*own.values()) - session_ids:
            assert_problem(await client.get(f"/sessions/{foreign}/search?q=needle"), 404, "Session not found")


@pytest.mark.slow
@pytest.mark.parametrize("message", THOUGHTS, ids=range(len(THOUGHTS)))
async def test_thoughts_are_found_by_those_who_may_write(shared: Shared, message: dict[str, Any]) -> None:
    await shared.add({"role": "assistant", **message}, "hay")
    for q in ("zebra", '"zebra crossing"', "zeb*", "cros* zebra", "zebra or camel", "zebra -camel"):
        for who in WRITERS:
            assert await shared.numbers(who, q) == [FIRST], q
        for who in READERS:
            assert await shared.numbers(who, q) == [], q
        assert "<mark>" in (await shared.found("sender", q))[0]["headline"]


@pytest.mark.parametrize("word", ["zebra", "camel"])
async def test_no_negation_tells_a_reader_what_was_thought(shared: Shared, word: str) -> None:
    """The same for a word that was thought and one that was not."""
    await shared.add({"role": "assistant", "content": "hay stack", "thinking_text": "zebra crossing"}, "hay stack")
    one = f"{word[:3]}*"
    for who in READERS:
        for q in (f"hay -{word}", f'hay -"{word} crossing"', f"hay -{one}", f"hay or {word}", f"hay or {one}"):
            assert await shared.numbers(who, q) == [FIRST, FIRST + 1], q
        for q in (f"-{word}", f"-{one}", f"-{word} or {word}", f"-{word} -camel"):
            assert await shared.numbers(who, q) == [FIRST, FIRST + 1], q
        for q in (f"hay {word}", f"{word} or {one}", f'"stack {word}"', f"-hay {word}"):
            assert await shared.numbers(who, q) == [], q


async def test_neither_rank_nor_order_tells_a_reader_what_was_thought(shared: Shared) -> None:
    for thought in (None, "zebra", "camel", "zebra zebra zebra camel", "lion " * 30):
        more = {} if thought is None else {"thinking_text": thought}
        await shared.add({"role": "assistant", "content": "hay in a stack", **more})
    for who in READERS:
        for q in ("hay", "hay or zebra", "hay or zeb*", "stack -camel", "hay or lion", '"hay stack" or hay or camel'):
            hits = await shared.found(who, q)
            assert len({hit["rank"] for hit in hits}) == 1, (q, [(hit["seq"], hit["rank"]) for hit in hits])
            assert [hit["seq"] for hit in hits] == list(range(FIRST + 4, FIRST - 1, -1))


async def test_thoughts_are_in_no_headline_or_context_of_a_reader(shared: Shared) -> None:
    await shared.add({"role": "assistant", "content": "hay first", "thinking_text": "zebra hay"}, "hay second")
    for who in [*PEOPLE, "alice"]:
        hits = await shared.found(who, "hay", context=5, sort="recent")
        if who in READERS:
            assert [hit["headline"] for hit in hits] == ["<mark>hay</mark> second", "<mark>hay</mark> first"]
            assert "zebra" not in str(hits)
        assert "zebra" not in str([hit["before"] + hit["after"] for hit in hits])


async def test_rights_are_those_in_each_session(shared: Shared, api: Api) -> None:
    viewer = shared.clients["viewer"]
    config_id = (await viewer.post("/configs", json=CONFIG)).json()["config_id"]
    own = await second_session(viewer, config_id)
    thought = {"role": "assistant", "content": "hay", "thinking_text": "zebra"}
    await add(viewer, own, thought)
    await shared.add(thought)
    for q in ("zebra", "zeb*", "hay zebra", "zebra or camel"):
        assert [hit["session_id"] for hit in (await search(viewer, q))["items"]] == [own], q
        assert [row["session_id"] for row in (await search(viewer, q, "/sessions"))["sessions"]] == [own], q
    for q in ("hay -zebra", "-zebra"):
        assert [hit["session_id"] for hit in (await search(viewer, q))["items"]] == [shared.session_id], q
    assert len(await seqs(viewer, "hay")) == 2


async def test_change_of_rights_counts_at_once(shared: Shared) -> None:
    await shared.add({"role": "assistant", "content": "hay", "thinking_text": "zebra"})
    alice, url = shared.clients["alice"], f"/sessions/{shared.session_id}/participants/viewer"
    changes: list[tuple[dict[str, Any], list[int]]] = [
        ({"role": "editor"}, [FIRST]),
        ({"permissions": {"send": False}}, []),
        ({"permissions": {"send": True}, "role": "viewer"}, [FIRST]),
        ({"permissions": {"invite": True}}, []),
    ]
    for change, expected in changes:
        assert (await alice.patch(url, json=change)).status_code == 200
        assert await shared.numbers("viewer", "zebra") == expected


async def test_removed_participant_finds_nothing(shared: Shared) -> None:
    await shared.add(*["needle"] * 3)
    alice, editor = shared.clients["alice"], shared.clients["editor"]
    page = await search(editor, "needle", limit=1)
    await alice.delete(f"/sessions/{shared.session_id}/participants/editor")
    for params in ({}, {"cursor": page["next"]}):
        assert await seqs(editor, "needle", **params) == []
    assert (await search(editor, "needle", "/sessions"))["sessions"] == []
    assert_problem(await editor.get(f"/sessions/{shared.session_id}/search?q=needle"), 404, "Session not found")
    assert await shared.numbers("viewer", "needle") == [FIRST, FIRST + 1, FIRST + 2]
    await alice.delete(f"/sessions/{shared.session_id}")
    assert await seqs(alice, "needle") == []


async def test_message_is_found_when_it_is_committed(shared: Shared, dsn: str) -> None:
    insert = """
        insert into messages (session_id, seq, message, author_user_id, author_app_id)
        values (%s, 100, '{"role": "user", "content": "needle"}', 'alice', 'app')
    """
    with psycopg.connect(dsn) as connection:
        connection.execute(insert, (shared.session_id,))
        assert await shared.numbers("viewer", "needle") == []
        connection.commit()
        assert await shared.numbers("viewer", "needle") == [100]
        connection.execute(insert.replace("100", "101"), (shared.session_id,))
        connection.rollback()
    assert await shared.numbers("alice", "needle") == [100]


async def test_internal_blocks_are_found_by_nobody(shared: Shared) -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "zebra"},
        {"type": "thinking", "thinking": "zebra"},
        {"type": "reasoning", "content": ["zebra"], "summary": []},
        {"type": "tool_call", "id": "1", "name": "zebra", "input": {"a": "zebra"}},
        {"type": "tool_result", "tool_call_id": "1", "output": "zebra"},
        {"type": "redacted_thinking", "data": "zebra"},
    ]
    hidden = [{**block, "visibility": "internal"} for block in blocks]
    for role in ("user", "assistant", "tool", "system"):
        await shared.add({"role": role, "content": [*hidden, {"type": "text", "text": "hay"}]})
    for who in [*PEOPLE, "alice"]:
        assert await shared.found(who, "zebra") == await shared.found(who, "zeb*") == []
        assert "zebra" not in str(await shared.found(who, "hay", context=5))
