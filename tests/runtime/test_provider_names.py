"""Ids of calls and names of tools are sent in a form that each API accepts, and names are mapped back."""

from typing import Any

import pytest
from amplifier_core.message_models import ChatRequest, Message, ToolSpec

from amplifier.runtime.modules.providers.names import Distinct, Names, safe, short
from amplifier.transcripts.integrity import LOST
from tests.runtime.providers import APIS, mounted, sent
from tests.support import llm

LONG = "call_" + "x" * 60


def turn(*ids: str, name: str = "get") -> list[Any]:
    """Returns a turn with calls of these ids and a result for each, which names the number of its call."""
    calls = [{"id": one, "tool": name, "arguments": {"n": number}} for number, one in enumerate(ids)]
    results = [{"role": "tool", "tool_call_id": one, "content": f"r{number}"} for number, one in enumerate(ids)]
    return ["go", {"role": "assistant", "content": "", "tool_calls": calls}, *results]


def pairs(api: str, body: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Returns the id, the argument and the result of each call that was sent."""
    if api == "openai":
        calls = [
            (call["id"], call["function"]["arguments"])
            for one in body["messages"]
            for call in one.get("tool_calls", [])
        ]
        results = [(one["tool_call_id"], one["content"]) for one in body["messages"] if one["role"] == "tool"]
    else:
        blocks = [block for one in body["messages"] for block in one["content"]]
        calls = [(block["id"], str(block["input"])) for block in blocks if block["type"] == "tool_use"]
        results = [(block["tool_use_id"], block["content"]) for block in blocks if block["type"] == "tool_result"]
    assert [one for one, _ in calls] == [one for one, _ in results]
    return [
        (one, int(text.strip("{}").split(":")[1]), said) for (one, text), (_, said) in zip(calls, results, strict=True)
    ]


@pytest.mark.parametrize("api", APIS)
async def test_ids_are_unique_in_the_whole_request(stub: llm.Stub, api: str) -> None:
    body = await sent(stub, api, *turn("call_0"), *turn("call_0"), *turn("call_0", "call_0"))
    assert pairs(api, body) == [
        ("call_0", 0, "r0"),
        ("call_0_2", 0, "r0"),
        ("call_0_3", 0, "r0"),
        ("call_0_4", 1, "r1"),
    ]


@pytest.mark.parametrize("api", APIS)
async def test_ids_that_become_equal_are_told_apart(stub: llm.Stub, api: str) -> None:
    body = await sent(stub, api, *turn("functions.get:0", "functions_get_0"), *turn(LONG, LONG + "y"))
    spelled = "functions.get:0" if api == "openai" else "functions_get_0"
    other = "functions_get_0" if api == "openai" else "functions_get_0_2"
    assert pairs(api, body) == [
        (spelled, 0, "r0"),
        (other, 1, "r1"),
        (LONG[:40], 0, "r0"),
        (LONG[:38] + "_2", 1, "r1"),
    ]


@pytest.mark.parametrize("api", APIS)
async def test_calls_without_ids_are_paired_by_name_and_order(stub: llm.Stub, api: str) -> None:
    calls = [{"function": {"name": name, "arguments": {"n": n}}} for n, name in enumerate(("a", "b", "a"))]
    results = [
        {"role": "tool", "name": name, "content": said} for name, said in (("b", "r1"), ("a", "r0"), ("a", "r2"))
    ]
    body = await sent(stub, api, "go", {"role": "assistant", "content": "", "tool_calls": calls}, *results)
    assert [(number, said) for _, number, said in pairs(api, body)] == [(0, "r0"), (1, "r1"), (2, "r2")]


@pytest.mark.parametrize("api", APIS)
async def test_missing_result_is_added_and_stray_one_is_a_note(stub: llm.Stub, api: str) -> None:
    said, called, *_ = turn("a", "b")
    stray = {"role": "tool", "tool_call_id": "gone", "content": "lost words"}
    body = await sent(stub, api, said, called, {"role": "tool", "tool_call_id": "b", "content": "r1"}, stray)
    assert [result for _, _, result in pairs(api, body)] == [
        ("The tool failed: " if api == "openai" else "") + LOST,
        "r1",
    ]
    assert "(A tool returned: lost words)" in str(body["messages"][-1])


@pytest.mark.parametrize("api", APIS)
async def test_tool_with_a_dot_in_its_name_can_be_called(stub: llm.Stub, api: str) -> None:
    tools = [
        ToolSpec(name=name, parameters={"type": "object"}) for name in ("fs.read", "fs_read", "multi_tool_use.parallel")
    ]
    stub.when("go", llm.Reply(calls=[llm.Call("fs_read_2", {}, "c1"), llm.Call("fs_read", {}, "c2")]))
    async with mounted(api, stub) as one:
        response = await one.ask("go", tools=tools, tool_choice={"type": "function", "function": {"name": "fs.read"}})
        started = [data["name"] for data in one.of("llm:stream_block_start")]
    body = stub.requests[0].body
    names = [tool.get("name") or tool["function"]["name"] for tool in body["tools"]]
    assert names == ["fs_read_2", "fs_read", "multi_tool_use_parallel"]
    assert (body["tool_choice"].get("name") or body["tool_choice"]["function"]["name"]) == "fs_read_2"
    assert started == [call.name for call in response.tool_calls] == ["fs.read", "fs_read"]
    assert [block.name for block in response.content] == ["fs.read", "fs_read"]


@pytest.mark.parametrize("api", APIS)
async def test_former_calls_have_the_names_of_their_tools(stub: llm.Stub, api: str) -> None:
    tools = [ToolSpec(name="fs.read", parameters={"type": "object"})]
    body = await sent(stub, api, *turn("a", name="fs.read"), *turn("b", name="fs_read"), tools=tools)
    assert str(body["messages"]).count("'name': 'fs_read'") == 1
    assert str(body["messages"]).count("'name': 'fs_read_2'") == 1


async def test_anthropic_is_told_of_tools_that_were_called_before(stub: llm.Stub) -> None:
    body = await sent(stub, "anthropic", *turn("a", name="fs.read"))
    assert (body["tools"], body["tool_choice"]) == (
        [{"name": "fs_read", "input_schema": {"type": "object"}}],
        {"type": "none"},
    )


async def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:
    calls = [{"id": one, "tool": "get", "arguments": {}} for one in ("abcDEF123", "call_0", "call_0")]
    messages = [Message(role="user", content="go"), Message(role="assistant", content="", tool_calls=calls)]
    async with mounted("openai", api_key="k", model="m", base_url="https://api.mistral.ai/v1") as one:
        bodies = [one.provider.body(ChatRequest(messages=messages), "m", {}) for _ in range(2)]
    ids = [call["id"] for call in bodies[0]["messages"][1]["tool_calls"]]
    assert bodies[0] == bodies[1], "the same in every request"
    assert ids[0] == "abcDEF123"
    assert len(set(ids)) == 3
    assert all(len(one) == 9 and one.isalnum() for one in ids)


async def test_signatures_of_gemini_go_back_to_it_alone() -> None:
    signed = {"google": {"thought_signature": "s"}}
    call = {"id": "c", "tool": "get", "arguments": {}, "extra_content": signed}
    messages = [Message(role="user", content="go"), Message(role="assistant", content="", tool_calls=[call])]
    for host, extra in (("generativelanguage.googleapis.com", signed), ("api.example.com", None)):
        async with mounted("openai", api_key="k", model="m", base_url=f"https://{host}/v1") as one:
            body = one.provider.body(ChatRequest(messages=messages), "m", {})
        assert body["messages"][1]["tool_calls"][0].get("extra_content") == extra


def test_ids_and_names_do_not_change_when_others_follow() -> None:
    given = ["a.b", "a_b", "a:b", "a.b", "", "x" * 50, "x" * 60]
    for spelled in (str, safe, short):
        whole = Distinct(spelled=spelled)
        made = [whole.fresh(one) for one in given]
        begun = Distinct(spelled=spelled)
        assert [begun.fresh(one) for one in given[:4]] == made[:4]
        assert len(set(made)) == len(given)
        assert max(map(len, made)) <= 40
    names = Names(["b.c"])
    assert [names.sent(one) for one in ("b_c", "b.c", "y" * 70, "y" * 80)] == [
        "b_c_2",
        "b_c",
        "y" * 64,
        "y" * 62 + "_2",
    ]
    assert names.changed()["b_c"] == "b.c"


def test_many_equal_ids_take_linear_time() -> None:
    ids = Distinct()
    made = [ids.fresh("call_0") for _ in range(20_000)]
    assert made[-1] == "call_0_20000"
    assert len(set(made)) == 20_000
