"""A 422 of an append names the message that does not fit, and the place in it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.web import message_faults
from tests.conftest import assert_problem
from tests.support.growth import LIMIT, exponent

JSON = {"Content-Type": "application/json"}
GOOD = '{"role": "user", "content": "a \\"good\\" one, [with] {brackets}"}'
DEEP = "nested deeper than 64 levels"
RANGE = "the number is out of range: send it as text"
ROLE = "must be text of 1 to 64 characters, if the message has one"
FAULTS = [
    ('{"content": NaN}', ".content", "NaN is no JSON: send null or text"),
    ('{"content": [1, {"score": -Infinity}]}', ".content[1].score", "-Infinity is no JSON: send null or text"),
    ('{"usage": {"cost": 1e400}}', ".usage.cost", RANGE),
    ('{"usage": [0, @nines]}', ".usage[1]", RANGE),
    ('{"content": "\\x"}', ".content", "is not valid JSON: Invalid \\escape"),
    ('{"content": [{"text": "\\\\"}, {"text": "a\nb"}]}', ".content[1].text", "is not valid JSON: Invalid control"),
    ('{"content": "a" "b": 1}', ".content", "is not valid JSON: Expecting ',' delimiter"),
    ('{"content": tru}', ".content", "is not valid JSON: Expecting value"),
    ("{'content': 1}", "", "is not valid JSON: Expecting property name enclosed in double quotes"),
    ('{"content": "\udcff"}', ".content", "is not valid UTF-8"),
    ('{"role": 7}', ".role", ROLE),
    ('{"role": ""}', ".role", ROLE),
    ('{"role": "@nines"}', ".role", ROLE),
    ("[]", "", "must be a JSON object"),
    ("null", "", "must be a JSON object"),
    ('{"content": @open1@close}', ".content", DEEP),
    ("[" * 100_000, "", DEEP),
    ('{"content": [@powers]}', "", "is larger than 16 MiB with all digits of its numbers"),
]
FILLED = {"@nines": "9" * 400, "@open": "[" * 63, "@close": "]" * 63, "@powers": "1e300," * 60_000 + "1"}


def body(message: str) -> bytes:
    """Returns a body whose message 417 is this one."""
    messages = ", ".join([GOOD] * 417 + [message, GOOD])
    return f'{{"expected_seq": 0, "messages": [{messages}]}}'.encode(errors="surrogateescape")


@pytest.mark.parametrize(("message", "place", "detail"), FAULTS)
async def test_message_and_place_are_named(
    alice: httpx.AsyncClient, session_id: str, message: str, place: str, detail: str, sql: Callable[..., list[Any]]
) -> None:
    for name, text in FILLED.items():
        message = message.replace(name, text)
    answer = await alice.post(f"/sessions/{session_id}/transcript", content=body(message), headers=JSON)
    problem = assert_problem(answer, 422)
    [error] = problem["errors"]
    assert error["field"] == f"messages[417]{place}"
    assert error["detail"].startswith(detail)
    assert problem["detail"] == f"{error['field']}: {error['detail']}"
    assert sql("select count(*) from messages") == [(0,)]


async def test_messages_at_the_bounds_are_accepted(alice: httpx.AsyncClient, session_id: str) -> None:
    deep = '{"role": "%s", "content": %s1%s}' % ("x" * 64, "[" * 62, "]" * 62)  # noqa: UP031
    sent = body(deep)
    assert await message_faults.find(sent) is None
    answer = await alice.post(f"/sessions/{session_id}/transcript", content=sent, headers=JSON)
    assert answer.status_code == 201, answer.text


async def test_large_body_is_refused_without_place(alice: httpx.AsyncClient, session_id: str) -> None:
    padding = '{"content": "%s"}' % ("x" * 2_100_000)
    large = f'{{"messages": [{padding}, {{"content": NaN}}]}}'.encode()
    assert await message_faults.find(large) is None
    answer = await alice.post(f"/sessions/{session_id}/transcript", content=large, headers=JSON)
    assert assert_problem(answer, 422)["detail"].startswith("The body is not valid JSON")
    role = f'{{"messages": [{padding}, {{"role": 7}}]}}'.encode()
    answer = await alice.post(f"/sessions/{session_id}/transcript", content=role, headers=JSON)
    assert assert_problem(answer, 422)["errors"][0]["field"] == "messages[1].role"


async def test_too_large_message_gets_advice(alice: httpx.AsyncClient, session_id: str) -> None:
    large = b'{"messages": [{"content": "%s"}]}' % (b"x" * 8 * 1024 * 1024)
    problem = assert_problem(await alice.post(f"/sessions/{session_id}/transcript", content=large, headers=JSON), 413)
    for advice in ("8 MB", "split its text over several messages", "send the address"):
        assert advice in problem["detail"]


@pytest.mark.parametrize("part", ["[", "{}", '{"a": 1}', '"', '\\"', "1e5", ",", '{"a":', "NaN", "\\", " ", "[],"])
def test_time_of_search_grows_with_body(part: str) -> None:
    def make(size: int) -> bytes:
        return ('{"messages": [{"a": [' + part * (size // len(part) + 1) + "\\").encode()

    assert exponent(message_faults._find, make) <= LIMIT
