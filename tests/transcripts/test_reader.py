"""Messages of every known format are read into the parts that the table of examples says, and no message fails."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts.parts import Call, Reading, Thinking
from amplifier.transcripts.reader import read
from tests.transcripts.examples import examples, understood

EXAMPLES = dict(examples())
# names and values that the reader looks at, so that random messages reach its branches
NAMES = re.findall(
    r"\S+",
    """
role type content parts text thinking tool_calls function_call function name arguments input id call_id output source
tool_call_id tool_use_id state toolInvocation data kind part_kind message payload kwargs info author refusal audio json
reasoning_content thinking_block signature visibility url image_url inlineData functionCall functionResponse toolUse
file toolResult reasoningContent reasoningText summary result error status additional_kwargs value items document
images toolInvocations guardContent citationsContent mediaType filename transcript thought part_kind tool_call_result
""",
)
VALUES = re.findall(
    r"\S+",
    """
user assistant tool model text thinking tool_use tool_result reasoning function_call function_call_output image document
web_search_call web_search_tool_result image_generation_call tool-x dynamic-tool response_item human internal data: {
resource compaction mcp_call source-document refusal audio json ThoughtEvent text/plain AIMessage message request
""",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_read_into_its_parts(name: str) -> None:
    example = EXAMPLES[name]
    assert understood(example["message"]) == {key: example[key] for key in ("role", "author", "parts", "searched")}


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=6))
def test_any_object_is_read_into_parts_that_json_can_hold(message: dict[str, Any]) -> None:
    reading = read(message)
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading, strict=True).role == reading.role


def test_hidden_blocks_are_left_out_on_demand() -> None:
    hidden = {"type": "text", "text": "secret", "visibility": "internal"}
    message = {"role": "assistant", "content": [hidden, {"type": "text", "text": "shown"}]}
    assert [len(read(message, hidden=hides).parts) for hides in (True, False)] == [2, 1]


def test_marks_of_the_prompt_cache_belong_to_the_last_part_of_a_block() -> None:
    mark = {"type": "ephemeral"}
    reading = read({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}, "b"]})
    assert [part.cache_control for part in reading.parts] == [mark, None]


@pytest.mark.parametrize(
    ("block", "maker"),
    [
        ({"type": "thinking", "thinking": "a", "signature": "s"}, "anthropic"),
        ({"type": "redacted_thinking", "data": "s"}, "anthropic"),
        ({"text": "a", "thought": True, "thoughtSignature": "s"}, "google"),
        ({"type": "reasoning", "summary": [], "encrypted_content": "s"}, "openai"),
        ({"type": "reasoning.encrypted", "data": "s"}, None),
        ({"part_kind": "thinking", "content": "a", "signature": "s", "provider_name": "google-vertex"}, "google"),
        ({"type": "thinking", "thinking": "a"}, None),
    ],
)
def test_maker_of_a_signature_is_known(block: dict[str, Any], maker: str | None) -> None:
    (part,) = read({"role": "assistant", "content": [block]}).parts
    assert isinstance(part, Thinking)
    assert part.by == maker


def test_arguments_have_the_order_of_their_text_while_that_says_the_same() -> None:
    call = {"id": "c", "tool": "f", "arguments": {"b": 1, "aa": 2}, "arguments_text": '{"aa":2,"b":1}'}
    for value, order in ((1, ["aa", "b"]), (3, ["b", "aa"])):
        call["arguments"] = {"b": value, "aa": 2}
        (part,) = read({"role": "assistant", "content": "", "tool_calls": [call]}).parts
        assert isinstance(part, Call)
        assert (list(part.arguments), part.arguments["b"]) == (order, value)
