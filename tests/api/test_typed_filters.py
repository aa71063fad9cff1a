"""Filters that are typed in `q`: they mean what parameters mean, and other words stay words."""

from typing import Any

import httpx
import pytest

from amplifier.web import suggestions
from tests.api.test_search import add, all_pages, search, second_session, seqs
from tests.conftest import Api, assert_problem

MAIN = {"branch": "main", "model": "gpt-5", "cwd": "/home/alice/Work/amplifier"}
OTHER = {"branch": "my branch", "model": "m:2", "cwd": "C:\\repos\\shop"}
CALL = {"id": "1", "name": "read", "arguments": "{}"}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "needle one"},
    {"role": "assistant", "content": "needle two", "tool_calls": [CALL]},
    {"role": "assistant", "content": "note: needle, TypeError: undefined, http://x.org/y, kind:of, role:boss"},
]
# what is typed behind `needle`: the hits of the first session, and of the second
FILTERS = {
    "branch:main": ([1, 2, 3], []),
    'branch:"my branch"': ([], [1, 2, 3]),
    "branch:mai": ([], []),
    "model:gpt-5": ([1, 2, 3], []),
    "model:m:2": ([], [1, 2, 3]),
    "tool:read": ([2], [2]),
    "tool:read branch:main": ([2], []),
    "role:user": ([1], [1]),
    "author:alice role:assistant": ([2, 3], [2, 3]),
    "author:bob": ([], []),
    "path:amplifier": ([1, 2, 3], []),
    "path:work/Amplifier/": ([1, 2, 3], []),
    "path:/home/alice": ([1, 2, 3], []),
    "path:~/work": ([1, 2, 3], []),
    "path:/alice": ([], []),
    "path:ampl": ([], []),
    "path:c:\\repos": ([], [1, 2, 3]),
    'path:"C:/repos/shop" tool:read': ([], [2]),
    "path:/": ([1, 2, 3], [1, 2, 3]),
    "path:shop branch:main": ([], []),
    "note: needle": ([3], [3]),
    "TypeError: undefined": ([3], [3]),
    "http://x.org/y": ([3], [3]),
    "kind:of": ([3], [3]),
    "role:boss": ([3], [3]),
    "branch: main": ([], []),
    '"branch:main"': ([], []),
    "-branch:main": ([1, 2, 3], [1, 2, 3]),
    "Branch:main": ([], []),
}


@pytest.fixture
async def sessions(alice: httpx.AsyncClient, config_id: str) -> list[str]:
    found = [await second_session(alice, config_id, tags=tags) for tags in (MAIN, OTHER)]
    for session_id in found:
        await add(alice, session_id, *MESSAGES)
    return found


@pytest.mark.parametrize("typed", FILTERS)
async def test_typed_filters_leave_what_they_name(alice: httpx.AsyncClient, sessions: list[str], typed: str) -> None:
    q, expected = f"{typed} needle", dict(zip(sessions, FILTERS[typed], strict=True))
    hits = [(hit["session_id"], hit["seq"]) for hit in (await search(alice, q))["items"]]
    assert sorted(hits) == sorted((name, seq) for name, found in expected.items() for seq in found)
    for session_id, found in expected.items():
        assert sorted(seq or 0 for seq in await seqs(alice, q, path=f"/sessions/{session_id}/search")) == found
    listed = (await alice.get("/sessions", params={"q": q})).json()
    assert {one["session_id"]: one["hits"] for one in listed["sessions"]} == {
        session_id: len(found) for session_id, found in expected.items() if found
    }
    assert (await alice.get("/search/facets", params={"q": q})).json()["hits"] == len(hits)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tool": "read"}, "tool:read"),
        ({"tag": "branch:my branch"}, 'branch:"my branch"'),
        ({"path": "/home/alice"}, "path:/home/alice"),
        ({"role": "user", "tag": "model:gpt-5"}, "role:user model:gpt-5"),
    ],
)
async def test_parameters_and_typed_filters_mean_the_same(
    alice: httpx.AsyncClient, sessions: list[str], params: dict[str, str], expected: str
) -> None:
    for path in ("/search", "/search/facets"):
        answers = [
            (await alice.get(path, params=given)).json()
            for given in ({"q": "needle", **params}, {"q": f"needle {expected}"}, {"q": f"needle {expected}", **params})
        ]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0].get("items") or answers[0]["hits"]


@pytest.mark.parametrize(
    ("q", "params"),
    [
        ("needle tool:read", {"tool": "write"}),
        ("needle tool:read tool:write", {}),
        ("needle role:user", {"role": "tool"}),
        ("needle path:a path:b", {}),
        ("needle branch:a", {"tag": "branch:b"}),
    ],
)
async def test_filters_that_cannot_hold_together_are_refused(
    alice: httpx.AsyncClient, q: str, params: dict[str, str]
) -> None:
    assert_problem(await alice.get("/search", params={"q": q, **params}), 422)


async def test_filters_alone_list_sessions_and_find_no_messages(alice: httpx.AsyncClient, sessions: list[str]) -> None:
    for q, listed in (("branch:main", sessions[:1]), ("path:repos model:m:2", sessions[1:]), ("path:absent", [])):
        page = (await alice.get("/sessions", params={"q": q})).json()
        assert ([one["session_id"] for one in page["sessions"]], page["total"]) == (listed, len(listed))
        assert "filters only" in (await search(alice, q))["notice"]
    assert "filters only" in (await alice.get("/sessions", params={"q": "tool:read"})).json()["notice"]
    paths = (await alice.get("/sessions", params={"path": "alice/work"})).json()
    assert [one["session_id"] for one in paths["sessions"]] == sessions[:1]


async def test_pages_go_on_when_a_directory_is_added(
    alice: httpx.AsyncClient, sessions: list[str], config_id: str
) -> None:
    async def added() -> None:
        session = await second_session(alice, config_id, tags={"cwd": "/home/alice/else"})
        await add(alice, session, "needle later")

    hits = await all_pages(alice, "needle path:alice", added, limit=1)
    assert sorted(hit["seq"] for hit in hits) == [1, 2, 3]


async def test_suggestion_keeps_filters(
    alice: httpx.AsyncClient, sessions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "SECONDS", 30)
    found = await search(alice, "needel branch:main")
    assert found["did_you_mean"] == "needle branch:main"


async def test_strangers_find_nothing_by_filters(api: Api, sessions: list[str]) -> None:
    eve = await api.as_user("eve")
    for q in ("needle path:/home/alice", "needle branch:main", "needle tool:read"):
        assert await seqs(eve, q) == []
        assert (await eve.get("/sessions", params={"q": q})).json()["sessions"] == []


async def test_too_many_directories_are_refused(alice: httpx.AsyncClient, sessions: list[str], sql: Any) -> None:
    sql(
        """
        with added as (
            insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, tags)
            select 'many-' || n, config_id, owner_user_id, created_by_app_id, jsonb_build_object('cwd', '/many/' || n)
            from sessions, generate_series(1, 101) as n
            where session_id = %s
            returning session_id
        )
        insert into session_participants (session_id, user_id, role) select session_id, 'alice', 'owner' from added
        """,
        sessions[0],
    )
    assert_problem(await alice.get("/search", params={"q": "needle path:/many"}), 422)
    assert await seqs(alice, "needle path:many/7") == []


@pytest.mark.parametrize(
    "q",
    [
        "branch:",
        'branch:""',
        'branch:"open',
        "tool:\ud83d\ude00 needle",
        "path:" + "../" * 80,
        "path:%00 path:%00",
        "branch:a " * 100,
        "author:" + "x" * 300,
        "model:" + ":" * 200,
        "path:\\\\server\\share 'x",
    ],
)
async def test_odd_filters_are_no_error_of_the_service(alice: httpx.AsyncClient, sessions: list[str], q: str) -> None:
    for path in ("/search", "/sessions", "/search/facets", f"/sessions/{sessions[0]}/search"):
        assert (await alice.get(path, params={"q": q.encode("utf-8", "surrogatepass")})).status_code in (200, 422)
