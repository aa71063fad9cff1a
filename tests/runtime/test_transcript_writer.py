"""The transcript writer stores the messages of a turn and adds the context to a user's message."""

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from amplifier.runtime.modules.context import Window
from amplifier.runtime.transcript_writer import Transcript, cleaned, encoded, spoken
from amplifier.transcripts.turns import is_human


class Given(BaseModel):
    text: str


@pytest.fixture
def written() -> list[dict[str, Any]]:
    """Returns the list of appended messages."""
    return []


@pytest.fixture
def transcript(written: list[dict[str, Any]]) -> Transcript:
    async def append(message: bytes) -> None:
        written.append(msgspec.json.decode(message))

    return Transcript(Window(), append, frozenset({"a-secret"}))


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


HOOK = {"source": "hook", "event": "prompt:submit"}


async def test_only_new_messages_are_written(transcript: Transcript, written: list[dict[str, Any]]) -> None:
    said = [
        message("system", "Be brief."),
        message("user", "It is noon.", metadata=HOOK),
        message("user", "Hi"),
        message("developer", "Be kind."),
        message("user", "Hi"),
        message("assistant", "Well."),
    ]
    for one in said:
        await transcript.add_message(one)
    assert written == [said[1], said[4], said[5]]
    assert await transcript.get_messages() == said, "the model gets all"


async def test_unwritten_message_does_not_reach_context() -> None:
    async def append(message: bytes) -> None:
        raise LookupError("no database")

    transcript = Transcript(Window(), append, frozenset())
    await transcript.add_message(message("user", "Hi"))
    with pytest.raises(LookupError):
        await transcript.add_message(message("assistant", "Well."))
    assert await transcript.get_messages() == [message("user", "Hi")]


async def test_secret_is_not_written(transcript: Transcript, written: list[dict[str, Any]]) -> None:
    await transcript.add_message(message("tool", "it is a-secret", tool_call_id="a-secret"))
    assert written == [message("tool", "it is ***", tool_call_id="***")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a\0b", "ab"),
        ("half \ud83d", "half ?"),
        (r"the text \u0000", r"the text \u0000"),
        ({"a\0": ["\0", {"\udc00": 1}]}, {"a": ["", {"?": 1}]}),
        (Given(text="x"), {"text": "x"}),
        ((1, 2.5, None, True), [1, 2.5, None, True]),
        ("Zürich 😀", "Zürich 😀"),
    ],
)
def test_encoded_message_is_valid_for_database(given: Any, expected: Any) -> None:
    assert msgspec.json.decode(encoded({"content": given})) == {"content": expected}


def test_texts_in_pydantic_models_are_cleaned() -> None:
    assert msgspec.json.decode(encoded({"content": [Given(text="a\0b")]})) == {"content": [{"text": "ab"}]}
    assert cleaned({"a": ("\0",)}) == {"a": [""]}


def test_context_follows_text() -> None:
    given = message("user", "Hi", metadata={"context": {"b": 1, "a": "ü"}})
    assert spoken(given)["content"] == 'Hi\n\n<context>\n{"a":"ü","b":1}\n</context>'
    for other in (
        message("user", "Hi"),
        message("user", "Hi", metadata={"context": {}}),
        message("user", "Hi", metadata=["context"]),
        message("user", [{"type": "text", "text": "Hi"}], metadata={"context": {"a": 1}}),
        message("assistant", "Hi", metadata={"context": {"a": 1}}),
    ):
        assert spoken(other) is other


def test_message_of_hook_begins_no_turn() -> None:
    assert is_human(message("user", "Hi"))
    assert is_human(message("user", "Hi", metadata={"source": "web"}))
    assert not is_human(message("user", "It is noon.", metadata=HOOK))
    assert not is_human(message("user", "<system-reminder>noon</system-reminder>"))
    assert not is_human(message("assistant", "Hi"))
