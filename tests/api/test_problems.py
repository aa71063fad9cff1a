"""Problem documents name the member that does not fit, in words and as a path."""

from typing import Any

import httpx
import pytest

from tests.conftest import assert_problem


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        ({"messages": []}, "messages", "Expected `array` of length >= 1"),
        ({"messages": [{"role": 5}]}, "messages[0].role", "must be text of 1 to 64 characters, if the message has one"),
        ({"messages": [{"role": "user"}, 5]}, "messages[1]", "must be a JSON object"),
        ({}, "messages", "Object missing required field `messages`"),
        ({"messages": [{"role": "user"}], "expected_seq": -1}, "expected_seq", "Expected `int` >= 0"),
        ([], "", "Expected `object`, got `array`"),
    ],
)
async def test_body_that_does_not_fit(
    alice: httpx.AsyncClient, session_id: str, body: Any, field: str, detail: str
) -> None:
    problem = assert_problem(await alice.post(f"/sessions/{session_id}/transcript", json=body), 422)
    assert problem["errors"] == [{"field": field, "detail": detail}]
    assert detail in problem["detail"]


async def test_parameters_that_do_not_fit(alice: httpx.AsyncClient) -> None:
    problem = assert_problem(await alice.get("/sessions", params={"limit": 999, "offset": -1}), 422)
    assert {error["field"] for error in problem["errors"]} == {"limit", "offset"}
    assert problem["detail"] == "; ".join(f"{error['field']}: {error['detail']}" for error in problem["errors"])
    one = assert_problem(await alice.get("/sessions", params={"limit": 999}), 422)
    assert one["errors"] == [{"field": "limit", "detail": "Expected `int` <= 200"}]
    assert "errors" not in assert_problem(await alice.post("/configs"), 422)
