"""The search by meaning: what it finds, in which order, for whom, and its answers while a model fails or is off."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.embeddings.indexing import Indexing
from amplifier.embeddings.models import EmbeddingError
from amplifier.queries.checks.run import findings
from amplifier.server.row_structs import STRUCTS
from tests.api.test_search import add, search
from tests.conftest import CONFIG, Api, assert_problem
from tests.support.embeddings import DIMENSIONS, NAME, Stub, finish, use

Sql = Callable[..., list[Any]]
HAS_VECTOR = "select true from pg_available_extensions where name = 'vector' and default_version >= '0.8'"


def prepare(sql: Sql, with_vector: bool) -> None:
    """Prepares the test's database for the stub."""
    if with_vector and not sql(HAS_VECTOR):
        pytest.skip("the server has no pgvector")
    assert sql(f"select message_embeddings_enable('{NAME}', {DIMENSIONS}, {with_vector})") == [(with_vector,)]


@pytest.fixture
def model() -> Stub:
    return Stub()


@pytest.fixture(params=[True, False], ids=["pgvector", "arrays"])
def either(request: pytest.FixtureRequest, sql: Sql) -> bool:
    """A database with pgvector, and one without."""
    prepare(sql, request.param)
    return bool(request.param)


@pytest.fixture
def arrays(sql: Sql) -> None:
    """A database without pgvector."""
    prepare(sql, False)


@pytest.fixture
async def indexing(api: Api, model: Stub) -> Indexing:
    return use(api, model)


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


async def found(client: httpx.AsyncClient, q: str, path: str = "/search", **params: Any) -> list[Any]:
    """Returns the numbers of the hits by meaning."""
    answer = await search(client, q, path, mode="meaning", **params)
    assert answer["mode"] == "meaning"
    return [hit["seq"] for hit in answer["items"]]


async def test_words_of_the_same_meaning_find_each_other(
    either: bool, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("my automobile broke down"), said("nothing else"), said("the refund came"))
    assert await finish(indexing) == 3
    answer = await search(alice, "car", mode="meaning", limit=1)
    [hit] = answer["items"]
    assert (hit["seq"], hit["role"], hit["headline"]) == (1, "user", "my automobile broke down")
    assert 0.4 < hit["rank"] < 0.6  # one of four words
    assert await found(alice, "reimbursement", f"/sessions/{session_id}/search", limit=1) == [3]
    assert (await search(alice, "car"))["items"] == []


async def test_pages_continue_without_gap_or_repetition(
    either: bool, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, *(said("car " + "filler " * number) for number in range(7)))
    await finish(indexing)
    seen, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        answer = await search(alice, "vehicle", mode="meaning", limit=3, context=1, **more)
        seen += [hit["seq"] for hit in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert_problem(
        await alice.get("/search", params={"q": "dog", "mode": "meaning", "cursor": answer["next"] or "x"}), 422
    )


async def test_filters_apply(
    either: bool, alice: httpx.AsyncClient, session_id: str, config_id: str, indexing: Indexing
) -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "rent", "arguments": '{"a": "car"}'}}]}
    await add(alice, session_id, said("car"), said("car", "assistant"), call)
    other = (await alice.post("/sessions", json={"config_id": config_id, "tags": {"team": "a"}})).json()["session_id"]
    await add(alice, other, said("car"))
    await finish(indexing)
    assert len(await found(alice, "vehicle")) == 4
    assert await found(alice, "vehicle", role="assistant", limit=1) == [2]
    assert await found(alice, "vehicle", tool="rent") == [3]
    assert await found(alice, "vehicle", tag="team:a") == [1]
    assert await found(alice, "vehicle", session_id=other) == [1]
    assert await found(alice, "vehicle", author="bob") == []
    assert await found(alice, "vehicle", config_id="other") == []
    assert await found(alice, "vehicle", created_before="2001-01-01T00:00Z") == []
    assert len(await found(alice, "vehicle", created_after="2001-01-01T00:00Z", config_id=config_id)) == 4


async def test_only_participants_find_anything(
    either: bool, api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("car"))
    await finish(indexing)
    assert await found(bob, "vehicle") == []
    assert_problem(await bob.get(f"/sessions/{session_id}/search", params={"q": "car", "mode": "meaning"}), 404)
    body = {"user_id": "bob", "role": "viewer"}
    assert (await alice.post(f"/sessions/{session_id}/participants", json=body)).status_code == 201
    assert await found(bob, "vehicle") == [1]
    assert (await alice.delete(f"/sessions/{session_id}/participants/bob")).status_code == 204
    assert await found(bob, "vehicle") == []


async def test_thoughts_are_not_embedded(
    arrays: None, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    thought = {"role": "assistant", "content": "hay", "thinking_text": "a puppy"}
    await add(alice, session_id, thought, {"role": "assistant", "thinking_text": "a puppy"})
    assert await finish(indexing) == 1
    assert model.calls == [["hay"]]
    answer = await search(alice, "dog", mode="meaning")
    assert [hit["headline"] for hit in answer["items"]] == ["hay"]


async def test_both_fuses_the_lists(
    either: bool, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    await add(alice, session_id, said("automobile"), said("car car tyre"), said("unlike"))
    await finish(indexing)
    answer = await search(alice, "car", mode="both", limit=2)
    assert (answer["mode"], answer["notice"]) == ("both", None)
    # first by both, second by meaning only
    assert [(hit["seq"], hit["headline"]) for hit in answer["items"]] == [
        (2, "<mark>car</mark> <mark>car</mark> tyre"),
        (1, "automobile"),
    ]
    rest = await search(alice, "car", mode="both", limit=2, cursor=answer["next"])
    assert ([hit["seq"] for hit in rest["items"]], rest["next"]) == ([3], None)


async def test_both_falls_back_to_words_and_says_so(
    arrays: None, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    await add(alice, session_id, said("car one"), said("car two"), said("automobile"))
    await finish(indexing)
    model.failures.append(EmbeddingError("the model's server answered 500"))
    answer = await search(alice, "car", mode="both", limit=1)
    assert (answer["mode"], [hit["seq"] for hit in answer["items"]]) == ("words", [2])
    assert answer["notice"] == "These are hits by words: the model's server answered 500"
    rest = await search(alice, "car", mode="both", limit=1, cursor=answer["next"])
    assert (rest["mode"], [hit["seq"] for hit in rest["items"]], rest["next"]) == ("words", [1], None)


async def test_meaning_is_503_while_the_model_fails(
    arrays: None, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    model.failures.append(EmbeddingError("the model's server answered 500"))
    for _ in range(2):  # the second one does not wait for the model
        refused = await alice.get("/search", params={"q": "car", "mode": "meaning"})
        assert_problem(
            refused,
            503,
            "The search by meaning does not work at the moment: the model's server answered 500. "
            "Try again later, or take mode=words",
        )
        assert refused.headers["retry-after"] == "5"
    assert len(model.calls) == 1


async def test_question_waits_no_longer_than_its_limit(
    arrays: None, api: Api, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    api.app.state.questions._limit = 0.05
    model.gate.clear()
    answer = await search(alice, "car", mode="both")
    assert answer["notice"] == "These are hits by words: the model did not answer in 0.05 s"


async def test_questions_of_one_user_leave_places_to_others(
    arrays: None,
    api: Api,
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    session_id: str,
    indexing: Indexing,
    model: Stub,
) -> None:
    model.gate.clear()
    waiting = [asyncio.create_task(found(alice, f"car {number}")) for number in range(12)]
    other = asyncio.create_task(found(bob, "dog"))
    async with asyncio.timeout(10):
        while ["dog"] not in model.calls:
            await asyncio.sleep(0.01)
    assert len(model.calls) == 3  # two of alice's
    model.gate.set()
    await asyncio.gather(*waiting, other)


async def test_question_is_embedded_once(
    arrays: None, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    for _ in range(3):
        await found(alice, "car")
    assert model.calls == [["car"]]


async def test_meaning_without_the_setting_is_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    for path in ("/search", f"/sessions/{session_id}/search"):
        assert_problem(
            await alice.get(path, params={"q": "car", "mode": "meaning"}),
            422,
            "mode: the search by meaning is off here: set SEARCH_EMBEDDINGS and run amplifier-api search embeddings, "
            "or take mode=words",
        )
    await add(alice, session_id, said("car"))
    answer = await search(alice, "car", mode="both")
    assert (answer["mode"], len(answer["items"])) == ("words", 1)
    assert "SEARCH_EMBEDDINGS" in answer["notice"]


async def test_queries_pass_their_check_on_a_prepared_database(either: bool, api: Api) -> None:
    assert await findings(api.app.state.queries, STRUCTS) == []


async def test_recent_goes_with_words_only(alice: httpx.AsyncClient, session_id: str) -> None:
    for mode in ("meaning", "both"):
        refused = await alice.get("/search", params={"q": "car", "mode": mode, "sort": "recent"})
        assert "mode=words" in assert_problem(refused, 422)["detail"]
    assert_problem(await alice.get("/search", params={"q": "car", "mode": "none"}), 422)


async def test_database_of_another_model_finds_nothing(
    arrays: None, sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing, model: Stub
) -> None:
    sql("update embedding_models set model = 'openai:other'")
    answer = await search(alice, "car", mode="both")
    assert "run amplifier-api search embeddings" in answer["notice"]
    refused = await alice.get("/search", params={"q": "car", "mode": "meaning"})
    assert "run amplifier-api search embeddings" in assert_problem(refused, 503)["detail"]
    assert model.calls == []


async def test_many_messages_are_found_through_the_index(
    sql: Sql, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    prepare(sql, True)
    await add(alice, session_id, said("car"), said("dog"), said("automobile"))
    await finish(indexing)
    sql("update sessions set messages_total = 1000000")
    assert await found(alice, "vehicle", limit=2) == [3, 1]
    assert await found(alice, "vehicle", role="user") == [3, 1, 2]
    assert await found(alice, "vehicle", created_before="2001-01-01T00:00Z") == []


async def test_new_session_of_the_config_is_searched_with_others(
    either: bool, api: Api, alice: httpx.AsyncClient, session_id: str, indexing: Indexing
) -> None:
    bob = await api.as_user("bob")
    theirs = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    foreign = (await bob.post("/sessions", json={"config_id": theirs})).json()["session_id"]
    await add(bob, foreign, *(said("car") for _ in range(20)))
    await add(alice, session_id, said("a vehicle of hers"))
    await finish(indexing)
    assert await found(alice, "car") == [1]
    assert len(await found(bob, "car")) == 20
