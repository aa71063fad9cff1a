"""Transcripts of the Claude Agent SDK: its published contracts, and runs of Claude Code with a stub of the model."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model
import pytest
from amplifier_client import AsyncAmplifier
from amplifier_client.claude import AmplifierSessionStore
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, SessionStore, query
from claude_agent_sdk.testing import run_session_store_conformance
from faults import LosesAnswers
from serving import Service, token

OTHER_METHODS = ("append", "load", "list_sessions", "list_session_summaries", "delete", "list_subkeys")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[model.Stub]:
    """The model's API, for Claude Code with settings of its own."""
    with model.running() as stub:
        for name, value in stub.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "settings"))
        yield stub


@pytest.fixture
def store(service: Service) -> AmplifierSessionStore:
    return AmplifierSessionStore()


def entry(text: str, **more: Any) -> Any:
    message = {"role": "user", "content": text}
    return {"type": "user", "uuid": str(uuid.uuid4()), "timestamp": "2026-01-01T00:00:00Z", "message": message} | more


async def test_all_contracts_of_the_sdk_hold(secured: Service) -> None:
    """Each contract is tried by a user of its own, whose sessions are all that there is."""
    api_key = secured.application("claude")
    clients: list[AsyncAmplifier] = []

    def make() -> SessionStore:
        clients.append(AsyncAmplifier(secured.url, api_key=api_key, token=token(f"user-{len(clients)}")))
        return AmplifierSessionStore(clients[-1])

    await run_session_store_conformance(make)
    assert len(clients) == 15, "one to look at the store, and one for each contract"
    assert all(vars(AmplifierSessionStore).get(name) for name in OTHER_METHODS), "no contract was left out"


async def test_entries_that_are_sent_again_are_stored_once(store: AmplifierSessionStore, key: str) -> None:
    where: Any = {"project_key": key, "session_id": "a"}
    first, second, third = entry("one"), entry("two"), entry("three")
    await store.append(where, [first, second])
    await store.append(where, [first, second, third])
    assert await store.load(where) == [first, second, third]


async def test_entries_without_uuid_are_all_stored(store: AmplifierSessionStore, key: str) -> None:
    where: Any = {"project_key": key, "session_id": "a", "subpath": "subagents/agent-1"}
    mode: Any = {"type": "mode", "mode": "plan"}
    await store.append(where, [mode])
    await store.append(where, [mode] * 1001)
    assert await store.load(where) == [mode] * 1002


async def test_summaries_hold_though_processes_race(store: AmplifierSessionStore, key: str) -> None:
    where: Any = {"project_key": key, "session_id": "a"}
    stores = [AmplifierSessionStore(AsyncAmplifier()) for _ in range(4)]
    for round_ in range(3):
        await asyncio.gather(*(one.append(where, [entry(f"{round_}")]) for one in stores))
    await stores[0].append(where, [{"type": "custom-title", "customTitle": "Geneva"}])
    await stores[1].append(where, [{"type": "tag", "tag": "travel"}])
    [summary] = await stores[2].list_session_summaries(key)
    assert (summary["data"]["first_prompt"], summary["data"]["custom_title"]) == ("0", "Geneva")
    assert summary["data"]["tag"] == "travel"
    await stores[3].append(where, [{"type": "tag", "tag": ""}])
    [summary] = await stores[2].list_session_summaries(key)
    assert "tag" not in summary["data"]
    assert len(await store.load(where) or []) == 15


async def test_batches_of_one_process_take_a_request_each(service: Service, key: str) -> None:
    where: Any = {"project_key": key, "session_id": "a"}
    transport = LosesAnswers(0, "GET", "PUT", "POST", "PATCH")
    store = AmplifierSessionStore(AsyncAmplifier(transport=transport))
    await store.append(where, [entry("Hello")])
    transport.requests.clear()
    for number in range(3):
        await store.append(where, [entry(f"{number}", lastPrompt=f"{number}")])
    assert [request.method for request in transport.requests] == ["POST"] * 3


async def test_session_has_the_title_of_its_first_prompt(store: AmplifierSessionStore, key: str) -> None:
    where: Any = {"project_key": key, "session_id": "a"}
    await store.append(where, [entry("Is there a flight to Geneva? " * 20)])
    await store.append(where, [entry("And back?")])
    found = await AsyncAmplifier().find(f"claude/{key}/a")
    assert found is not None
    assert ((await found.get()).title or "").startswith("Is there a flight to Geneva?")
    await store.append(where, [{"type": "custom-title", "customTitle": "Geneva"}])
    assert (await found.get()).title == "Geneva"


async def test_claude_code_resumes_what_another_machine_began(
    service: Service, stub: model.Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(prompt: str, **options: Any) -> ResultMessage:
        found = ClaudeAgentOptions(session_store=AmplifierSessionStore(), cwd=tmp_path, **options)
        results = [one async for one in query(prompt=prompt, options=found) if isinstance(one, ResultMessage)]
        return results[0]

    word = uuid.uuid4().hex
    first = await ask(f"Is there a flight to {word}?")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "another machine"))
    second = await ask("And back?", resume=first.session_id)
    assert (second.session_id, second.result) == (first.session_id, "You said: And back?")
    assert f"You said: Is there a flight to {word}?" in str(stub.requests[-1]["messages"])
    found = await AsyncAmplifier().search(word)
    assert {hit.title for hit in found.items} == {f"Is there a flight to {word}?"}
    assert {hit.role for hit in found.items if hit.seq} >= {"user", "assistant"}
