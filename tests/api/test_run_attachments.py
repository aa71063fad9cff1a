"""Agents see attachments as their models accept them; what cannot be shown is a note in words."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from amplifier.runtime import attached
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, model, settings
from tests.support.llm import Stub

PNG = base64.b64decode("iVBORw0KGgo=") + bytes(300_000)  # more than one part
GONE = "amplifier:sha256/" + "0" * 64


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def attach(here: Agent, content: bytes, media_type: str, name: str) -> str:
    headers = {"Content-Type": media_type}
    answer = await here.client.post(f"{here.path}/attachments?name={name}", content=content, headers=headers)
    return str(answer.json()["attachment"])


async def asked(here: Agent, stub: Stub, *blocks: Any) -> str:
    """Appends a message with the blocks, and returns the text of the request that the agent then sends."""
    messages = [{"role": "user", "content": list(blocks)}, {"role": "assistant", "content": "I see."}]
    answer = await here.client.post(f"{here.path}/transcript", json={"messages": messages})
    assert answer.status_code == 201, answer.text
    stub.requests.clear()
    await here.say("Which one?")
    return json.dumps(stub.requests[-1].body)


IMAGES: list[Any] = [
    {"type": "image_url", "image_url": {"url": "{}"}},
    {"type": "image", "source": {"type": "url", "url": "{}"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "{}"}},
    {"type": "input_image", "image_url": "{}"},
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_images_of_every_format_are_shown(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind))
    name = await attach(here, PNG, "image/png", "seats.png")
    blocks = [json.loads(json.dumps(block).replace("{}", name)) for block in IMAGES]
    request = await asked(here, stub, *blocks, {"type": "text", "text": name})
    content = base64.b64encode(PNG).decode()
    assert request.count(content) == len(IMAGES)
    assert request.count(name) == 1, "a text that names an attachment stays a text"
    stored = (await here.client.get(f"{here.path}/transcript?view=plain")).json()
    assert content not in json.dumps(stored)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_files_are_sent_in_the_form_of_the_provider(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind))
    table = await attach(here, b"seat,price", "text/csv; charset=utf-8", "seats.csv")
    plan = await attach(here, b"%PDF-1.7", "application/pdf", "plan.pdf")
    request = await asked(
        here,
        stub,
        {"type": "file", "file": {"filename": "seats.csv", "file_data": table}},
        {"type": "document", "source": {"type": "url", "url": plan}},
    )
    assert "seat,price" in request
    assert base64.b64encode(b"%PDF-1.7").decode() in request


async def test_what_cannot_be_shown_is_a_note(
    alice: httpx.AsyncClient, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "_MOST", 500_000)
    here = await agent(alice, model(stub))
    older, newer = await attach(here, PNG, "image/png", "older.png"), await attach(here, PNG + b"1", "image/png", "new")
    image = {"type": "image_url", "image_url": {"url": older}}
    await asked(here, stub, image, {"type": "image_url", "image_url": {"url": GONE}})
    request = await asked(here, stub, {"type": "image_url", "image_url": {"url": newer}})
    assert "(The attachment 000000000000\\u2026 is gone.)" in request
    assert "(The attachment older.png (image/png, 300008 bytes) is left out" in request
    assert base64.b64encode(PNG + b"1").decode() in request


async def test_results_of_tools_and_later_rounds(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub, "anthropic"))
    name = await attach(here, PNG, "image/png", "page.png")
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "shot", "input": {}}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [{"type": "image", "source": {"type": "url", "url": name}}],
                }
            ],
        },
        {"role": "assistant", "content": "Done."},
    ]
    await here.client.post(f"{here.path}/transcript", json={"messages": messages})
    await here.say("And?")
    assert base64.b64encode(PNG).decode() in json.dumps(stub.requests[-1].body)
    assert api.app.state.runner._host.room._taken == 0
