"""Secrets of configs and of the operator: providers get them in clear, and nobody else sees them."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.test_message_streams import answer
from tests.conftest import serving
from tests.support.agents import agent, model, settings
from tests.support.live import live
from tests.support.llm import Call, Reply, Stub

OPERATORS, CONFIGS = "canary-of-the-operator", "canary-of-the-config"
ENCRYPTION_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_secret_goes_to_the_provider_alone(
    dsn: str,
    stub: Stub,
    installed: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sql: Callable[..., list[Any]],
    kind: str,
) -> None:
    """Also where the provider repeats it in its errors, and the model in its answer, or in a tool's call."""
    monkeypatch.setenv("MODEL_KEY", OPERATORS)
    caplog.set_level(logging.DEBUG)
    async with live(settings(dsn, stub, runtime_secrets="MODEL_KEY", config_encryption_key=ENCRYPTION_KEY)) as api:
        alice = await api.as_user("alice")
        shown: list[Any] = []
        for given, secret in (("${MODEL_KEY}", OPERATORS), (CONFIGS, CONFIGS)):
            here = await agent(alice, model(stub, kind, api_key=given), tools=[{"module": "tool-some"}])
            stub.reset()
            stub.when("refuse", Reply(status=401, error=f"Incorrect key: {secret}"))
            stub.when("repeat", Reply(calls=[Call("say", {"text": secret})]), Reply(f"It is {secret}, sir"))
            shown.append(await here.say("refuse", 502))
            shown.append(await here.say("repeat"))
            async with answer(here, "repeat it") as stream:
                shown.append(await stream.rest())
            async with answer(here, "refuse it") as stream:
                shown.append(await stream.rest())
            assert secret in {value.removeprefix("Bearer ") for _, value in stub.requests[0].headers}
            shown += [await here.runs(), await here.transcript(), (await alice.get("/configs")).json()]
    stored = sql(
        "select config_json::text from configs union all select data::text from session_events union all"
        " select message::text from messages union all select concat(response, error, message, usage) from runs"
    )
    text = json.dumps(shown) + json.dumps(stored) + caplog.text
    assert "It is ***, sir" in text
    for canary in (OPERATORS, CONFIGS):
        assert canary not in text


async def test_reference_that_nobody_allowed(
    dsn: str, stub: Stub, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", OPERATORS)
    async with serving(settings(dsn, stub)) as api:
        here = await agent(await api.as_user("alice"), model(stub, api_key="${MODEL_KEY}"))
        assert "MODEL_KEY" in (await here.say("Hi", 400))["detail"]
        assert stub.requests == []
