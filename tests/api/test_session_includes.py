"""Members that lists of sessions include: metadata, participants and the last message, in pages of a bounded size."""

from typing import Any

import httpx
import pytest

from amplifier.web import session_includes
from tests.api.test_forks import said
from tests.conftest import Api, assert_problem

ALL = "metadata,participants,last_message"
LISTS = ("/sessions", "/users/me/sessions")


async def made(client: httpx.AsyncClient, *texts: str, **body: Any) -> str:
    session_id = str((await client.post("/sessions", json=body)).json()["session_id"])
    if texts:
        assert (await client.post(f"/sessions/{session_id}/transcript", json=said(*texts))).status_code == 201
    return session_id


async def rows(client: httpx.AsyncClient, path: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return list(page.get("sessions", page.get("items")))


@pytest.mark.parametrize("path", LISTS)
async def test_rows_have_what_is_included(alice: httpx.AsyncClient, bob: httpx.AsyncClient, path: str) -> None:
    session_id = await made(alice, "first", "last", metadata={"n": [1]})
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    empty = await made(alice)
    plain = await rows(alice, path, sort="created_at", order="asc")
    included = await rows(alice, path, sort="created_at", order="asc", include=ALL)
    added = {"metadata", "participants", "participant_count", "last_message"}
    assert [{name: row[name] for name in row if name not in added} for row in included] == plain
    assert [row["session_id"] for row in included] == [session_id, empty]
    assert [row["metadata"] for row in included] == [{"n": [1]}, {}]
    people = [{"user_id": "alice", "role": "owner"}, {"user_id": "bob", "role": "viewer"}]
    assert [row["participants"] for row in included] == [people, people[:1]]
    assert [row["participant_count"] for row in included] == [2, 1]
    page = await alice.get(f"/sessions/{session_id}/transcript")
    assert [row["last_message"] for row in included] == [page.json()["messages"][-1], None]
    [seen] = await rows(bob, path, include=ALL)
    assert (seen["last_message"], seen["participants"]) == (included[0]["last_message"], people)
    assert seen["unread"] == 2


@pytest.mark.parametrize("path", LISTS)
async def test_strangers_sessions_are_not_listed(alice: httpx.AsyncClient, bob: httpx.AsyncClient, path: str) -> None:
    await made(alice, "secret", metadata={"n": 1})
    assert await rows(bob, path, include=ALL) == []


async def test_only_what_is_named_is_included(alice: httpx.AsyncClient) -> None:
    await made(alice, "text")
    for include, names in (
        ("metadata", {"metadata"}),
        ("participants", {"participants", "participant_count"}),
        ("last_message", {"last_message"}),
        ("metadata, last_message", {"metadata", "last_message"}),
    ):
        [plain], [row] = await rows(alice, "/sessions"), await rows(alice, "/sessions", include=include)
        assert row.keys() - plain.keys() == names


async def test_twenty_participants_are_shown_and_all_counted(alice: httpx.AsyncClient) -> None:
    session_id = await made(alice)
    for number in range(25):
        body = {"user_id": f"user-{number:02}", "role": "viewer"}
        await alice.post(f"/sessions/{session_id}/participants", json=body)
    [row] = await rows(alice, "/sessions", include="participants")
    assert [one["user_id"] for one in row["participants"]] == ["alice", *(f"user-{number:02}" for number in range(19))]
    assert row["participant_count"] == 26


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("sort", "order"), [("updated_at", "desc"), ("created_at", "asc"), ("created_at", "desc")])
async def test_pages_end_before_they_are_too_large(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, sort: str, order: str
) -> None:
    sizes = [1, 500, 2000, 1, 1, 1500]  # of messages; two of 500 fit into a page, 2000 do into none
    made_ids = [await made(alice, "x" * size) for size in sizes]
    monkeypatch.setattr(session_includes, "MAX_PAGE_BYTES", 1200)
    pages, cursor = [], None
    while cursor or not pages:
        given = {"include": "last_message", "sort": sort, "order": order, "limit": 4}
        page = (await alice.get(path, params=given | ({"cursor": cursor} if cursor else {}))).json()
        if path == "/sessions":
            assert page["total"] == len(sizes)
        pages.append([row["session_id"] for row in page.get("sessions", page.get("items"))])
        cursor = page["next"]
    assert [one for page in pages for one in page] == (made_ids if order == "asc" else made_ids[::-1])
    assert [len(page) for page in pages] == ([2, 1, 2, 1] if order == "asc" else [1, 2, 1, 2])


async def test_filters_hold_for_lists_with_members(alice: httpx.AsyncClient, config_id: str) -> None:
    await made(alice, tags={"a": "1"})
    tagged = await made(alice, tags={"a": "2"}, config_id=config_id)
    for given in ({"tag": "a:2"}, {"config_id": config_id}, {"tag": "a:2", "owned": True, "status": "active"}):
        [row] = await rows(alice, "/sessions", include="metadata", **given)
        assert row["session_id"] == tagged


@pytest.mark.parametrize(
    ("path", "given", "detail"),
    [
        (
            "/sessions",
            {"include": "messages"},
            "include: takes metadata, participants, last_message, preview, run, state, separated by commas",
        ),
        (
            "/users/me/sessions",
            {"include": "metadata,"},
            "include: takes metadata, participants, last_message, preview, run, state",
        ),
        ("/sessions", {"include": "metadata", "q": "x"}, "include: does not go with q"),
        ("/sessions", {"include": "metadata", "offset": 1}, "include: does not go with offset: use cursor"),
    ],
)
async def test_include_that_does_not_fit_is_refused(
    alice: httpx.AsyncClient, path: str, given: dict[str, Any], detail: str
) -> None:
    assert detail in assert_problem(await alice.get(path, params=given), 422)["detail"]


async def test_admin_application_does_not_see_into_sessions_of_others(api: Api, alice: httpx.AsyncClient) -> None:
    await made(alice, "secret")
    admin = await api.as_user("root", "admin")
    assert len(await rows(admin, "/users/alice/sessions")) == 1
    refused = await admin.get("/users/alice/sessions", params={"include": "last_message"})
    assert_problem(refused, 403, "Only the user may include what is in the sessions: leave include out")


@pytest.mark.parametrize("path", LISTS)
async def test_preview_is_the_beginning_of_the_newest_message(alice: httpx.AsyncClient, path: str) -> None:
    session_id, empty = await made(alice, "first"), await made(alice)
    call = {"id": "call_1", "type": "function", "function": {"name": "find_flight", "arguments": "{}"}}
    shown = []
    for message in (
        {"role": "user", "content": "a" * 1000},
        {"role": "assistant", "content": [{"type": "text", "text": "said"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "returned"},
        {"role": "user", "content": "b" * 100_000},
        {"role": "user", "content": [{"type": "text", "text": "c" * 100_000}]},
        {"role": "user", "content": "d" * 2_000_000},
    ):
        await alice.post(f"/sessions/{session_id}/transcript", json={"messages": [message]})
        row, other = await rows(alice, path, sort="created_at", order="asc", include="preview")
        assert (other["session_id"], other["preview"]) == (empty, None)
        assert "last_message" not in row
        shown.append((row["preview"]["role"], row["preview"]["text"]))
    assert shown[0] == ("user", "a" * 200)
    assert shown[1] == ("assistant", "said")
    assert shown[2][1].startswith("find_flight")
    assert shown[3:5] == [("tool", "returned"), ("user", "b" * 200)]
    assert shown[5:] == [("user", None), ("user", None)]
    [last] = (await alice.get(f"/sessions/{session_id}/transcript?last=1")).json()["messages"]
    assert row["preview"] == {name: last[name] for name in ("seq", "author_user_id", "created_at")} | {
        "role": "user",
        "text": None,
    }


async def test_previews_are_few_bytes_of_a_page(alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_includes, "MAX_PAGE_BYTES", 5000)
    for _ in range(4):
        await made(alice, "long " * 1000)
    assert len(await rows(alice, "/sessions", include="preview")) == 4
    assert len(await rows(alice, "/sessions", include="preview,last_message")) == 1


async def test_run_is_the_one_that_goes_on_else_the_first_that_waits(alice: httpx.AsyncClient, sql: Any) -> None:
    session_id = await made(alice, "hello")

    async def run() -> Any:
        [row] = await rows(alice, "/sessions", include="run")
        return row["run"]

    def add(run_id: str, status: str, minute: int) -> None:
        is_over, is_running = status not in ("running", "queued"), status == "running"
        sql(
            "insert into runs (session_id, run_id, status, message, user_id, app_id, queued_at, started_at, process_id,"
            " lease_expires_at, finished_at) values (%s, %s, %s, '{}', 'alice', 'app', %s, now(), 'process',"
            " case when %s then now() + interval '1 hour' end, case when %s then now() end)",
            *(session_id, run_id, status, f"2026-01-01T12:{minute:02}:00Z", is_running, is_over),
        )

    assert await run() is None
    add("over", "completed", 1)
    assert await run() is None
    add("second", "queued", 3)
    add("first", "queued", 2)
    assert await run() == {"run_id": "first", "status": "queued"}
    add("now", "running", 4)
    assert await run() == {"run_id": "now", "status": "running"}
