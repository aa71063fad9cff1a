"""`messages_total` counts all messages of a session, however they come into its transcript."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_repair import SPOILT
from tests.api.test_transcripts import append, message
from tests.conftest import serving
from tests.support.agents import Agent, agent, echo, settings
from tests.support.llm import Stub

Sql = Callable[..., list[Any]]
COUNTED = "select message_count, messages_total from sessions where session_id = %s"
COLUMNS = "session_id, seq, message, author_user_id, author_app_id"


async def counted(client: httpx.AsyncClient, session_id: str) -> tuple[int, int]:
    """Returns both counts, after a check that session, list and the user's list say the same."""
    session = (await client.get(f"/sessions/{session_id}")).json()
    for path, rows in (("/sessions", "sessions"), ("/users/me/sessions", "items")):
        listed = (await client.get(path)).json()[rows]
        [row] = [row for row in listed if row["session_id"] == session_id]
        assert row["messages_total"] == session["messages_total"], path
    return session["message_count"], session["messages_total"]


async def test_appends_repairs_and_forks_are_counted(alice: httpx.AsyncClient, session_id: str) -> None:
    answer = (await append(alice, session_id, [message("one"), message("two", "assistant")])).json()
    assert (answer["message_count"], answer["messages_total"]) == (1, 2)
    await alice.patch(f"/sessions/{session_id}", json={"title": "an event"})
    assert await counted(alice, session_id) == (1, 2)
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={"up_to_seq": 1})).json()
    assert await counted(alice, fork["session_id"]) == (1, 1)
    found = (await alice.get("/sessions", params={"q": "two"})).json()["sessions"]
    assert [row["messages_total"] for row in found] == [2]
    await append(alice, session_id, SPOILT)
    before = (await counted(alice, session_id))[1]
    repair = (await alice.post(f"/sessions/{session_id}/repair")).json()
    assert (await counted(alice, session_id))[1] == before + repair["added"] > before


async def test_runs_are_counted(dsn: str, stub: Stub, installed: None, sql: Sql) -> None:
    async with serving(settings(dsn, stub)) as api:
        here = await agent(await api.as_user("alice"), echo())
        await here.say("Hi")
        assert await counted(here.client, here.session_id) == (1, 2)
        broken = await agent(here.client, {"module": "provider-none"})
        await broken.say("Hi", 400)
        assert_all_counted(sql)
        await queued_run(here)
        assert_all_counted(sql)


async def queued_run(here: Agent) -> None:
    """Sends two messages at once, one of which waits."""
    answers = [here.client.post(f"{here.path}/messages", json={"message": text}) for text in ("first", "second")]
    for answer in answers:
        assert (await answer).status_code == 200


def assert_all_counted(sql: Sql) -> None:
    wrong = "where messages_total <> (select count(*) from messages as m where m.session_id = s.session_id)"
    assert sql(f"select session_id, messages_total from sessions as s {wrong}") == []


@pytest.mark.parametrize("seq", ["null", "7"])
async def test_rows_inserted_by_hand_are_counted(alice: httpx.AsyncClient, session_id: str, sql: Sql, seq: str) -> None:
    for role in ("user", "tool"):
        seq = seq if seq == "null" else str(int(seq) + 1)
        sql(
            f"insert into messages ({COLUMNS}) values (%s, {seq}, %s, 'dba', 'psql')",
            session_id,
            f'{{"role": "{role}"}}',
        )
    assert await counted(alice, session_id) == (1, 2)
    sql("insert into session_events (session_id, type) values (%s, 'participant.added')", session_id)
    assert await counted(alice, session_id) == (1, 2)
