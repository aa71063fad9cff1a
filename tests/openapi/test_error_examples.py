"""Examples of errors: recorded by the tests, chosen, compared, and shown at the operations that gave them."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier.openapi import document
from amplifier.openapi.problems import Problems
from tests.openapi import error_examples
from tests.openapi.error_examples import chosen, missing, unproduced
from tests.support.problem_recorder import Recorded, normal, recorded

NOT_FOUND = {"detail": "Session not found"}
FORBIDDEN = ["Only owners and editors may send messages", "Only owners and editors may send reactions"]
MOVED_ON = {"detail": "The transcript has moved on: expected_seq is 4, last_seq is 5"}


def produced(*details: str, operation: str = "get_thing", status: int = 422) -> list[Recorded]:
    return [Recorded(operation, status, json.dumps({"detail": detail})) for detail in details]


async def test_problem_is_recorded_once(
    alice: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERROR_EXAMPLES", str(tmp_path / "errors"))
    for _ in range(2):
        await alice.get(f"/sessions/{uuid.uuid4()}")
    await alice.post("/sessions", json={"config_id": str(uuid.uuid4())})
    await alice.get("/configs")
    example = '{"detail": "Config not found: c3d1c1e2-9a1f-4a53-8a7e-2f60a7c4b8e9"}'
    expected = {Recorded("get_session", 404, json.dumps(NOT_FOUND)), Recorded("create_session", 404, example)}
    assert recorded(tmp_path / "errors") == expected
    assert sum(len(file.read_text().splitlines()) for file in (tmp_path / "errors").iterdir()) == 2


def test_random_parts_of_a_problem_are_replaced() -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    problem = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": f"{first} {second} {first} wait 31 s, app_{uuid.uuid4().hex[:16]} at 2031-01-02T03:04:05.678901Z",
        "request_id": uuid.uuid4().hex,
    }
    one, two = "c3d1c1e2-9a1f-4a53-8a7e-2f60a7c4b8e9", "0f7c2b64-5d0e-4c1b-9d53-1f6a7e2c9b40"
    assert json.loads(normal(problem)) == {
        "detail": f"{one} {two} {one} wait 12 s, app_0123456789abcdef at 2026-05-20T10:00:00.512000Z",
        "request_id": "5d0c5cf6d5cb4a2ebf8f1b7f0f0e4c11",
    }


def test_short_examples_of_several_kinds_are_chosen() -> None:
    found = produced("limit: 1 is too small", "limit: 22 is too small", "é", "b", "longer than the others", "longer")
    wanted = [("get_thing", "422"), ("get_thing", "500")]
    errors = chosen({}, found, wanted)
    assert errors == {
        "get_thing": {"422": [{"detail": "b"}, {"detail": "longer"}, {"detail": "limit: 1 is too small"}]}
    }
    assert missing(errors, wanted) == ["get_thing 500: has no example"]
    assert chosen({}, reversed(found), wanted) == errors


def test_examples_that_name_a_member_and_real_ids_come_first() -> None:
    known = "Thing not found: c3d1c1e2-9a1f-4a53-8a7e-2f60a7c4b8e9"
    named = {"detail": "Expected `int` - at `$.limit`", "errors": [{"field": "limit", "detail": "Expected `int`"}]}
    found = [*produced("Thing not found: x", known, "a"), Recorded("get_thing", 422, json.dumps(named))]
    errors = chosen({}, found, [("get_thing", "422")])
    assert errors["get_thing"]["422"] == [named, {"detail": "a"}, {"detail": known}]


def test_examples_that_are_produced_again_stay() -> None:
    wanted = [("get_thing", "422")]
    errors = {"get_thing": {"422": [{"detail": "expected_seq is 4"}, {"detail": "gone"}]}}
    found = produced("a", "b", "c", "expected_seq is 7")
    assert unproduced(errors, found) == ['get_thing 422: no test produced {"detail": "gone"}']
    again = chosen(errors, found, wanted)
    assert [one["detail"] for one in again["get_thing"]["422"]] == ["expected_seq is 4", "a", "b"]
    assert unproduced(again, found) == []
    assert chosen(again, found, wanted) == again


@pytest.mark.parametrize(("status", "lines"), [(409, 0), (503, 0), (404, 1), (422, 1)])
def test_example_that_a_race_decides_may_come_from_another_operation(status: int, lines: int) -> None:
    errors = {"get_thing": {str(status): [{"detail": "try again"}]}}
    found = produced("try again", operation="put_thing", status=status)
    assert len(unproduced(errors, found)) == lines


def test_command_writes_and_checks_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps(one) for one in produced("Session not found", operation="get_session", status=404)]
    (tmp_path / "1.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(document, "ERRORS", str(tmp_path / "errors.json"))
    assert error_examples.main([str(tmp_path)]) == 0
    assert json.loads((tmp_path / "errors.json").read_text()) == {"get_session": {"404": [NOT_FOUND]}}
    assert "get_session 401: has no example" in capsys.readouterr().out
    (tmp_path / "1.jsonl").write_text("")
    assert error_examples.main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().out
    assert 'get_session 404: no test produced {"detail": "Session not found"}' in said
    assert "get_session 404: has no example" not in said


def shown(problems: Problems, operation: str, status: int) -> list[Any]:
    """Returns the examples of an error of an operation, as the document refers to them."""
    response = problems.response(operation, status)
    if "$ref" in response:
        response = problems.responses()[response["$ref"].rpartition("/")[2]]
    references = response["content"]["application/problem+json"].get("examples", {}).values()
    return [problems.examples()[one["$ref"].rpartition("/")[2]]["value"] for one in references]


def test_operation_shows_its_own_examples() -> None:
    problems = Problems(
        {
            "get_session": {"404": [NOT_FOUND]},
            "get_transcript": {"404": [NOT_FOUND]},
            "get_setting": {"404": [{"detail": "Setting not found"}]},
            "stream_message": {"403": [{"detail": detail} for detail in FORBIDDEN]},
            "append_transcript": {"412": [MOVED_ON, MOVED_ON | {"last_seq": 5}]},
        }
    )
    problem = {"type": "about:blank", "title": "Not Found", "status": 404}
    assert shown(problems, "get_session", 404) == [problem | NOT_FOUND]
    assert shown(problems, "get_setting", 404) == [problem | {"detail": "Setting not found"}]
    assert shown(problems, "get_user", 404) == []
    assert [one.get("last_seq") for one in shown(problems, "append_transcript", 412)] == [None, 5]
    assert problems.response("get_session", 404) == {"$ref": "#/components/responses/NotFound"}
    assert set(problems.examples()) == {
        "only_owners_and_editors_may_send_messages",
        "only_owners_and_editors_may_send_reactions",
        "session_not_found",
        "setting_not_found",
        "the_transcript_has_moved_on_expected_seq_is_last_seq_is",
        "the_transcript_has_moved_on_expected_seq_is_last_seq_is_2",
    }
