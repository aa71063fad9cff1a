"""Names in a config that name nothing, or something else, are reported as faults of the config."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import agent, echo, settings

ECHO = [echo()]


@pytest.fixture
async def api(dsn: str, installed: None) -> AsyncIterator[Api]:
    async with serving(settings(dsn)) as api:
        yield api


def loop(**config: Any) -> dict[str, Any]:
    return {"orchestrator": {"module": "loop-streaming", "config": config}}


@pytest.mark.parametrize(
    "sections",
    [
        {"session": loop(default_provider="gone")},
        {"session": loop(default_provider="g" * 200)},
        {"session": loop(default_provider=["echo"])},
        {"session": {"orchestrator": "loop-gone"}},
        {"session": {"orchestrator": "provider-echo"}},
        {"session": {"orchestrator": "context-simple"}},
        {"session": {"orchestrator": "tool-some"}},
        {"session": {"context": "context-gone"}},
        {"session": {"context": "loop-basic"}},
        {"session": {"context": "tool-some"}},
        {"tools": [{"module": "tool-gone"}]},
        {"hooks": [{"module": "hooks-gone"}]},
        {"providers": [{"module": "provider-gone"}]},
        {"providers": [{"module": "tool-some"}]},
        {"providers": [{"module": "loop-basic"}]},
        {"providers": [{"module": "provider-echo", "config": {"priority": "first"}}]},
    ],
)
async def test_name_of_nothing_is_fault_of_config(alice: httpx.AsyncClient, sections: dict[str, Any]) -> None:
    here = await agent(alice, **({"providers": ECHO} | sections))
    detail = (await here.say("Hi", 400))["detail"]
    assert detail
    assert [(run["status"], run["error"]["type"]) for run in await here.runs()] == [("failed", "config")]


@pytest.mark.parametrize("module", ["provider-echo", "loop-basic", "context-simple"])
@pytest.mark.parametrize("kind", ["tools", "hooks"])
async def test_module_of_another_kind_harms_nothing(alice: httpx.AsyncClient, kind: str, module: str) -> None:
    """It is mounted as what it is, or refused; it is no fault of the service."""
    here = await agent(alice, **{"providers": ECHO, kind: [{"module": module}]})
    answer = await alice.post(f"{here.path}/messages", json={"message": "Hi"})
    assert answer.status_code in (200, 400), answer.text
