"""A process keeps histories between turns, and reads again whatever was changed in the database meanwhile."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.runtime import kept_histories
from amplifier.runtime.kept_histories import Histories, Kept
from tests.api.test_retractions import retracted
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, model, settings
from tests.support.live import until
from tests.support.llm import Call, Reply, Stub

Sql = Callable[..., list[Any]]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


@pytest.fixture
def stub_says(stub: Stub) -> Stub:
    """The stub, which calls a tool when it is asked to."""
    stub.when("use it", Reply(calls=[Call("say", {"text": "used"})]), Reply("Well."))
    return stub


def histories(api: Api) -> Histories:
    found: Histories = api.app.state.runner._host.histories
    return found


def contents(stub: Stub) -> list[Any]:
    """Returns the contents of the messages that the model was sent last."""
    return [message["content"] for message in stub.requests[-1].body["messages"]]


def refuse_reading(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a turn fail that reads the whole history."""

    async def get_history(**_: Any) -> Any:
        raise AssertionError("the whole history was read")

    monkeypatch.setattr(api.app.state.queries.runs, "get_history", get_history)


async def test_later_turn_reads_newer_messages_only(
    api: Api, alice: httpx.AsyncClient, stub_says: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_reading(api, monkeypatch)
    here = await agent(alice, model(stub_says), tools=[{"module": "tool-some"}])
    rows = []
    get_newer_history = api.app.state.queries.runs.get_newer_history

    async def recorded(**given: Any) -> Any:
        rows.append(await get_newer_history(**given))
        return rows[-1]

    monkeypatch.setattr(api.app.state.queries.runs, "get_newer_history", recorded)
    for text in ("use it", "second", "third"):
        await here.say(text, context={"at": text})
    await alice.post(f"{here.path}/transcript", json={"messages": [{"role": "user", "content": "by hand"}]})
    await here.say("fourth")
    assert [row["number"] for row in rows] == [0, 4, 2, 3]
    stored = await here.transcript()
    [one] = [histories(api).find(here.session_id)]
    assert [*one.newest] == stored[: len(one.newest)], "no turn changed what is kept"
    assert (one.number, len(stored)) == (9, 11)
    assert "by hand" in contents(stub_says)


async def test_later_turn_validates_newer_messages_only(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    for text in ("first", "second", "third"):
        await here.say(text)
    before = dict(histories(api).find(here.session_id).models)
    assert len(before) == 4
    assert None not in before.values()
    await here.say("fourth")
    after = histories(api).find(here.session_id).models
    assert len(after) == 6
    assert all(after[key] is known for key, known in before.items())
    assert contents(stub)[::2] == ["first", "second", "third", "fourth"]


async def edit(_: Agent, sql: Sql) -> None:
    sql(
        "update messages set message = jsonb_set(message, '{content}', '\"new\"') where message ->> 'content' = 'first'"
    )


async def edit_twice(here: Agent, sql: Sql) -> None:
    """Changes a message and inserts it again under its number."""
    sql(
        "with gone as (delete from messages where message ->> 'content' = 'first' returning *) "
        "select set_config('kept.seq', seq::text, false), set_config('kept.id', session_id, false) from gone"
    )
    sql(
        "insert into messages (session_id, seq, message, author_user_id, author_app_id) select "
        "current_setting('kept.id'), current_setting('kept.seq')::bigint, "
        '\'{"role": "user", "content": "new"}\', \'alice\', \'app\''
    )


async def delete(_: Agent, sql: Sql) -> None:
    sql("delete from messages where message ->> 'content' = 'first'")


async def retract(here: Agent, sql: Sql) -> None:
    [(seq,)] = sql("select seq from messages where message ->> 'content' = 'first'")
    await retracted(here.client, here.session_id, seqs=[seq])


async def erase(here: Agent, sql: Sql) -> None:
    [(seq,)] = sql("select seq from messages where message ->> 'content' = 'first'")
    await retracted(here.client, here.session_id, seqs=[seq], erase=True)


async def repair(here: Agent, sql: Sql) -> None:
    sql(
        'update messages set message = \'{"role": "tool", "tool_call_id": "x", "content": "new"}\' '
        "where message ->> 'content' = 'first'"
    )
    assert (await here.client.post(f"{here.path}/repair")).is_success


@pytest.mark.parametrize("change", [edit, edit_twice, delete, retract, erase, repair], ids=lambda one: one.__name__)
async def test_changed_messages_are_read_again(
    api: Api, alice: httpx.AsyncClient, stub: Stub, sql: Sql, change: Callable[[Agent, Sql], Any]
) -> None:
    here = await agent(alice, model(stub))
    for text in ("first", "second", "third"):
        await here.say(text)
    assert histories(api).find(here.session_id).number == 4
    await change(here, sql)
    await here.say("fourth")
    assert "first" not in contents(stub)
    assert contents(stub)[-1] == "fourth"
    await here.say("fifth")
    assert "first" not in contents(stub)


async def test_replaced_message_is_read_again(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    for content in ("former", "later"):
        message = {"role": "user", "content": content}
        answer = await alice.post(
            f"{here.path}/transcript", json={"messages": [message], "keys": ["k"], "on_conflict": "replace"}
        )
        assert answer.is_success, answer.text
        await here.say("go on")
    assert ("former" in contents(stub), "later" in contents(stub)) == (False, True)


async def test_modules_of_others_get_messages_of_their_own(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), session={"context": "context-simple-theirs"})
    for text in ("first", "second"):
        await here.say(text)
    assert len(histories(api)) == 0


async def test_long_history_is_not_kept(dsn: str, stub: Stub, installed: None) -> None:
    async with serving(settings(dsn, stub, run_history_messages=10)) as api:
        here = await agent(await api.as_user("alice"), model(stub))
        for number in range(7):
            await here.say(f"message {number}")
            assert histories(api).find(here.session_id).number == (2 * number if number < 6 else 0)
        assert "message 0" not in contents(stub)


async def test_deleted_session_is_not_mistaken(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here, other = await agent(alice, model(stub)), await agent(alice, model(stub))
    for one in (here, other, here, other):
        await one.say(f"words of {one.session_id}")
    await alice.delete(here.path)
    await other.say("third")
    assert here.session_id not in str(contents(stub))


async def test_number_bytes_and_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Histories()
    for number in range(600):
        kept.keep(f"s{number}", Kept(number=1, bytes=10))
    assert (len(kept), kept.find("s99").number, kept.find("s100").number) == (500, 0, 1)
    for number in range(10):
        kept.keep(f"large{number}", Kept(number=1, bytes=1_500_000))
    assert len(kept) == 2
    kept.keep("too large", Kept(number=1, bytes=3_000_000))
    assert kept.find("too large").number == 0
    monkeypatch.setattr(kept_histories, "_SECONDS", 0.01)
    again = Histories()
    again.keep("s", Kept(number=1, bytes=10))
    await until(lambda: len(again) == 0)
