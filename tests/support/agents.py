"""Helpers for tests of agents: configs with a stub of the models' APIs, and sessions with an agent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx

from amplifier.settings import Settings
from amplifier.transcripts.integrity import diagnose
from tests.conftest import settings_for
from tests.support.live import LIMIT
from tests.support.llm import Stub
from tests.support.paths import ROOT

MODULES = ROOT / "tests/runtime/modules"  # a package with tools, hooks and others, for the path
ALLOWED = (
    "context-simple,context-simple-theirs,hooks-asking,hooks-odd,hooks-providing,loop-streaming,loop-theirs,"
    "provider-anthropic,provider-echo,provider-openai,provider-script,provider-stubborn,tool-broken,tool-odd,tool-some"
)


def settings(dsn: str, *stubs: Stub, **changes: Any) -> Settings:
    """Returns settings that allow these stubs and the modules of the tests in configs."""
    allowed = {"runtime_modules": ALLOWED, "runtime_base_urls": ",".join(stub.url for stub in stubs)}
    return settings_for(dsn, **(allowed | changes))


def model(stub: Stub, api: str = "openai", **config: Any) -> dict[str, Any]:
    """Returns a provider for a config that calls the stub."""
    url = stub.openai_url if api == "openai" else stub.anthropic_url
    given = {"api_key": "sk-of-the-config", "model": "stub", "base_url": url, "max_retries": 0, **config}
    return {"module": f"provider-{api}", "config": given}


def echo(**config: Any) -> dict[str, Any]:
    """Returns a provider that needs no server."""
    return {"module": "provider-echo", "config": config}


class Agent(NamedTuple):
    """A session and a client of one of its participants."""

    client: httpx.AsyncClient
    session_id: str

    @property
    def path(self) -> str:
        return f"/sessions/{self.session_id}"

    async def say(self, text: str, status: int = 200, **more: Any) -> Any:
        """Sends a message and returns the response."""
        answer = await self.client.post(f"{self.path}/messages", json={"message": text, **more})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def runs(self) -> list[dict[str, Any]]:
        """Returns the runs, oldest first."""
        found: list[dict[str, Any]] = (await self.client.get(f"{self.path}/runs?limit=200")).json()["items"]
        return found[::-1]

    async def run(self, *statuses: str) -> dict[str, Any]:
        """Waits until the newest run has one of these statuses and returns it."""
        async with asyncio.timeout(LIMIT):
            while not (found := await self.runs()) or found[-1]["status"] not in statuses:
                await asyncio.sleep(0.01)
        return found[-1]

    async def transcript(self) -> list[dict[str, Any]]:
        """Returns the messages, after a check that a model would accept them."""
        messages: list[dict[str, Any]] = (await self.client.get(f"{self.path}/transcript?view=plain")).json()
        assert not any(one.needs_repair for one in diagnose(messages)), messages
        return messages

    async def said(self) -> list[tuple[str, Any]]:
        """Returns the role and text of each message."""
        return [(message["role"], message["content"]) for message in await self.transcript()]

    async def cancel(self, status: int = 200, **query: str) -> Any:
        """Asks to cancel and returns the response."""
        answer = await self.client.post(f"{self.path}/cancel", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()


async def agent(client: httpx.AsyncClient, *providers: dict[str, Any], **sections: Any) -> Agent:
    """Creates a session of a new config with these providers and sections."""
    config = {"bundle": {"name": "test"}, "providers": list(providers), **sections}
    made = await client.post("/configs", json={"name": "test", "config_data": config})
    assert made.status_code == 201, made.text
    session = await client.post("/sessions", json={"config_id": made.json()["config_id"]})
    return Agent(client, session.json()["session_id"])


@contextlib.asynccontextmanager
async def waiting(coroutine: Any) -> AsyncIterator["asyncio.Task[Any]"]:
    """Runs a task for as long as the context lasts."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
        async with asyncio.timeout(LIMIT):
            await task
    finally:
        task.cancel()
