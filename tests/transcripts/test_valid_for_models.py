"""Each provider accepts the messages that `valid` returns of any transcript, and no words are lost on the way to it."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts.integrity import valid
from amplifier.transcripts.parts import Part, Refusal, Text
from amplifier.transcripts.reader import read
from amplifier.transcripts.tool_calls import Pairs
from amplifier.transcripts.turns import results
from tests.end_to_end.test_main_job import transcripts
from tests.support import llm_rules
from tests.transcripts.examples import examples
from tests.transcripts.sent import bodies
from tests.transcripts.test_tool_calls import ASKED, ROUNDS, SAID

Message = dict[str, Any]
NEXT: Message = {"role": "user", "content": "And now?"}
EXAMPLES = [example["message"] for _, example in examples()]
TURNS = [[ASKED, *messages, SAID] for messages in ROUNDS.values()]


@st.composite
def mixtures(draw: st.DrawFn) -> list[Message]:
    """Draws turns in several formats, of which messages are missing, moved and repeated, with examples between."""
    chosen = draw(st.lists(st.sampled_from(TURNS), max_size=3))
    messages = [message for turn in chosen for message in turn if draw(st.integers(0, 5))]
    for _ in range(draw(st.integers(0, 3))):
        extra = draw(st.sampled_from(messages + EXAMPLES))
        messages.insert(draw(st.integers(0, len(messages))), extra)
    return messages


def words(parts: list[Part]) -> list[str]:
    """Returns the texts of parts that every provider is sent as they are."""
    return [part.text.strip() for part in parts if isinstance(part, Text | Refusal) and part.text.strip()]


def spoken(messages: list[Message]) -> list[str]:
    """Returns the texts of a transcript, and of the results in it that belong to a call."""
    pairs = Pairs(messages)
    dead = Counter(one.message for one in pairs.dead)
    found: list[str] = []
    for index, message in enumerate(messages):
        reading = read(message)
        if reading.role is not None and pairs.effects[index] != "left out":
            found += words(reading.parts)
        if not dead[index]:
            found += [text for result in results(reading) for text in words(result.content)]
    return found


def check(messages: list[Message]) -> None:
    for api, body in bodies([*valid(messages), NEXT]).items():
        assert llm_rules.refusal(api, body) is None, body
        sent = json.dumps(body)
        assert [text for text in spoken(messages) if json.dumps(text)[1:-1] not in sent] == []


@given(st.lists(st.sampled_from(EXAMPLES), max_size=8))
def test_examples_in_any_order_are_accepted(messages: list[Message]) -> None:
    check(messages)


@given(mixtures())
def test_spoilt_turns_in_several_formats_are_accepted(messages: list[Message]) -> None:
    check(messages)


@pytest.mark.parametrize("name", ROUNDS)
def test_each_result_reaches_its_own_call(name: str) -> None:
    """Models without ids in their prompts see the results in the order of the calls."""
    turn = [ASKED, *ROUNDS[name], SAID]
    for body in bodies([*valid(turn * 2), NEXT]).values():
        text = json.dumps(body)
        assert "interrupted" not in text
        assert "returned:" not in text


def test_texts_beside_results_follow_all_results() -> None:
    calls, results = ROUNDS["bedrock"]
    shown = [{"role": "user", "content": [one, {"text": f"note {n}"}]} for n, one in enumerate(results["content"])]
    check([ASKED, calls, *shown, SAID])
    openai = bodies(valid([ASKED, calls, *shown, SAID]))["openai"]["messages"]
    assert [one["content"] for one in openai][2:] == ["ok", "ok", "note 0", "note 1", "Done"]


@pytest.mark.slow
def test_real_conversations_cut_anywhere_are_accepted() -> None:
    for messages in transcripts():
        for end in range(len(messages)):
            check(messages[: end + 1])
