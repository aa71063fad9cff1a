"""Usage of a period: sums over runs, messages and searches, for admin applications."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]
MAY = {"created_after": "2026-05-01T00:00:00Z", "created_before": "2026-06-01T00:00:00Z"}
# two users, two applications, two days; one session without a config
ROWS = """
insert into configs (config_id, name, config_json, user_id) values ('travel', 'Travel', '{}', 'mia');
insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)
values ('one', 'travel', 'mia', 'app'), ('two', null, 'omar', 'app');
insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, process_id, usage, timing
)
select
    session_id, run_id, status, '{"role": "user"}', user_id, app_id, at::timestamptz, at::timestamptz,
    at::timestamptz, 'p',
    jsonb_build_object(
        'model_calls', 2, 'tool_calls', 3, 'input_tokens', tokens, 'output_tokens', 5, 'total_tokens', tokens + 5,
        'cache_read_tokens', 4, 'cache_write_tokens', 1,
        'models', jsonb_build_object(model, jsonb_build_object(
            'model_calls', 2, 'seconds', 1.5, 'input_tokens', tokens, 'output_tokens', 5, 'total_tokens', tokens + 5
        ))
    ),
    '{"model": 1.5, "tools": 0.25}'
from (
    values
    ('one', 'r1', 'completed', 'mia', 'app', '2026-05-01T00:00:00Z', 10, 'large'),
    ('one', 'r2', 'failed', 'mia', 'other', '2026-05-01T09:59:59Z', 20, 'large'),
    ('two', 'r3', 'cancelled', 'omar', 'app', '2026-05-20T10:00:00Z', 100, 'small'),
    ('two', 'r4', 'completed', 'omar', 'app', '2026-06-01T00:00:00Z', 1000, 'small')
) as r (session_id, run_id, status, user_id, app_id, at, tokens, model);
insert into messages (session_id, message, author_user_id, author_app_id, created_at)
select session_id, '{"role": "user"}', user_id, app_id, at::timestamptz
from (
    values ('one', 'mia', 'app', '2026-05-01T00:00:00Z'), ('one', 'mia', 'app', '2026-05-02T23:59:59Z'),
    ('two', 'zoe', 'other', '2026-05-20T10:30:00Z'), ('two', 'zoe', 'app', '2026-06-01T00:00:00Z')
) as m (session_id, user_id, app_id, at);
insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
values
    ('mia', 'app', '2026-05-01', 'messages', 4, 1, 1, 0.5), ('mia', 'app', '2026-05-02', 'sessions', 2, 0, 0, 0.25),
    ('omar', 'other', '2026-05-02', 'messages', 5, 5, 0, 0.25), ('omar', 'app', '2026-06-01', 'messages', 9, 0, 0, 9)
"""


@pytest.fixture
async def admin(api: Api, sql: Sql) -> httpx.AsyncClient:
    """A client of an admin application, with rows of May 2026."""
    await api.register("app", False)
    sql(ROWS)
    return await api.as_user("root", "admin")


async def sums(admin: httpx.AsyncClient, path: str = "/usage", **query: Any) -> list[dict[str, Any]]:
    """The rows of May."""
    answer = await admin.get(path, params=MAY | query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_days_have_sums_of_runs_and_messages(admin: httpx.AsyncClient) -> None:
    last, second, first = await sums(admin)
    assert [row["key"] for row in (last, second, first)] == ["2026-05-20", "2026-05-02", "2026-05-01"]
    assert first == {
        **{"key": "2026-05-01", "name": None, "messages": 1},
        **{"runs": 2, "runs_completed": 1, "runs_failed": 1, "runs_cancelled": 0, "model_calls": 4, "tool_calls": 6},
        **{"input_tokens": 30, "output_tokens": 10, "total_tokens": 40, "cache_read_tokens": 8},
        **{"cache_write_tokens": 2, "model_seconds": 3.0, "tool_seconds": 0.5},
    }
    assert (second["runs"], second["messages"], second["total_tokens"]) == (0, 1, 0)
    assert (last["runs_cancelled"], last["messages"]) == (1, 1)


BY = {
    "hour": [("2026-05-20T10:00:00Z", 105), ("2026-05-02T23:00:00Z", 0), ("2026-05-01T09:00:00Z", 25)],
    "user": [("omar", 105), ("mia", 40), ("zoe", 0)],
    "application": [("app", 120), ("other", 25)],
    "config": [("", 105), ("travel", 40)],
    "model": [("small", 105), ("large", 40)],
}
SEARCHES_BY = {
    "day": [("2026-05-02", 7, 5, 0, 0.5), ("2026-05-01", 4, 1, 1, 0.5)],
    "user": [("mia", 6, 1, 1, 0.75), ("omar", 5, 5, 0, 0.25)],
    "application": [("app", 6, 1, 1, 0.75), ("other", 5, 5, 0, 0.25)],
    "kind": [("messages", 9, 6, 1, 0.75), ("sessions", 2, 0, 0, 0.25)],
}


async def test_rows_are_of_what_is_asked_for(admin: httpx.AsyncClient) -> None:
    names = {"travel": "Travel", "app": "app"}
    for by, expected in BY.items():
        rows = await sums(admin, by=by)
        assert [(row["key"], row["total_tokens"]) for row in rows][: len(expected)] == expected, by
        assert [row["name"] for row in rows] == [names.get(row["key"]) for row in rows]
        assert {row["messages"] is None for row in rows} == {by in ("config", "model")}
        assert {row["tool_calls"] is None for row in rows} == {by == "model"}


async def test_most_come_first_and_pages_continue(admin: httpx.AsyncClient) -> None:
    for sort, expected in {"runs": ["mia", "omar", "zoe"], "messages": ["mia", "zoe", "omar"]}.items():
        found, cursor = [], None
        for _ in expected:
            query = MAY | {"by": "user", "sort": sort, "limit": 1} | ({"cursor": cursor} if cursor else {})
            page = (await admin.get("/usage", params=query)).json()
            found += [row["key"] for row in page["items"]]
            cursor = page["next"]
        assert (found, cursor) == (expected, None)


async def test_days_come_in_pages(admin: httpx.AsyncClient) -> None:
    page = (await admin.get("/usage", params=MAY | {"limit": 2})).json()
    rest = await sums(admin, cursor=page["next"])
    assert [row["key"] for row in [*page["items"], *rest]] == ["2026-05-20", "2026-05-02", "2026-05-01"]
    assert_problem(await admin.get("/usage", params=MAY | {"by": "hour", "cursor": page["next"]}), 422)


async def test_odd_numbers_of_providers_count_little(admin: httpx.AsyncClient, sql: Sql) -> None:
    odd = '{"input_tokens": 1e300, "output_tokens": "many", "total_tokens": -5, "models": [1]}'
    sql(f"update runs set usage = '{odd}', timing = '[]' where run_id = 'r1'")
    first = (await sums(admin))[-1]
    expected = (10**12 + 20, 5, 25, 1.5)
    assert tuple(first[name] for name in ("input_tokens", "output_tokens", "total_tokens", "model_seconds")) == expected
    assert [row["key"] for row in await sums(admin, by="model")] == ["small", "large"]


async def test_searches_are_summed_up(admin: httpx.AsyncClient) -> None:
    for by, expected in SEARCHES_BY.items():
        rows = await sums(admin, "/usage/searches", by=by)
        assert [(*[row[name] for name in row if name != "name"],) for row in rows] == expected, by
        page = (await admin.get("/usage/searches", params=MAY | {"by": by, "limit": 1})).json()
        assert page["items"] + await sums(admin, "/usage/searches", by=by, cursor=page["next"]) == rows


async def test_default_period_is_of_30_days(admin: httpx.AsyncClient, sql: Sql) -> None:
    sql("update runs set queued_at = now() - case run_id when 'r1' then 40 else 3 end * interval '1 day'")
    sql("delete from messages")
    answer = (await admin.get("/usage")).json()
    assert [row["runs"] for row in answer["items"]] == [3]
    assert answer["created_after"].endswith("T00:00:00Z")


async def test_only_admin_applications_see_usage(api: Api, alice: httpx.AsyncClient) -> None:
    root = await api.as_user("root", "admin")
    for path in ("/usage", "/usage/searches"):
        assert_problem(await alice.get(path), 403, "Only admin applications may do this")
        empty = (await root.get(path)).json()
        assert (empty["items"], empty["next"]) == ([], None)


async def test_bad_input_is_refused(api: Api) -> None:
    root = await api.as_user("root", "admin")
    both = [
        *("by=year", "limit=0", "limit=1001", "cursor=x", "created_after=x", "created_after=2020-01-01T00:00:00Z"),
        *("created_after=2026-05-02T00:00Z&created_before=2026-05-01T00:00Z", "created_after=2999-01-01T00:00Z"),
        "kind=messages",
    ]
    for query in (*both, "by=config&sort=messages", "by=model&sort=messages", "sort=day"):
        assert_problem(await root.get(f"/usage?{query}"), 422)
    for query in both:
        assert_problem(await root.get(f"/usage/searches?{query}"), 422)
