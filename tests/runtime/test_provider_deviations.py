"""An answer whose members have other types than the API names is read, or fails as an answer that is none."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from amplifier_core import LLMError

from tests.runtime.test_provider_recordings import STREAMS, read, recorded

VALUES: list[Any] = [None, 0, 1.5, True, "", "x", [], {}, [None], ["x"], [[]], {"x": None}, [{"x": 1}], 10**30]
VALUES += ["\ud83d", ["\udc3b"], {"\ud83d": "\udc3b"}]
Place = tuple[str | int, ...]


def places(value: Any, before: Place = ()) -> Iterator[Place]:
    """Yields the places of all values in a JSON value."""
    yield before
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*before, key))


def changed(text: str, place: Place, value: Any) -> str:
    """Returns the JSON text with another value in one place."""
    whole: Any = [json.loads(text)]
    inner = whole
    for key in (0, *place)[:-1]:
        inner = inner[key]
    inner[(0, *place)[-1]] = value
    return json.dumps(whole[0])


@pytest.mark.parametrize("name", STREAMS)
async def test_member_of_another_type_raises_no_other_error(name: str) -> None:
    body, expected = recorded(name)
    lines = body.decode(errors="replace").split("\n")
    chunks = [at for at, line in enumerate(lines) if line.startswith("data:") and "{" in line and "NaN" not in line]
    turn = 0
    for at in chunks:
        text = lines[at].removeprefix("data:")
        for place in places(json.loads(text)):
            turn += 1
            value = VALUES[turn % len(VALUES)]
            other = [*lines[:at], f"data: {changed(text, place, value)}", *lines[at + 1 :]]
            try:
                response = await read(["\n".join(other).encode()], expected.get("api", "openai"))
            except LLMError:
                continue
            for block in response.content:
                msgspec.json.encode(block.model_dump(mode="json"))
