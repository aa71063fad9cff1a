"""Changes of the OpenAPI document that break clients are found, and harmless ones are not."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.cli.openapi import may_break
from amplifier.openapi import document
from amplifier.openapi.breaking_changes import breaking
from tests.support.paths import ROOT
from tests.support.service import command

TEXT = document.file().read_bytes()
DOCUMENT = json.loads(TEXT)
SCRIPT = ROOT / ".ci/breaking-changes"
APPEND = "/sessions/{session_id}/transcript"
Edit = Callable[[Any, Any, Any], object]  # of the document, its paths and its schemas


def of(paths: Any, path: str, name: str) -> Any:
    """Returns a parameter of a GET operation."""
    return next(one for one in paths[path]["get"]["parameters"] if one["name"] == name)


BREAKING: dict[str, tuple[Edit, str]] = {
    "a removed path": (lambda d, p, s: p.pop("/search"), "GET /search: was removed"),
    "a removed operation": (lambda d, p, s: p[APPEND].pop("post"), f"POST {APPEND}: was removed"),
    "another name": (
        lambda d, p, s: p[APPEND]["post"].update(operationId="append"),
        f"POST {APPEND}: operationId, by which clients call it, is append, was append_transcript",
    ),
    "credentials": (lambda d, p, s: p["/version"]["get"].pop("security"), "GET /version: needs credentials now"),
    "a removed parameter": (
        lambda d, p, s: p["/search"]["get"]["parameters"].remove(of(p, "/search", "session_id")),
        "session_id was removed",
    ),
    "a parameter that is required": (
        lambda d, p, s: of(p, "/search", "session_id").update(required=True),
        "GET /search: the parameter session_id is required now",
    ),
    "another required parameter": (
        lambda d, p, s: p["/version"]["get"].update(
            parameters=[{"in": "query", "name": "of", "required": True, "schema": {"type": "string"}}]
        ),
        "GET /version: the parameter of is required now",
    ),
    "a narrower parameter": (
        lambda d, p, s: of(p, "/sessions", "limit")["schema"].update(maximum=100),
        "GET /sessions: limit: maximum is 100, was 200",
    ),
    "a body": (
        lambda d, p, s: p["/events/ticket"]["post"].update(requestBody=p["/configs"]["post"]["requestBody"]),
        "POST /events/ticket: needs a body now",
    ),
    "a required field": (
        lambda d, p, s: s["CreateConfig"]["required"].append("description"),
        "POST /configs: body: description is required now",
    ),
    "a removed field of a body": (
        lambda d, p, s: s["CreateSession"]["properties"].pop("title"),
        "POST /sessions: body: title was removed",
    ),
    "another type": (
        lambda d, p, s: s["CreateSession"]["properties"]["title"].update(type="integer"),
        "POST /sessions: body: title: may be integer, was string",
    ),
    "a removed value": (
        lambda d, p, s: s["Role"]["enum"].remove("viewer"),
        "POST /sessions/{session_id}/participants: body: role: 'viewer' is no longer accepted",
    ),
    "an enum where there was none": (
        lambda d, p, s: s["PutSetting"]["properties"]["scope"].update(enum=["global"]),
        "PUT /settings/{key}: body: scope: 'any value' is no longer accepted",
    ),
    "a shorter text": (
        lambda d, p, s: s["CreateSession"]["properties"]["title"].update(maxLength=80),
        "POST /sessions: body: title: maxLength is 80, was 255",
    ),
    "a limit where there was none": (
        lambda d, p, s: s["CreateSession"]["properties"]["title"].update(minLength=1),
        "POST /sessions: body: title: minLength is 1, was none",
    ),
    "fewer items": (
        lambda d, p, s: s["AppendTranscript"]["properties"]["messages"].update(maxItems=100),
        f"POST {APPEND}: body: messages: maxItems is 100, was 1000",
    ),
    "nothing unknown": (
        lambda d, p, s: s["Message"].update(additionalProperties=False),
        f"POST {APPEND}: body: messages: each: further members are no longer accepted",
    ),
    "a removed field of an answer": (
        lambda d, p, s: s["Session"]["properties"].pop("title"),
        "GET /sessions/{session_id}: 200: title was removed",
    ),
    "a field that may be absent": (
        lambda d, p, s: s["Session"]["required"].remove("role"),
        "GET /sessions/{session_id}: 200: role is no longer always there",
    ),
    "a field that may be null": (
        lambda d, p, s: s["Session"]["properties"]["last_seq"].update(type=["integer", "null"]),
        "GET /sessions/{session_id}: 200: last_seq: may be integer, null, was integer",
    ),
    "another format": (
        lambda d, p, s: s["Session"]["properties"]["created_at"].pop("format"),
        "GET /sessions/{session_id}: 200: created_at: format is none, was date-time",
    ),
    "a value that no client knows": (
        lambda d, p, s: s["Status"]["enum"].append("paused"),
        "GET /sessions/{session_id}: 200: status: 'paused' is a new value",
    ),
    "a value deep within": (
        lambda d, p, s: s["MessageRole"]["enum"].append("critic"),
        "GET /search: 200: items: each: role: 'critic' is a new value",
    ),
    "a removed status": (
        lambda d, p, s: p["/invitations/accept"]["post"]["responses"].pop("200"),
        "POST /invitations/accept: 200 is no longer answered",
    ),
    "another media type": (
        lambda d, p, s: p["/version"]["get"]["responses"]["200"].update(content={"text/plain": {"schema": {}}}),
        "GET /version: 200: application/json was removed",
    ),
    "a problem's member": (
        lambda d, p, s: s["Problem"]["properties"].pop("detail"),
        "GET /search: 401: detail was removed",
    ),
}
HARMLESS: dict[str, Edit] = {
    "another operation": lambda d, p, s: p.update({"/news": p["/version"]}),
    "an optional parameter": lambda d, p, s: p["/version"]["get"].update(
        parameters=[{"in": "query", "name": "of", "schema": {"type": "string"}}]
    ),
    "a parameter that may be absent": lambda d, p, s: of(p, "/search", "q").pop("required"),
    "an optional field": lambda d, p, s: s["CreateSession"]["properties"].update(color={"type": "string"}),
    "a field of an answer": lambda d, p, s: s["Session"]["properties"].update(color={"type": "string"}),
    "a field that is always there": lambda d, p, s: s["SessionSummary"]["required"].append("hits"),
    "a field that is never null": lambda d, p, s: s["Session"]["properties"]["title"].update(type="string"),
    "a longer text": lambda d, p, s: s["CreateSession"]["properties"]["title"].update(maxLength=1000),
    "no limit": lambda d, p, s: of(p, "/sessions", "limit")["schema"].pop("maximum"),
    "a value that may be sent": lambda d, p, s: of(p, "/search", "sort")["schema"]["enum"].append("oldest"),
    "another problem": lambda d, p, s: p["/version"]["get"]["responses"].update(
        {"404": {"$ref": "#/components/responses/NotFound"}}
    ),
    "no credentials": lambda d, p, s: p["/search"]["get"].update(security=[]),
    "words": lambda d, p, s: d["info"].update(description="In other words"),
}


def edited(edit: Edit) -> Any:
    document = json.loads(TEXT)
    edit(document, document["paths"], document["components"]["schemas"])
    assert document != DOCUMENT
    return document


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_change_is_found(name: str) -> None:
    edit, finding = BREAKING[name]
    found = breaking(DOCUMENT, edited(edit))
    assert any(finding in line for line in found), found
    assert all(line.split(": ")[0].split()[1] in DOCUMENT["paths"] for line in found)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_change_is_not_found(name: str) -> None:
    assert breaking(DOCUMENT, edited(HARMLESS[name])) == []


def test_version_announces_breaking_change() -> None:
    allowed = [("0.1.0", "0.2.0"), ("0.9.0", "1.0.0"), ("1.4.2", "2.0.0")]
    refused = [("0.1.0", "0.1.1"), ("1.0.0", "1.1.0"), ("1.0.0", "1.0.0"), ("2.0.0", "1.0.0"), ("0.2.0", "0.1.0")]
    assert [versions for versions in allowed + refused if may_break(*versions)] == allowed


@pytest.mark.slow
def test_command_compares_with_earlier_document(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(edited(lambda d, p, s: p.update({"/old": p["/version"]}))))
    done = command({}, "openapi", "--against", str(earlier))
    assert (done.returncode, done.stdout) == (1, "GET /old: was removed\n")
    assert "must not break clients of" in done.stderr
    earlier.write_text(json.dumps(DOCUMENT))
    assert command({}, "openapi", "--against", str(earlier)).returncode == 0


def test_previous_release_is_compared(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / "openapi").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / ".ci")
    program = tmp_path / ".venv/bin/amplifier-api"
    program.write_text('#!/bin/sh\necho "$1 $2: $(cat "$3")"\n')
    program.chmod(0o755)

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def release(text: str, *tags: str) -> str:
        (tmp_path / "openapi/openapi.json").write_text(text)
        git("add", "openapi")
        git("commit", "--quiet", "--allow-empty", "--message", text)
        for tag in tags:
            git("tag", tag)
        return subprocess.run([tmp_path / ".ci/breaking-changes"], check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    nothing = "there is no release with another OpenAPI document: nothing to compare\n"
    assert release("one") == nothing
    assert release("one", "v1") == nothing
    assert release("two") == "the API since v1\nopenapi --against: one\n"
    assert release("two", "v2") == "the API since v1\nopenapi --against: one\n"
