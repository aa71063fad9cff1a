"""Every example is sent to each provider as the table says, in requests that its rules accept."""

from typing import Any

import pytest
from amplifier_core.message_models import Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from amplifier.runtime.modules.core_messages import Writer
from tests.support import llm_rules
from tests.transcripts.examples import examples, sent_examples
from tests.transcripts.sent import around, bodies, sent
from tests.transcripts.test_reader import NAMES, values

EXAMPLES = dict(examples())
SENT = sent_examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_sent_as_the_table_says(name: str) -> None:
    assert sent(EXAMPLES[name]["message"]) == SENT.get(name), "python -m tests.transcripts.examples writes the table"


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_accepted_by_each_provider(name: str) -> None:
    for api, body in bodies(around(EXAMPLES[name]["message"])).items():
        assert llm_rules.refusal(api, body) is None, body


@given(st.lists(st.sampled_from(list(EXAMPLES.values())), max_size=12))
def test_examples_in_any_order_are_accepted_by_each_provider(chosen: list[dict[str, Any]]) -> None:
    messages = [{"role": "user", "content": "Begin."}, *(one["message"] for one in chosen)]
    for api, body in bodies([*messages, {"role": "user", "content": "Go on."}]).items():
        assert llm_rules.refusal(api, body) is None, body


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=6), max_size=4))
def test_any_objects_are_accepted_by_each_provider(messages: list[dict[str, Any]]) -> None:
    for api, body in bodies([*messages, {"role": "user", "content": "Go on."}]).items():
        assert llm_rules.refusal(api, body) is None, body
    written = [one for message in messages for one in Writer().write(message)]
    assert len(TypeAdapter(list[Message]).validate_python(written)) == len(written)
