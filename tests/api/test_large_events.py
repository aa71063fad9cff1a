"""Events of large changes: what is stored and shown of them, and how much one read for followers returns."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest

from amplifier.live.topics import PAGE, PAGE_BYTES
from tests.conftest import settings_for
from tests.support.live import Live, live

Sql = Callable[..., list[Any]]
MOST = 8192  # bytes of an event's data
STORED = "select seq, data, octet_length(data::text) from session_events order by seq"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


async def pages(api: Live, session_id: str, user_id: str = "alice") -> list[tuple[int, int]]:
    """Returns the number of events and bytes of each read for a follower, until all are read."""
    read, after, last = [], 0, 1
    while after < last:
        rows = await api.app.state.queries.events.list(
            actor_ids=[user_id], session_id=session_id, after=after, limit=PAGE, max_bytes=PAGE_BYTES
        )
        read.append((len(rows), sum(len(bytes(row["data"])) for row in rows)))
        after, last = rows[-1]["seq"], rows[-1]["last_seq"]
    return read


def add_by_hand(sql: Sql, session_id: str, count: int, size: int) -> None:
    """Inserts events whose data is text of so many bytes that does not compress."""
    text = "(select string_agg(md5(n::text || k), '') from generate_series(1, %s) as k)"
    sql(
        "insert into session_events (session_id, type, data)"
        f" select %s, 'session.updated', jsonb_build_object('metadata', {text}) from generate_series(1, %s) as n",
        session_id,
        size // 32,
        count,
    )


async def test_event_of_a_large_change_names_the_fields(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    tags = {f"{number:0100}": "x" * 500 for number in range(20)}
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        for change, shown in (
            ({"title": "A", "metadata": {"x": "y" * 50_000}}, {"title": "A", "changed": ["metadata"]}),
            ({"tags": tags, "metadata": {"x": "z" * 50_000}}, {"changed": ["metadata", "tags"]}),
            ({"metadata": {"x": "y" * 8000}}, {"metadata": {"x": "y" * 8000}}),
        ):
            assert (await alice.patch(f"/sessions/{session_id}", json=change)).status_code == 200
            event = await stream.next()
            assert event is not None
            assert {name: event.data[name] for name in event.data if name not in _CIRCUMSTANCES} == shown
    assert max(size for _, _, size in sql(STORED)) <= MOST


async def test_events_inserted_by_hand_are_bounded(api: Live, session_id: str, sql: Sql) -> None:
    large = {"run_id": "r", "error": {"message": "x" * 1_000_000}}
    many = {f"{number:0200}": number for number in range(5000)}
    long = {"n" * 10_000: 1, "run_id": "r"}
    for data in (large, many, long, {"changed": "x" * 9000}):
        sql(
            "insert into session_events (session_id, type, data) values (%s, 'run.failed', %s)",
            session_id,
            msgspec.json.encode(data).decode(),
        )
    rows = sql(STORED)
    assert [size <= MOST for _, _, size in rows] == [True] * 4
    assert [rows[0][1], rows[2][1], rows[3][1]] == [
        {"run_id": "r", "changed": ["error"]},
        {"run_id": "r", "changed": []},
        {"changed": []},
    ]
    assert rows[1][1].keys() - {"changed"} < many.keys()


async def test_one_read_counts_the_size_of_events(api: Live, session_id: str, sql: Sql) -> None:
    add_by_hand(sql, session_id, 100, 8000)
    read = await pages(api, session_id)
    assert sum(count for count, _ in read) == 100
    assert max(size for _, size in read) <= PAGE_BYTES
    add_by_hand(sql, session_id, 1000, 64)
    assert len(await pages(api, session_id)) < len(read) + 8, "small ones share a page"


async def test_large_events_from_before_the_bound_are_shown_bounded(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    sql("alter table session_events drop constraint if exists session_events_data_size_check")
    sql("alter table session_events disable trigger session_events_bound_data")
    add_by_hand(sql, session_id, 12, 1024 * 1024)
    assert min(size for _, _, size in sql(STORED)) > 1_000_000
    read = await pages(api, session_id)
    assert (sum(count for count, _ in read), max(size for _, size in read) <= PAGE_BYTES) == (12, True)
    async with api.stream(alice, f"/sessions/{session_id}/events?after=0") as stream:
        for seq in range(1, 13):
            event = await stream.next()
            assert event is not None
            assert (event.id, event.data["changed"]) == (seq, ["metadata"])


_CIRCUMSTANCES = ("seq", "actor_user_id", "created_at")
