"""Sessions of the OpenAI Agents SDK: every method, and runs with a stub of the model."""

import asyncio
from collections.abc import Iterator
from typing import Any

import model
import pytest
from agents import Agent, Runner, TResponseInputItem
from agents.memory import Session, SessionSettings
from amplifier_client import AsyncAmplifier
from amplifier_client.openai_agents import AmplifierSession
from faults import LosesAnswers
from serving import Service


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[model.Stub]:
    """The model's API."""
    with model.running() as stub:
        for name, value in stub.environ.items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
async def session(service: Service, key: str) -> AmplifierSession:
    return AmplifierSession(key)


def said(*texts: str) -> list[TResponseInputItem]:
    return [{"role": "user", "content": text} for text in texts]


def contents(items: list[TResponseInputItem]) -> list[Any]:
    return [dict(item)["content"] for item in items]


async def test_session_follows_the_protocol(session: AmplifierSession, key: str) -> None:
    assert isinstance(session, Session)
    assert session.session_id == key


async def test_items_come_back_in_order_as_they_were(session: AmplifierSession) -> None:
    items: list[Any] = [
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Geneva"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Rain.", "annotations": []}],
        },
    ]
    await session.add_items(items[:2])
    await session.add_items(items[2:])
    assert await session.get_items() == items


async def test_session_that_nobody_used_is_empty_and_stays_unmade(session: AmplifierSession, key: str) -> None:
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.add_items([])
    await session.clear_session()
    assert await AsyncAmplifier().find(key) is None


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, "abcde"), (1, "e"), (3, "cde"), (5, "abcde"), (99, "abcde"), (0, ""), (-1, "")]
)
async def test_limit_counts_from_the_newest_item(session: AmplifierSession, limit: int | None, expected: str) -> None:
    await session.add_items(said(*"abcde"))
    assert contents(await session.get_items(limit)) == list(expected)


async def test_limit_of_the_settings_counts_where_none_is_given(service: Service, key: str) -> None:
    session = AmplifierSession(key, session_settings=SessionSettings(limit=2))
    await session.add_items(said(*"abcde"))
    assert contents(await session.get_items()) == ["d", "e"]
    assert contents(await session.get_items(4)) == ["b", "c", "d", "e"]


async def test_popped_item_is_gone_from_items_and_search(session: AmplifierSession, key: str) -> None:
    word = key.rpartition("-")[2]
    await session.add_items(said("Hello", f"secret{word}"))
    assert await session.pop_item() == {"role": "user", "content": f"secret{word}"}
    assert contents(await session.get_items()) == ["Hello"]
    assert (await AsyncAmplifier().search(f"secret{word}")).items == []
    assert contents([await session.pop_item() or {}]) == ["Hello"]  # type: ignore[list-item]
    assert await session.pop_item() is None


async def test_two_poppers_never_get_the_same_item(session: AmplifierSession, key: str) -> None:
    await session.add_items(said(*map(str, range(24))))
    others = [AmplifierSession(key, client=AsyncAmplifier()) for _ in range(2)]

    async def pop(other: AmplifierSession) -> list[Any]:
        found = []
        while (item := await other.pop_item()) is not None:
            found += contents([item])
        return found

    taken = await asyncio.gather(*map(pop, others))
    assert sorted(map(int, taken[0] + taken[1])) == list(range(24))
    assert all(list(map(int, one)) == sorted(map(int, one), reverse=True) for one in taken)


async def test_cleared_session_begins_anew(session: AmplifierSession, key: str) -> None:
    other = AmplifierSession(key, client=AsyncAmplifier())
    await session.add_items(said("a"))
    await other.add_items(said("b"))
    await session.clear_session()
    assert await other.get_items() == []
    await other.add_items(said("c"))
    assert contents(await session.get_items()) == ["c"]


async def test_sessions_are_apart(session: AmplifierSession, key: str) -> None:
    await session.add_items(said("a"))
    assert await AmplifierSession(f"{key}/other").get_items() == []


async def test_more_items_than_a_request_takes(session: AmplifierSession) -> None:
    await session.add_items(said(*map(str, range(1001))))
    assert contents(await session.get_items()) == list(map(str, range(1001)))
    assert contents(await session.get_items(1001)) == list(map(str, range(1001)))


async def test_items_larger_than_a_request_with_keys_takes(session: AmplifierSession) -> None:
    items = said("x" * 5_000_000, "y" * 5_000_000)
    await session.add_items(items)
    assert await session.get_items() == items


async def test_items_whose_answer_is_lost_are_added_once(service: Service, key: str) -> None:
    session = AmplifierSession(key, client=AsyncAmplifier(transport=LosesAnswers(2, "POST")))
    await session.add_items(said("a", "b"))
    assert contents(await session.get_items()) == ["a", "b"]


async def test_pop_whose_answer_is_lost_takes_one_item(session: AmplifierSession, key: str) -> None:
    await session.add_items(said("a", "b", "c"))
    losing = AmplifierSession(key, client=AsyncAmplifier(transport=LosesAnswers(2, "POST")))
    assert contents([await losing.pop_item() or {}]) == ["c"]  # type: ignore[list-item]
    assert contents(await session.get_items()) == ["a", "b"]


async def test_runs_continue_where_the_last_one_ended(session: AmplifierSession, key: str, stub: model.Stub) -> None:
    agent = Agent(name="Travel", model="gpt-5-mini")
    first = await Runner.run(agent, "Is there a flight to Geneva?", session=session)
    assert first.final_output == "You said: Is there a flight to Geneva?"
    streamed = Runner.run_streamed(agent, "And back?", session=AmplifierSession(key, client=AsyncAmplifier()))
    async for _ in streamed.stream_events():
        pass
    assert streamed.final_output == "You said: And back?"
    assert [item.get("role") for item in stub.requests[1]["input"]] == ["user", "assistant", "user"]
    assert len(await session.get_items()) == 4
    found = await AsyncAmplifier().search("Geneva flight", session_id=await session.amplifier.id())
    assert [hit.role for hit in found.items] == ["user", "assistant"] or len(found.items) == 2


def test_synchronous_runs_use_the_session_one_after_the_other(service: Service, key: str, stub: model.Stub) -> None:
    agent = Agent(name="Travel", model="gpt-5-mini")
    for number in range(1, 3):
        assert Runner.run_sync(agent, "Hi", session=AmplifierSession(key)).final_output == "You said: Hi"
        assert len(stub.requests[-1]["input"]) == 2 * number - 1
