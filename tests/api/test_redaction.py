"""REDACT: what clients and agents write is stored without keys and addresses, in whatever table."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.errors import OperatorError
from amplifier.setting_sources import load
from amplifier.settings import SettingsError
from amplifier.transcripts import scrubber
from tests.api.test_approvals import decide, question
from tests.conftest import Api, serving
from tests.support.agents import agent, model, settings, waiting
from tests.support.llm import Call, Reply, Stub

pytest.importorskip("re2")

MAIL, KEY = "ada@example.org", f"sk-ant-api03-{'aB3-' * 12}"
TEXT = f"write to {MAIL} with {KEY}"
SHOWN = "write to [redacted: email] with [redacted: anthropic-key]"


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application that redacts both sets."""
    async with serving(settings(dsn, stub, redact="keys, emails")) as api:
        yield api


def stored(sql: Callable[..., list[Any]]) -> str:
    """Returns all rows of all tables as text."""
    tables = sql("select format('%I', table_name) from information_schema.tables where table_schema = 'public'")
    return "\n".join(str(row) for [table] in tables for row in sql(f"select t::text from {table} as t"))


async def test_appended_message_is_stored_without_secrets(
    alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    path = f"/sessions/{session_id}/transcript"
    body = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}, {"role": "user", "content": "b"}]
    }
    for headers in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}):
        assert (await alice.post(path, json=body, headers=headers)).status_code == 201
    messages = [entry["message"] for entry in (await alice.get(path)).json()["messages"]]
    assert (
        messages
        == [{"role": "user", "content": [{"type": "text", "text": SHOWN}]}, {"role": "user", "content": "b"}] * 2
    )
    found = (await alice.get("/search", params={"q": "example.org"})).json()
    assert found["items"] == []
    rows = stored(sql)
    assert MAIL not in rows
    assert KEY not in rows


async def test_turn_of_an_agent_is_stored_without_secrets(
    alice: httpx.AsyncClient, stub: Stub, sql: Callable[..., list[Any]]
) -> None:
    """Message, context, call, question, result and answer. The client receives what is stored."""
    hooks = [{"module": "hooks-asking"}]
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}], hooks=hooks)
    stub.when("write", Reply(calls=[Call("say", {"text": TEXT})]), Reply(TEXT))
    async with waiting(here.say(TEXT, context={"mail": MAIL})) as answer:
        asked = await question(here)
        await decide(here, asked["approval_id"], "Allow")
    assert answer.result()["response"] == SHOWN
    transcript = await here.transcript()
    assert [message["role"] for message in transcript] == ["user", "assistant", "tool", "assistant"]
    assert transcript[0]["content"] == transcript[3]["content"] == SHOWN
    rows = stored(sql)
    assert MAIL not in rows
    assert KEY not in rows


async def test_failure_of_a_provider_is_stored_without_secrets(
    alice: httpx.AsyncClient, stub: Stub, sql: Callable[..., list[Any]]
) -> None:
    here = await agent(alice, model(stub))
    stub.when("hello", Reply(status=400, text=TEXT))
    await alice.post(f"{here.path}/messages", json={"message": "hello"})
    assert MAIL not in stored(sql)


def test_unknown_set_stops_start() -> None:
    with pytest.raises(SettingsError, match="REDACT must be keys, emails or both"):
        load({"REDACT": "keys,names"})


def test_missing_package_stops_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise ImportError

    monkeypatch.setattr(scrubber, "patterns", missing)
    with pytest.raises(OperatorError, match=r"REDACT needs more packages: pip install 'amplifier-api\[redact\]'"):
        scrubber.Scrubber(frozenset({"keys"}))
