"""The main job on real conversations: they are stored over HTTP, found and read, also after a restart.

The conversations are those of the file that TRANSCRIPTS names, a JSON array of objects whose `messages` or `traj` is a
transcript; without it, a small sample in every dialect.
"""

import asyncio
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, private_folder
from tests.support.paths import DATA
from tests.support.service import running_service

pytestmark = pytest.mark.slow

SAMPLE = DATA / "transcripts.json"
CALLERS = 8  # at once


def transcripts() -> list[list[Any]]:
    file = Path(os.environ.get("TRANSCRIPTS") or SAMPLE)
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [entry.get("messages") or entry["traj"] for entry in json.loads(text)]


async def test_every_conversation_is_stored_and_found(anyio_backend: object) -> None:
    given = transcripts()
    total = sum(map(len, given))
    assert total > 10
    with private_folder() as home:
        environ = {"AMPLIFIER_HOME": str(home)}
        with running_service(environ) as service:
            async with client(service.url) as api:
                stored = await store(api, given)
                await compare(api, stored)
                await find(api, stored)
        with running_service(environ) as service:
            async with client(service.url) as api:
                await compare(api, stored)
                # and the sessions continue with the next number
                session_id, messages = next(iter(stored.items()))
                answer = await api.post(f"/sessions/{session_id}/transcript", json={"messages": messages[:1]})
                assert answer.json()["first_seq"] == len(messages) + 1


async def store(api: httpx.AsyncClient, given: list[list[Any]]) -> dict[str, list[Any]]:
    """Stores each conversation in a new session, in several appends. Returns the messages by session."""
    config_id = (await api.post("/configs", json=CONFIG)).json()["config_id"]

    async def one(messages: list[Any]) -> tuple[str, list[Any]]:
        session_id = (await api.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        for start in range(0, len(messages), 7):
            part = messages[start : start + 7]
            body = {"messages": part, "expected_seq": start}
            answer = await api.post(f"/sessions/{session_id}/transcript", json=body)
            assert answer.status_code == 201, answer.text
            assert (answer.json()["first_seq"], answer.json()["last_seq"]) == (start + 1, start + len(part))
        return session_id, messages

    return dict(await bounded(one, given))


async def compare(api: httpx.AsyncClient, stored: dict[str, list[Any]]) -> None:
    """Checks that every transcript equals the messages sent, in both views, and that its counts agree."""

    async def one(item: tuple[str, list[Any]]) -> None:
        session_id, messages = item
        path = f"/sessions/{session_id}/transcript"
        assert (await api.get(path, params={"view": "plain"})).json() == messages
        page = (await api.get(path, params={"limit": 1000})).json()
        assert [entry["message"] for entry in page["messages"]] == messages
        assert [entry["seq"] for entry in page["messages"]] == list(range(1, len(messages) + 1))
        session = (await api.get(f"/sessions/{session_id}")).json()
        assert session["last_seq"] == len(messages)
        assert session["message_count"] == sum(message["role"] == "user" for message in messages)

    await bounded(one, list(stored.items()))
    assert (await api.get("/sessions")).json()["total"] == len(stored)
    assert (await api.get("/users/me")).json()["total_sessions"] == len(stored)


async def find(api: httpx.AsyncClient, stored: dict[str, list[Any]]) -> None:
    """Checks that messages are found by four of their words, and tool calls by the tool's name."""

    async def one(item: tuple[str, list[Any]]) -> int:
        session_id, messages = item
        for seq, message in enumerate(messages, 1):
            words = re.findall(r"\b\w{5,}\b", message["content"]) if isinstance(message.get("content"), str) else []
            if message["role"] == "user" and len(words) >= 4:
                parameters = {"q": " ".join(words[:4]), "session_id": session_id, "limit": 100}
                found = (await api.get("/search", params=parameters)).json()["items"]
                assert seq in [hit["seq"] for hit in found], words
                return 1
        return 0

    assert sum(await bounded(one, list(stored.items()))) > 1
    calls = [call for messages in stored.values() for m in messages for call in m.get("tool_calls") or []]
    name = next(call["function"]["name"] for call in calls if "function" in call)
    found = (await api.get("/search", params={"q": name, "tool": name, "limit": 100})).json()["items"]
    assert found
    assert all(name in str(stored[hit["session_id"]][hit["seq"] - 1]) for hit in found)


async def bounded(work: Any, items: list[Any]) -> list[Any]:
    """Awaits `work` for every item, a few at a time."""
    gate = asyncio.Semaphore(CALLERS)

    async def guarded(item: Any) -> Any:
        async with gate:
            return await work(item)

    return await asyncio.gather(*map(guarded, items))


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=30)
