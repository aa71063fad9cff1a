"""Transcripts of real agents, cut at every message, become requests that the models' APIs accept.

Each cut takes the way of a run from the row of the database to the body of the request, without the service. In short
some cuts of each transcript are tried, in `test_every_cut` all.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from amplifier.runtime.history import Limits, history
from amplifier.runtime.modules.context import Window
from amplifier.runtime.modules.model_requests import Requests
from amplifier.transcripts.parts import Text
from amplifier.transcripts.reader import read
from tests.runtime.providers import APIS, mounted
from tests.support import changed, llm_rules
from tests.support.llm import Stub
from tests.support.recordings import Message, Recording, conversations, recordings

PROMPT = "Now sum up, in seven words."
LIMITS = Limits(2000, 8_388_608)
_FEW = 12  # cuts of each transcript in short, about


async def body(provider: Any, messages: list[Message], limits: Limits = LIMITS, **config: Any) -> dict[str, Any]:
    """Returns the request body of a turn that continues a transcript."""
    window = Window(config)
    await window.set_messages(history(row(messages, limits), limits).messages)
    await window.add_message({"role": "user", "content": PROMPT})
    request = Requests([]).request(await window.get_messages_for_request(provider=provider), [], last=False)
    made: dict[str, Any] = provider.body(request, "model-1", {})
    return made


def row(messages: list[Message], limits: Limits) -> dict[str, Any]:
    """Returns the row of `runs.get_history` for a transcript."""
    newest, before = messages[-limits.messages :], messages[: -limits.messages]
    roles = [read(message).role for message in before]
    kept = {at for at, role in enumerate(roles) if role in ("system", "developer")}
    if "user" not in [read(message).role for message in newest] and "user" in roles:
        kept.add(max(at for at, role in enumerate(roles) if role == "user"))
    older = [before[at] for at in sorted(kept)]
    texts = {"messages": json.dumps(newest), "older_messages": json.dumps(older) if older else None}
    return texts | {"left_out": len(before), "system_bytes": None}


async def faults(provider: Any, messages: list[Message], limits: Limits = LIMITS, **config: Any) -> str | None:
    """Returns why a transcript cannot be continued, or None."""
    try:
        made = await body(provider, messages, limits, **config)
    except Exception as error:
        return repr(error)
    if refused := llm_rules.refusal(provider.name, made):
        return refused
    sent = json.dumps(made, ensure_ascii=False)
    if PROMPT not in json.dumps(made["messages"][-1]):
        return "the prompt does not arrive"
    said = [message for message in messages if read(message).role in ("system", "developer")]
    lost = [
        text
        for text in texts(said if limits != LIMITS or config else messages[-3:])
        if json.dumps(text, ensure_ascii=False)[1:-1] not in sent
    ]
    return f"lost: {lost[0][:100]}" if lost else None


def texts(messages: list[Message]) -> Iterator[str]:
    """Yields the texts of people and models, which must reach the model."""
    for message in messages:
        reading = read(message)
        if reading.role in ("user", "assistant", "system", "developer"):
            yield from (part.text for part in reading.parts if isinstance(part, Text) and part.text.strip())


async def replay(provider: Any, recording: Recording, step: int) -> list[str]:
    """Returns the faults of every cut, or of every one in `step`, each with its place."""
    ends = {*range(step, len(recording.messages), step), len(recording.messages)} - {0}
    found = [(end, await faults(provider, recording.messages[:end])) for end in sorted(ends)]
    return [f"{recording.name}[:{end}] {provider.name}: {fault}" for end, fault in found if fault is not None]


async def replayed(stub: Stub, given: list[Recording], few: bool) -> list[str]:
    found: list[str] = []
    for api in APIS:
        async with mounted(api, stub) as one:
            for recording in given:
                step = max(1, len(recording.messages) // _FEW) if few else 1
                found += await replay(one.provider, recording, step)
    return found


async def test_some_cuts(stub: Stub) -> None:
    given = [*recordings(), *islice(conversations(), 20)]
    assert sum(len(one.messages) for one in given) > 100
    assert await replayed(stub, given, few=True) == []


@pytest.mark.slow
async def test_every_cut(stub: Stub) -> None:
    assert await replayed(stub, [*recordings(), *conversations()], few=False) == []


@pytest.mark.parametrize(("limits", "config"), [(Limits(7, 8_388_608), {}), (LIMITS, {"max_tokens": 40})])
async def test_long_transcripts(stub: Stub, limits: Limits, config: dict[str, int]) -> None:
    """A cut transcript is accepted, too, and has all messages of the system."""
    found = []
    for api in APIS:
        async with mounted(api, stub) as one:
            for name, given in [*recordings(), *islice(conversations(), 20)]:
                ends = range(1, len(given) + 1, 3)
                found += [(api, name, end, await faults(one.provider, given[:end], limits, **config)) for end in ends]
    assert [one for one in found if one[-1] is not None][:5] == []


@pytest.mark.parametrize(("seed", "count"), [(1, 300), pytest.param(2, 10_000, marks=pytest.mark.slow)])
async def test_changed_messages(stub: Stub, seed: int, count: int) -> None:
    found: list[tuple[str, list[Message]]] = []
    for api in APIS:
        async with mounted(api, stub) as one:
            tried = [(await faults(one.provider, given), given) for given in changed.transcripts(seed, count)]
        found += [(f"{api}: {fault}", given) for fault, given in tried if fault is not None]
    assert sorted(found, key=lambda one: len(str(one)))[:5] == []
