"""Chat stores of LlamaIndex: every method, and chats that continue."""

import threading

import pytest
from amplifier_client import Amplifier
from amplifier_client.llamaindex import AmplifierChatStore
from faults import LosesAnswersSync
from llama_index.core.base.llms.types import ThinkingBlock, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, ImageBlock, MockLLM, TextBlock
from llama_index.core.memory import ChatMemoryBuffer
from serving import Service


@pytest.fixture
def store(service: Service) -> AmplifierChatStore:
    return AmplifierChatStore()


def said(*texts: str) -> list[ChatMessage]:
    return [ChatMessage(text) for text in texts]


def texts(messages: list[ChatMessage] | None) -> list[str | None]:
    return [message.content for message in messages or []]


def add(store: AmplifierChatStore, key: str, *words: str) -> None:
    for message in said(*words):
        store.add_message(key, message)


def test_messages_come_back_in_order_as_they_were(store: AmplifierChatStore, key: str) -> None:
    call = ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Geneva"})
    messages = [
        ChatMessage(role="user", blocks=[TextBlock(text="Weather?"), ImageBlock(image=b"\x89PNG\r\n\x1a\n")]),
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Ask."), call]),
        ChatMessage("rain", role="tool", additional_kwargs={"tool_call_id": "c1"}),
    ]
    for message in messages:
        store.add_message(key, message)
    assert store.get_messages(key) == messages


def test_key_that_nobody_used_is_empty_and_stays_unmade(store: AmplifierChatStore, key: str) -> None:
    assert store.get_messages(key) == []
    assert store.delete_messages(key) is None
    assert store.delete_message(key, 0) is None
    assert store.delete_last_message(key) is None
    store.set_messages(key, [])
    assert Amplifier().find(key) is None


@pytest.mark.parametrize("after", ["abc", "abcd", "ab", "axc", "xyz", "", "bc"])
def test_set_messages_replace_those_before(store: AmplifierChatStore, key: str, after: str) -> None:
    add(store, key, *"abc")
    store.set_messages(key, said(*after))
    assert texts(store.get_messages(key)) == list(after)


def test_set_messages_that_stay_the_same_keep_their_numbers(store: AmplifierChatStore, key: str) -> None:
    add(store, key, *"abc")
    store.set_messages(key, said(*"abx"))
    numbers = [entry.seq for entry in Amplifier().session(key).messages()]
    assert numbers[:2] == [1, 2]
    assert numbers[2] > 3


@pytest.mark.parametrize(("idx", "taken", "left"), [(0, "a", "bc"), (1, "b", "ac"), (-1, "c", "ab"), (3, None, "abc")])
def test_message_is_deleted_by_index(
    store: AmplifierChatStore, key: str, idx: int, taken: str | None, left: str
) -> None:
    add(store, key, *"abc")
    message = store.delete_message(key, idx)
    assert (message and message.content) == taken
    assert texts(store.get_messages(key)) == list(left)


def test_last_message_is_taken_by_one_caller_only(store: AmplifierChatStore, key: str) -> None:
    add(store, key, *"abcdefgh")
    taken: list[str | None] = []

    def take() -> None:
        for _ in range(4):
            taken.extend(texts([message] if (message := store.delete_last_message(key)) else []))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, taken)) == list("abcdefgh")
    assert store.delete_last_message(key) is None


def test_deleted_messages_are_returned_and_gone_from_search(store: AmplifierChatStore, key: str) -> None:
    word = f"secret{key.rpartition('-')[2]}"
    add(store, key, "a", word)
    assert texts(store.delete_messages(key)) == ["a", word]
    assert store.get_messages(key) == []
    assert Amplifier().search(word).items == []


def test_keys_are_those_of_chat_stores(store: AmplifierChatStore, key: str) -> None:
    add(store, key, "a")
    Amplifier().session(f"{key}/other").append([{"role": "user", "content": "a"}])
    keys = [one for one in store.get_keys() if one.startswith(key)]
    assert keys == [key]


def test_more_messages_than_a_request_takes(store: AmplifierChatStore, key: str) -> None:
    numbers = list(map(str, range(1001)))
    store.set_messages(key, said(*numbers))
    assert texts(store.get_messages(key)) == numbers
    store.set_messages(key, said("a"))
    assert texts(store.get_messages(key)) == ["a"]


def test_message_whose_answer_is_lost_is_added_once(service: Service, key: str) -> None:
    store = AmplifierChatStore(Amplifier(transport=LosesAnswersSync(2, "POST")))
    add(store, key, "a")
    assert texts(store.get_messages(key)) == ["a"]


async def test_asynchronous_methods_do_the_same(store: AmplifierChatStore, key: str) -> None:
    await store.async_add_message(key, ChatMessage("a"))
    assert texts(await store.aget_messages(key)) == ["a"]
    assert texts(await store.adelete_messages(key)) == ["a"]


def test_chats_continue_where_the_last_one_ended(store: AmplifierChatStore, key: str) -> None:
    for text in ("one", "two"):
        memory = ChatMemoryBuffer.from_defaults(chat_store=AmplifierChatStore(), chat_store_key=key, token_limit=9000)
        SimpleChatEngine.from_defaults(llm=MockLLM(), memory=memory).chat(text)
    found = store.get_messages(key)
    assert [message.role.value for message in found] == ["user", "assistant", "user", "assistant"]
    assert [found[0].content, found[2].content] == ["one", "two"]
