"""The context manager selects the newest complete turns, and never a call without its result."""

from types import SimpleNamespace
from typing import Any

import pytest

from amplifier.runtime.modules.context import Window

SYSTEM = {"role": "system", "content": "Be brief."}


def turn(number: int, size: int = 400) -> list[dict[str, Any]]:
    """Returns a turn with a call, of about four times `size` characters."""
    text = f"{number} ".ljust(size, ".")
    calls = [{"id": f"c{number}", "tool": "say", "arguments": {"text": text}}]
    return [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": f"c{number}", "name": "say", "content": text},
        {"role": "assistant", "content": [{"type": "text", "text": text}]},
    ]


async def filled(messages: list[dict[str, Any]], **config: Any) -> Window:
    window = Window(config)
    await window.set_messages(messages)
    return window


async def test_system_prompt_comes_first_and_is_not_stored() -> None:
    window = await filled([], system_prompt="Be brief.")
    await window.add_message({"role": "user", "content": "Hi"})
    assert await window.get_messages_for_request() == [SYSTEM, {"role": "user", "content": "Hi"}]
    assert await window.get_messages() == [{"role": "user", "content": "Hi"}]
    await window.clear()
    assert await window.get_messages() == []
    assert await window.get_messages_for_request() == [SYSTEM]


async def test_changing_returned_list_leaves_messages_unchanged() -> None:
    window = await filled(turn(1))
    (await window.get_messages()).clear()
    (await window.get_messages_for_request()).clear()
    (await window.get_messages_for_request(token_budget=10**6)).clear()
    (await window.get_messages_for_request(token_budget=1)).clear()
    assert await window.get_messages() == turn(1)


async def test_oldest_turns_are_left_out() -> None:
    messages = turn(1) + turn(2) + turn(3)
    window = await filled(messages, max_tokens=10_000, system_prompt="Be brief.")
    assert await window.get_messages_for_request() == [SYSTEM, *messages]
    window = await filled(messages, max_tokens=900, system_prompt="Be brief.")
    assert await window.get_messages_for_request() == [SYSTEM, *turn(2), *turn(3)]
    assert await window.get_messages() == messages
    for message in turn(4):
        await window.add_message(message)
    assert await window.get_messages_for_request() == [SYSTEM, *turn(3), *turn(4)]


async def test_last_turn_stays_if_larger_than_budget() -> None:
    window = await filled(turn(1) + turn(2, size=100_000), max_tokens=10)
    assert await window.get_messages_for_request() == turn(2, size=100_000)
    window = await filled(turn(1)[1:], max_tokens=1)
    assert await window.get_messages_for_request() == turn(1)[1:]  # no turn at all: nothing to cut


async def test_system_messages_before_first_turn_stay() -> None:
    said = {"role": "developer", "content": "Rules"}
    greeting = {"role": "assistant", "content": "Hello"}
    window = await filled([said, greeting, *turn(1), *turn(2)], max_tokens=500)
    assert await window.get_messages_for_request() == [said, *turn(2)]


async def test_reminders_begin_no_turn() -> None:
    reminder = {"role": "user", "content": "<system-reminder>x</system-reminder>"}
    messages = [*turn(1), *turn(2)[:3], reminder, turn(2)[3]]
    assert await (await filled(messages, max_tokens=1)).get_messages_for_request() == messages[4:]


@pytest.mark.parametrize(
    "call",
    [
        {"content": "", "tool_calls": [{"id": "c", "tool": "say", "arguments": {}}]},
        {"content": [{"type": "tool_use", "id": "c", "name": "say", "input": {}}]},
    ],
)
async def test_call_keeps_its_result_of_next_turn(call: dict[str, Any]) -> None:
    late = [
        {"role": "user", "content": "run it"},
        {"role": "assistant", **call},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        {"role": "assistant", "content": "It is done"},
    ]
    assert await (await filled([*turn(1), *late], max_tokens=1)).get_messages_for_request() == late


async def test_budget_follows_from_provider() -> None:
    messages = turn(1) + turn(2) + turn(3)
    window = await filled(messages)

    def asked(**defaults: Any) -> Any:
        info = SimpleNamespace(defaults=defaults)
        return window.get_messages_for_request(provider=SimpleNamespace(get_info=lambda: info))

    assert await asked() == messages
    assert await asked(context_window=None) == messages
    assert await asked(context_window=900) == messages[4:]
    assert await asked(context_window=1900, max_output_tokens=1000) == messages[4:]
    assert await asked(context_window=1800, max_tokens=5000) == messages[4:]
    assert await window.get_messages_for_request(token_budget=450) == messages[8:]
    assert await window.get_messages_for_request(provider=SimpleNamespace()) == messages


async def test_image_counts_with_fixed_size() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 400_000}}
    messages = [*turn(1), {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}]
    assert await (await filled(messages, max_tokens=3_000)).get_messages_for_request() == messages
    assert await (await filled(messages, max_tokens=1_500)).get_messages_for_request() == messages[4:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"system_prompt": 1},
        {"system_prompt": "x" * 100_001},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": "9"},
    ],
)
def test_invalid_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Window(wrong)


async def test_system_messages_before_the_cut_stay_in_order() -> None:
    rules = {"role": "system", "content": "Rules"}
    more = {"role": "developer", "content": "More rules"}
    last = {"role": "system", "content": "Last rules"}
    messages = [rules, *turn(1), more, *turn(2), *turn(3)[:2], last, *turn(3)[2:]]
    assert await (await filled(messages, max_tokens=500)).get_messages_for_request() == [rules, more, *messages[10:]]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 400_000},
        {"inlineData": {"mimeType": "image/png", "data": "A" * 400_000}},
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "image", "source": {"url": "https://e.org/a"}}],
        },
    ],
)
async def test_image_of_any_format_counts_the_same(block: dict[str, Any]) -> None:
    messages = [*turn(1), {"role": "user", "content": "Look"}, {"role": "user", "content": [block]}]
    assert await (await filled(messages, max_tokens=2_100)).get_messages_for_request() == messages
    assert (await (await filled(messages, max_tokens=1_900)).get_messages_for_request())[0]["content"] == "Look"


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "A" * 400_000}}, 12_000),
        ({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}, 1_600),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words " * 100}}, 150),
        ({"type": "input_audio", "input_audio": {"data": "A" * 4_000_000, "format": "wav"}}, 1_875),
        ({"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}, 100),
    ],
)
async def test_file_and_recording_count_by_their_bytes(block: dict[str, Any], tokens: int) -> None:
    messages = [
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": ""},
    ]
    assert await (await filled(messages, max_tokens=tokens + 1)).get_messages_for_request() == messages
    assert await (await filled(messages, max_tokens=tokens)).get_messages_for_request() == messages[2:]


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (
            {"role": "model", "parts": [{"functionCall": {"name": "run"}}]},
            {"parts": [{"functionResponse": {"name": "run"}}]},
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "run", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "done"},
        ),
    ],
)
async def test_call_of_another_format_keeps_its_result(call: dict[str, Any], result: dict[str, Any]) -> None:
    late = [
        {"role": "user", "content": "run it"},
        call,
        {"role": "user", "content": "and?"},
        {"role": "user", **result},
    ]
    late[-1] = result if "type" in result else late[-1]
    assert await (await filled([*turn(1), *late], max_tokens=1)).get_messages_for_request() == late


async def test_each_new_cut_is_told() -> None:
    told: list[Any] = []

    async def tell(event: str, data: dict[str, Any]) -> None:
        told.append((event, data))

    window = Window({"max_tokens": 900}, tell)
    await window.set_messages(turn(1) + turn(2))
    await window.get_messages_for_request()
    assert told == []
    for message in turn(3):
        await window.add_message(message)
    await window.get_messages_for_request()
    await window.get_messages_for_request()
    assert told == [("context:compaction", {"messages": 8, "left_out": 4, "limit": "max_tokens"})]
