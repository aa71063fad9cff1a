"""Conversations of pydantic-ai: every primitive of its store, beside its own store in memory, and runs."""

import asyncio
from collections.abc import Sequence

import pytest
from amplifier_client import AsyncAmplifier
from amplifier_client.pydantic_ai import AmplifierConversationStore
from faults import LosesAnswers
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationStore, InMemoryConversationStore
from pydantic_ai.messages import (
    BinaryImage,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage
from serving import Service


@pytest.fixture(params=["amplifier", "memory"])
def store(request: pytest.FixtureRequest, service: Service) -> ConversationStore:
    """The store, and the one of pydantic-ai, which must do the same."""
    return AmplifierConversationStore() if request.param == "amplifier" else InMemoryConversationStore()


@pytest.fixture
def ours(service: Service) -> AmplifierConversationStore:
    return AmplifierConversationStore()


def said(*texts: str) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(text)]) for text in texts]


def texts(messages: Sequence[ModelMessage]) -> list[str]:
    return [str(message.parts[0].content) for message in messages]  # type: ignore[union-attr]


async def saved(store: ConversationStore, key: str, *words: str) -> Conversation:
    conversation = Conversation(conversation_id=key, messages=said(*words))
    await store.save(conversation)
    return conversation


async def loaded(store: ConversationStore, key: str) -> list[str] | None:
    found = await store.load(key)
    return found and texts(found.messages)


async def test_messages_and_usage_come_back_as_they_were(store: ConversationStore, key: str) -> None:
    picture = BinaryImage(b"png", media_type="image/png")
    messages: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("Be brief."), UserPromptPart(["Weather?", picture])]),
        ModelResponse([ThinkingPart("Ask."), ToolCallPart("weather", {"city": "Geneva"}, "c1")]),
        ModelRequest([ToolReturnPart("weather", {"mm": 3}, "c1")]),
        ModelResponse([TextPart("Rain.")]),
    ]
    usage = RunUsage(requests=2, input_tokens=7)
    entries = await store.save(Conversation(conversation_id=key, messages=messages, usage=usage))
    found = await store.load(key)
    assert found is not None
    assert (found.messages, found.usage, found.conversation_id) == (messages, usage, key)
    assert [entry.id for entry in await store.load_entries(key) or []] == [entry.id for entry in entries]


async def test_conversation_that_nobody_saved_is_not_there(store: ConversationStore, key: str) -> None:
    assert await store.load(key) is None
    await store.delete(key)
    assert await AsyncAmplifier().find(key) is None


async def test_save_appends_what_is_new(store: ConversationStore, key: str) -> None:
    conversation = await saved(store, key, "a", "b")
    conversation.messages += said("c")
    assert len(await store.save(conversation)) == 1
    window = await store.load(key, limit=2)
    assert window is not None
    assert texts(window.messages) == ["b", "c"]
    window.messages += said("d")
    await store.save(window)
    assert await loaded(store, key) == ["a", "b", "c", "d"]


async def test_second_writer_is_refused(store: ConversationStore, key: str) -> None:
    await saved(store, key, "a")
    first, second = await store.load(key), await store.load(key)
    assert first is not None
    assert second is not None
    first.messages += said("first")
    second.messages += said("second")
    results = await asyncio.gather(store.save(first), store.save(second), return_exceptions=True)
    assert [type(one) for one in results].count(ConversationConflict) == 1
    assert len(await loaded(store, key) or []) == 2
    with pytest.raises(ConversationConflict):
        await saved(store, key, "new")


async def test_one_of_two_creators_wins(store: ConversationStore, key: str) -> None:
    results = await asyncio.gather(*(saved(store, key, text) for text in "abc"), return_exceptions=True)
    assert [type(one) for one in results].count(ConversationConflict) == 2
    assert len(await loaded(store, key) or []) == 1


async def test_branches_keep_the_history_that_they_leave(store: ConversationStore, key: str) -> None:
    conversation = await saved(store, key, "a", "b", "c")
    entries = await store.load_entries(key) or []
    branch = await store.branch(key, at=1, expected_revision=conversation.revision)
    branch.messages += said("x")
    await store.save(branch)
    assert await loaded(store, key) == ["a", "x"]
    back = await store.branch(key, from_entry=entries[2].id, expected_revision=branch.revision)
    assert texts(back.messages) == ["a", "b", "c"]


async def test_fork_goes_on_by_itself(store: ConversationStore, key: str) -> None:
    await saved(store, key, "a", "b", "c")
    fork = await store.fork(key, at=2, new_conversation_id=f"{key}/fork")
    fork.messages += said("x")
    await store.save(fork)
    await store.delete(key)
    assert await loaded(store, f"{key}/fork") == ["a", "b", "x"]


async def test_scope_keeps_a_conversation_to_its_owner(store: ConversationStore, key: str) -> None:
    await store.save(Conversation(conversation_id=f"{key}/1", messages=said("a")), scope=key)
    await store.save(Conversation(conversation_id=f"{key}/2", messages=said("b")), scope=key)
    await saved(store, f"{key}/3", "c")
    assert await store.load(f"{key}/1", scope="other") is None
    listed = await store.list_conversations(scope=key)
    assert [record.conversation_id for record in listed] == [f"{key}/2", f"{key}/1"]
    assert len(await store.list_conversations(scope=key, limit=1)) == 1


async def test_deleted_conversation_is_gone(store: ConversationStore, key: str) -> None:
    conversation = await saved(store, key, "a")
    await store.delete(key)
    assert await store.load(key) is None
    conversation.messages += said("b")
    with pytest.raises(ConversationConflict):
        await store.save(conversation)


async def test_conversation_deleted_by_another_client_is_gone(ours: AmplifierConversationStore, key: str) -> None:
    await saved(ours, key, "a")
    await AmplifierConversationStore(AsyncAmplifier()).delete(key)
    assert await ours.load(key) is None
    await saved(ours, key, "b")
    assert await loaded(ours, key) == ["b"]


async def test_messages_of_people_do_not_disturb(ours: AmplifierConversationStore, key: str) -> None:
    conversation = await saved(ours, key, "a")
    await AsyncAmplifier().session(key).append([{"role": "user", "content": "of a person"}])
    conversation.messages += said("b")
    await ours.save(conversation)
    assert await loaded(ours, key) == ["a", "b"]


async def test_more_messages_than_a_request_takes(ours: AmplifierConversationStore, key: str) -> None:
    numbers = list(map(str, range(1001)))
    await saved(ours, key, *numbers)
    assert await loaded(ours, key) == numbers


async def test_save_whose_answer_is_lost_is_made_once(service: Service, key: str) -> None:
    store = AmplifierConversationStore(AsyncAmplifier(transport=LosesAnswers(2, "POST")))
    await saved(store, key, "a")
    assert await loaded(store, key) == ["a"]


async def test_runs_continue_where_the_last_one_ended(ours: AmplifierConversationStore, key: str) -> None:
    word = f"Geneva{key.rpartition('-')[2]}"
    for text in (word, "And back?"):
        conversation = await AmplifierConversationStore().open(key)
        await ours.save(await Agent(TestModel()).run(text, conversation=conversation))
    found = await ours.load(key)
    assert found is not None
    assert [message.kind for message in found.messages] == ["request", "response"] * 2
    assert found.usage.requests == 2
    assert [hit.role for hit in (await AsyncAmplifier().search(word)).items] == ["user"]
