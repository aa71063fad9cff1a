"""Chat histories of LangChain: every method, and a chain that continues a conversation."""

import asyncio

import pytest
from amplifier_client import Amplifier
from amplifier_client.langchain import AmplifierChatMessageHistory
from faults import LosesAnswersSync
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables.history import RunnableWithMessageHistory
from serving import Service


@pytest.fixture
def history(service: Service, key: str) -> AmplifierChatMessageHistory:
    return AmplifierChatMessageHistory(key)


def texts(messages: list[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages]


def test_messages_come_back_in_order_as_they_were(history: AmplifierChatMessageHistory) -> None:
    call = {"name": "weather", "args": {"city": "Geneva"}, "id": "call_1", "type": "tool_call"}
    messages: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "Weather?"}], id="m1", name="mia"),
        AIMessage("", tool_calls=[call], usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        ToolMessage("rain", tool_call_id="call_1", artifact={"mm": 3}, status="success"),
        AIMessage("Rain.", response_metadata={"model": "m"}),
    ]
    history.add_messages(messages[:2])
    history.add_messages(messages[2:])
    assert history.messages == messages


def test_history_that_nobody_used_is_empty_and_stays_unmade(history: AmplifierChatMessageHistory, key: str) -> None:
    assert history.messages == []
    history.add_messages([])
    history.clear()
    assert Amplifier().find(key) is None


def test_single_messages_are_added_in_order(history: AmplifierChatMessageHistory) -> None:
    history.add_user_message("a")
    history.add_ai_message("b")
    history.add_message(HumanMessage("c"))
    assert texts(history.messages) == ["a", "b", "c"]
    assert texts(history.last(2)) == ["b", "c"]


def test_cleared_history_begins_anew(history: AmplifierChatMessageHistory, key: str) -> None:
    other = AmplifierChatMessageHistory(key, client=Amplifier())
    history.add_user_message("a")
    other.add_user_message("b")
    history.clear()
    assert other.messages == []
    other.add_user_message("c")
    assert texts(history.messages) == ["c"]


def test_roles_and_words_are_found_in_search(history: AmplifierChatMessageHistory, key: str) -> None:
    word = f"Geneva{key.rpartition('-')[2]}"
    call = {"name": "weather", "args": {"city": word}, "id": "call_1"}
    history.add_messages([HumanMessage(word), AIMessage("", tool_calls=[call]), ToolMessage(word, tool_call_id="c")])
    hits = Amplifier().search(word, sort="recent").items
    assert sorted(str(hit.role) for hit in hits) == ["assistant", "tool", "user"]


def test_more_messages_than_a_request_takes(history: AmplifierChatMessageHistory) -> None:
    numbers = list(map(str, range(1001)))
    history.add_messages([HumanMessage(number) for number in numbers])
    assert texts(history.messages) == numbers


def test_messages_whose_answer_is_lost_are_added_once(service: Service, key: str) -> None:
    history = AmplifierChatMessageHistory(key, client=Amplifier(transport=LosesAnswersSync(2, "POST")))
    history.add_messages([HumanMessage("a"), AIMessage("b")])
    assert texts(history.messages) == ["a", "b"]


async def test_asynchronous_methods_do_the_same(history: AmplifierChatMessageHistory) -> None:
    await asyncio.gather(*(history.aadd_messages([HumanMessage(text)]) for text in "abc"))
    assert sorted(texts(await history.aget_messages())) == ["a", "b", "c"]
    await history.aclear()
    assert await history.aget_messages() == []


def test_title_and_tags_are_those_of_the_session(service: Service, key: str) -> None:
    history = AmplifierChatMessageHistory(key, title="Travel", tags={"team": "desk"})
    history.add_user_message("Hi")
    session = Amplifier().session(key).get()
    assert (session.title, session.tags, session.message_count) == ("Travel", {"team": "desk"}, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_chain_continues_where_the_last_one_ended(service: Service, key: str) -> None:
    settings = {"configurable": {"session_id": key}}
    for answer in ("one", "two"):
        chain = RunnableWithMessageHistory(FakeListChatModel(responses=[answer]), AmplifierChatMessageHistory)
        chain.invoke([HumanMessage("Hi")], settings)  # type: ignore[arg-type]
    assert texts(AmplifierChatMessageHistory(key).messages) == ["Hi", "one", "Hi", "two"]
