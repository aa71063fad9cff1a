"""The README's tour does what it says: every line of it is run by a shell, against a new service."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import private_folder
from tests.markdown import blocks, run
from tests.service import Service, running_service

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_tour(tmp_path: Path) -> None:
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        lines = _run(service, "sh", tmp_path, {})
    assert lines[0]["status"] == "healthy"
    assert [line["last_seq"] for line in lines if isinstance(line, dict) and "first_seq" in line] == [4, 5, 9]
    lists = [line["sessions"] for line in lines if isinstance(line, dict) and "sessions" in line]
    assert [(found["title"], found.get("hits")) for [found] in lists] == [
        ("Flight to Geneva", 2),
        ("Flight to Geneva", None),
    ]
    searched = [[hit["seq"] for hit in line["items"]] for line in lines if isinstance(line, dict) and "items" in line]
    assert [sorted(hits) for hits in searched] == [[1, 2, 3, 4], [2], [3, 4], [8, 9]]
    assert lines[-2] == [
        {"role": "user", "content": "Book it."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! What can I do for you?"},
    ]


def test_an_agent_answers(tmp_path: Path) -> None:
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        lines = _run(service, "sh(?: agent)?", tmp_path, {}, plain=True, may_fail=True)
    answer = next(json.loads(line) for line in lines if '"response":"You said: Hello, agent"' in line)
    assert answer["metadata"].keys() == {"config_id", "run_id"}
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert (events[0]["type"], events[-2:]) == (
        "connected",
        [{"type": "response", "content": "You said: Say it again, please"}, {"type": "done"}],
    )
    deltas = [event["data"]["text"] for event in events if event["type"] == "llm:stream_block_delta"]
    assert "".join(deltas) == "You said: Say it again, please"
    transcript, runs, cancelled, stopped = (json.loads(line) for line in lines[-4:])
    assert [message["role"] for message in transcript] == ["user", "assistant"] * 2
    assert [run["status"] for run in runs["runs"]] == ["completed", "completed"]
    assert cancelled == {"message": "Cancellation requested"}
    assert (stopped["status"], stopped["detail"]) == (409, "The run was cancelled")


def test_calls_that_go_wrong_and_calls_that_collide(tmp_path: Path) -> None:
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        lines = _run(service, "sh(?: once)?", tmp_path, {}, may_fail=True)
    once, again, changed, refused, known, versions, restored, fork, then = lines[-9:]
    assert once == again
    assert (changed["version"], refused["status"], known) == (2, 412, "304")
    assert [version["version"] for version in versions["versions"]] == [2, 1]
    assert (restored["version"], restored["description"]) == (3, None)
    assert (fork["forked_at_seq"], fork["title"], fork["message_count"]) == (4, "Another way", 1)
    assert then["messages"] == []


def test_keys_are_replaced(tmp_path: Path) -> None:
    secret = re.findall(r"export AUTH_REQUIRED=true SECRET_KEY=(.*)", README)[0]
    with private_folder() as home:
        environ = {"AMPLIFIER_HOME": str(home), "AUTH_REQUIRED": "true", "SECRET_KEY": secret}
        with running_service(environ) as service:
            keys, replaced, refused, served = _run(service, "sh (?:people|keys)", tmp_path, environ, may_fail=True)[-4:]
    assert [key["name"] for key in keys["keys"]] == ["2027", "default"]
    assert replaced["message"] == "API key regenerated successfully"
    assert (refused["status"], served["user_id"]) == (401, "mia")


def test_a_session_is_followed(tmp_path: Path) -> None:
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        lines = _run(service, "sh(?: live)?", tmp_path, {}, plain=True)
    followed = "\n".join(line for line in lines[lines.index("retry: 2000") :])
    assert [int(number) for number in re.findall(r"^id: (\d+)$", followed, re.MULTILINE)] == list(range(1, 11))
    assert followed.count("event: session.updated") == 2
    assert '"content": "Hello, live"' in followed
    assert '"present":[{"user_id":"dev-user"' in "\n".join(lines)


def test_two_people_share_a_session(tmp_path: Path) -> None:
    secret = re.findall(r"export AUTH_REQUIRED=true SECRET_KEY=(.*)", README)[0]
    with private_folder() as home:
        environ = {"AMPLIFIER_HOME": str(home), "AUTH_REQUIRED": "true", "SECRET_KEY": secret}
        with running_service(environ) as service:
            added, appended, shared, joined, read, changed, handed_over, removed, left, own = _run(
                service, "sh people", tmp_path, environ
            )
    assert (added["user_id"], added["role"]) == ("noor", "editor")
    assert (appended["first_seq"], shared["sessions"][0]["role"]) == (2, "editor")
    assert (joined["user_id"], joined["role"], read["messages"][0]["author_user_id"]) == ("omar", "viewer", "noor")
    assert changed["permissions"] == {"send": True}
    assert (handed_over["owner_user_id"], handed_over["role"]) == ("noor", "editor")
    assert removed == {"message": "Participant removed successfully"}
    assert {row["user_id"]: row["role"] for row in left["participants"]} == {"mia": "editor", "noor": "owner"}
    assert own["sessions"][0]["title"] == "Flight to Geneva"


def _run(
    service: Service, kind: str, folder: Path, environ: dict[str, str], plain: bool = False, may_fail: bool = False
) -> list[Any]:
    """The answers to the README's blocks of one kind, one after the other; `plain` for the lines as they are."""
    script = "\n".join(blocks(kind, README)).replace("http://127.0.0.1:8765", service.url)
    # one answer a line, and a failed call ends the script unless it is meant to fail
    options = "" if may_fail else "--fail-with-body "
    script = re.sub(r"curl -s", rf"curl -s -S {options}-w '\\n'", script)
    return [line if plain else json.loads(line) for line in run(script, folder, environ).splitlines() if line]


def test_the_settings_are_all_documented() -> None:
    import msgspec

    from amplifier.settings import Settings

    later = {"APP_INSIGHTS_CONNECTION_STRING"}
    names = {field.encode_name for field in msgspec.structs.fields(Settings)} - later
    assert {name for name in names if f"`{name}`" not in README} == set()
