"""The text of arguments is stored where the database would return them in another form."""

from typing import Any

import pytest

from amplifier.runtime.argument_order import with_order


def calling(arguments: Any, **more: Any) -> dict[str, Any]:
    """Returns an assistant's message with a call."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "tool": "f", "arguments": arguments, **more}],
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ({"aa": 1, "b": 2}, '{"aa":1,"b":2}'),
        ({"a": [{"y": 1, "x": 2}]}, '{"a":[{"y":1,"x":2}]}'),
        ({"é": 1, "bb": 2, "a": 3}, '{"é":1,"bb":2,"a":3}'),
        ({"n": 1e20}, '{"n":1e20}'),
        ({"n": -0.0}, '{"n":-0.0}'),
    ],
)
def test_text_is_kept_of_arguments_that_would_change(arguments: dict[str, Any], text: str) -> None:
    message = calling(arguments)
    (call,) = with_order(message)["tool_calls"]
    assert call == {**message["tool_calls"][0], "arguments_text": text}
    assert "arguments_text" not in message["tool_calls"][0], "the message of the run stays as it is"
    block = {"type": "tool_call", "id": "c", "name": "f", "input": arguments}
    assert with_order({"role": "assistant", "content": [block]})["content"] == [block | {"arguments_text": text}]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"a": 1, "b": [1.5, {"c": None, "dd": 0.0}]},
        "text",
        None,
        {1: 2, 0: 1},
        {"b": object(), "a": 1},
        {"b": "\ud800", "a": 1},
    ],
)
def test_other_messages_stay_as_they_are(arguments: Any) -> None:
    message = calling(arguments)
    assert with_order(message) is message


def test_text_of_the_arguments_is_not_written_twice() -> None:
    message = calling({"b": 1, "a": 2}, arguments_text='{"b":1,"a":2}')
    assert with_order(message) is message
