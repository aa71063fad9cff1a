"""The README and the pages of frameworks run as written."""

import json
import re
from pathlib import Path

import model
import pytest
from pages import run_page
from serving import ROOT, running
from test_imports import session

CLIENT = "clients/python/README.md"


def test_readme_of_the_client(tmp_path: Path) -> None:
    session(tmp_path / "sessions", "one", ["Is there a flight?", "Yes."])
    with running({}) as service:
        read, found, followed, answered, imported, missed = run_page(CLIENT, tmp_path, {"AMPLIFIER_URL": service.url})
    assert read == "1 Is there a direct flight to Geneva?\n2 Yes: HAT136.\n"
    assert [line.split(" ")[:4] for line in found.splitlines()][-1][:3] == ["Flight", "to", "Geneva"]
    assert followed == "1 message.created\n2 message.created\n"
    assert answered == "You said: Book it, please\n"
    assert imported.startswith("done {")
    assert "messages=2" in imported
    assert missed == "missed 1 message, the last number is 2\n"


def test_page_of_claude_agent_sdk(tmp_path: Path) -> None:
    with running({}) as service, model.running() as stub:
        environ = {**stub.environ, "AMPLIFIER_URL": service.url, "CLAUDE_CONFIG_DIR": str(tmp_path / "settings")}
        first, found, second = run_page("docs/integrations/claude-agent-sdk.md", tmp_path, environ)
    assert re.fullmatch(r"\S{36} You said: Is there a flight to Geneva\?\n", first)
    assert {hit["title"] for hit in json.loads(found)["items"]} == {"Is there a flight to Geneva?"}
    assert second == f"{first[:36]} You said: And back?\n"


def test_page_of_openai_agents(tmp_path: Path) -> None:
    with running({}) as service, model.running() as stub:
        environ = {**stub.environ, "AMPLIFIER_URL": service.url}
        talked, found, followed = run_page("docs/integrations/openai-agents.md", tmp_path, environ)
    assert talked == "You said: Is there a flight to Geneva?\n4 items\n"
    assert len(json.loads(found)["items"]) == 2
    assert followed == "1 user\n2 assistant\n3 user\n4 assistant\n"


def found(answer: str) -> int:
    return len(json.loads(answer)["items"])


def test_page_of_langchain(tmp_path: Path) -> None:
    with running({}) as service:
        talked, hits = run_page("docs/integrations/langchain.md", tmp_path, {"AMPLIFIER_URL": service.url})
    assert talked == "Yes: HAT136.\nIt leaves at 7:40.\n4 messages\n"
    assert found(hits) == 1


def test_page_of_langgraph(tmp_path: Path) -> None:
    with running({}) as service:
        kept, hits = run_page("docs/integrations/langgraph.md", tmp_path, {"AMPLIFIER_URL": service.url})
    assert kept == "2 messages\n"
    assert found(hits) == 1


def test_page_of_agent_framework(tmp_path: Path) -> None:
    with running({}) as service:
        talked, hits = run_page("docs/integrations/agent-framework.md", tmp_path, {"AMPLIFIER_URL": service.url})
    assert talked == "You said: Is there a flight to Geneva?\nYou said: And when?\n4 messages\n"
    assert found(hits) == 2


def test_page_of_google_adk(tmp_path: Path) -> None:
    with running({}) as service, model.running() as stub:
        environ = {**stub.environ, "AMPLIFIER_URL": service.url}
        talked, found, followed, run = run_page("docs/integrations/google-adk.md", tmp_path, environ)
    answers = ["You said: Is there a flight to Geneva?", "You said: And back?"]
    assert talked.splitlines()[:2] == answers
    assert talked.splitlines()[2] == f"4 events {{'answer': '{answers[1]}', 'user:seat': 'window'}}"
    assert len(json.loads(found)["items"]) == 2
    assert followed.splitlines()[-1] == f"desk {answers[1]}"
    assert "[desk]: You said: Is there a flight to Zurich?" in run


def test_page_of_llamaindex(tmp_path: Path) -> None:
    with running({}) as service:
        talked, hits = run_page("docs/integrations/llamaindex.md", tmp_path, {"AMPLIFIER_URL": service.url})
    assert talked == "4 messages\n"
    assert found(hits) >= 1


def test_page_of_strands(tmp_path: Path) -> None:
    with running({}) as service, model.running() as stub:
        environ = {**stub.environ, "AMPLIFIER_URL": service.url}
        talked, hits = run_page("docs/integrations/strands.md", tmp_path, environ)
    assert talked.splitlines() == ["You said: Is there a flight to Geneva?", "You said: And back?", "4 messages"]
    assert found(hits) == 2


def test_page_of_pydantic_ai(tmp_path: Path) -> None:
    with running({}) as service, model.running() as stub:
        environ = {**stub.environ, "AMPLIFIER_URL": service.url}
        talked, hits = run_page("docs/integrations/pydantic-ai.md", tmp_path, environ)
    assert talked.splitlines() == ["You said: Is there a flight to Geneva?", "You said: And back?", "4 messages"]
    assert found(hits) == 2


@pytest.mark.parametrize("page", sorted(file.name for file in (ROOT / "docs/integrations").glob("*.md")))
def test_every_page_of_a_framework_is_run_by_a_test(page: str) -> None:
    tests = "".join(file.read_text() for file in [*ROOT.glob("clients/*/tests/*.*"), *ROOT.glob("tests/*/*.py")])
    assert f"docs/integrations/{page}" in tests
