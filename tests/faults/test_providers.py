"""A model's API hangs, drips, refuses and breaks off, beside a load: its runs end, and nobody else notices."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.faults.caller import headers
from tests.faults.clients import new_marker
from tests.faults.conftest import Worlds
from tests.faults.history import Call, now
from tests.faults.load import Load
from tests.faults.world import LIMIT
from tests.support import llm
from tests.support.agents import model
from tests.support.llm import Reply

pytestmark = pytest.mark.faults
MODEL_TIMEOUT = 6  # seconds; longer than the load may take to show that it is undisturbed
SESSIONS = 10
_CHUNK = '{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s'
HALF_A_CHARACTER = (
    f'data: {_CHUNK % "Caf"}"}},"finish_reason":null}}]}}\n\n'.encode() + f"data: {_CHUNK % 'é'}".encode()[:-1]
)
REPLIES = {
    "hangs": Reply("never", stall_after=0),
    "drips one byte a second": Reply("much too slow", drip=1.0),
    "answers 529": Reply(status=529),
    "ends in the middle of a character": Reply(raw=HALF_A_CHARACTER, headers={"content-type": "text/event-stream"}),
}


@pytest.mark.parametrize("fault", REPLIES)
async def test_provider_fails(worlds: Worlds, fault: str) -> None:
    with llm.in_thread() as stub:
        stub.when("fail", REPLIES[fault])
        environ = {
            "RUNTIME_MODULES": "context-simple,loop-basic,loop-streaming,provider-echo,provider-openai",
            "RUNTIME_BASE_URLS": stub.url,
            "RUN_MODEL_TIMEOUT": str(MODEL_TIMEOUT),
        }
        async with worlds(environ=[environ, environ]) as world:
            async with world.load(name=f"provider {fault}") as load:
                for _ in range(world.times(3)):
                    await load.steady()
                    talks = (_talk(load, world.targets, number, model(stub)) for number in range(SESSIONS))
                    await asyncio.gather(load.recovered(), *talks)
            world.verify(f"provider that {fault}", load)


async def _talk(load: Load, urls: Sequence[str], number: int, provider: dict[str, Any]) -> None:
    """Sends a message that fails, through one process, and one that succeeds in the same session, through the other."""
    user = f"user-{number}"
    first, second = number % 2, 1 - number % 2
    async with httpx.AsyncClient(headers=headers(user), timeout=60, verify=False) as client:
        config = {"bundle": {"name": "faults"}, "providers": [provider]}
        made = await client.post(f"{urls[first]}/configs", json={"name": "faults", "config_data": config})
        session = await client.post(f"{urls[first]}/sessions", json={"config_id": made.json()["config_id"]})
        session_id = session.json()["session_id"]
        path = f"/sessions/{session_id}"

        async def say(process: int, text: str) -> httpx.Response:
            marker, began = new_marker(), now()
            answer = await client.post(f"{urls[process]}{path}/messages", json={"message": f"{text} {marker}"})
            found = [marker] if marker in answer.text else []
            # what the provider broke off counts as not acknowledged
            status = 200 if found else 0
            load.caller.record(
                Call("message", process, user, session_id, began, now(), status, marker=marker, found=found)
            )
            return answer

        began = now()
        failed = await say(first, "fail")
        assert now() - began < MODEL_TIMEOUT + LIMIT
        assert failed.status_code in (200, 502, 503, 504), failed.text
        well = await say(second, "go on")
        assert well.status_code == 200, well.text
        runs = (await client.get(f"{urls[first]}{path}/runs")).json()["items"]
        assert runs[0]["status"] == "completed"
        assert {run["status"] for run in runs} <= {"completed", "failed"}
        transcript = await client.get(f"{urls[first]}{path}/transcript")
        assert "\ufffd" not in transcript.content.decode()
