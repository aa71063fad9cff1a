"""Texts of errors: they name the place that does not fit, and what would fit there."""

import re
from typing import Any

import httpx
import pytest

from amplifier.api.routes import routes
from amplifier.web.misfits import odd_characters
from amplifier.web.problems import title
from tests.conftest import CONFIG, assert_problem, settings_for

HALF, NUL = (
    "contains half of a surrogate pair (\\ud83d), which is no text",
    "contains a NUL character (\\u0000), which is no text",
)
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"name": "a\\ud83d", "config_data": {}}', f"name: {HALF}"),
        ('{"name": "a\\u0000", "config_data": {"bundle": {"name": "b"}}}', f"name: {NUL}"),
        ('{"name": "a", "config_data": {"bundle": {"name": "b"}, "x": ["\\u0000"]}}', f"config_data.x[0]: {NUL}"),
        ('{"\\ud83d": 1}', f"The body: {HALF}"),
        ('{"name": "a\\x"}', "The body is not valid JSON: "),
    ],
)
async def test_odd_character_in_config_is_named(alice: httpx.AsyncClient, body: str, detail: str) -> None:
    problem = assert_problem(await alice.post("/configs", content=body, headers=JSON), 422)
    assert problem["detail"].startswith(detail)


async def test_odd_character_in_parameter_is_named(alice: httpx.AsyncClient) -> None:
    assert_problem(await alice.get("/search?q=a&author=%00"), 422, f"author: {NUL}")
    assert_problem(await alice.get("/configs/a%00"), 422, f"config_id: {NUL}")


def test_place_in_large_body_is_not_searched() -> None:
    assert odd_characters(b'["\\u0000"]') is not None
    assert odd_characters(b'["\\u0000"' + b" " * 300_000 + b"]") is None
    assert odd_characters(b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("tags", "field", "detail"),
    [
        ({"a": "b", "team": 1}, "tags.team", "Expected `str`, got `int`"),
        ({"team": "x" * 501}, "tags.team", "Expected `str` of length <= 500"),
        ({"k" * 101: "x"}, f"tags.{'k' * 100}…", "Expected `str` of length <= 100"),
        ({"": "x"}, "tags.", "Expected `str` of length >= 1"),
    ],
)
async def test_tag_is_named(alice: httpx.AsyncClient, session_id: str, tags: Any, field: str, detail: str) -> None:
    problem = assert_problem(await alice.patch(f"/sessions/{session_id}", json={"tags": tags}), 422)
    assert problem["detail"] == f"{field}: {detail}"
    assert problem["errors"] == [{"field": field, "detail": detail}]
    assert_problem(await alice.post("/configs", json=CONFIG | {"tags": tags}), 422, f"{field}: {detail}")


async def test_enums_list_what_is_allowed(alice: httpx.AsyncClient, session_id: str) -> None:
    roles = "Invalid enum value 'boss': allowed are editor, owner, viewer"
    put = await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "boss"})
    problem = assert_problem(put, 422, f"{roles} - at `$.role`")
    assert problem["errors"] == [{"field": "role", "detail": roles}]
    status = assert_problem(await alice.patch(f"/sessions/{session_id}", json={"status": "done"}), 422)["detail"]
    assert "allowed are active, cancelled, completed, failed" in status
    assert_problem(
        await alice.get("/search?q=a&sort=best"), 422, "sort: Invalid enum value 'best': allowed are rank, recent"
    )
    assert_problem(
        await alice.get(f"/sessions/{session_id}/transcript?view=all"),
        422,
        "view: Invalid enum value 'all': allowed are entries, plain",
    )


@pytest.mark.parametrize("version", ["abc", "0", "-1", "1.5", str(2**70), "9" * 5000])
@pytest.mark.parametrize("route", ["GET /configs/{}/versions/{}", "POST /configs/{}/versions/{}/restore"])
async def test_version_that_is_no_number_is_refused(
    alice: httpx.AsyncClient, config_id: str, version: str, route: str
) -> None:
    method, path = route.format(config_id, version).split()
    problem = assert_problem(await alice.request(method, path), 422)
    assert [error["field"] for error in problem["errors"]] == ["version"]
    assert problem["detail"].startswith("version: Expected ")
    if version == "abc":
        assert problem["detail"] == "version: Expected a whole number, 1 or more, got 'abc'"


async def test_message_that_is_no_number_is_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    problem = assert_problem(await alice.get(f"/sessions/{session_id}/transcript/last"), 422)
    assert problem["detail"] == "seq: Expected a whole number, 1 or more, got 'last'"


def test_router_parses_no_numbers() -> None:
    """It would answer 404 for what is no number."""
    paths = [route.path for route in routes(settings_for("postgresql://x")).routes]
    assert [path for path in paths if re.search(r":(?!str}|path})", path)] == []


async def test_parameters_say_what_is_wanted(alice: httpx.AsyncClient) -> None:
    assert_problem(await alice.get("/sessions?limit=x"), 422, "limit: Expected a whole number from 1 to 200, got 'x'")
    assert_problem(await alice.get("/sessions?owned=perhaps"), 422, "owned: Expected true or false, got 'perhaps'")


async def test_titles_are_those_of_rfc_9110(alice: httpx.AsyncClient) -> None:
    assert assert_problem(await alice.get("/sessions?limit=0"), 422)["title"] == "Unprocessable Content"
    phrases = [title(status) for status in (404, 413, 414, 416, 422)]
    assert phrases[1:] == ["Content Too Large", "URI Too Long", "Range Not Satisfiable", "Unprocessable Content"]
    assert phrases[0] == "Not Found"
