"""Anthropic's prompt cache is marked where the next request finds it, within the API's limits."""

from typing import Any

from amplifier_core.message_models import ToolSpec

from tests.runtime.providers import sent
from tests.support import llm, llm_rules

MARK = {"type": "ephemeral"}
LONG = {"type": "ephemeral", "ttl": "1h"}
TOOLS = [ToolSpec(name="one", parameters={"type": "object"}), ToolSpec(name="two", parameters={"type": "object"})]
SYSTEM = {"role": "system", "content": "be kind"}
ANSWER = {"role": "assistant", "content": "yes"}


def marks(body: dict[str, Any]) -> dict[str, Any]:
    """Returns the marks by the text or name of their blocks."""
    blocks = [*body.get("tools", []), *body.get("system", [])]
    blocks += [block for message in body["messages"] for block in message["content"]]
    return {block.get("text") or block["name"]: block["cache_control"] for block in blocks if "cache_control" in block}


def marked(text: str, mark: dict[str, Any]) -> dict[str, Any]:
    """Returns a user's message with the mark of a client."""
    return {"role": "user", "content": [{"type": "text", "text": text, "cache_control": mark}]}


async def test_ends_of_tools_system_and_users_messages_are_marked(stub: llm.Stub) -> None:
    body = await sent(stub, "anthropic", SYSTEM, "a", ANSWER, "b", ANSWER, "c", tools=TOOLS, config={"cache": True})
    assert marks(body) == {"two": MARK, "be kind": MARK, "b": MARK, "c": MARK}
    body = await sent(stub, "anthropic", "a", config={"cache": True})
    assert marks(body) == {"a": MARK}


async def test_marks_of_clients_come_first(stub: llm.Stub) -> None:
    said = [marked("a", MARK), ANSWER, marked("b", MARK), ANSWER, "c", ANSWER, "d"]
    body = await sent(stub, "anthropic", SYSTEM, *said, tools=TOOLS, config={"cache": True})
    assert marks(body) == {"be kind": MARK, "a": MARK, "b": MARK, "d": MARK}
    many = [one for text in "abcdef" for one in (marked(text, MARK), ANSWER)]
    for cache in (True, False):
        body = await sent(stub, "anthropic", SYSTEM, *many, "z", config={"cache": cache})
        assert marks(body) == dict.fromkeys("cdef", MARK)


async def test_cache_can_be_switched_off(stub: llm.Stub) -> None:
    body = await sent(stub, "anthropic", SYSTEM, marked("a", MARK), ANSWER, "b", tools=TOOLS, config={"cache": False})
    assert marks(body) == {"a": MARK}


async def test_marks_that_the_api_refuses_are_mended(stub: llm.Stub) -> None:
    body = await sent(
        stub, "anthropic", SYSTEM, marked("a", MARK), ANSWER, marked("b", LONG), ANSWER, marked("c", {"type": "other"}),
        config={"cache": True},
    )  # fmt: skip
    assert marks(body) == {"be kind": LONG, "a": LONG, "b": LONG, "c": MARK}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s", "cache_control": MARK}
    body = await sent(
        stub, "anthropic", "a", {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]}, "c"
    )
    assert marks(body) == {}
    assert llm_rules.refusal("anthropic", body) is None


async def test_marks_within_results_stand_at_the_result(stub: llm.Stub) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "tool": "one", "arguments": {}}]}
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}, "cache_control": MARK}
    result = {"type": "tool_result", "tool_call_id": "c1", "output": [image], "cache_control": MARK}
    body = await sent(stub, "anthropic", "go", call, {"role": "user", "content": [result]}, tools=TOOLS)
    (sent_result,) = body["messages"][2]["content"]
    assert sent_result["cache_control"] == MARK
    assert "cache_control" not in sent_result["content"][0]
