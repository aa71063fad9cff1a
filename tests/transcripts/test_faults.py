"""The diagnosis finds all that providers refuse in single messages, names the providers, and asks for no repair."""

from typing import Any

import pytest

from amplifier.transcripts.integrity import diagnose, repaired, valid
from tests.transcripts.test_tool_calls import ASKED, SAID

Message = dict[str, Any]
BOTH = ("anthropic", "openai")
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def found(*messages: Message) -> list[tuple[str, int, tuple[str, ...]]]:
    transcript = [ASKED, *messages, SAID]
    findings = diagnose(transcript)
    assert not any(one.needs_repair for one in findings)
    assert all("nothing needs to be done, models are" in one.detail for one in findings)
    assert repaired(transcript) == list(enumerate(transcript))
    return [(one.problem, one.index, one.providers) for one in findings]


def round_of(*calls: tuple[str, str]) -> list[Message]:
    """Returns a message with calls, given as ids and names, and their results."""
    listed = [{"id": id, "tool": name, "arguments": {}} for id, name in calls]
    results = [{"role": "tool", "tool_call_id": id, "content": "ok"} for id, _ in calls]
    return [{"role": "assistant", "content": "", "tool_calls": listed}, *results]


def user(*blocks: Any) -> Message:
    return {"role": "user", "content": list(blocks)}


def image(**source: Any) -> Message:
    return user({"type": "image", "source": source})


def test_id_of_earlier_call_is_refused_by_anthropic() -> None:
    assert found(*round_of(("a", "get")), *round_of(("a", "get"))) == [("repeated_id", 3, ("anthropic",))]


def test_id_of_call_in_same_message_is_refused_by_both() -> None:
    assert found(*round_of(("a", "get"), ("a", "get"))) == [("repeated_id", 1, BOTH)]


@pytest.mark.parametrize(
    ("id", "refusing"), [("functions.get:0", ("anthropic",)), ("x" * 41, ("openai",)), ("é" * 41, BOTH)]
)
def test_id_that_a_provider_refuses_is_found(id: str, refusing: tuple[str, ...]) -> None:
    assert found(*round_of((id, "get"))) == [("unusable_id", 1, refusing)]


@pytest.mark.parametrize(("name", "refusing"), [("fs.read", BOTH), ("x" * 65, ("openai",)), ("x" * 129, BOTH)])
def test_name_that_a_provider_refuses_is_found(name: str, refusing: tuple[str, ...]) -> None:
    assert found(*round_of(("a", name))) == [("unusable_name", 1, refusing)]


def test_id_and_name_at_the_bounds_are_accepted() -> None:
    assert found(*round_of(("x" * 40, "y" * 64))) == []


@pytest.mark.parametrize(
    "message",
    [
        image(type="url", url="https://example.com/a.png"),
        image(**PNG),
        user({"type": "input_image", "image_url": "data:image/png;base64,aGk="}),
        user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}),
    ],
)
def test_image_or_file_that_is_sent_is_no_fault(message: Message) -> None:
    assert found(message) == []


@pytest.mark.parametrize(
    ("message", "refusing"),
    [
        (image(type="url", url="file:///a.png"), BOTH),
        (image(**PNG | {"media_type": "image/tiff"}), BOTH),
        (user({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,aGk="}}), BOTH),
        (user({"type": "input_file", "file_id": "file-1"}), ("anthropic",)),
        (user({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}), ("openai",)),
        (user({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}), ("anthropic",)),
        (user({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "flac"}}), BOTH),
    ],
)
def test_part_that_a_provider_takes_in_no_form_is_found(message: Message, refusing: tuple[str, ...]) -> None:
    assert found(message) == [("unsendable_part", 1, refusing)]


def test_image_in_result_is_found() -> None:
    call, result = round_of(("a", "get"))
    shown = {**result, "content": image(type="url", url="blob:1")["content"]}
    assert found(call, shown) == [("unsendable_part", 2, BOTH)]


@pytest.mark.parametrize("content", ["", " \n", [], [{"type": "text", "text": " "}], None])
def test_blank_message_is_found(content: Any) -> None:
    assert found({"role": "user", "content": content}) == [("blank_message", 1, ("anthropic",))]


def test_entry_that_is_no_message_is_left_out() -> None:
    entry = {"type": "file-history-snapshot", "snapshot": {}}
    call, result = round_of(("a", "get"))
    assert found(call, entry, result) == [("no_message", 2, BOTH)]
    assert valid([ASKED, call, entry, result, SAID]) == [ASKED, call, result, SAID]


@pytest.mark.parametrize("what", ["The run failed before it answered.", "The turn ended before it was answered."])
def test_answer_that_a_release_wrote_for_assistant_is_left_out(what: str) -> None:
    note = {"role": "assistant", "content": what, "metadata": {"interrupted": "failed"}}
    assert found(note, ASKED) == [("placeholder_answer", 1, ())]
    assert valid([ASKED, note, ASKED, SAID]) == [ASKED, ASKED, SAID]
    said = {"role": "assistant", "content": what}
    assert valid([ASKED, said, ASKED, SAID]) == [ASKED, said, ASKED, SAID]


def test_note_replaces_written_answer_after_results() -> None:
    words, marks = "The run was cancelled before it answered.", {"interrupted": "cancelled"}
    note = {"role": "assistant", "content": words, "metadata": marks}
    call, result = round_of(("a", "get"))
    given = valid([ASKED, call, result, note, ASKED])
    assert [one["content"] for one in given] == ["Go on", "", "ok", "(The turn ended before it was answered.)", "Go on"]


def test_order_of_results_is_refused_by_no_provider() -> None:
    call, first, second = round_of(("a", "get"), ("b", "get"))
    assert [(one.problem, one.providers) for one in diagnose([ASKED, call, second, first, SAID])] == [
        ("misplaced_result", ())
    ]
    assert diagnose([ASKED, call, SAID, first, second])[0].providers == BOTH


def test_text_before_last_result_of_a_message_is_found() -> None:
    blocks = [{"type": "tool_result", "tool_use_id": id, "content": "ok"} for id in "ab"]
    shown = [user(block, {"type": "text", "text": "note"}) for block in blocks]
    assert found(round_of(("a", "get"), ("b", "get"))[0], *shown) == [("text_between_results", 2, BOTH)]
