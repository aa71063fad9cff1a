"""Sessions of amplifier-core with the loader, the mount plan and the modules of the service."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from amplifier_core import AmplifierSession, HookResult

from amplifier.runtime.module_loader import Loader
from amplifier.runtime.mount_plan import mount_plan

ALLOWED = frozenset(
    {
        "loop-basic",
        "loop-streaming",
        "context-simple",
        "context-simple-theirs",
        "provider-script",
        "provider-silent",
        "tool-some",
        "tool-broken",
        "tool-unimportable",
        "tool-empty",
        "tool-nowhere",
        "hooks-ready",
        "hooks-late",
    }
)
TOOLS = [{"module": "tool-some"}]


def config(*answers: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Returns a config whose provider gives these answers, and then repeats the last one."""
    given = {"answers": list(answers)} if answers else {}
    return {"bundle": {"name": "b"}, "providers": [{"module": "provider-script", "config": given}], **sections}


def calls(*names: str, **arguments: Any) -> dict[str, Any]:
    """Returns an answer that calls these tools, with ids c0, c1, ..."""
    return {"calls": [{"id": f"c{at}", "name": name, "arguments": arguments} for at, name in enumerate(names)]}


@contextlib.asynccontextmanager
async def opened(given: dict[str, Any], secrets: dict[str, str] | None = None, **more: Any) -> AsyncIterator[Any]:
    """Yields an initialized session of a config."""
    plan = mount_plan(given, (secrets or {}).get, frozenset())
    session = AmplifierSession(plan.mount, session_id="s", **more)
    session.coordinator.loader = Loader(ALLOWED, plan.secrets)
    await session.initialize()
    try:
        yield session
    finally:
        await session.cleanup()


async def run(session: Any, prompt: str) -> str:
    """Executes a turn without `execute` of amplifier-core, which passes on neither cancellations nor errors."""
    coordinator = session.coordinator
    answer: str = await coordinator.get("orchestrator").execute(
        prompt=prompt,
        context=coordinator.get("context"),
        providers=coordinator.get("providers"),
        tools=coordinator.get("tools"),
        hooks=coordinator.hooks,
        coordinator=coordinator,
    )
    return answer


async def transcript(session: Any) -> list[dict[str, Any]]:
    """Returns the messages of a session."""
    messages: list[dict[str, Any]] = await session.coordinator.get("context").get_messages()
    return messages


def provider(session: Any) -> Any:
    """Returns the provider of a session, which keeps its requests."""
    return session.coordinator.get("providers")["script"]


def listen(session: Any, *events: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the list of events emitted from now on, without the fields that amplifier-core adds."""
    seen: list[tuple[str, dict[str, Any]]] = []

    async def note(event: str, data: dict[str, Any]) -> HookResult:
        added = ("session_id", "parent_id", "timestamp")
        seen.append((event, {key: value for key, value in data.items() if key not in added}))
        return HookResult()

    for event in events:
        session.coordinator.hooks.register(event, note, name=f"note {event}")
    return seen


def answer_with(session: Any, event: str, **result: Any) -> None:
    """Registers a hook that always returns this result."""

    async def hook(event: str, data: dict[str, Any]) -> HookResult:
        changed = {"data": {**data, **result["data"]}} if "data" in result else {}
        return HookResult(**{**result, **changed})

    session.coordinator.hooks.register(event, hook, name=f"hook {event}")


def sent(session: Any, number: int = -1) -> list[tuple[str, Any]]:
    """Returns roles and contents of the messages in a request."""
    return [(message.role, message.content) for message in provider(session).requests[number].messages]


async def results(session: Any) -> list[Any]:
    """Returns the contents of the results in a transcript. JSON is decoded."""
    contents = [message["content"] for message in await transcript(session) if message["role"] == "tool"]
    return [json.loads(content) if content.startswith("{") else content for content in contents]
