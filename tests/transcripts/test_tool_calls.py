"""Calls and results are paired in every format, also without ids, with repeated ids, and in pieces of one answer."""

from typing import Any

import pytest

from amplifier.transcripts.integrity import LOST, Entry, diagnose, repaired, valid

Message = dict[str, Any]
ASKED: Message = {"role": "user", "content": "Go on"}
SAID: Message = {"role": "assistant", "content": "Done"}


def gemini(*names: str) -> list[Message]:
    """Returns calls and their results, which Gemini matches by name."""
    calls = [{"functionCall": {"name": name, "args": {}}} for name in names]
    results = [{"functionResponse": {"name": name, "response": {"place": n}}} for n, name in enumerate(names)]
    return [{"role": "model", "parts": calls}, *({"role": "user", "parts": [one]} for one in results)]


def ollama(*names: str) -> list[Message]:
    calls = [{"function": {"name": name, "arguments": {}}} for name in names]
    return [
        {"role": "assistant", "content": "", "tool_calls": calls},
        *({"role": "tool", "tool_name": name, "content": str(n)} for n, name in enumerate(names)),
    ]


def legacy(name: str) -> list[Message]:
    return [
        {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}},
        {"role": "function", "name": name, "content": "ok"},
    ]


def item(kind: str, **more: Any) -> Message:
    """Returns an item of the Responses API."""
    return {"type": kind, **more}


def responses(*ids: str) -> list[Message]:
    thought = item("reasoning", id="rs", summary=[{"type": "summary_text", "text": "I must"}])
    calls = [item("function_call", call_id=id, name="get", arguments="{}") for id in ids]
    return [thought, *calls, *(item("function_call_output", call_id=id, output="ok") for id in ids)]


def codex(*ids: str) -> list[Message]:
    """Returns lines of a rollout, with events between them."""
    lines = [{"type": "response_item", "payload": one} for one in responses(*ids)]
    return [line for one in lines for line in (one, {"type": "event_msg", "payload": {"type": "token_count"}})]


def claude_code(*ids: str) -> list[Message]:
    """Returns lines of a session file: each block of an answer is a line."""

    def line(role: str, block: Any) -> Message:
        message = {"role": role, "content": [block]} | ({"id": "msg_1"} if role == "assistant" else {})
        return {"type": role, "uuid": str(block), "message": message}

    calls = [line("assistant", {"type": "tool_use", "id": id, "name": "get", "input": {}}) for id in ids]
    return calls + [line("user", {"type": "tool_result", "tool_use_id": id, "content": "ok"}) for id in ids]


def bedrock(*ids: str) -> list[Message]:
    calls = [{"toolUse": {"toolUseId": id, "name": "get", "input": {}}} for id in ids]
    results = [{"toolResult": {"toolUseId": id, "content": [{"text": "ok"}]}} for id in ids]
    return [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]


def langchain(*ids: str) -> list[Message]:
    calls = [{"name": "get", "args": {}, "id": id, "type": "tool_call"} for id in ids]
    return [
        {"type": "ai", "data": {"content": "", "tool_calls": calls}},
        *({"type": "tool", "data": {"content": "ok", "tool_call_id": id}} for id in ids),
    ]


def vercel(*ids: str, state: str = "output-available") -> list[Message]:
    """Returns a message with calls and their results in it."""
    shown = {"state": state} | ({"output": "ok"} if state == "output-available" else {})
    calls = [{"type": "tool-get", "toolCallId": id, "input": {}, **shown} for id in ids]
    return [{"id": "m", "role": "assistant", "parts": [{"type": "text", "text": "I look"}, *calls]}]


ROUNDS: dict[str, list[Message]] = {
    "gemini": gemini("get", "put"),
    "gemini, a tool twice": gemini("get", "get"),
    "ollama": ollama("get", "put", "get"),
    "ollama without names": [ollama("get")[0], {"role": "tool", "content": "ok"}],
    "legacy": legacy("get"),
    "responses": responses("a", "b"),
    "codex": codex("a", "b"),
    "claude code": claude_code("a", "b"),
    "bedrock": bedrock("a", "b"),
    "langchain": langchain("a", "b"),
    "vercel": vercel("a", "b"),
}


def essence(messages: list[Message]) -> list[Message]:
    """Returns the messages of the conversation, without the events of a session."""
    return [message for message in messages if message.get("type") != "event_msg"]


@pytest.mark.parametrize("name", ROUNDS)
def test_pairs_are_found_in_each_format(name: str) -> None:
    turn = [ASKED, *ROUNDS[name], SAID]
    assert [one for one in diagnose(turn * 3) if one.needs_repair] == []
    assert valid(turn * 3) == essence(turn * 3)


@pytest.mark.parametrize("name", [name for name in ROUNDS if name != "vercel"])
def test_missing_result_is_added_in_each_format(name: str) -> None:
    cut = essence([ASKED, *ROUNDS[name]])[:-1]
    after = [message for _, message in repaired([*cut, ASKED])]
    assert [one.problem for one in diagnose([*cut, ASKED]) if one.needs_repair] != []
    assert [one for one in diagnose(after) if one.needs_repair] == []
    assert after[-2]["content"] == LOST


def added(entries: list[Entry]) -> list[tuple[int, Message]]:
    return [(place, message) for place, (index, message) in enumerate(entries) if index is None]


def test_result_without_id_goes_to_next_call_of_its_tool() -> None:
    calls, first, second = ollama("get", "get")
    [(place, lost)] = added(repaired([ASKED, calls, first, ASKED]))
    assert (place, lost) == (3, {"role": "tool", "name": "get", "content": LOST})
    assert [one.problem for one in diagnose([ASKED, calls, first, second, second, SAID])] == ["duplicate_result"]
    assert [one.problem for one in diagnose([ASKED, ollama("put")[0], first, SAID])] == [
        "missing_result",
        "unknown_result",
    ]


def test_second_result_of_repeated_id_belongs_to_second_call() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    result = {"role": "tool", "tool_call_id": "x", "content": "ok"}
    assert [one for one in diagnose([ASKED, calls, result, result, SAID]) if one.needs_repair] == []
    [(place, lost)] = added(repaired([ASKED, calls, result, SAID]))
    assert (place, lost["tool_call_id"]) == (3, "x")


def test_open_call_of_message_with_results_gets_result() -> None:
    [message] = vercel("a")
    [other] = vercel("b", state="input-available")
    both = {**message, "parts": [*message["parts"], *other["parts"]]}
    [(place, lost)] = added(repaired([ASKED, both, ASKED]))
    assert (place, lost["tool_call_id"], lost["name"]) == (2, "b", "get")
    assert diagnose([ASKED, both, lost, SAID]) == []


def test_chat_messages_are_no_pieces_of_one_answer() -> None:
    calls = [{"role": "assistant", "content": "", "tool_calls": [{"id": id, "name": "get"}]} for id in "ab"]
    results = [{"role": "tool", "tool_call_id": id, "content": "ok"} for id in "ab"]
    moved = [message for _, message in repaired([ASKED, *calls, *results, SAID])]
    assert moved == [ASKED, calls[0], results[0], calls[1], results[1], SAID]


def test_calls_of_provider_need_no_result() -> None:
    search = item("web_search_call", id="ws", status="completed", action={"type": "search", "query": "x"})
    hosted = {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "search", "input": {}}]}
    assert diagnose([ASKED, search, hosted, SAID]) == []


def test_result_with_text_comes_after_other_results() -> None:
    calls, results = bedrock("a", "b")
    second, first = ({"role": "user", "content": [one]} for one in reversed(results["content"]))
    first = {**first, "content": [results["content"][0], {"text": "And hurry"}]}
    assert valid([ASKED, calls, first, second, SAID]) == [ASKED, calls, second, first, SAID]
