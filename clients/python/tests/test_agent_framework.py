"""Histories of the Microsoft Agent Framework: every method, and runs of agents."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import pytest
from agent_framework import Agent, BaseChatClient, ChatResponse, Content, Message
from amplifier_client import AsyncAmplifier
from amplifier_client.agent_framework import AmplifierHistoryProvider
from faults import LosesAnswers
from serving import Service


class Echo(BaseChatClient[Any]):
    """A model that repeats the last message, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[str]] = []

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse]:
        self.sent.append([message.text for message in messages])

        async def answer() -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", [f"You said: {messages[-1].text}"])])

        return answer()


@pytest.fixture
def history(service: Service) -> AmplifierHistoryProvider:
    return AmplifierHistoryProvider()


def said(*texts: str) -> list[Message]:
    return [Message("user", [text]) for text in texts]


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def call(city: str) -> Content:
    return Content.from_function_call(call_id="c1", name="weather", arguments=f'{{"city": "{city}"}}')


async def test_messages_come_back_in_order_as_they_were(history: AmplifierHistoryProvider, key: str) -> None:
    messages = [
        Message("user", ["Weather?", Content.from_data(b"png", media_type="image/png")], message_id="m1"),
        Message("assistant", [Content.from_text_reasoning(text="Ask."), call("Geneva")], author_name="Desk"),
        Message("tool", [Content.from_function_result(call_id="c1", result="rain")]),
        Message("assistant", ["Rain."], additional_properties={"score": 1}),
    ]
    await history.save_messages(key, messages[:2])
    await history.save_messages(key, messages[2:])
    found = await history.get_messages(key)
    assert [message.to_dict() for message in found] == [message.to_dict() for message in messages]


async def test_session_that_nobody_used_is_empty_and_stays_unmade(history: AmplifierHistoryProvider, key: str) -> None:
    assert await history.get_messages(key) == []
    await history.save_messages(key, [])
    assert await AsyncAmplifier().find(key) is None


async def test_run_without_session_leaves_nothing(history: AmplifierHistoryProvider) -> None:
    before = [row.session_id async for row in AsyncAmplifier().sessions()]
    await history.save_messages(None, said("Hi"))
    assert await history.get_messages(None) == []
    assert [row.session_id async for row in AsyncAmplifier().sessions()] == before


async def test_limit_counts_from_the_newest_message(history: AmplifierHistoryProvider, key: str) -> None:
    await history.save_messages(key, said(*"abcde"))
    for limit, expected in ((None, "abcde"), (2, "de"), (9, "abcde"), (0, "")):
        assert texts(await AmplifierHistoryProvider(limit=limit).get_messages(key)) == list(expected)


async def test_messages_that_are_sent_again_are_stored_once(history: AmplifierHistoryProvider, key: str) -> None:
    turns = [Message("user", ["a"]), Message("assistant", ["b"]), Message("user", ["c"]), Message("assistant", ["d"])]
    await history.save_messages(key, turns[:2])
    await history.save_messages(key, turns)
    await history.save_messages(key, said("c"))
    assert texts(await history.get_messages(key)) == ["a", "b", "c", "d", "c"]


async def test_roles_and_words_are_found_in_search(history: AmplifierHistoryProvider, key: str) -> None:
    word = f"Geneva{key.rpartition('-')[2]}"
    result = Content.from_function_result(call_id="c1", result=word)
    await history.save_messages(key, [*said(word), Message("assistant", [call(word)]), Message("tool", [result])])
    hits = (await AsyncAmplifier().search(word)).items
    assert sorted(str(hit.role) for hit in hits) == ["assistant", "tool", "user"]


async def test_more_messages_than_a_request_takes(history: AmplifierHistoryProvider, key: str) -> None:
    numbers = list(map(str, range(1001)))
    await history.save_messages(key, said(*numbers))
    assert texts(await history.get_messages(key)) == numbers


async def test_messages_whose_answer_is_lost_are_added_once(service: Service, key: str) -> None:
    history = AmplifierHistoryProvider(client=AsyncAmplifier(transport=LosesAnswers(2, "POST")))
    await history.save_messages(key, said("a", "b"))
    assert texts(await history.get_messages(key)) == ["a", "b"]


async def test_agents_continue_where_the_last_one_ended(service: Service, key: str) -> None:
    model = Echo()
    for text in ("one", "two"):
        agent = Agent(model, context_providers=[AmplifierHistoryProvider()])
        answer = await agent.run(text, session=agent.create_session(session_id=key))
        assert answer.text == f"You said: {text}"
    assert model.sent == [["one"], ["one", "You said: one", "two"]]
    assert len(await AmplifierHistoryProvider().get_messages(key)) == 4
