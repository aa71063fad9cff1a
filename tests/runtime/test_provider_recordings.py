"""Answers in the shapes that servers document are read: whole, byte by byte, with other ends of lines, and cut off.

`tests/data/providers/SERVER/NAME.txt` is the body of a response, `NAME.json` beside it what is read of it. They are
written by hand after the documentation and public reports of each server.
"""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from amplifier_core import LLMError
from amplifier_core.message_models import ChatResponse, ToolSpec
from amplifier_core.testing import MockCoordinator

from amplifier.runtime.modules.providers import anthropic_stream, failures, openai_stream, sse
from amplifier.runtime.modules.providers.blocks import Blocks
from tests.runtime.providers import mounted
from tests.support import llm
from tests.support.llm import Reply

FOLDER = Path(__file__).parents[1] / "data/providers"
NAMES = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.txt"))
STREAMS = [name for name in NAMES if b"data:" in (FOLDER / f"{name}.txt").read_bytes()]
TOOLS = [ToolSpec(name="weather", parameters={})]
READERS = {"openai": openai_stream.read, "anthropic": anthropic_stream.read}

VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "CR": lambda body: body.replace(b"\n", b"\r"),
    "no end of line": bytes.rstrip,
}


def recorded(name: str) -> tuple[bytes, dict[str, Any]]:
    """Returns the body of a response, and what is expected to be read of it."""
    return (FOLDER / f"{name}.txt").read_bytes(), json.loads((FOLDER / f"{name}.json").read_text())


def checked(response: ChatResponse, expected: dict[str, Any]) -> None:
    """Compares a response with what is expected."""
    blocks = [block.model_dump(exclude_none=True) for block in response.content]
    for kind, key in (("text", "text"), ("thinking", "thinking")):
        assert "".join(block[key] for block in blocks if block["type"] == kind) == expected.get(kind, "")
    known = ("text", "thinking", "redacted_thinking", "tool_call")
    assert [block for block in blocks if block["type"] not in known] == expected.get("other", [])
    assert [one for block in blocks for one in block.get("citations", [])] == expected.get("citations", [])
    signatures = [block["signature"] for block in blocks if "signature" in block]
    assert signatures == ([expected["signature"]] if "signature" in expected else [])
    calls, given = response.tool_calls or [], expected.get("calls", [])
    assert [(call.name, call.arguments) for call in calls] == [(name, arguments) for _, name, arguments in given]
    assert all(call.id == (one[0] or call.id) != "" for call, one in zip(calls, given, strict=True))
    assert len({call.id for call in calls}) == len(calls)
    for member in ("extra_content", "raw_arguments"):
        found = [getattr(call, member, None) for call in calls]
        assert found == expected.get(member, [None] * len(calls))
    assert response.finish_reason == expected["finish_reason"]


def counted(response: ChatResponse) -> Any:
    return None if response.usage is None else response.usage.model_dump(exclude_none=True)


async def read(pieces: list[bytes], api: str) -> ChatResponse:
    """Returns the response that is read of a body that arrives in pieces."""

    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    blocks = Blocks(MockCoordinator())
    source = failures.Source(api, "model-1", [], None)
    answer = await READERS[api](sse.data(httpx2.Response(200, content=content())), blocks, source)
    await blocks.end_all()
    return blocks.response(answer.usage, answer.finish_reason)


async def outcome(pieces: list[bytes], expected: dict[str, Any]) -> ChatResponse | None:
    """Returns the response, or None after a check of the error if one is expected."""
    api = expected.get("api", "openai")
    if "error" not in expected:
        return await read(pieces, api)
    with pytest.raises(LLMError) as caught:
        await read(pieces, api)
    assert (type(caught.value).__name__, str(caught.value)) == (expected["error"], expected["detail"])
    return None


@pytest.mark.parametrize("name", NAMES)
async def test_recorded_answer_is_read_from_server(stub: llm.Stub, name: str) -> None:
    body, expected = recorded(name)
    stub.queue(Reply(status=expected.get("status", 200), raw=body))
    async with mounted(expected.get("api", "openai"), stub) as one:
        if "error" in expected:
            with pytest.raises(LLMError) as caught:
                await one.ask("go", tools=TOOLS)
            assert (type(caught.value).__name__, str(caught.value)) == (expected["error"], expected["detail"])
            return
        response = await one.ask("go", tools=TOOLS)
    checked(response, expected)
    assert counted(response) == expected.get("usage")
    assert "".join(one.deltas()) == expected.get("text", "")
    assert "".join(one.deltas("thinking")) == expected.get("thinking", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
async def test_recorded_answer_is_read_byte_by_byte(name: str) -> None:
    body, expected = recorded(name)
    for size in (1, 2, 7):
        response = await outcome([body[at : at + size] for at in range(0, len(body), size)], expected)
        if response is not None:
            checked(response, expected)
            assert counted(response) == expected.get("usage")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_recorded_answers_are_read_with_other_ends_of_lines(variant: str) -> None:
    for name in STREAMS:
        body, expected = recorded(name)
        body = VARIANTS[variant](body)
        for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
            response = await outcome(pieces, expected)
            if response is not None:
                checked(response, expected)


@pytest.mark.parametrize("name", STREAMS)
async def test_recorded_answer_that_is_cut_is_no_success(name: str) -> None:
    """After the reason only counts may be missing; before it, every cut is an error."""
    body, expected = recorded(name)
    events = body.split(b"\n\n")
    for end in range(len(events) - 1):
        cut = b"\n\n".join(events[:end]) + b"\n\n"
        try:
            response = await read([cut], expected.get("api", "openai"))
        except LLMError:
            continue
        checked(response, expected)
        assert any(word in cut for word in (b'"finish_reason":"', b'"stop_reason": "', b"[DONE]"))
