"""Messages of every known format are read into the parts that the table of examples says, and no message fails."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts.parts import Reading
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
file toolResult reasoningContent reasoningText summary result error status additional_kwargs
""",
)
VALUES = re.findall(
    r"\S+",
    """
user assistant tool model text thinking tool_use tool_result reasoning function_call function_call_output image document
web_search_call web_search_tool_result image_generation_call tool-x dynamic-tool response_item human internal data: {
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
    assert understood(example["message"]) == {key: example[key] for key in ("role", "author", "parts")}


@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=6))
def test_any_object_is_read_into_parts_that_json_can_hold(message: dict[str, Any]) -> None:
    reading = read(message)
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading, strict=True).role == reading.role


def test_hidden_blocks_are_left_out_on_demand() -> None:
    hidden = {"type": "text", "text": "secret", "visibility": "internal"}
    message = {"role": "assistant", "content": [hidden, {"type": "text", "text": "shown"}]}
    assert [len(read(message, hidden=hides).parts) for hides in (True, False)] == [2, 1]
