"""The search index never prevents a message from being stored, even if it has odd or huge contents."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.queries.test_search_triggers import Sql, insert_messages, message_of

HAN = [chr(code) for code in range(0x20000, 0x2A6D0)]  # 4 bytes each
NOISE = random.Random(20).randbytes(1_000_000)
TEXTS = {
    "nothing": lambda: "",
    "blanks": lambda: " \t\n" * 10_000,
    "only emoji": lambda: "😀👩‍👩‍👧🇨🇭" * 1000,
    "right to left": lambda: "שלום עולם مرحبا بالعالم \u202eabc\u202c " * 100,
    "long words": lambda: " ".join(letter * 1000 for letter in "aé漢𐐀"),
    "words at the limit": lambda: " ".join("x" * length for length in (2045, 2046, 2047, 2048, 3000)),
    "one word": lambda: "x" * 5_000_000,
    "changing when folded": lambda: f"{'Ⱥ' * 600} {'İ' * 1000} {'ΐ' * 1000} {'ß' * 1000}",
    "100,000 characters": lambda: ("word " * 20_000)[:99_993],
    "one more": lambda: ("word " * 20_000)[:99_994],
    "5 MB": lambda: "five megabytes " * 333_333,
    "a million words": lambda: " ".join(f"{number:07}" for number in range(1_000_000)),
    "japanese": lambda: "吾輩は猫である。名前はまだ無い。" * 1000,
    "all letters": lambda: "".join(map(chr, (*range(1, 0xD800), *range(0xE000, 0xFFFE)))),
    "hyphenated": lambda: " ".join(f"{one}-{two}" for one, two in zip(HAN[::2], HAN[1::2], strict=True)),
    "underscored": lambda: " ".join(f"{one}_{two}" for one, two in zip(HAN[::2], HAN[1::2], strict=True)),
    "one character each": lambda: " ".join(HAN),
    "combining": lambda: "e\u0301" * 1000 + " " + "\u0301" * 5000,
    "control characters": lambda: "".join(map(chr, range(1, 32))) * 1000 + "\x7f\x80\x9f",
    "tags": lambda: "<a href='" * 5000 + "<!--" * 5000 + "&amp;" * 5000,
    "addresses": lambda: "http://a.b/c?d=e " * 5000 + "x@y.z/" * 5000 + "~/../" * 5000,
    "quotes": lambda: "'\"\\" * 30_000,
    "base64": lambda: base64.b64encode(NOISE).decode(),
    "base64 for addresses": lambda: base64.urlsafe_b64encode(NOISE).decode(),
    "a log": lambda: "2024-05-20T12:00:00Z INFO The request took 5 ms\n" * 20_000,
    "a chain": lambda: "a_" * 40_000,
    "a chain of numbers": lambda: "_".join(map(str, range(15_000))),
    "a chain of names": lambda: "snake_case_" * 9_000,
}
LONG = """
    one word, 5 MB, a million words, all letters, hyphenated, underscored, one character each, addresses, base64,
    base64 for addresses, a log, a chain, a chain of numbers, a chain of names, deep and open, under a million,
    huge numbers, long numbers, many digits, a long key
"""  # these take a second or more
VALUES = {  # JSON as text, as arguments or as a result
    "deep": lambda: "[" * 10_000 + "]" * 10_000,
    "deep objects": lambda: '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep and open": lambda: '{"a":[' * 100_000,
    "5 MB": lambda: json.dumps({"rows": [{"id": number, "name": f"name {number}"} for number in range(140_000)]}),
    "under a million": lambda: json.dumps([f"word{number}" for number in range(70_000)]),
    "a huge number": lambda: '{"n": 1e999}',
    "huge numbers": lambda: "[" + ", ".join(["1e131071", "-1E+131071", "1.5e-16383"] * 20_000) + "]",
    "long numbers": lambda: "[" + ",".join(["1e99", "-1e-99"] * 90_000) + "]",
    "out of range": lambda: '[1e999999999, {"n":-1e-999999999}]',
    "many digits": lambda: "[" + "9" * 900_000 + "]",
    "a null character": lambda: '{"a": "x\\u0000y"}',
    "half a letter": lambda: '{"a": "\\ud800"}',
    "invalid": lambda: '{"a": [1, 2',
    "no JSON": lambda: "{'a': None} [x]",
    "twice the same key": lambda: '{"a": 1, "a": {"a": [2]}, "a": 3}',
    "NaN": lambda: '[NaN, Infinity, "x"]',
    "a long key": lambda: json.dumps({"k" * 500_000: "v"}),
    "JSON in JSON": lambda: json.dumps({"a": json.dumps({"b": json.dumps(["c"] * 1000)})}),
    "blanks": lambda: " \n" * 100_000 + "[1]",
}


def each(texts: dict[str, Callable[[], str]]) -> Any:
    """Parametrizes a test with each of the texts, and marks it as slow for those in LONG."""
    long = [name.strip() for name in LONG.split(",")]
    parameters = [
        pytest.param(make, id=name, marks=pytest.mark.slow if name in long else ()) for name, make in texts.items()
    ]
    return pytest.mark.parametrize("make", parameters)


@each(TEXTS)
async def test_any_text_is_stored_and_found(alice: httpx.AsyncClient, session_id: str, make: Callable[[], str]) -> None:
    await assert_stored_and_found(alice, session_id, [{"role": "user", "content": f"needle {make()}"}])


@each(VALUES)
async def test_any_json_as_text_is_stored(alice: httpx.AsyncClient, session_id: str, make: Callable[[], str]) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "needle", "arguments": make()}}
    await assert_stored_and_found(alice, session_id, [{"role": "assistant", "content": None, "tool_calls": [call]}])
    await append(alice, session_id, [{"role": "tool", "tool_call_id": "c", "content": make()}])


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"tool": "needle", "arguments": {"rows": list(range(200_000))}}]},
        {"role": "tool", "content": [{"type": "text", "text": f"needle {number}"} for number in range(60_000)]},
        {"role": "assistant", "tool_calls": [{"tool": f"needle {number}"} for number in range(60_000)]},
    ],
    ids=["values", "blocks", "calls"],
)
async def test_message_of_very_many_parts_is_stored_and_found(
    alice: httpx.AsyncClient, session_id: str, message: dict[str, Any]
) -> None:
    await assert_stored_and_found(alice, session_id, [message])


@pytest.mark.slow
async def test_thousand_calls_and_messages_are_stored_and_found(alice: httpx.AsyncClient, session_id: str) -> None:
    calls = [{"id": f"c{number}", "tool": f"needle{number}", "arguments": {"n": number}} for number in range(1000)]
    messages: list[Any] = [{"role": "assistant", "content": None, "tool_calls": calls}]
    messages += [{"role": "user", "content": f"needle {number}"} for number in range(999)]
    await assert_stored_and_found(alice, session_id, messages, "needle998", (1,))
    assert await found(alice, '"needle 500"') == [502]


@pytest.mark.parametrize("text", [r"\ud800", r"x\udfff", r"\udc00\ud800"])
async def test_words_beside_lone_surrogates_are_found(alice: httpx.AsyncClient, session_id: str, text: str) -> None:
    body = f'{{"messages": [{{"role": "user", "content": "a needle {text} here"}}]}}'
    headers = {"Content-Type": "application/json"}
    answer = await alice.post(f"/sessions/{session_id}/transcript", content=body, headers=headers)
    assert answer.status_code == 201
    assert await found(alice, "needle") == [1]


@pytest.mark.slow
@pytest.mark.parametrize("position", [0, 50_000], ids=["hit at the beginning", "hit further on"])
async def test_message_of_sixteen_megabytes_is_stored_and_found(
    alice: httpx.AsyncClient, session_id: str, sql: Sql, position: int
) -> None:
    sql("set statement_timeout = '20s'")
    text = ("word " * 3_355_000)[:position] + " needle " + ("word " * 3_355_000)[position:]
    insert_messages(sql, session_id, [{"role": "user", "content": text}])
    assert sql("select message ->> 'content' = %s, search_truncated from messages", text) == [(True, True)]
    assert await found(alice, "needle") == [1]


async def test_participants_find_messages_written_by_dba(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    insert_messages(sql, session_id, [message_of(said="needle")])
    assert await found(alice, "needles") == [1]
    sql('update messages set message = message || \'{"content": "haystacks"}\'')
    assert [await found(alice, "needle"), await found(alice, "haystack")] == [[], [1]]


async def assert_stored_and_found(
    client: httpx.AsyncClient, session_id: str, messages: list[Any], typed: str = "needle", seqs: tuple[int, ...] = (1,)
) -> None:
    await append(client, session_id, messages)
    stored = await client.get(f"/sessions/{session_id}/transcript", params={"view": "plain"})
    assert stored.json() == messages
    assert await found(client, typed) == list(seqs)


async def append(client: httpx.AsyncClient, session_id: str, messages: list[Any]) -> None:
    body = json.dumps({"messages": messages}, ensure_ascii=False)
    headers = {"Content-Type": "application/json"}
    answer = await client.post(f"/sessions/{session_id}/transcript", content=body.encode(), headers=headers)
    assert answer.status_code == 201, answer.text


async def found(client: httpx.AsyncClient, typed: str) -> list[int]:
    answer = await client.get("/search", params={"q": typed})
    assert answer.status_code == 200, answer.text
    return [hit["seq"] for hit in answer.json()["items"]]
