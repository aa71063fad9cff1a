"""Measures the overhead of the service on an agent's turn, compared with amplifier-core, and the delay of deltas.

The models' API is a stub in a process of its own, which tells when it got a request and when it sent each delta, by the
clock that all processes of a machine share.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from amplifier_core import AmplifierSession

from amplifier.postgres import embedded
from amplifier.runtime.module_loader import Loader
from amplifier.runtime.mount_plan import mount_plan
from amplifier.schema import migrate
from amplifier.server.app import from_environment
from tests.support import llm
from tests.support.service import free_port

MESSAGES, TURNS, STREAMS, DELTAS = 1000, 60, 100, 100
PAUSE = 0.03  # seconds between two deltas of each of the streams
MODULES = frozenset({"loop-streaming", "context-simple", "provider-openai"})
_lags: list[float] = []


def main() -> None:
    """Prints the tables."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        dsn = stack.enter_context(embedded.running(home, "amplifier-api"))
        migrate.migrate(dsn)
        stub = stack.enter_context(llm.in_thread())
        stub.keep_bodies = stub.strict = False
        origin = stub.openai_url.removesuffix("/v1")
        # the streams are those of one user, who stands for many
        environ = {"DATABASE_URL": dsn, "RUNTIME_BASE_URLS": origin, "MAX_RUNS_PER_USER": str(STREAMS)}
        url = stack.enter_context(_service(environ))
        asyncio.run(_measure(url, stub))


async def _measure(url: str, stub: llm.Stub) -> None:
    provider = {"api_key": "key", "model": "stub", "base_url": stub.openai_url}
    config = {"bundle": {"name": "bench"}, "providers": [{"module": "provider-openai", "config": provider}]}
    config_id = _post(f"{url}/configs", {"name": "bench", "config_data": config})["config_id"]
    history = _history()
    session = _session(url, config_id)
    for start in range(0, MESSAGES, 500):
        _post(f"{url}/sessions/{session}/transcript", {"messages": history[start : start + 500]})
    stub.when("turn", llm.Reply("Well.", pieces=1))
    ours, core, late = [], [], []
    for _ in range(TURNS):
        ours.append(await _turn(url, session, stub))
        core.append(await _core(config, history, stub))
        late.append(await _stream(url, session, stub))
    print(f"{'milliseconds, median and 95th percentile of ' + str(TURNS):54}{'median':>8}{'95 %':>8}")
    _show(f"own part of a turn of {MESSAGES:,} messages", ours[5:])
    _show("the same, amplifier-core alone with our modules", core[5:])
    _show("a delta of the model until the client has it", late[5:])
    own, alone = statistics.median(ours[5:]), statistics.median(core[5:])
    print(f"own part / amplifier-core alone: {own / alone:.2f}, {(own - alone) * 1000:+.1f} ms")
    await _crowd(url, config_id, stub)


async def _turn(url: str, session: str, stub: llm.Stub) -> float:
    """Returns the seconds of a turn over an open connection, without those from the model's call to its last byte."""
    lines = _lines(url, f"/sessions/{session}/messages", {"message": "a turn"})
    started = await anext(lines)
    async for _ in lines:
        pass
    return _without_model(started, stub)


async def _core(config: dict[str, Any], history: list[dict[str, Any]], stub: llm.Stub) -> float:
    """Returns the same seconds for amplifier-core alone, from the messages as texts of the database."""
    text = json.dumps(history)
    started = time.perf_counter()
    session = AmplifierSession(
        mount_plan(config, lambda _: None, frozenset({stub.openai_url.removesuffix("/v1")})).mount, session_id="bench"
    )
    session.coordinator.loader = Loader(MODULES)
    await session.initialize()
    await session.coordinator.get("context").set_messages(json.loads(text))
    await session.execute("a turn")
    await session.cleanup()
    return _without_model(started, stub)


def _without_model(started: float, stub: llm.Stub) -> float:
    ended, seen = time.perf_counter(), stub.requests[-1]
    return (seen.at - started) + (ended - seen.sent[-1])


async def _stream(url: str, session: str, stub: llm.Stub) -> float:
    """Returns the seconds from the model's first delta until the client has it."""
    async for line in _lines(url, f"/sessions/{session}/stream", {"message": "a turn"}):
        if isinstance(line, bytes) and b"llm:stream_block_delta" in line:
            got = time.perf_counter()
            late = got - stub.requests[-1].sent[0]
    return late


async def _crowd(url: str, config_id: str, stub: llm.Stub) -> None:
    """Measures many streams at a time, and how late the timers of the service's loop are."""
    stub.when("crowd", llm.Reply(deltas=["word "] * DELTAS, pause=PAUSE))
    sessions = [_session(url, config_id) for _ in range(STREAMS)]
    _get(f"{url}/lags")
    started = time.perf_counter()
    counts = await asyncio.gather(*(_count(url, session) for session in sessions))
    seconds, lags = time.perf_counter() - started, sorted(_get(f"{url}/lags"))
    assert all(count == DELTAS for count in counts), counts
    p99 = lags[int(len(lags) * 0.99)]
    print(f"{STREAMS} streams of {DELTAS} deltas at once: {seconds:.1f} s, {STREAMS * DELTAS / seconds:.0f} a second")
    print(f"the loop's timers were late by at most {lags[-1] * 1000:.0f} ms, 99 % by less than {p99 * 1000:.0f} ms")


async def _count(url: str, session: str) -> int:
    lines = _lines(url, f"/sessions/{session}/stream", {"message": "crowd"})
    return sum([isinstance(line, bytes) and b"llm:stream_block_delta" in line async for line in lines])


async def sampled(scope: Any, receive: Any, send: Any) -> None:
    """The service as an ASGI application that also measures the delay of its loop and reports it at /lags."""
    global _app
    if scope["type"] == "lifespan":
        _app = from_environment()
        sampling = asyncio.create_task(_sample())
        await _app(scope, receive, send)
        sampling.cancel()
    elif scope["path"] == "/lags":
        body = json.dumps(_lags).encode()
        _lags.clear()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await _app(scope, receive, send)


async def _sample() -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.005)
        _lags.append(time.perf_counter() - started - 0.005)


@contextlib.contextmanager
def _service(environ: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.turns:sampled", "--port", str(port), "--log-level=warning"]
    process = subprocess.Popen(
        [*command, "--http=amplifier.web.http_protocol:BoundedProtocol"], env={**os.environ, **environ}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(500):
            with contextlib.suppress(OSError):
                if _get(f"{url}/health")["status"] == "healthy":
                    break
            time.sleep(0.02)
        time.sleep(2)  # until everything is imported
        yield url
    finally:
        process.terminate()
        process.wait(30)


async def _lines(url: str, path: str, body: Any) -> AsyncIterator[Any]:
    """Yields the time of the request, then the lines of the response, over a plain socket as the cheapest client."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    started = time.perf_counter()
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    yield started
    async for line in reader:
        yield line
    writer.close()


def _history() -> list[dict[str, Any]]:
    """Returns turns of a question, a call, its result and an answer."""
    said = "The quick brown fox jumps over the lazy dog, twice a day. " * 4
    messages: list[dict[str, Any]] = []
    for n in range(MESSAGES // 4):
        call = {"id": f"call_{n}", "tool": "look", "arguments": {"where": said[:40]}}
        messages += [
            {"role": "user", "content": said},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{n}", "name": "look", "content": said},
            {"role": "assistant", "content": said},
        ]
    return messages


def _session(url: str, config_id: str) -> str:
    return str(_post(f"{url}/sessions", {"config_id": config_id})["session_id"])


def _post(url: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def _show(title: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    print(f"{title:54}{statistics.median(ordered) * 1000:8.1f}{ordered[int(len(ordered) * 0.95)] * 1000:8.1f}")


if __name__ == "__main__":
    main()
