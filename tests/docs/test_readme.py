"""Every command of README.md, CONTRIBUTING.md and docs/ runs as written in bash and zsh, against a new service."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.markdown import PAGES, Shown, needs_zsh, run_page, runnable
from tests.support.paths import ROOT

CHECKS: dict[str, Callable[[Shown], None]] = {}
RUN = [page for page in PAGES if runnable((ROOT / page).read_text())]


def checks(page: str) -> Callable[[Callable[[Shown], None]], Callable[[Shown], None]]:
    """Registers a function that checks what the commands of a page show."""

    def register(check: Callable[[Shown], None]) -> Callable[[Shown], None]:
        CHECKS[page] = check
        return check

    return register


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", pytest.param("zsh", marks=needs_zsh)])
@pytest.mark.parametrize("page", RUN)
def test_commands_of_page_do_what_it_says(page: str, shell: str, tmp_path: Path) -> None:
    shown = run_page(page, tmp_path, shell)
    CHECKS[page](shown)


def test_every_page_with_commands_is_checked() -> None:
    assert sorted(CHECKS) == RUN


@checks("README.md")
def _tour(shown: Shown) -> None:
    appended, found, answered = shown.answers[:3]
    assert (appended["first_seq"], appended["last_seq"]) == (1, 4)
    assert sorted(hit["seq"] for hit in found["items"]) == [1, 2, 3, 4]
    assert answered["response"] == "You said: Book it, please"
    numbers = [int(line.removeprefix("id: ")) for line in shown.lines if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(line == "event: message.created" for line in shown.lines) == 6


@checks("docs/console.md")
def _console(shown: Shown) -> None:
    [sign_in] = shown.answers
    assert (sign_in["mode"], sign_in["oidc"]) == ("off", None)


@checks("docs/api.md")
def _api(shown: Shown) -> None:
    participants, sessions, whole, included, step, text, created, found = shown.answers
    assert (len(whole["sessions"]), whole["next"]) == (whole["total"], None)
    assert [row["user_id"] for row in participants["items"]] == ["dev-user"]
    assert (len(sessions["sessions"]), sessions["total"] > 0) == (1, True)
    [row] = [row for row in included["sessions"] if row["title"] == "Flight to Geneva"]
    assert (row["participants"], row["participant_count"]) == ([{"user_id": "dev-user", "role": "owner"}], 1)
    assert (row["last_message"]["message"]["role"], row["metadata"]) == ("assistant", {})
    assert (step["tags"]["stage"], "stage" in text["tags"]) == ("review", False)
    assert text["metadata"] == {"draft": {"step": 2, "text": "Dear Mia"}}
    assert (created["external_id"], created["title"], created["config_id"]) == ("chat/42", "Chat 42", None)
    assert (found["session_id"], created["message"]) == (created["session_id"], "Session created successfully")


@checks("docs/transcripts.md")
def _transcripts(shown: Shown) -> None:
    answers = iter(shown.answers)
    appended, stale = next(answers), next(answers)
    assert (stale["status"], stale["missed"][-1]["seq"]) == (412, appended["last_seq"])
    keyed, replaced, stated, _, patched, shared = (next(answers) for _ in range(6))
    assert (keyed["skipped"], replaced["replaced"], replaced["seqs"][0]) == ([], [0], keyed["seqs"][1])
    assert (stated["state"]["session"]["version"], patched["session"]["version"]) == (1, 2)
    assert shared["user"]["document"]["seat"] == {"side": "aisle"}
    page, plain, past, newest, before, end, second = (next(answers) for _ in range(7))
    assert [entry["seq"] for entry in page["messages"]] == [3, 4]
    assert [message["role"] for message in plain] == ["user", "assistant"]
    assert (past["messages"], past["last_seq"]) == ([], 0)
    assert stated["last_seq"] >= newest["messages"][0]["seq"] > newest["next"] == newest["messages"][-1]["seq"]
    assert ([entry["seq"] for entry in before["messages"]], second["seq"]) == ([3, 2], 2)
    assert end["messages"] == newest["messages"][::-1]
    secret, taken, kept, erased = (next(answers) for _ in range(4))
    assert [entry["seq"] for entry in taken["retracted"]] == [secret["last_seq"]]
    assert [entry["message"] for entry in kept["messages"]] == [taken["retracted"][0]["message"]]
    assert [entry["message"] for entry in erased["retracted"]] == [{}]
    imported, read, fork = (next(answers) for _ in range(3))
    assert (imported["last_seq"], read[0]["content"]) == (2, "Hello")
    assert (fork["forked_at_seq"], fork["title"], fork["message_count"]) == (4, "Another way", 1)
    tagged, active, completed, resumed, broken, diagnosis, repair = answers
    assert [found["title"] for found in tagged["sessions"]] == ["Another way", "Flight to Geneva"]
    assert {found["status"] for found in active["sessions"]} == {"active"}
    assert (completed["status"], resumed["status"]) == ("completed", "active")
    assert broken["last_seq"] == 4
    assert {finding["problem"] for finding in diagnosis["findings"]} == {"missing_result", "unfinished_turn"}
    assert (repair["moved"], repair["added"]) == (1, 1), "a result comes before the question"


@checks("docs/export.md")
def _export(shown: Shown) -> None:
    assert "# Flight to Geneva" in shown.lines
    assert any(line.endswith(" messages") and line[0] != "0" for line in shown.lines)
    assert json.loads(next(line for line in reversed(shown.lines) if line.startswith("{")))["seq"] >= 1


@checks("docs/agents.md")
def _agents(shown: Shown) -> None:
    answer = next(json.loads(line) for line in shown.lines if '"response":"You said: Hello, agent"' in line)
    assert answer["metadata"].keys() == {"config_id", "run_id", "finish_reason"}
    events = [json.loads(line.removeprefix("data: ")) for line in shown.lines if line.startswith("data: {")]
    assert (events[0]["type"], events[-2:]) == (
        "connected",
        [{"type": "response", "content": "You said: Say it again, please", "finish_reason": "stop"}, {"type": "done"}],
    )
    deltas = [event["data"]["text"] for event in events if event["type"] == "llm:stream_block_delta"]
    assert "".join(deltas) == "You said: Say it again, please"
    transcript, runs, cancelled, stopped = shown.answers[-4:]
    assert [message["role"] for message in transcript][-4:] == ["user", "assistant"] * 2
    assert {run["status"] for run in runs["items"]} == {"completed"}
    assert cancelled == {"message": "Cancellation requested"}
    assert (stopped["status"], stopped["detail"]) == (409, "The run was cancelled")


@checks("docs/attachments.md")
def _attachments(shown: Shown) -> None:
    sent, listed, appended = shown.answers
    assert (sent["name"], sent["size"], listed["items"]) == ("seats.csv", 18, [sent])
    assert "12A,40" in shown.lines, "the name in the page is the hash of the content"
    assert appended["first_seq"] == appended["last_seq"]


@checks("docs/search.md")
def _search(shown: Shown) -> None:
    found, calls, sessions, recent, facets = shown.answers
    assert {hit["seq"] for hit in found["items"]} >= {1, 2, 3, 4}
    assert [hit["seq"] for hit in calls["items"]] == [2]
    assert [session["title"] for session in sessions["sessions"]] == ["Flight to Geneva"]
    assert [hit["seq"] for hit in recent["items"]] == [4, 3]
    assert facets["hits"] == sum(one["count"] for one in facets["month"]) > 0


@checks("docs/integrations/mcp.md")
def _mcp(shown: Shown) -> None:
    found, read, noted, listed = (answer["result"] for answer in shown.answers)
    assert {hit["seq"] for hit in found["structuredContent"]["items"]} == {1, None}
    assert [one["seq"] for one in read["structuredContent"]["messages"]][-1] + 1 <= noted["structuredContent"]["seq"]
    assert [tool["name"] for tool in listed["tools"]] == ["search", "list_sessions", "read_transcript", "append_note"]
    assert "search list_sessions read_transcript append_note" in shown.lines
    assert any(line.endswith(" hits") for line in shown.lines)


@checks("docs/integrations/openai.md")
def _openai(shown: Shown) -> None:
    transcript, found = shown.answers
    roles = ["user", None, None, "user", "assistant", "user", "assistant"]
    assert [message.get("role") for message in transcript] == roles
    assert found["items"][0]["headline"] == "Is there a direct flight to <mark>Lisbon</mark>?"
    kinds = ["message", "function_call", "function_call_output"]
    assert [line for line in shown.lines if line.startswith("item")] == [f"item {kind}" for kind in kinds]
    assert "answer You said: Book it" in shown.lines
    parts = [line.removeprefix("part ") for line in shown.lines if line.startswith("part ")]
    assert "".join(parts).split() == ["You", "said:", "A", "window", "seat"]


@checks("docs/live.md")
def _live(shown: Shown) -> None:
    followed = "\n".join(shown.lines[shown.lines.index("retry: 2000") :])
    numbers = [int(number) for number in re.findall(r"^id: (\d+)$", followed, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert '"content": "Hello, live"' in followed
    assert "event: read" in followed
    assert '"items":[{"user_id":"dev-user"' in "\n".join(shown.lines)


@checks("docs/sharing.md")
def _sharing(shown: Shown) -> None:
    added, appended, shared, joined, read, changed, handed_over, left, own = shown.answers
    assert (added["user_id"], added["role"]) == ("noor", "editor")
    assert (appended["first_seq"], shared["sessions"][0]["role"]) == (2, "editor")
    assert (joined["user_id"], joined["role"], read["messages"][0]["author_user_id"]) == ("omar", "viewer", "noor")
    assert changed["permissions"] == {"send": True}
    assert (handed_over["owner_user_id"], handed_over["role"]) == ("noor", "editor")
    assert {row["user_id"]: row["role"] for row in left["items"]} == {"mia": "editor", "noor": "owner"}
    assert own["items"][0]["title"] == "Flight to Geneva"


@checks("docs/authentication.md")
def _authentication(shown: Shown) -> None:
    mia, applications, acted, keys, replaced, refused, served, audit, config = shown.answers
    assert (mia["user_id"], acted["user_id"]) == ("mia", "mia")
    assert [application["app_id"] for application in applications] == ["travel", "console"]
    assert [key["name"] for key in keys["items"]] == ["2027", "default"]
    assert replaced["message"] == "API key regenerated successfully"
    assert (refused["status"], served["user_id"]) == (401, "mia")
    assert sum(line.startswith("app_") for line in shown.lines) >= 2, "keys that the command line made"
    assert len(audit["items"]) == 3
    assert config["config_data"]["providers"][0]["config"]["api_key"].startswith("enc:")
    assert any(re.fullmatch(r"[0-9a-f]{8} +1 +0  SECRET_KEY, encrypts", line) for line in shown.lines)


@checks("docs/reliability.md")
def _reliability(shown: Shown) -> None:
    once, again, *rest = shown.answers
    assert once == again
    titled, same, untitled, changed, refused, known, versions, restored, *unknown = rest
    assert [titled["changed"], same["changed"], untitled["changed"]] == [["title"], [], ["title"]]
    assert (same["message"], untitled["title"]) == ("Nothing changed", None)
    assert [[error["field"] for error in problem["errors"]] for problem in unknown] == [["limt"], ["titel"]]
    assert (changed["version"], refused["status"], known) == (2, 412, "304")
    assert [version["version"] for version in versions["items"]] == [2, 1]
    assert (restored["version"], restored["description"]) == (3, None)


@checks("docs/operations.md")
def _operations(shown: Shown) -> None:
    health, version, queries, processes, *reports = shown.answers
    assert [(process["runs"], process["version"]) for process in processes["items"]] == [(0, health["version"])]
    assert [report["items"] for report in reports] == [[], [], []]
    assert (health["status"], health["version"]) == ("healthy", version["service_version"])
    assert "sessions.get" in {query["name"] for query in queries["queries"]}
    assert sum(line.startswith("0 failed, ") for line in shown.lines) == 2, shown.lines
    assert {"ok       LISTEN               a notification arrives"} < set(shown.lines)


@checks("docs/privacy.md")
def _privacy(shown: Shown) -> None:
    text = "\n".join(shown.lines)
    assert "older than 1y, status completed or failed: 0 sessions, 0 messages, 0 bytes" in text
    assert "older than 1y: deleted 0 sessions with 0 messages" in text
    assert "audit_log older than 2y: 0 rows" in text
    assert "support: 0 sessions" in text
    assert "sessions deleted: 1\nmessages deleted: 6\n" in text


@checks("docs/import.md")
def _import(shown: Shown) -> None:
    text = "\n".join(shown.lines)
    assert text.count("found 1 file of claude-code") == 3
    assert "Nothing was changed. To import, leave --dry-run out" in text
    assert text.count("nothing new") == 1
    assert "claude-code" in text
    assert "a1.jsonl |    1 | {" in text


@checks("docs/sql.md")
def _sql(shown: Shown) -> None:
    assert any("amplifier-api" in line or "/*" in line for line in shown.lines)
    assert any("src/main.py" in line or "main" in line for line in shown.lines)
    assert any("HAT136" in line for line in shown.lines)


@checks("docs/formats.md")
def _formats(shown: Shown) -> None:
    assert any("15 degrees" in line for line in shown.lines)
    assert any(line.strip() == "tool" for line in shown.lines)


@checks("CONTRIBUTING.md")
def _contributing(shown: Shown) -> None:
    assert any(line.endswith("queries hold") for line in shown.lines)
    assert shown.lines[-1] == "all migrations hold"
