"""Compares stores of frameworks in Amplifier with the frameworks' own stores in SQL, on one PostgreSQL.

    clients/python/.venv/bin/python clients/python/benchmarks/integrations.py

Starts a service with an embedded PostgreSQL, in which both keep their tables. The calls of a row alternate, so that
whatever else the machine does meets both. Prints medians in milliseconds.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from serving import running

ROUNDS = 300
LENGTH = 1000  # items that a session has before
Call = Callable[[], Awaitable[Any]]
Row = tuple[str, Call, Call]


async def main() -> None:
    """Measures all rows against a new service."""
    with running({}) as service:
        print(f"{'median of ' + str(ROUNDS) + ', ms':32} {'own store':>10} {'Amplifier':>10} {'ratio':>6}")
        for make in (openai_agents, google_adk):
            async for name, own, ours in make(service):
                before, after = await measured(own, ours)
                print(f"{name:32} {before:10.2f} {after:10.2f} {after / before:6.2f}")


async def measured(own: Call, ours: Call) -> tuple[float, float]:
    """Returns the medians of two calls that alternate, in milliseconds."""
    times: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for call, taken in zip((own, ours), times, strict=True):
            begin = time.perf_counter()
            await call()
            taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


async def openai_agents(service: Any) -> Any:
    """Yields the rows of the OpenAI Agents SDK: SQLAlchemySession, and AmplifierSession."""
    from agents.extensions.memory import SQLAlchemySession
    from amplifier_client import AsyncAmplifier
    from amplifier_client.openai_agents import AmplifierSession

    own = SQLAlchemySession.from_url("benchmark", url=database(service), create_tables=True)
    ours = AmplifierSession("benchmark", client=AsyncAmplifier(service.url))
    for start in range(0, LENGTH, 500):
        items: Any = [{"role": "user", "content": f"Message {start + number}"} for number in range(500)]
        await own.add_items(items)
        await ours.add_items(items)
    turn: Any = [{"role": "user", "content": "Book it"}, {"role": "assistant", "content": "It is booked: HAT136."}]
    yield "OpenAI Agents  add_items(2)", lambda: own.add_items(turn), lambda: ours.add_items(turn)
    yield "OpenAI Agents  get_items(20)", lambda: own.get_items(20), lambda: ours.get_items(20)
    yield "OpenAI Agents  pop_item()", own.pop_item, ours.pop_item
    await own.engine.dispose()


async def google_adk(service: Any) -> Any:
    """Yields the rows of Google's ADK: DatabaseSessionService, and AmplifierSessionService."""
    import asyncpg
    from amplifier_client import AsyncAmplifier
    from amplifier_client.adk import AmplifierSessionService
    from google.adk.events import Event, EventActions
    from google.adk.sessions import DatabaseSessionService
    from google.genai import types

    connection = await asyncpg.connect(database(service).replace("+asyncpg", ""))
    await connection.execute("create schema adk")  # its tables have names of the service's own
    await connection.close()
    own = DatabaseSessionService(database(service), connect_args={"server_settings": {"search_path": "adk"}})
    stores: Any = own, AmplifierSessionService(AsyncAmplifier(service.url))
    content = types.Content(role="user", parts=[types.Part(text="Is there a flight to Geneva?")])
    ids = {"app_name": "benchmark", "user_id": "mia"}

    async def append(store: Any, session: Any, names: Sequence[str]) -> None:
        actions = EventActions(state_delta=dict.fromkeys(names, time.time()))
        await store.append_event(session, Event(author="user", content=content, actions=actions))

    for names in ([], ["step"], ["step", "user:seat", "app:flights"]):
        sessions = [await store.create_session(**ids) for store in stores]
        calls = [partial(append, store, session, names) for store, session in zip(stores, sessions, strict=True)]
        yield f"Google ADK  append_event, state {len(names)}", *calls
    for number in range(17):
        for store in stores:
            await store.create_session(**ids, state={"number": number})
    yield "Google ADK  list_sessions (20)", *(partial(store.list_sessions, **ids) for store in stores)
    await own.close()


def database(service: Any) -> str:
    """Returns the address of the embedded PostgreSQL for SQLAlchemy."""
    return f"postgresql+asyncpg://amplifier@/postgres?host={service.environ['AMPLIFIER_HOME']}/run"


if __name__ == "__main__":
    asyncio.run(main())
