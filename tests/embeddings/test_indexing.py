"""The job that embeds messages: which ones, what ends an embedding, failures of the model, several processes."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.embeddings import indexing as job
from amplifier.embeddings.indexing import Indexing
from amplifier.embeddings.models import EmbeddingError
from amplifier.errors import TooSlow
from tests.api.test_retractions import retracted
from tests.api.test_search import add, search
from tests.api.test_search_by_meaning import found, prepare, said
from tests.conftest import Api
from tests.support.embeddings import DIMENSIONS, Stub, finish, use

Sql = Callable[..., list[Any]]
STATE = "select seq, embedding is not null, due_at is not null, attempts from message_embeddings order by seq"


@pytest.fixture
def model() -> Stub:
    return Stub()


@pytest.fixture
def indexing(sql: Sql, api: Api, model: Stub) -> Indexing:
    """The job of an application whose database is prepared, without pgvector."""
    prepare(sql, False)
    return use(api, model)


async def test_replaced_message_is_embedded_again(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await _append(alice, session_id, {"messages": [said("car")], "keys": ["k"]})
    await finish(indexing)
    assert sql(STATE) == [(1, True, False, 1)]
    await _replace(alice, session_id, "k", said("dog"))
    assert sql(STATE) == [(1, False, True, 0)]
    await finish(indexing)
    assert model.calls == [["car"], ["dog"]]
    assert (await search(alice, "puppy", mode="meaning"))["items"][0]["rank"] > 0.99


async def test_text_replaced_while_the_model_works_is_not_stored(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await _append(alice, session_id, {"messages": [said("car")], "keys": ["k"]})
    model.gate.clear()
    task = asyncio.create_task(indexing.embed_next())
    await _until(lambda: bool(model.calls))
    await _replace(alice, session_id, "k", said("dog"))
    model.gate.set()
    await task
    assert sql(STATE) == [(1, False, True, 0)]


@pytest.mark.parametrize("erased", [False, True])
async def test_retracted_message_loses_its_embedding(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, erased: bool
) -> None:
    await add(alice, session_id, said("car"), said("dog"))
    await finish(indexing)
    await retracted(alice, session_id, last=1, **({"erase": True} if erased else {}))
    assert sql(STATE) == [(1, True, False, 1)]
    assert await found(alice, "puppy") == [1]


async def test_message_retracted_while_the_model_works_leaves_nothing(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.gate.clear()
    task = asyncio.create_task(indexing.embed_next())
    await _until(lambda: bool(model.calls))
    await retracted(alice, session_id, last=1)
    model.gate.set()
    await task
    assert sql("select count(*) from message_embeddings") == [(0,)]


async def test_deleted_session_leaves_nothing(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("car"), said("dog"))
    await finish(indexing)
    assert (await alice.delete(f"/sessions/{session_id}")).status_code == 200
    assert sql("select count(*) from message_embeddings") == [(0,)]


async def test_moved_messages_keep_their_embeddings(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("car"), said("dog"), said("refund"))
    await finish(indexing)
    sql("update sessions set last_seq = 10")
    sql("select messages_move(session_id, array[3, 2, 1], array[9, 8, 7]) from sessions")
    assert sql(STATE) == [(7, True, False, 1), (8, True, False, 1), (9, True, False, 1)]
    assert await found(alice, "puppy", limit=1) == [8]


async def test_fork_copies_embeddings(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"), said("dog"))
    await finish(indexing)
    forked = await alice.post(f"/sessions/{session_id}/fork", json={})
    assert forked.status_code == 201, forked.text
    assert await finish(indexing) == 0
    assert len(model.calls) == 1
    assert await found(alice, "puppy", session_id=forked.json()["session_id"], limit=1) == [2]


async def test_empty_messages_are_not_embedded(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said(""), said(" \n"), {"role": "user", "content": []})
    assert await finish(indexing) == 0
    assert sql(STATE) == [(seq, False, False, 1) for seq in (1, 2, 3)]
    assert model.calls == []


async def test_long_text_is_cut(alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub) -> None:
    await add(alice, session_id, said("ä" * 20_000))
    await finish(indexing)
    assert [len(text) for text in model.calls[0]] == [8000]


async def test_text_that_is_too_long_for_the_model_is_shortened(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    model.most_characters = 1500
    await add(alice, session_id, said("word " * 1600), said("dog"))
    await finish(indexing)
    assert sql(STATE) == [(1, True, False, 1), (2, True, False, 1)]


async def test_refused_message_is_given_up_and_others_are_embedded(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    model.refused = {"poison"}
    await add(alice, session_id, said("car"), said("poison"), said("dog"))
    for attempt in range(1, job.MOST_ATTEMPTS + 1):
        await finish(indexing)
        assert [row[1] for row in sql(STATE)] == [True, False, True]
        assert sql("select attempts from message_embeddings where seq = 2") == [(attempt,)]
        sql("update message_embeddings set due_at = now() - interval '1 second' where due_at is not null")
    assert sql(STATE)[1] == (2, False, False, job.MOST_ATTEMPTS)
    sql("select message_embeddings_fill('', 0, 100)")  # another run of the command
    model.refused = set()
    await finish(indexing)
    assert [row[1] for row in sql(STATE)] == [True, True, True]


async def test_message_that_takes_too_long_to_read_holds_up_no_other(
    sql: Sql,
    api: Api,
    alice: httpx.AsyncClient,
    session_id: str,
    indexing: Indexing,
    model: Stub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add(alice, session_id, said("car"), said("slow"), said("dog"))
    read = indexing._texts

    async def slow(claims: list[job.Claim]) -> Any:
        if any(claim.seq == 2 for claim in claims):
            raise TooSlow("it takes too long")
        return await read(claims)

    monkeypatch.setattr(indexing, "_texts", slow)
    await finish(indexing)
    assert sql(STATE) == [(1, True, False, 1), (2, False, True, 1), (3, True, False, 1)]


async def test_model_that_refuses_everything_blames_no_message(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    model.most_characters = 0
    await add(alice, session_id, said("car"), said("dog"))
    with pytest.raises(EmbeddingError, match="whatever the text"):
        await indexing.embed_next()
    assert sql(STATE) == [(1, False, True, 0), (2, False, True, 0)]


async def test_failure_of_the_model_gives_messages_back(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.failures.append(EmbeddingError("the model's server answered 429", retry_after=7))
    assert await indexing.attempt() == 7
    assert sql(STATE) == [(1, False, True, 0)]
    await finish(indexing)
    assert sql(STATE) == [(1, True, False, 1)]


async def test_pauses_grow_while_the_model_fails(
    alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.failures.extend(EmbeddingError("no") for _ in range(12))
    pauses = [await indexing.attempt() for _ in range(12)]
    assert pauses[0] <= 1
    assert 30 < pauses[6] <= 64
    assert 240 <= pauses[11] <= 300
    assert await indexing.attempt() < 1


async def test_vectors_of_other_length_are_refused(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.dimensions = 32
    with pytest.raises(EmbeddingError, match="have 32 numbers, and the database is prepared for 64"):
        await indexing.embed_next()
    assert sql(STATE) == [(1, False, True, 0)]


async def test_stopped_process_gives_its_messages_back(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.gate.clear()
    task = asyncio.create_task(indexing.keep_embedding())
    await _until(lambda: bool(model.calls))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    model.gate.set()
    assert sql(STATE) == [(1, False, True, 0)]
    assert await finish(indexing) == 1


async def test_messages_of_a_dead_process_are_claimed_again(
    sql: Sql, api: Api, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    await api.app.state.queries.embeddings.claim(seconds=60.0, window=10, limit=10)  # and then it died
    assert await finish(indexing) == 0
    sql("update message_embeddings set due_at = now() - interval '1 second'")
    assert await finish(indexing) == 1
    assert sql(STATE) == [(1, True, False, 2)]


async def test_message_that_kills_processes_is_given_up(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    sql(f"update message_embeddings set attempts = {job.MOST_ATTEMPTS}")
    assert await finish(indexing) == 0
    assert sql(STATE) == [(1, False, False, job.MOST_ATTEMPTS + 1)]
    assert model.calls == []


async def test_two_processes_embed_each_message_once(
    sql: Sql, api: Api, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, *(said(f"text {number}") for number in range(200)))
    other = Indexing(api.app.state.queries, model, 1_000_000)
    await asyncio.gather(finish(indexing), finish(other))
    sent = [text for texts in model.calls for text in texts]
    assert sorted(sent) == sorted(f"text {number}" for number in range(200))
    assert sql("select count(*) from message_embeddings where embedding is null") == [(0,)]


async def test_sessions_take_turns(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, config_id: str, indexing: Indexing, model: Stub
) -> None:
    other = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    await add(alice, other, said("the other session"))
    await add(alice, session_id, *(said(f"text {number}") for number in range(100)))
    await indexing.embed_next()
    assert "the other session" in model.calls[0]


async def test_other_model_removes_the_vectors(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    await finish(indexing)
    sql("select message_embeddings_enable('openai:other', 32, false)")
    with pytest.raises(EmbeddingError, match="not prepared for SEARCH_EMBEDDINGS"):
        await indexing.embed_next()
    assert sql("select count(*) from message_embeddings") == [(0,)]
    sql("select message_embeddings_fill('', 0, 100)")
    model.name, model.dimensions = "openai:other", 32
    assert await finish(indexing) == 1
    assert await found(alice, "automobile") == [1]


async def test_model_changed_while_another_works_stores_nothing(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car"))
    model.gate.clear()
    task = asyncio.create_task(indexing.embed_next())
    await _until(lambda: bool(model.calls))
    sql(f"select message_embeddings_enable('openai:other', {DIMENSIONS}, false)")
    sql("select message_embeddings_fill('', 0, 100)")
    model.gate.set()
    await task
    assert sql(STATE) == [(1, False, True, 0)]


async def test_enabling_again_keeps_the_vectors(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("car"))
    await finish(indexing)
    prepare(sql, False)
    assert sql(STATE) == [(1, True, False, 1)]


async def test_disabling_leaves_no_trigger_and_no_row(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("car"))
    sql("select message_embeddings_disable()")
    await add(alice, session_id, said("dog"))
    assert sql("select count(*) from message_embeddings") == [(0,)]
    assert sql("select tgname from pg_trigger where tgname ~ 'embeddings'") == []


async def test_messages_from_before_are_embedded_newest_first(
    sql: Sql, api: Api, alice: httpx.AsyncClient, session_id: str, model: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("one", "two", "three"):
        await add(alice, session_id, said(text))
    prepare(sql, False)
    indexing = use(api, model)
    assert await finish(indexing) == 0
    sql("select message_embeddings_fill('', 0, 2)")
    sql("select message_embeddings_fill('', 0, 2)")
    assert sql("select seq from message_embeddings order by seq") == [(1,), (2,)]
    sql("select message_embeddings_fill(session_id, 2, 2) from sessions")
    monkeypatch.setattr(job, "_AT_ONCE", 1)
    await finish(indexing)
    assert model.calls == [["three"], ["two"], ["one"]]


async def _append(client: httpx.AsyncClient, session_id: str, body: dict[str, Any]) -> None:
    answer = await client.post(f"/sessions/{session_id}/transcript", json=body)
    assert answer.status_code in (200, 201), answer.text


async def _replace(client: httpx.AsyncClient, session_id: str, key: str, message: dict[str, Any]) -> None:
    await _append(client, session_id, {"messages": [message], "keys": [key], "on_conflict": "replace"})


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
