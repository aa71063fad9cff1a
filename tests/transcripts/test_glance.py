"""A glance at a message agrees with the reader, and transcripts that look plain need no repair."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts import turns
from amplifier.transcripts.glance import glance
from amplifier.transcripts.integrity import diagnose, valid
from amplifier.transcripts.parts import Call, Part, Reading, Result, Thinking
from amplifier.transcripts.plain import is_plain
from amplifier.transcripts.reader import read
from tests.transcripts.test_reader import NAMES, values

ROLES = st.sampled_from(["user", "assistant", "tool", "system", "model"])
IDS = st.sampled_from(["a", "b", "", None])
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_call", "tool_result", "thinking", "image", "function"])},
    optional={
        **dict.fromkeys(("id", "tool_use_id", "tool_call_id", "name", "tool"), IDS),
        **dict.fromkeys(("text", "thinking", "content", "output"), IDS | st.lists(values, max_size=1)),
        "function": st.fixed_dictionaries({}, optional={"name": IDS}),
    },
)
messages = st.fixed_dictionaries(
    {"role": ROLES, "content": IDS | st.lists(blocks, max_size=3) | values},
    optional={"tool_call_id": IDS, "tool_calls": st.lists(blocks, max_size=3) | values, "name": IDS},
)
odd = st.dictionaries(st.sampled_from(NAMES), values, max_size=2)


def outlines(reading: Reading) -> list[Any]:
    """Returns what pairing needs to know of a message. Thinking beside the content is left out."""
    return [outline(part) for part in reading.parts if not isinstance(part, Thinking)]


def outline(part: Part) -> Any:
    if isinstance(part, Call):
        return "call", part.id, part.name, part.hosted
    if isinstance(part, Result):
        return "result", part.call_id, part.hosted
    return msgspec.to_builtins(part)


@pytest.mark.slow
@given(messages, odd)
def test_glance_agrees_with_reader(message: dict[str, Any], more: dict[str, Any]) -> None:
    for one in (message, {**more, **message}):
        seen, read_ = glance(one), read(one)
        if seen is not None:
            assert (seen.role, outlines(seen)) == (read_.role, outlines(read_))


@pytest.mark.slow
@given(st.lists(messages, max_size=4), odd)
def test_transcript_that_looks_plain_has_no_findings(given: list[dict[str, Any]], more: dict[str, Any]) -> None:
    for transcript in (given, [{**more, **message} for message in given]):
        if is_plain(transcript):
            assert [one for one in diagnose(transcript) if one.needs_repair] == []
            assert all(turns.results(read(message)) == [] for message in transcript if message["role"] != "tool")
            assert valid(transcript) is transcript


def test_usual_messages_are_seen_at_a_glance() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    use = {"type": "tool_use", "id": "a", "name": "get", "input": {}}
    thought = {"type": "thinking", "thinking": "I must get it", "signature": "s"}
    returned = {"type": "tool_result", "tool_use_id": "a", "content": "it"}
    usual: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "it"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I get it"}, use]},
        {"role": "user", "content": [returned]},
    ]
    for message in usual:
        seen = glance(message)
        assert seen is not None
        assert list(map(outline, seen.parts))[-1] == outline(read(message).parts[-1])
